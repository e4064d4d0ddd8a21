"""Examples for a network from a data file, and the record of how they were made."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cbp.tabular.choices import Choices, Remarks, listed, named, single
from cbp.tabular.forms import Form, pandas_module, recognise
from cbp.tabular.inputs import Arrays, Categorical, Columns, Numeric
from cbp.tabular.readers import read_npz, read_table
from cbp.tabular.targets import Classes, Quantity, Target, fit_target

# Inputs X to predict from, which of their rows get no prediction, and what a user should know about them.
Inputs = tuple[NDArray[Any], NDArray[np.bool_], list[str]]


@dataclass(frozen=True)
class Preprocessor:
    """How the inputs of a network are made, and what its outputs mean."""

    inputs: Columns | Arrays
    target: Target
    forms: dict[str, Form] = field(default_factory=dict)  # how the columns of a table are written
    layout: dict[str, Any] = field(default_factory=dict)  # the Choices for tables to predict from

    def to_dict(self) -> dict[str, Any]:
        """Return the record as dicts, lists, strings and numbers, all of which JSON keeps exactly."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_dict` has written; ValueError if it has not."""
        try:
            inputs, target, layout = record["inputs"], record["target"], record["layout"]
            Choices(**layout)
            rows = inputs.get("columns", ())
            columns = Columns([(Categorical if "categories" in row else Numeric)(**row) for row in rows])
            return cls(
                columns if "columns" in inputs else Arrays(**inputs),
                (Classes if "labels" in target else Quantity)(**target),
                {name: Form(**form) for name, form in record["forms"].items()},
                layout,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no record of a preprocessor: {error}") from error


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


def load_inputs(path: Path, record: Preprocessor, dtype: DTypeLike, choices: Choices) -> Inputs:
    """Read a file to predict from.

    It is a table with the columns that the network was trained on, or an ``.npz`` file with ``x_test`` or
    ``x``, or a single array of whatever name. Where gaps are not filled, their rows are skipped.
    """
    is_npz, inputs = path.suffix.lower() == ".npz", record.inputs
    if isinstance(inputs, Arrays) and is_npz:
        return inputs_of_arrays(path, inputs, dtype)
    if isinstance(inputs, Columns) and not is_npz:
        return inputs_of_table(path, record, inputs, dtype, choices)
    made_of = "a table, so a table is needed, such as a .csv file"
    made_of = made_of if is_npz else "arrays, so an .npz file is needed"
    raise ValueError(f"{path}: the model was trained on {made_of}")


def examples_of_table(path: Path, choices: Choices) -> Examples:
    """Return the columns of a table as examples."""
    remarks = Remarks()
    frame, found = read_table(path, choices, remarks)
    names = list(frame)
    if len(names) == 1:
        hint = "--delimiter tells what stands between two cells"
        raise ValueError(f"there is only the column {listed(names)}, and none to predict it from ({hint})")
    name = names[-1] if choices.target is None else single(choices.target, names)
    text, number, ignored = (named(given, names) for given in (choices.text, choices.number, choices.ignore))
    if name in ignored:
        raise ValueError(f"column {name!r} is the target, and cannot be ignored")
    if both := [column for column in text if column in number]:
        raise ValueError(f"column {both[0]!r} is named by --text and by --number: leave one of them out")
    frame, kept = frame.drop(columns=ignored), dict.fromkeys(number, "number") | dict.fromkeys(text, "text")
    forms = {}
    for column in frame:
        forms[column], words = recognise(frame[column], found, kept.get(column))
        remarks.add(words, column)
    remark_unused(choices, frame, forms, remarks)
    cells = typed(frame, forms, remarks)
    # A column that is left out anyhow must not cost a row its place.
    used = [] if choices.gaps == "impute" else Columns.fit(cells.drop(columns=name), kept).names
    cells = whole_rows(cells, [name, *used], choices.gaps, remarks)
    y, cells = cells[name].to_numpy(), cells.drop(columns=name)
    train, test, target = divided(name, y, choices, remarks)
    columns = Columns.fit(cells.iloc[train], kept, remarks)
    columns.remark(cells, remarks)
    X, Y = inputs_of(cells, columns, frame, choices.dtype), target.encode(y)
    layout = {key: getattr(found, key) for key in ("usual_delimiter", "encoding", "header", "width", "gaps")}
    record = Preprocessor(columns, target, {column: forms[column] for column in columns.names}, layout)
    return Examples(X[train], Y[train], X[test], Y[test], record, remarks.lines())


def inputs_of_table(
    path: Path, record: Preprocessor, columns: Columns, dtype: DTypeLike, choices: Choices
) -> Inputs:
    """Return the columns of a table that a network was trained on."""
    remarks = Remarks()
    frame, _ = read_table(path, replace(choices, columns=columns.names if choices.header else ()), remarks)
    if choices.width - 1 == len(frame.columns) and not choices.header:
        # Without the target, which has no name either.
        names = [name for name in map(str, range(1, choices.width + 1)) if name != record.target.name]
        frame = frame.set_axis(names, axis=1)
        remarks.add(f"the columns are taken for those of the training data without {record.target.name!r}")
    if absent := [name for name in columns.names if name not in frame]:
        found = f"found {listed(frame)}; --delimiter and --no-header tell how to read it"
        raise ValueError(f"missing {'column' if len(absent) == 1 else 'columns'} {listed(absent)} ({found})")
    cells = typed(frame, record.forms, remarks)
    skipped = cells.isna().any(axis=1) & (choices.gaps != "impute")
    if skipped.any():
        rows = "1 row with a gap is" if skipped.sum() == 1 else f"{skipped.sum():,} rows with gaps are"
        remarks.add(f"{rows} not predicted, the first in {line(frame, skipped.argmax())}")
    columns.remark(cells[~skipped], remarks, unknown=True)
    return inputs_of(cells, columns, frame, dtype), skipped.to_numpy(), remarks.lines()


def inputs_of(cells: Any, columns: Columns, frame: Any, dtype: DTypeLike) -> Any:
    """Return the inputs of rows of a table; ValueError for a number that is too large for the precision."""
    X = columns.transform(cells, dtype)
    if not np.isfinite(X).all():
        row, place = np.argwhere(~np.isfinite(X))[0]
        name = str(np.repeat(columns.names, [column.width for column in columns.columns])[place])
        where = f"column {name!r}, {line(cells, row)}: {frame.at[cells.index[row], name]!r}"
        hint = "correct or empty the cell, or train with --dtype float64"
        raise ValueError(f"{where} is too far from the training data for {np.dtype(dtype)} ({hint})")
    return X


def remark_unused(choices: Choices, frame: Any, forms: dict[str, Form], remarks: Remarks) -> None:
    """Remark on ways of writing that the user names, and that no column is read in."""
    for option, kind in (("decimal", "number"), ("thousands", "number"), ("date_format", "date")):
        given = getattr(choices, option)
        fitting = [n for n, form in forms.items() if form.kind == kind and getattr(form, option) == given]
        if given and not any(kind == "date" or any(given in cell for cell in frame[n]) for n in fitting):
            remarks.add(f"--{option.replace('_', '-')} {given!r} fits no column, and has no effect")


def typed(frame: Any, forms: dict[str, Form], remarks: Remarks) -> Any:
    """Return columns of texts, read in their forms, as a data frame of numbers, dates and texts."""
    cells = {}
    for name, form in forms.items():
        cells[name], wrong = form.read(frame[name])
        if wrong.any():
            row = wrong.argmax()
            first = f"the first is {frame[name].iloc[row]!r} in {line(frame, row)}"
            words = f"cells that are not {form.kind}s are taken for gaps, {first}"
            remarks.add(words, f"{name} ({wrong.sum():,})")
    return pandas_module().DataFrame(cells)


def whole_rows(cells: Any, names: Sequence[str], gaps: str, remarks: Remarks) -> Any:
    """Return the rows of a frame that have a value in each of some columns, the first of them the target."""
    is_gap = cells[names].isna()
    for name in is_gap.columns[is_gap.any()]:
        if gaps == "error":
            place = f"column {name!r}, {line(cells, is_gap[name].argmax())}"
            raise ValueError(f"{place}: missing value (--gaps impute fills it in, drop leaves the row out)")
        remarks.add("rows without a value are left out", f"{name} ({is_gap[name].sum():,})")
    if is_gap.any(axis=1).all():
        hint = "--gaps impute fills them in"
        raise ValueError(f"every row has a gap: {hint if names[1:] else '--target NAME chooses another'}")
    return cells[~is_gap.any(axis=1)]


def line(frame: Any, row: int) -> str:
    """Return where a row of a table is in its file."""
    return f"{frame.index.name} {frame.index[row]}"


def divided(
    name: str, y: Any, choices: Choices, remarks: Remarks, where: str = ""
) -> tuple[Any, Any, Target]:
    """Return the rows to train on, those held out, the same share of every class, and what is predicted."""
    target, count = fit_target(name, y, choices.task, where=where), len(y)
    groups = target.encode(y) if isinstance(target, Classes) else np.zeros(count, np.intp)
    fraction = 0.25 if choices.test_fraction is None else choices.test_fraction
    held_out = max(1, round(count * fraction)) if fraction else 0
    if held_out >= count:
        raise ValueError(f"of {count} examples in all, {fraction:.0%} cannot be held out for the test")
    rng = np.random.default_rng(choices.seed)
    order = rng.permutation(count)
    by_group = order[np.argsort(groups[order], kind="stable")]
    # Rows at equal distances, from a random start: of each group as many as its share, give or take one.
    passed = np.floor((np.arange(count + 1) + rng.random()) * held_out / count)
    chosen = by_group[np.diff(passed) > 0]
    # The only member of a group is there to be learnt.
    is_test = np.isin(order, chosen[np.bincount(groups)[groups[chosen]] > 1])
    train, test = order[~is_test], order[is_test]
    if not isinstance(target, Classes):
        return train, test, fit_target(name, y[train], "regression", where)
    if few := [label for label, size in zip(target.labels, np.bincount(groups), strict=True) if size < 5]:
        remarks.add(f"too few rows to learn the classes {listed(few)}, fewer than 5 each", name)
    return train, test, target


def examples_of_arrays(path: Path, choices: Choices) -> Examples:
    """Return ``x_train, y_train, x_test, y_test`` as examples; without the latter two, hold some out."""
    kept = {name: getattr(choices, name) for name in ("task", "test_fraction", "seed", "dtype")}
    if choices != Choices(**kept):
        raise ValueError("columns have names in tables only: an .npz file has none to choose, ignore or read")
    arrays = read_npz(path)
    x, y = paired(arrays, "train")
    remarks = Remarks()
    if "x_test" in arrays or "y_test" in arrays:
        if choices.test_fraction is not None:
            raise ValueError("the file has x_test and y_test: no other examples are held out")
        target = fit_target("y", y, choices.task, where="y_train")
        x_test, y_test = paired(arrays, "test")
    else:
        train, test, target = divided("y", y, choices, remarks, "y_train")
        x, y, x_test, y_test = x[train], y[train], x[test], y[test]
    inputs = Arrays.fit(x, "x_train")
    train, test = (
        (inputs.transform(x, choices.dtype, f"x_{part}"), target.encode(y, f"y_{part}"))
        for part, x, y in (("train", x, y), ("test", x_test, y_test))
    )
    return Examples(*train, *test, Preprocessor(inputs, target), remarks.lines())


def paired(arrays: dict[str, NDArray[Any]], part: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the inputs and targets of one part, the same number of each."""
    if absent := [name for name in (f"x_{part}", f"y_{part}") if name not in arrays]:
        raise ValueError(f"there is no {' and no '.join(absent)} among the arrays {listed(arrays)}")
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if x.ndim == 0 or y.ndim != 1 or len(x) != len(y):
        found = f"x_{part} and y_{part} have shapes {x.shape} and {y.shape}"
        raise ValueError(f"{found}, where (m, ...) and (m,) are needed")
    return x, y


def inputs_of_arrays(path: Path, inputs: Arrays, dtype: DTypeLike) -> Inputs:
    """Return ``x_test``, ``x`` or the only array there is."""
    arrays = read_npz(path)
    name = next((name for name in ("x_test", "x", *arrays) if name in arrays), "")
    if name not in ("x_test", "x") and len(arrays) != 1:
        raise ValueError(f"there is no x_test and no x among the arrays {listed(arrays)}")
    X = inputs.transform(arrays[name], dtype, name)
    return X, np.zeros(len(X), np.bool_), []
