"""What the user may choose about a data file, and the remarks about it that the user gets to read."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Choices:
    """What the user chose about a file; what is None or empty is found out from the file."""

    target: str | None = None  # the column to predict; the last one by default
    ignore: Sequence[str] = ()  # columns to leave out
    text: Sequence[str] = ()  # columns to take as categories
    number: Sequence[str] = ()  # columns to take as numbers
    task: Task | None = None
    test_fraction: float | None = None  # to hold out; by default 0.25, or none if the file has a test part
    seed: int = 0  # decides which examples are held out
    dtype: DTypeLike = np.float32  # the precision of the inputs
    delimiter: str | None = None  # between two cells of a row; " " for any white space
    usual_delimiter: str | None = None  # of the training file; another must yield more of `columns`
    columns: Sequence[str] = ()  # names that the table is sure to have: those of the training data
    encoding: str | None = None
    header: bool | None = None  # whether the first line holds names
    width: int = 0  # how many columns a table without a header has
    decimal: str | None = None  # separates decimals, in the columns that it fits
    thousands: str | None = None  # separates groups of three digits, in the columns that it fits
    date_format: str | None = None  # in the notation of strptime
    missing_values: Sequence[str] = ()  # cells that count as gaps, in columns of text too
    gaps: Literal["impute", "drop", "error"] = "impute"


class Remarks(dict[str, list[str]]):
    """Remarks for the user, each with the names of the columns that it is about."""

    def add(self, words: str, name: str = "") -> None:
        """Add a remark about a column, or, without a name, about the file; ignore an empty remark."""
        if words:
            self.setdefault(words, []).append(name)

    def lines(self, limit: int = 8) -> list[str]:
        """Return a line for each remark, as in ``power, price and 3 more: decimal comma``."""
        return [f"{some_of(names, limit)}: {words}" if any(names) else words for words, names in self.items()]


def some_of(names: Sequence[str], limit: int) -> str:
    """Return the first few names, and how many more there are."""
    return ", ".join(names[:limit]) + f" and {len(names) - limit} more" * (len(names) > limit)


def listed(values: Iterable[object], limit: int = 8) -> str:
    """Return values as one short text: the first few, as Python writes them, and how many more there are."""
    return some_of([text if len(text) <= 40 else text[:37] + "..." for text in map(repr, values)], limit)


def named(values: Sequence[str], columns: Collection[str]) -> list[str]:
    """Return the columns that an option names: each value is a column, or several separated by commas."""
    parts = [[value] if value in columns else value.split(",") for value in values]
    return [single(name, columns) for names in parts for name in names if name.strip()]


def single(name: str, columns: Collection[str]) -> str:
    """Return the column that a name means; ValueError, which suggests a similar name, if there is none."""
    name = name if name in columns else name.strip()
    if name not in columns:
        folded = {column.casefold(): column for column in columns}
        close = difflib.get_close_matches(name.casefold(), folded, n=1)
        hint = f": did you mean {folded[close[0]]!r}?" if close else f" among {listed(columns)}"
        raise ValueError(f"there is no column {name!r}{hint}")
    return name
