"""Examples for a network from a data file: which column or array is what, which part is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cbp.tabular.arrays import Arrays, read_npz
from cbp.tabular.cells import Remarks, gaps_of, listed
from cbp.tabular.choices import Choices, named
from cbp.tabular.columns import Columns
from cbp.tabular.forms import Form, recognise
from cbp.tabular.preprocessor import Preprocessor
from cbp.tabular.readers import Table, read_table
from cbp.tabular.targets import Classes, Target, fit_target

__all__ = ["Examples", "load_examples", "load_inputs"]

Cells = dict[str, NDArray[Any]]


class Examples(NamedTuple):
    """Examples ready for a network: to train on and, perhaps none, to test with."""

    x_train: NDArray[Any]  # (m, n), scaled
    y_train: NDArray[Any]  # (m,) or (m, 1), encoded
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    table: Preprocessor  # how they were made
    remarks: Sequence[str] = ()  # what a user should know about it


def load_examples(path: Path, choices: Choices) -> Examples:
    """Read a file to train on: a table, or an ``.npz`` file with ``x_train`` and ``y_train``.

    ValueError, OSError or ImportError if it is not what it should be, cannot be read, or needs a package.
    """
    return (examples_of_arrays if path.suffix.lower() == ".npz" else examples_of_table)(path, choices)


def examples_of_table(path: Path, choices: Choices) -> Examples:
    """Return the columns of a table as examples."""
    remarks = Remarks()
    table = read_table(path, choices, remarks)
    names = list(table.frame.columns)
    (name,) = names[-1:] if choices.target is None else named([choices.target], names)[:1]
    text, number, ignored = (named(given, names) for given in (choices.text, choices.number, choices.ignore))
    if name in ignored:
        raise ValueError(f"column {name!r} is the target, and cannot be ignored")
    forms: dict[str, Form] = {}
    for column in [column for column in names if column not in ignored]:
        kind = "text" if column in text else "number" if column in number else None
        forms[column], words = recognise(table.frame[column], table.choices, kind)
        if words:
            remarks.add(words, column)
    cells = typed(table, forms, remarks)
    y, keep = cells.pop(name), [*text, *number]
    # A column that is left out anyhow must not cost a row its place.
    used = [] if choices.gaps == "impute" else Columns.fit(cells, None, keep).names
    complete = np.ones(len(y), np.bool_)
    for column, values in {name: y, **{column: cells[column] for column in used}}.items():
        if (gaps := gaps_of(values)).any():
            if choices.gaps == "error":
                place = f"column {column!r}, {table.line(int(np.argmax(gaps)))}"
                raise ValueError(
                    f"{place}: missing value (--gaps impute fills it in, drop leaves the row out)"
                )
            remarks.add("rows without a value are left out", f"{column} ({gaps.sum():,})")
        complete &= ~gaps
    if not complete.any():
        hint = "--gaps impute fills them in" if used else f"--target NAME chooses another than {name!r}"
        raise ValueError(f"every row has a gap: {hint}")
    cells, y = {column: values[complete] for column, values in cells.items()}, y[complete]
    train, test, target = divided(name, y, choices, remarks)
    columns = Columns.fit(cells, train, keep, remarks)
    columns.remark(cells, remarks)
    X, Y = columns.transform(cells, choices.dtype), target.encode(y)
    found, given = table.choices, choices
    layout: dict[str, Any] = {"delimiter": given.delimiter, "encoding": given.encoding, "gaps": given.gaps}
    layout |= {"usual_delimiter": found.delimiter, "header": found.header, "width": found.width}
    record = Preprocessor(columns, target, {column: forms[column] for column in columns.names}, layout)
    return Examples(X[train], Y[train], X[test], Y[test], record, remarks.lines())


def typed(table: Table, forms: dict[str, Form], remarks: Remarks) -> Cells:
    """Return columns of a table, read in their forms."""
    cells = {}
    for name, form in forms.items():
        cells[name], wrong = form.read(table.frame[name])
        if wrong.any():
            row = int(np.argmax(wrong))
            first = f"the first is {listed(table.frame[name].iloc[[row]])} in {table.line(row)}"
            words = f"cells that are not {form.kind}s are taken for gaps, {first}"
            remarks.add(words, f"{name} ({wrong.sum():,})")
    return cells


def divided(
    name: str, y: NDArray[Any], choices: Choices, remarks: Remarks, where: str = ""
) -> tuple[Any, Any, Target]:
    """Return the rows to train on, those held out, and what is predicted."""
    target = fit_target(name, y, task=choices.task, where=where)
    if not isinstance(target, Classes):
        train, test = choices.split(np.zeros(len(y)))
        return train, test, fit_target(name, y, task="regression", rows=train, where=where)
    codes = target.encode(y)
    if few := [label for label, size in zip(target.labels, np.bincount(codes), strict=True) if size < 5]:
        remarks.add(f"too few rows to learn the classes {listed(few)}, fewer than 5 each", name)
    return *choices.split(codes), target


def examples_of_arrays(path: Path, choices: Choices) -> Examples:
    """Return ``x_train, y_train, x_test, y_test`` as examples; without the latter two, hold some out."""
    kept = {name: getattr(choices, name) for name in ("task", "test_fraction", "seed", "dtype")}
    if choices != Choices(**kept):
        raise ValueError("columns have names in tables only: an .npz file has none to choose, ignore or read")
    arrays = read_npz(path)
    if absent := [name for name in ("x_train", "y_train") if name not in arrays]:
        raise ValueError(f"there is no {' and no '.join(absent)} among the arrays {listed(arrays)}")
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise ValueError("x_test and y_test go together: one of them is missing")
    x, y = paired(arrays, "train")
    remarks = Remarks()
    if "x_test" in arrays:
        if choices.test_fraction is not None:
            raise ValueError("the file has x_test and y_test: no other examples are held out")
        (x_test, y_test), target = (
            paired(arrays, "test"),
            fit_target("y", y, task=choices.task, where="y_train"),
        )
    else:
        train, test, target = divided("y", y, choices, remarks, "y_train")
        x, y, x_test, y_test = x[train], y[train], x[test], y[test]
    inputs = Arrays.fit(x, "x_train")
    X, X_test = (
        inputs.transform(x, choices.dtype, "x_train"),
        inputs.transform(x_test, choices.dtype, "x_test"),
    )
    Y, Y_test = target.encode(y, "y_train"), target.encode(y_test, "y_test")
    return Examples(X, Y, X_test, Y_test, Preprocessor(inputs, target), remarks.lines())


def paired(arrays: dict[str, NDArray[Any]], part: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the inputs and targets of one part, the same number of each."""
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if x.ndim == 0 or y.ndim != 1 or len(x) != len(y):
        found = f"x_{part} and y_{part} have shapes {x.shape} and {y.shape}"
        raise ValueError(f"{found}, where (m, ...) and (m,) are needed")
    return x, y


