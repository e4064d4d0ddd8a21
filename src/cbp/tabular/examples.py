"""Examples for a network from a data file: which column or array is what, which part is held out."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cbp.tabular.arrays import Arrays
from cbp.tabular.cells import listed
from cbp.tabular.columns import Columns
from cbp.tabular.preprocessor import Preprocessor
from cbp.tabular.readers import read_csv, read_npz
from cbp.tabular.targets import Task, fit_target

__all__ = ["Choices", "Examples", "load_examples", "load_inputs"]

# The share of the examples to test with, where nothing else was asked for.
HELD_OUT = 0.25


class Examples(NamedTuple):
    """Examples ready for a network: to train on and, perhaps none, to test with.

    Parameters
    ----------
    x_train, x_test : ndarray of shape (m, n)
        Inputs, scaled.
    y_train, y_test : ndarray of shape (m,) or (m, 1)
        Encoded targets.
    table : Preprocessor
        How they were made.
    """

    x_train: NDArray[Any]
    y_train: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    table: Preprocessor


@dataclass(frozen=True)
class Choices:
    """What is left to choose about a file to train on.

    Parameters
    ----------
    target : str, optional
        The column of a ``.csv`` to predict; the last one by default.
    ignore : collection of str, default ()
        Columns of a ``.csv`` to leave out.
    task : {"classification", "regression"}, optional
        What to do with the target; recognised by default.
    test_fraction : float, optional
        The share of the examples to hold out, from 0 to below 1; by default 0.25, or none if the file has
        ``x_test`` and ``y_test``.
    seed : int, default 0
        Which examples are held out.
    dtype : dtype, default float32
        The precision of the inputs.
    """

    target: str | None = None
    ignore: Collection[str] = ()
    task: Task | None = None
    test_fraction: float | None = None
    seed: int = 0
    dtype: DTypeLike = np.float32

    def split(self, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows to train on and those held out, at random."""
        fraction = HELD_OUT if self.test_fraction is None else self.test_fraction
        held_out = max(1, round(count * fraction)) if fraction else 0
        if held_out >= count:
            raise ValueError(f"of {count} examples in all, {fraction:.0%} cannot be held out for the test")
        order = np.random.default_rng(self.seed).permutation(count)
        return order[held_out:], order[:held_out]


def load_examples(path: Path, choices: Choices) -> Examples:
    """Read a file to train on.

    Parameters
    ----------
    path : Path
        A ``.csv`` file with a header, or an ``.npz`` file with ``x_train`` and ``y_train``.
    choices : Choices
        The target, the part to hold out, and so on.

    Raises
    ------
    ValueError
        If the file is not what it should be, or has not what was chosen.
    OSError
        If it cannot be read.
    ModuleNotFoundError
        If it is a ``.csv`` file and pandas is not installed.
    """
    if kind_of(path) == ".csv":
        return examples_of_table(read_csv(path), choices)
    if choices.target is not None or choices.ignore:
        raise ValueError("columns have names in .csv files only: there is none to choose or ignore")
    return examples_of_arrays(read_npz(path), choices)


def kind_of(path: Path) -> str:
    """Return the suffix of a data file, ".csv" or ".npz"."""
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".npz"):
        raise ValueError(f"{path}: a .csv or .npz file is needed")
    return suffix


def examples_of_table(table: dict[str, NDArray[Any]], choices: Choices) -> Examples:
    """Return the columns of a table as examples."""
    name = next(reversed(table)) if choices.target is None else choices.target
    for column in (name, *choices.ignore):
        if column not in table:
            raise ValueError(f"there is no column {column!r}{suggestion(column, table)}")
    if name in choices.ignore:
        raise ValueError(f"column {name!r} is the target, and cannot be ignored")
    values = table[name]
    inputs = {key: cells for key, cells in table.items() if key != name and key not in choices.ignore}
    train, test = choices.split(len(values))
    columns = Columns.fit(inputs, train)
    target = fit_target(name, values, task=choices.task, rows=train)
    X, Y = columns.transform(inputs, choices.dtype), target.encode(values)
    return Examples(X[train], Y[train], X[test], Y[test], Preprocessor(columns, target))


def examples_of_arrays(arrays: dict[str, NDArray[Any]], choices: Choices) -> Examples:
    """Return ``x_train, y_train, x_test, y_test`` as examples; without the latter two, hold some out."""
    if absent := [name for name in ("x_train", "y_train") if name not in arrays]:
        raise ValueError(f"there is no {' and no '.join(absent)} among the arrays {listed(arrays)}")
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise ValueError("x_test and y_test go together: one of them is missing")
    x, y = paired(arrays, "train")
    if "x_test" in arrays and choices.test_fraction is not None:
        raise ValueError("the file has x_test and y_test: no other examples are held out")
    if "x_test" in arrays:
        x_test, y_test = paired(arrays, "test")
    else:
        train, test = choices.split(len(y))
        x, y, x_test, y_test = x[train], y[train], x[test], y[test]
    inputs = Arrays.fit(x, "x_train")
    target = fit_target("y", y, task=choices.task, where="y_train")
    return Examples(
        inputs.transform(x, choices.dtype, "x_train"),
        target.encode(y, "y_train"),
        inputs.transform(x_test, choices.dtype, "x_test"),
        target.encode(y_test, "y_test"),
        Preprocessor(inputs, target),
    )


def paired(arrays: dict[str, NDArray[Any]], part: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the inputs and targets of one part, the same number of each."""
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if x.ndim == 0 or y.ndim != 1 or len(x) != len(y):
        raise ValueError(
            f"x_{part} and y_{part} have shapes {x.shape} and {y.shape}, where (m, ...) and (m,) are needed"
        )
    return x, y


def load_inputs(path: Path, inputs: Columns | Arrays, dtype: DTypeLike) -> tuple[NDArray[Any], list[str]]:
    """Read a file to predict from: the inputs X, and remarks on what a reader of the result should know.

    Parameters
    ----------
    path : Path
        A ``.csv`` file with the columns the network was trained on, or an ``.npz`` file with an array
        ``x_test`` or ``x``, or a single array of whatever name.
    inputs : Columns or Arrays
        How the inputs are scaled.
    dtype : dtype
        The precision of the network.

    Raises
    ------
    ValueError, OSError, ModuleNotFoundError
        As for :func:`load_examples`.
    """
    if kind_of(path) == ".csv":
        if isinstance(inputs, Arrays):
            raise ValueError(f"{path}: the model was trained on arrays, so an .npz file is needed")
        table = read_csv(path, inputs.text_names)
        X = inputs.transform(table, dtype)
        return X, [
            f"column {name!r}: {listed(new)} unknown to the model, taken for none of the known categories"
            for name, new in inputs.unknown(table).items()
        ]
    if isinstance(inputs, Columns):
        raise ValueError(f"{path}: the model was trained on a table, so a .csv file is needed")
    arrays = read_npz(path)
    name = next((name for name in ("x_test", "x", *arrays) if name in arrays), "")
    if name not in ("x_test", "x") and len(arrays) != 1:
        raise ValueError(f"there is no x_test and no x among the arrays {listed(arrays)}")
    return inputs.transform(arrays[name], dtype, name), []


def suggestion(name: str, known: Collection[str]) -> str:
    """Return how an unknown name was perhaps meant, to be put behind it."""
    folded = {other.casefold(): other for other in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f": did you mean {folded[close[0]]!r}?" if close else f" among {listed(known)}"
