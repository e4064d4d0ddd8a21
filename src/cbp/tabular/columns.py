"""The inputs of a table whose columns have names: numbers standardised, categories one input each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cbp.tabular.cells import is_text, listed, numbers, refuse_text, standard, texts

__all__ = ["Categorical", "Columns", "Numeric", "Table"]

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, standardised: one input, ``(x - mean) / scale``."""

    name: str
    mean: float
    scale: float

    width: ClassVar[int] = 1

    def fill(self, X: NDArray[Any], values: NDArray[Any]) -> None:
        """Write the column's input into ``X``, of shape (m, 1)."""
        X[:, 0] = (numbers(f"column {self.name!r}", values) - self.mean) / self.scale


@dataclass(frozen=True)
class Categorical:
    """A column of categories: one input for each, 1 where the row has it and 0 elsewhere.

    A category that was not among the training rows is none of the known ones: zeros throughout.
    """

    name: str
    categories: list[str]

    @property
    def width(self) -> int:
        """How many inputs the column becomes."""
        return len(self.categories)

    def fill(self, X: NDArray[Any], values: NDArray[Any]) -> None:
        """Write the column's inputs into ``X``, of shape (m, ``width``) and zeros so far."""
        place = {category: j for j, category in enumerate(self.categories)}
        found = [place.get(text, -1) for text in texts(f"column {self.name!r}", values)]
        codes = np.array(found, dtype=np.intp)
        rows = np.flatnonzero(codes >= 0)
        X[rows, codes[rows]] = 1


@dataclass(frozen=True)
class Columns:
    """The inputs of a table: its columns by name, so that their order in a file is of no account.

    Parameters
    ----------
    columns : list of Numeric or Categorical
        The columns in the order of the network's inputs.

    Examples
    --------
    >>> table = {"size": [1.0, 3.0], "colour": ["red", "blue"]}
    >>> columns = Columns.fit(table)
    >>> columns.transform(table)
    array([[-1.,  0.,  1.],
           [ 1.,  1.,  0.]])
    """

    columns: list[Numeric | Categorical]

    @classmethod
    def fit(cls, table: Table, rows: NDArray[np.intp] | None = None) -> Self:
        """Learn the scales and the categories.

        Parameters
        ----------
        table : mapping of str to array
            The columns, all of one length. Numbers are standardised; text, booleans and categories become one
            input for each category, in sorted order.
        rows : array of int, optional
            The training rows. Every row is checked, these alone are learnt from. All of them by default.

        Raises
        ------
        ValueError
            If there is no column, or a cell is empty, infinite or out of place, naming its column and row
            (counted from 1); or if a column holds running text: more than 20 different values, and more than
            one for every two rows.
        """
        if not list(table.keys()):
            raise ValueError("there is no column to learn from")
        return cls([fit_column(name, np.asarray(table[name]), rows) for name in table])

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    @property
    def text_names(self) -> list[str]:
        """The names of the categorical ones: to be read as text even where all of it looks like numbers."""
        return [column.name for column in self.columns if isinstance(column, Categorical)]

    @property
    def width(self) -> int:
        """How many inputs the network takes."""
        return sum(column.width for column in self.columns)

    def transform(self, table: Table, dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """Return the inputs X of a network, of shape (m, ``width``).

        Parameters
        ----------
        table : mapping of str to array
            It has every column that was fitted, in any order. Others are not looked at.
        dtype : dtype, default float64
            The precision of the network.

        Raises
        ------
        ValueError
            If a column is missing, or a cell is empty or not a number where one is needed.
        """
        if absent := [name for name in self.names if name not in table]:
            raise ValueError("missing " + ("column " if len(absent) == 1 else "columns ") + listed(absent))
        cells = [np.asarray(table[name]) for name in self.names]
        X = np.zeros((len(cells[0]), self.width), dtype)
        end = 0
        for column, values in zip(self.columns, cells, strict=True):
            start, end = end, end + column.width
            column.fill(X[:, start:end], values)
        return X

    def unknown(self, table: Table) -> dict[str, list[str]]:
        """Return the categories of a table that no training row had, by column, for a warning."""
        unseen = {}
        for column in self.columns:
            if isinstance(column, Categorical):
                present = set(texts(f"column {column.name!r}", np.asarray(table[column.name])))
                if new := present.difference(column.categories):
                    unseen[column.name] = sorted(new)
        return unseen


def fit_column(name: str, values: NDArray[Any], rows: NDArray[np.intp] | None) -> Numeric | Categorical:
    """Learn how one column becomes inputs, from some of its rows."""
    where = f"column {name!r}"
    if not values.size:
        raise ValueError(f"{where} is empty")
    if is_text(where, values):
        cells = texts(where, values)
        refuse_text(where, cells)
        return Categorical(name, sorted({cells[i] for i in rows} if rows is not None else set(cells)))
    cells_as_numbers = numbers(where, values)
    mean, scale = standard(where, cells_as_numbers if rows is None else cells_as_numbers[rows])
    return Numeric(name, float(mean), float(scale))
