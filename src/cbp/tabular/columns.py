"""The inputs of a table whose columns have names: numbers standardised, categories one input each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cbp.tabular.cells import Remarks, gaps_of, is_running_text, is_text, listed, standard

__all__ = ["Categorical", "Columns", "Numeric"]

# How many categories of a column become inputs, the most frequent ones.
MOST_CATEGORIES = 100

# Where a larger share of the training rows has a gap, an input says where.
FEW_GAPS = 0.01

# A year, a week and a day, in days.
CYCLES = [365.2425, 7.0, 1.0]

# Names of columns that number the rows.
ID = re.compile(r"(.*[_\W])?(id|index|key)|.*[a-z]I[dD]|row.?(names?|id|number)?|nr|no|number|obs|case", re.I)


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, or of dates as days since 1970: ``(x - mean) / scale``."""

    name: str
    mean: float
    scale: float
    fill: float | None = None  # for gaps; models of old have none, and take the mean
    flag: bool = False  # whether a further input is 1 in gaps and 0 elsewhere
    cycles: list[float] = field(default_factory=list)  # in days; sine and cosine of the phase are inputs too

    @classmethod
    def fit(cls, name: str, values: NDArray[Any], flag: bool) -> Self:
        """Learn from a column that has a value at least."""
        found = as_numbers(values)
        found = found[~np.isnan(found)]
        mean, scale = map(float, standard(f"column {name!r}", found))
        span = float(np.ptp(found)) if values.dtype.kind == "M" else 0.0
        # Seen twice at least, and not always at the same phase.
        cycles = [days for days in CYCLES if span >= 2 * days and np.ptp(found % days) > 0]
        return cls(name, mean, scale, float(np.median(found)), flag, cycles)

    @property
    def width(self) -> int:
        """How many inputs the column becomes."""
        return 1 + 2 * len(self.cycles) + self.flag

    def encode(self, X: NDArray[Any], values: NDArray[Any]) -> None:
        """Write the column's inputs into ``X``, of shape (m, ``width``)."""
        found = as_numbers(values)
        gaps = np.isnan(found)
        found = np.where(gaps, self.mean if self.fill is None else self.fill, found)
        waves = [wave(2 * np.pi * found / days) for days in self.cycles for wave in (np.sin, np.cos)]
        X[:] = np.column_stack([(found - self.mean) / self.scale, *waves, gaps][: self.width])


@dataclass(frozen=True)
class Categorical:
    """A column of categories: one input for each, 1 where the row has it and 0 elsewhere."""

    name: str
    categories: list[str]
    fill: str = ""  # for gaps, which may be a category "" of their own

    @classmethod
    def fit(cls, name: str, values: NDArray[Any], flag: bool) -> Self:
        """Learn from a column that has a value at least."""
        frequent = [text for text, _ in Counter(filter(None, texts(values))).most_common(MOST_CATEGORIES)]
        return cls(name, sorted([""] * flag + frequent), "" if flag else frequent[0])

    @property
    def width(self) -> int:
        """How many inputs the column becomes."""
        return len(self.categories)

    def encode(self, X: NDArray[Any], values: NDArray[Any]) -> None:
        """Write the column's inputs into ``X``, of shape (m, ``width``) and zeros so far."""
        place = {category: j for j, category in enumerate(self.categories)}
        codes = np.array([place.get(text or self.fill, -1) for text in texts(values)], dtype=np.intp)
        rows = np.flatnonzero(codes >= 0)
        X[rows, codes[rows]] = 1


