"""What a user chooses about a data file; everything else is found out."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cbp.tabular.cells import listed

__all__ = ["Choices", "Task", "named"]

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Choices:
    """What was chosen about a file; None, or nothing, leaves it to what the file shows."""

    target: str | None = None  # the column to predict; the last one by default
    ignore: Sequence[str] = ()  # columns to leave out
    text: Sequence[str] = ()  # columns to take as categories
    number: Sequence[str] = ()  # columns to take as numbers
    task: Task | None = None
    test_fraction: float | None = None  # to hold out; by default 0.25, or none if the file has a test part
    seed: int = 0  # decides which examples are held out
    dtype: DTypeLike = np.float32  # the precision of the inputs
    delimiter: str | None = None  # between two cells of a row; " " for any white space
    usual_delimiter: str | None = None  # taken where another does not show more of the columns
    columns: Sequence[str] = ()  # that are there for certain
    encoding: str | None = None
    header: bool | None = None  # whether the first line holds names
    width: int = 0  # how many columns a table without a header has
    decimal: str | None = None  # separates decimals, where a column fits that
    thousands: str | None = None  # separates groups of three digits, where a column fits that
    date_format: str | None = None  # as of strptime
    missing: Sequence[str] = ()  # cells that are gaps, in columns of text too
    gaps: Literal["impute", "drop", "error"] = "impute"

    def split(self, groups: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows to train on and those held out, at random, the same share of every group."""
        groups = np.asarray(groups)
        count = len(groups)
        fraction = 0.25 if self.test_fraction is None else self.test_fraction
        held_out = max(1, round(count * fraction)) if fraction else 0
        if held_out >= count:
            raise ValueError(f"of {count} examples in all, {fraction:.0%} cannot be held out for the test")
        rng = np.random.default_rng(self.seed)
        order = rng.permutation(count)
        by_group = order[np.argsort(groups[order], kind="stable")]
        # Rows at equal distances, from a random start: of each group as many as its share, give or take one.
        passed = np.floor((np.arange(count + 1) + rng.random()) * held_out / count)
        is_test = np.zeros(count, np.bool_)
        is_test[by_group[np.diff(passed) > 0]] = True
        # The only member of a group is there to be learnt, unless all are.
        _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        if len(sizes) < count:
            is_test &= sizes[group] > 1
        return order[~is_test[order]], order[is_test[order]]


def named(values: Sequence[str], columns: Collection[str]) -> list[str]:
    """Return the columns that values of an option name: each is a column, or several with commas between."""
    found = []
    for value in values:
        names = [value] if value in columns else [name.strip() for name in value.split(",") if name.strip()]
        for name in names:
            if name not in columns:
                folded = {other.casefold(): other for other in columns}
                close = difflib.get_close_matches(name.casefold(), folded, n=1)
                hint = f": did you mean {folded[close[0]]!r}?" if close else f" among {listed(columns)}"
                raise ValueError(f"there is no column {name!r}{hint}")
            found.append(name)
    return found