def load_inputs(
    path: Path, record: Preprocessor, dtype: DTypeLike, choices: Choices
) -> tuple[NDArray[Any], NDArray[np.bool_], list[str]]:
    """Read a file to predict from: return the inputs X, which rows are to be skipped, and remarks.

    It is a table with the columns that the network was trained on, or an ``.npz`` file with ``x_test`` or
    ``x``, or a single array of whatever name. Where gaps are not filled, their rows are skipped.
    """
    is_npz, columns, remarks = path.suffix.lower() == ".npz", record.inputs, Remarks()
    if is_npz != isinstance(columns, Arrays):
        kinds = (
            ("a table", "a table is needed, such as a .csv file")
            if is_npz
            else ("arrays", "an .npz file is needed")
        )
        raise ValueError(f"{path}: the model was trained on {kinds[0]}, so {kinds[1]}")
    if isinstance(columns, Arrays):
        arrays = read_npz(path)
        name = next((name for name in ("x_test", "x", *arrays) if name in arrays), "")
        if name not in ("x_test", "x") and len(arrays) != 1:
            raise ValueError(f"there is no x_test and no x among the arrays {listed(arrays)}")
        X = columns.transform(arrays[name], dtype, name)
        return X, np.zeros(len(X), np.bool_), []
    table = read_table(path, replace(choices, columns=columns.names if choices.header else ()), remarks)
    if choices.width - 1 == len(table.frame.columns) and not choices.header:
        # Without the target, which has no name either.
        names = [name for name in map(str, range(1, choices.width + 1)) if name != record.target.name]
        table = replace(table, frame=table.frame.set_axis(names, axis=1))
        remarks.add(f"the columns are taken for those of the training data without {record.target.name!r}")
    if absent := [name for name in columns.names if name not in table.frame]:
        found = f"found {listed(table.frame.columns)}; --delimiter and --no-header tell how to read it"
        raise ValueError(f"missing {'column' if len(absent) == 1 else 'columns'} {listed(absent)} ({found})")
    cells = typed(table, {column.name: record.form(column) for column in columns.columns}, remarks)
    skipped = np.logical_or.reduce([gaps_of(values) for values in cells.values()]) & (
        choices.gaps != "impute"
    )
    if skipped.any():
        first = table.line(int(np.argmax(skipped)))
        remarks.add(f"{skipped.sum():,} rows with gaps are not predicted, the first in {first}")
    columns.remark({name: values[~skipped] for name, values in cells.items()}, remarks, unknown=True)
    return columns.transform(cells, dtype), skipped, remarks.lines()
