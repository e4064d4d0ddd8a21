"""The names of a data frame's columns: kept from training, and used to put later frames in the same order.

A data frame is an object that is 2-D and has `columns`, as in pandas and polars; neither is imported. A row
of one, in pandas a Series, has its names in `index`. As in scikit-learn, names count only where all are
strings.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from cbp.examples.conversion import Array

MOST_LISTED = 5

Names = tuple[str, ...]


def names_of(values: Any, name: str) -> Names | None:
    """Return the names of the columns; None if they have no names, or no name is a string.

    Raises
    ------
    TypeError
        If only some names are strings: users could expect them to be kept as well as to be ignored.
    """
    shape = getattr(values, "shape", None)
    if isinstance(values, np.ndarray) or not isinstance(shape, tuple) or len(shape) not in (1, 2):
        return None
    found: Any = getattr(values, "columns" if len(shape) == 2 else "index", None)
    if not hasattr(found, "__iter__"):
        return None
    entries = list(found)
    strings = [str(entry) for entry in entries if isinstance(entry, str)]
    if 0 < len(strings) < len(entries):
        other = next(entry for entry in entries if not isinstance(entry, str))
        raise TypeError(
            f"the columns of {name} must be named by strings only, or by none, "
            f"got {strings[0]!r} and {other!r}; rename them, or pass .to_numpy()"
        )
    return tuple(strings) if strings else None


def adopted(values: Any, known: Names | None, name: str) -> Names | None:
    """Return the names that the network has after `fit`: those of the data frame.

    If they are the known names in another order, the known order stays, since `fit` goes on from parameters
    that belong to this order.
    """
    given = names_of(values, name)
    if given is None or known is None or repeated(given):
        return given
    return known if sorted(given) == sorted(known) else given


def in_order(array: Array, values: Any, known: Names | None, name: str) -> Array:
    """Return the array that was made of `values`, with its columns in the order of the known names.

    Raises
    ------
    ValueError
        If names are missing, unexpected, or given more than once and in another order.
    """
    given = None if known is None else names_of(values, name)
    if known is None or given is None or given == known:
        return array
    missing, unexpected = without(known, given), without(given, known)
    if missing or unexpected:
        parts = [f"missing {listed(missing)}"] * bool(missing)
        parts += [f"unexpected {listed(unexpected)}"] * bool(unexpected)
        raise ValueError(
            f"{name} must have the columns that the network was trained on: {', '.join(parts)}; "
            f"pass .to_numpy() to go by their order instead"
        )
    if twice := repeated(given) or repeated(known):
        raise ValueError(
            f"{name} must have its columns in the order of training, since their names are not unique: "
            f"{listed(twice)}"
        )
    at = {given_name: i for i, given_name in enumerate(given)}
    return array.take([at[known_name] for known_name in known], axis=-1)


def checked(values: Any, n_inputs: int) -> Names | None:
    """Return names that a user sets as `feature_names`, checked."""
    if values is None:
        return None
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(f"feature_names must be a sequence of strings or None, got {values!r}")
    names = tuple(values)
    for i, entry in enumerate(names):
        if not isinstance(entry, str):
            raise TypeError(f"feature_names[{i}] must be a string, got {entry!r}")
    if len(names) != n_inputs:
        raise ValueError(
            f"feature_names must hold a name for each of the {n_inputs} inputs, got {len(names)}"
        )
    return tuple(str(entry) for entry in names)


def without(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the names that are not among the others, each once."""
    known = set(others)
    return [name for name in dict.fromkeys(names) if name not in known]


def repeated(names: Sequence[str]) -> list[str]:
    """Return the names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def listed(names: Sequence[str]) -> str:
    """Return the first of the names, as text."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(map(repr, names[:MOST_LISTED])) + more