@dataclass(frozen=True)
class Columns:
    """The inputs of a table: its columns by name, so that their order in a file is of no account.

    Examples
    --------
    >>> table = {"size": np.array([1.0, 3.0]), "colour": np.array(["red", "blue"])}
    >>> Columns.fit(table).transform(table)
    array([[-1.,  0.,  1.],
           [ 1.,  1.,  0.]])
    """

    columns: list[Numeric | Categorical]

    @classmethod
    def fit(
        cls,
        table: Mapping[str, NDArray[Any]],
        rows: NDArray[np.intp] | None = None,
        keep: Collection[str] = (),
        remarks: Remarks | None = None,
    ) -> Self:
        """Learn scales and categories from some rows, all by default.

        Columns that say nothing are left out, and remarked on: those of one value or none and, unless in
        ``keep``, text that differs from row to row and numbers of rows. ValueError if none is left.
        """
        found: list[Numeric | Categorical] = []
        reasons, remarks = [], Remarks() if remarks is None else remarks
        for name, cells in table.items():
            values = cells if rows is None else cells[rows]
            is_gap = gaps_of(values)
            flag = bool(np.mean(is_gap) > FEW_GAPS)
            kind = Categorical if is_text(f"column {name!r}", values) else Numeric
            present = values[~is_gap]
            different = len(set(present.tolist()))
            if reason := useless(name, present, different, flag, name in keep):
                reasons.append(f"{name}: {reason}")
                remarks.add(f"left out, {reason}", name)
                continue
            found.append(kind.fit(name, values, flag))
            if kind is Categorical and different > MOST_CATEGORIES:
                remarks.add(f"the {MOST_CATEGORIES} most frequent categories are inputs", name)
        if not found:
            raise ValueError("; ".join(["there is no column to learn from", *reasons[:8]]))
        return cls(found)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    @property
    def width(self) -> int:
        """How many inputs the network takes."""
        return sum(column.width for column in self.columns)

    def transform(self, table: Mapping[str, NDArray[Any]], dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """Return the inputs X of a network, of shape (m, ``width``), from a table with all these columns."""
        X = np.zeros((len(table[self.names[0]]), self.width), dtype)
        end = 0
        for column in self.columns:
            start, end = end, end + column.width
            column.encode(X[:, start:end], table[column.name])
        return X

    def remark(self, table: Mapping[str, NDArray[Any]], remarks: Remarks, *, unknown: bool = False) -> None:
        """Remark on the gaps of a table and what is done about them, and on categories that are unknown."""
        for column in self.columns:
            if count := np.count_nonzero(gaps_of(table[column.name])):
                words = "gaps filled with the median"
                if isinstance(column, Categorical):
                    words = (
                        f"gaps filled with {column.fill!r}"
                        if column.fill
                        else "gaps are a category of their own"
                    )
                elif column.flag:
                    words += ", and an input that says where"
                remarks.add(words, f"{column.name} ({count:,})")
            if unknown and isinstance(column, Categorical) and column.width < MOST_CATEGORIES:
                new = sorted(set(texts(table[column.name])).difference(column.categories, [""]))
                if new:
                    words = "unknown to the model, taken for none of the known categories"
                    remarks.add(f"{listed(new)} {words}", column.name)


def useless(name: str, present: NDArray[Any], different: int, flag: bool, keep: bool) -> str:
    """Return why the values of a column are of no use as inputs, or an empty text if they are."""
    if different < 2:
        return "empty" if different == 0 else "" if flag else "the same in every row"
    if present.dtype.kind in "OU" and is_running_text(different, len(present)) and not keep:
        return "text that differs from row to row (--text NAME keeps it)"
    is_id = present.dtype.kind == "f" and different == len(present) >= 20 and ID.fullmatch(name) and not keep
    return "numbers of the rows (--number NAME keeps it)" if is_id and not (present % 1).any() else ""


def as_numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return numbers, or times as days since 1970, as doubles in which gaps are NaN."""
    if values.dtype.kind != "M":
        return values.astype(np.float64)
    return np.where(np.isnat(values), np.nan, values.astype("datetime64[s]").astype(np.int64) / 86400)


def texts(values: NDArray[Any]) -> list[str]:
    """Return categories as texts, "" where there is a gap."""
    return ["" if cell is None else str(cell) for cell in values.tolist()]
