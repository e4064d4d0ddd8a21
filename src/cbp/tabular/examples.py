"""Examples for a network from a table, and the record of how they were made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cbp.examples.split import set_aside
from cbp.tabular.choices import Choices, Remarks, listed, named, single
from cbp.tabular.forms import Form, pandas_module, recognise
from cbp.tabular.inputs import Columns
from cbp.tabular.readers import read_table
from cbp.tabular.targets import Classes, Quantity, Target, fit_target

# Inputs X to predict from, a mask of their rows that get no prediction, and remarks for the user.
Inputs = tuple[NDArray[Any], NDArray[np.bool_], list[str]]


class Scaling(Protocol):
    """An object that makes inputs of a network: :class:`Columns`, or another dataclass of plain values."""

    @property
    def width(self) -> int:
        """How many inputs the network takes."""
        ...


@dataclass(frozen=True)
class Preprocessor:
    """How the inputs of a network are made, and what its outputs mean."""

    inputs: Scaling
    target: Target
    forms: dict[str, Form] = field(default_factory=dict)  # how the columns of a table are written
    layout: dict[str, Any] = field(default_factory=dict)  # fields of Choices, for tables to predict from

    def to_dict(self) -> dict[str, Any]:
        """Return the record as dicts, lists, strings and numbers, all of which JSON keeps exactly."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], others: Callable[..., Scaling] | None = None) -> Self:
        """Return the preprocessor of a record that :meth:`to_dict` has made.

        ``others`` makes the inputs if they are no :class:`Columns`. Raise ValueError for any other record.
        """
        try:
            inputs, target, layout = record["inputs"], record["target"], record["layout"]
            Choices(**layout)
            return cls(
                others(**inputs) if others and "columns" not in inputs else Columns.from_dict(**inputs),
                (Classes if "labels" in target else Quantity)(**target),
                {name: Form(**form) for name, form in record["forms"].items()},
                layout,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no record of a preprocessor: {error}") from error


class Examples(NamedTuple):
    """Examples ready for a network: some to train on, and some, perhaps none, to test with."""

    x_train: NDArray[Any]  # (m, n), scaled
    y_train: NDArray[Any]  # (m,) or (m, 1), encoded
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    table: Preprocessor  # how they were made
    remarks: Sequence[str] = ()  # for the user


def load_examples(path: Path, choices: Choices) -> Examples:
    """Read a table to train on, and make examples of it.

    Raise ValueError if the content is not as required, OSError if the file cannot be read, and ImportError if
    a package that is needed to read it is not installed.
    """
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
    # A row is not left out for a gap in a column that is left out itself.
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


def load_inputs(path: Path, record: Preprocessor, dtype: DTypeLike, choices: Choices) -> Inputs:
    """Read a table to predict from, with the columns that a network was trained on.

    Rows with gaps get no prediction, unless gaps are filled.
    """
    columns, remarks = record.inputs, Remarks()
    assert isinstance(columns, Columns)
    frame, _ = read_table(path, replace(choices, columns=columns.names if choices.header else ()), remarks)
    if choices.width - 1 == len(frame.columns) and not choices.header:
        # The table lacks the target, so the numbers that serve as names leave out that of the target.
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
    """Return the inputs of rows of a table; ValueError for a number that becomes infinite in ``dtype``."""
    X = columns.transform(cells, dtype)
    if not np.isfinite(X).all():
        row, place = np.argwhere(~np.isfinite(X))[0]
        name = str(np.repeat(columns.names, [column.width for column in columns.columns])[place])
        where = f"column {name!r}, {line(cells, row)}: {frame.at[cells.index[row], name]!r}"
        hint = "correct or empty the cell, or train with --dtype float64"
        raise ValueError(f"{where} is too far from the training data for {np.dtype(dtype)} ({hint})")
    return X


def remark_unused(choices: Choices, frame: Any, forms: dict[str, Form], remarks: Remarks) -> None:
    """Add a remark for each option of the user, on how numbers or dates are written, that fits no column."""
    for option, kind in (("decimal", "number"), ("thousands", "number"), ("date_format", "date")):
        given = getattr(choices, option)
        fitting = [n for n, form in forms.items() if form.kind == kind and getattr(form, option) == given]
        if given and not any(kind == "date" or any(given in cell for cell in frame[n]) for n in fitting):
            remarks.add(f"--{option.replace('_', '-')} {given!r} fits no column, and has no effect")


def typed(frame: Any, forms: dict[str, Form], remarks: Remarks) -> Any:
    """Read columns of texts by their forms; return a data frame of numbers, dates and texts."""
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
    """Return the rows of a frame that have a value in every column of ``names``; the first is the target."""
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
    """Return in words where a row of a table is in its file."""
    return f"{frame.index.name} {frame.index[row]}"


def divided(
    name: str, y: Any, choices: Choices, remarks: Remarks, where: str = ""
) -> tuple[Any, Any, Target]:
    """Return the rows to train on, the rows held out (the same share of every class), and the target."""
    target, count = fit_target(name, y, choices.task, where=where), len(y)
    groups = target.encode(y) if isinstance(target, Classes) else np.zeros(count, np.intp)
    fraction = 0.25 if choices.test_fraction is None else choices.test_fraction
    held_out = max(1, round(count * fraction)) if fraction else 0
    if held_out >= count:
        raise ValueError(f"of {count} examples in all, {fraction:.0%} cannot be held out for the test")
    train, test = set_aside(groups, held_out, np.random.default_rng(choices.seed))
    if not isinstance(target, Classes):
        return train, test, fit_target(name, y[train], "regression", where)
    if few := [label for label, size in zip(target.labels, np.bincount(groups), strict=True) if size < 5]:
        remarks.add(f"too few rows to learn the classes {listed(few)}, fewer than 5 each", name)
    return train, test, target
