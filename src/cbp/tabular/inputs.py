"""How columns become inputs of a network: numbers are standardised, and each category is an input."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cbp.tabular.choices import Remarks, listed
from cbp.tabular.forms import pandas_module
from cbp.tabular.targets import is_running_text, standard

# At most so many categories of a column become inputs: the most frequent ones.
MOST_CATEGORIES = 100

# If a larger share of the training rows has a gap in a column, a further input marks the gaps.
FEW_GAPS = 0.01

# The lengths of a year, a week and a day, in days.
CYCLES = [365.2425, 7.0, 1.0]

# Names of columns whose values are only the numbers of the rows.
ID = re.compile(r"(.*[_\W])?(id|index|key)|.*[a-z]I[dD]|row.?(names?|id|number)?|nr|no|number|obs|case", re.I)


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, or of dates as days since 1970: ``(x - mean) / scale``."""

    name: str
    mean: float
    scale: float
    fill: float  # the value that replaces gaps
    flag: bool = False  # whether a further input is 1 in gaps and 0 elsewhere
    # Periods in days. The sine and cosine of the phase in each of them are inputs too.
    cycles: list[float] = field(default_factory=list)

    @classmethod
    def fit(cls, name: str, values: Any, flag: bool) -> Self:
        """Learn the scale from a series in which at least one value is no gap."""
        found = as_numbers(values.dropna())
        mean, scale = map(float, standard(f"column {name!r}", found))
        span = np.ptp(found) if values.dtype.kind == "M" else 0.0
        # Only periods that the dates cover twice at least, and in which their phase is not always the same.
        cycles = [days for days in CYCLES if span >= 2 * days and np.ptp(found % days) > 0]
        return cls(name, mean, scale, float(np.median(found)), flag, cycles)

    @property
    def width(self) -> int:
        """How many inputs the column becomes."""
        return 1 + 2 * len(self.cycles) + self.flag

    @property
    def filling(self) -> str:
        """What is done about gaps, in words."""
        return "gaps filled with the median" + ", and an input that says where" * self.flag

    def encode(self, values: Any) -> NDArray[Any]:
        """Return the inputs of a series, of shape (m, ``width``)."""
        found, gaps = as_numbers(values), values.isna()
        found = np.where(gaps, self.fill, found)
        waves = [wave(2 * np.pi * found / days) for days in self.cycles for wave in (np.sin, np.cos)]
        with np.errstate(over="ignore"):
            return np.column_stack([(found - self.mean) / self.scale, *waves, gaps][: self.width])


@dataclass(frozen=True)
class Categorical:
    """A column of categories: one input for each, 1 where the row has it and 0 elsewhere."""

    name: str
    categories: list[str]
    fill: str  # the category that replaces gaps; "" if gaps are a category of their own

    @classmethod
    def fit(cls, name: str, values: Any, flag: bool) -> Self:
        """Learn the categories from a series in which at least one value is no gap."""
        frequent = [text for text, _ in Counter(values.dropna()).most_common(MOST_CATEGORIES)]
        fill = "" if flag else frequent[0]
        return cls(name, sorted({fill, *frequent}), fill)

    @property
    def width(self) -> int:
        """How many inputs the column becomes."""
        return len(self.categories)

    @property
    def filling(self) -> str:
        """What is done about gaps, in words."""
        return f"gaps filled with {self.fill!r}" if self.fill else "gaps are a category of their own"

    def encode(self, values: Any) -> Any:
        """Return the inputs of a series, of shape (m, ``width``)."""
        places = pandas_module().Index(self.categories).get_indexer(values.fillna(self.fill))
        # An unknown category has place -1, which selects the last row of the matrix, all zeros.
        return np.eye(self.width + 1, self.width, dtype=np.bool_)[places]


