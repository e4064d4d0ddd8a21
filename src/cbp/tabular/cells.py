"""The cells of a column of data, checked and made plain: numbers, texts, or labels of classes.

Every function takes ``where``, what messages call the column, and reports rows counted from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Label", "is_text", "labels", "listed", "numbers", "refuse_text", "shortened", "standard", "texts"]

Label = str | int | float | bool

# A column with more different texts than this, and new ones in more than half of the rows, holds names or
# remarks: nothing can be learnt from it by category.
MOST_CATEGORIES_OF_FEW_ROWS = 20

# Such a column with so large a share of numbers is numeric, and spoilt by the rest.
SHARE_OF_NUMBERS = 0.9


def is_text(where: str, values: NDArray[Any]) -> bool:
    """Return whether a column holds categories (text, booleans) and not numbers."""
    if values.ndim != 1:
        raise ValueError(f"{where} has shape {values.shape}, where one value a row is needed")
    if values.dtype.kind not in "biufOUT":
        raise ValueError(f"{where} holds {values.dtype}, which is neither numbers nor text")
    if values.dtype.kind != "O":
        return values.dtype.kind in "bUT"
    return any(isinstance(cell, str | bool | np.bool_) for cell in values)


def numbers(where: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return a column as doubles; ValueError for an empty cell, an infinite one, or one that is no number."""
    if values.dtype.kind in "biuf":
        found = values.astype(np.float64)
    else:
        cells = enumerate(values.tolist())
        found = np.array([number(f"{where}, row {row + 1}", cell) for row, cell in cells], np.float64)
    wrong = np.flatnonzero(~np.isfinite(found))
    if wrong.size:
        kind = "missing value" if np.isnan(found[wrong[0]]) else "infinite value"
        raise ValueError(f"{where}, row {wrong[0] + 1}: {kind}")
    return found


def number(where: str, cell: object) -> float:
    """Return one cell as a float, NaN if it is empty."""
    if is_missing(cell):
        return np.nan
    try:
        return float(cell)  # type: ignore[arg-type]  # whatever it is: the exceptions tell
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where}: {shortened(cell)} is not a number") from None


def texts(where: str, values: NDArray[Any]) -> list[str]:
    """Return a column as strings; ValueError for an empty cell."""
    cells = values.tolist()
    for row, cell in enumerate(cells):
        if is_missing(cell):
            raise ValueError(f"{where}, row {row + 1}: missing value")
    return [str(cell) for cell in cells]


def labels(where: str, values: NDArray[Any]) -> list[Label]:
    """Return a column as names of classes: strings, booleans, integers, or floats that are not whole."""
    if is_text(where, values):
        return values.tolist() if values.dtype.kind == "b" else list(texts(where, values))
    found = numbers(where, values)
    # 1.0 is the class 1, however the file writes it.
    return [int(cell) if cell.is_integer() else cell for cell in found.tolist()]


def standard(where: str, values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation along the rows; constant columns get scale 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    if not np.isfinite(scale).all():
        raise ValueError(f"{where}: the numbers are too large to be scaled")
    # Told by the values: the mean of equal numbers can be off by a rounding, and then so is their deviation.
    constant = values.min(axis=0) == values.max(axis=0)
    return np.where(constant, values[0], mean), np.where(constant | (scale == 0), 1.0, scale)


def is_missing(cell: object) -> bool:
    """Return whether a cell is empty: None, NaN, or what a data frame puts there."""
    # By its text, because pandas.NA == pandas.NA is neither true nor false.
    return not isinstance(cell, str) and str(cell) in ("None", "nan", "NaN", "<NA>", "NaT")


def refuse_text(where: str, cells: Sequence[str]) -> None:
    """Raise ValueError for a column of names or remarks, or of numbers among which something else stands."""
    different = set(cells)
    if len(different) <= MOST_CATEGORIES_OF_FEW_ROWS:
        return
    not_numbers = {text for text in different if not is_number(text)}
    if len(not_numbers) < (1 - SHARE_OF_NUMBERS) * len(different):
        row = next(row for row, text in enumerate(cells) if text in not_numbers)
        raise ValueError(f"{where}, row {row + 1}: {shortened(cells[row])} is not a number")
    if len(different) > len(cells) / 2:
        found = f"{len(different)} values in {len(cells)} rows"
        raise ValueError(f"{where} holds text and not categories ({found}): ignore it")


def is_number(text: str) -> bool:
    """Return whether a text spells a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def listed(names: Iterable[object], limit: int = 8) -> str:
    """Return names as one short text: the first few, and how many more there are."""
    names = list(names)
    shown = ", ".join(shortened(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def shortened(cell: object, limit: int = 40) -> str:
    """Return the repr of a cell, cut where it is long."""
    text = repr(cell)
    return text if len(text) <= limit else text[: limit - 3] + "..."
