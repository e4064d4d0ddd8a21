"""The cells of a column: an array of numbers, dates or texts, in which NaN, NaT or None is a gap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Label",
    "Remarks",
    "gaps_of",
    "is_running_text",
    "is_text",
    "labels",
    "listed",
    "numbers",
    "standard",
]

Label = str | int | float | bool


class Remarks(dict[str, list[str]]):
    """What a user should know: remarks, and the columns that they are about."""

    def add(self, words: str, name: str = "") -> None:
        """Note something about a column, or about the file."""
        self.setdefault(words, []).append(name)

    def lines(self, limit: int = 8) -> list[str]:
        """Return a line for each remark, as in ``power, price and 3 more: decimal comma``."""
        more = {
            words: f" and {len(names) - limit} more" * (len(names) > limit) for words, names in self.items()
        }
        return [
            f"{', '.join(names[:limit])}{more[words]}{': ' * any(names)}{words}"
            for words, names in self.items()
        ]


def is_text(where: str, values: NDArray[Any]) -> bool:
    """Return whether a column holds categories (text, booleans) and not numbers or dates."""
    if values.ndim != 1:
        raise ValueError(f"{where} has shape {values.shape}, where one value a row is needed")
    if values.dtype.kind not in "biufOUM":
        raise ValueError(f"{where} holds {values.dtype}, which is neither numbers nor text")
    return values.dtype.kind in "bOU"


def gaps_of(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which cells are gaps."""
    if values.dtype.kind == "O":
        return np.array([cell is None for cell in values.tolist()], np.bool_)
    return np.asarray(values != values, np.bool_)  # as NaN and NaT are, and nothing else


def numbers(where: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return a column as doubles; ValueError for text, and for a cell that is a gap or infinite."""
    if is_text(where, values) and values.dtype.kind != "b":
        raise ValueError(f"{where} holds text ({listed(values[:2].tolist())}, ...), where numbers are needed")
    found = values.astype(np.float64)
    for kind, wrong in (("missing", np.isnan(found)), ("infinite", np.isinf(found))):
        if wrong.any():
            raise ValueError(f"{where}, row {np.argmax(wrong) + 1}: {kind} value")
    return found


def labels(where: str, values: NDArray[Any]) -> list[Label]:
    """Return a column as names of classes: strings, booleans, integers, or floats that are not whole."""
    if (gaps := gaps_of(values)).any():
        raise ValueError(f"{where}, row {np.argmax(gaps) + 1}: missing value")
    if is_text(where, values) or values.dtype.kind in "iu":
        return list(values.tolist())
    # 1.0 is the class 1, however the file writes it.
    return [int(cell) if cell.is_integer() else cell for cell in numbers(where, values).tolist()]


def standard(where: str, values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation along the rows; constant columns get scale 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    if not np.isfinite(scale).all():
        raise ValueError(f"{where}: the numbers are too large to be scaled")
    # Seen by the values: the mean of equal numbers can be off by a rounding, and then so is their deviation.
    constant = values.min(axis=0) == values.max(axis=0)
    return np.where(constant, values[0], mean), np.where(constant | (scale == 0), 1.0, scale)


def is_running_text(different: int, rows: int) -> bool:
    """Return whether so many different texts are names or remarks, from which nothing can be learnt."""
    return different > max(20, rows / 2)


def listed(names: Iterable[object], limit: int = 8) -> str:
    """Return names as one short text: the first few, and how many more there are."""
    shown = [text if len(text) <= 40 else text[:37] + "..." for text in map(repr, names)]
    return ", ".join(shown[:limit]) + f" and {len(shown) - limit} more" * (len(shown) > limit)