@dataclass(frozen=True)
class Columns:
    """How the columns of a table become inputs. They are found by name, so their order in a file is free.

    Examples
    --------
    >>> import pandas
    >>> table = pandas.DataFrame({"size": [1.0, 3.0], "colour": ["red", "blue"]})
    >>> Columns.fit(table).transform(table)
    array([[-1.,  0.,  1.],
           [ 1.,  1.,  0.]])
    """

    columns: list[Numeric | Categorical]

    @classmethod
    def fit(cls, table: Any, keep: Collection[str] = (), remarks: Remarks | None = None) -> Self:
        """Learn scales and categories from training examples.

        Useless columns are left out, with a remark: columns with one value or none, and, unless they are in
        ``keep``, texts that differ from row to row and numbers of the rows. Raise ValueError if no column is
        left.
        """
        found: list[Numeric | Categorical] = []
        remarks = Remarks() if remarks is None else remarks
        for name, values in table.items():
            flag = bool(values.isna().mean() > FEW_GAPS)
            if reason := useless(name, values.dropna(), flag, name in keep):
                remarks.add(f"left out, {reason}", name)
                continue
            kind = Categorical if values.dtype.kind == "O" else Numeric
            found.append(kind.fit(name, values, flag))
            if kind is Categorical and (count := values.nunique()) > MOST_CATEGORIES:
                remarks.add(f"the {MOST_CATEGORIES} most frequent of {count:,} categories are inputs", name)
        if not found:
            raise ValueError("; ".join(["there is no column to learn from", *remarks.lines()]))
        return cls(found)

    @classmethod
    def from_dict(cls, columns: Iterable[Mapping[str, Any]]) -> Self:
        """Return the columns from a record that `dataclasses.asdict` has made of them."""
        return cls([(Categorical if "categories" in row else Numeric)(**row) for row in columns])

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    @property
    def width(self) -> int:
        """How many inputs the network takes."""
        return sum(column.width for column in self.columns)

    def transform(self, table: Any, dtype: DTypeLike = np.float64) -> Any:
        """Return the inputs X of a network, of shape (m, ``width``), from a table with all these columns.

        Numbers that are too large for ``dtype`` become infinite.
        """
        parts = [column.encode(table[column.name]) for column in self.columns]
        with np.errstate(over="ignore"):
            return np.concatenate(parts, axis=1, dtype=dtype, casting="same_kind")

    def remark(self, table: Any, remarks: Remarks, *, unknown: bool = False) -> None:
        """Add remarks on how gaps are filled and, if ``unknown``, on categories that are new to the model."""
        for column in self.columns:
            values = table[column.name]
            if count := values.isna().sum():
                remarks.add(column.filling, f"{column.name} ({count:,})")
            # If only the most frequent categories are inputs, training has seen others, which are not new.
            if unknown and isinstance(column, Categorical) and column.width < MOST_CATEGORIES:
                new = sorted(set(values.dropna()).difference(column.categories))
                words = f"{listed(new)} unknown to the model, taken for none of the known categories"
                remarks.add(words if new else "", column.name)


def useless(name: str, present: Any, flag: bool, keep: bool) -> str:
    """Return why a column, given without its gaps, is of no use as an input; "" if it is of use."""
    different, is_number = present.nunique(), present.dtype.kind == "f"
    if not different:
        return "empty"
    if different == 1 and not flag:
        is_rounded = is_number and bool(abs(present.iloc[0]) >= 2**53)
        return "the same in every row" + " to the digits that a double holds" * is_rounded
    if present.dtype.kind == "O" and is_running_text(different, len(present)) and not keep:
        return "text that differs from row to row (--text NAME keeps it)"
    is_id = is_number and different == len(present) >= 20 and ID.fullmatch(name) and not (present % 1).any()
    return "numbers of the rows (--number NAME keeps it)" if is_id and not keep else ""


def as_numbers(values: Any) -> Any:
    """Return numbers, or times as days since 1970, as doubles in which gaps are NaN."""
    if values.dtype.kind == "M":
        values = (values - np.datetime64(0, "s")) / np.timedelta64(1, "D")
    return values.to_numpy(np.float64)
