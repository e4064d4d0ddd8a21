"""Examples that are set aside: which rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from cbp import scalars
from cbp.examples.arrays import Examples
from cbp.examples.classes import Numbers, classes_of
from cbp.rng import spawn


def set_aside(groups: Numbers, n_aside: int, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Return the numbers of the rows that stay, and of n_aside rows that are set aside, both in random order.

    Of each group, (m,) numbers from 0 on, its share is set aside, to within one row, and never its only row.
    """
    order = rng.permutation(len(groups))
    by_group = order[np.argsort(groups[order], kind="stable")]
    # The only row of a group stays, so that it can be learnt.
    by_group = by_group[np.bincount(groups)[groups[by_group]] > 1]
    n = max(1, len(by_group))
    # Rows at equal distances, from a random start on, are set aside.
    passed = (np.arange(len(by_group) + 1) * min(n_aside, n) + rng.integers(n)) // n
    is_aside = np.isin(order, by_group[np.diff(passed) > 0])
    return order[~is_aside], order[is_aside]


def divide(examples: Examples, fraction: Any, rng: np.random.Generator) -> tuple[Examples, Examples, Numbers]:
    """Return the examples to train on, those to validate on, and the rows of these, by a child of `rng`.

    Raises
    ------
    TypeError, ValueError
        If the fraction is not a number above 0 and below 1, or leaves nothing to train on.
    """
    share = scalars.real(fraction, "validation_fraction", least=0, below=1, above=True)
    n_aside = max(1, round(share * examples.m))
    if n_aside >= examples.m:
        raise ValueError(
            f"validation_fraction must leave examples to train on, got {share:g} of {examples.m}, "
            f"which sets {n_aside} aside"
        )
    classes = classes_of(examples)
    groups = np.zeros(examples.m, np.int64) if classes is None else classes
    rows = np.sort(set_aside(groups, n_aside, spawn(rng))[1])
    if len(rows) == 0:
        raise ValueError("validation_fraction needs a class with at least two examples, every class has one")
    stay, aside = apart(examples, rows)
    if not stay.weight or not aside.weight:
        which = "set aside" if stay.weight else "that stay to train on"
        raise ValueError(f"sample_weight must not be zero for all examples {which} by validation_fraction")
    return stay, aside, rows


def apart(examples: Examples, rows: Numbers) -> tuple[Examples, Examples]:
    """Return the examples that are not in these rows, and those that are, in order."""
    return examples.take(np.delete(np.arange(examples.m), rows)), examples.take(rows)
