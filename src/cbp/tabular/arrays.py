"""The inputs of plain arrays of numbers, such as images."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cbp.tabular.cells import standard

__all__ = ["Arrays", "read_npz"]

# What a file that is not an .npz file, or is damaged, makes NumPy raise.
NPZ_ERRORS = (ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Arrays:
    """The inputs of plain arrays: every example flattened, then ``(x - mean) / scale``."""

    shape: list[int]  # of one example, (28, 28) for a small image
    mean: float | list[float]  # for all values alike, or one for each
    scale: float | list[float]

    @classmethod
    def fit(cls, x: ArrayLike, where: str = "x") -> Self:
        """Learn the scales of training examples x, of shape (m, ...).

        - Values that reach from 0 or -1 to 1 exactly are taken to be scaled already, and left alone.
        - Images (more than two dimensions, or bytes) are divided by their largest magnitude: 255 as a rule.
          A scale for each pixel would blow up those that are almost always black.
        - Otherwise each column is standardised, as in a table.
        """
        x = checked(np.asarray(x), where)
        if x.size == 0:
            raise ValueError(f"{where} is empty: its shape is {x.shape}")
        low, high = float(x.min()), float(x.max())
        mean: float | list[float] = 0.0
        scale: float | list[float] = 1.0
        if x.ndim > 2 or x.dtype == np.uint8:
            scale = max(abs(low), abs(high)) or 1.0
        elif not (high == 1 and low in (0, -1)):
            mean, scale = (moment.tolist() for moment in standard(where, x.reshape(len(x), -1)))
        return cls(list(x.shape[1:]), mean, scale)

    @property
    def width(self) -> int:
        """How many inputs the network takes."""
        return int(np.prod(self.shape))

    def transform(self, x: ArrayLike, dtype: DTypeLike = np.float64, where: str = "x") -> NDArray[Any]:
        """Return the inputs X of a network, of shape (m, ``width``), from whole or flattened examples."""
        x = np.asarray(x)
        if x.shape[1:] != tuple(self.shape) and x.shape[1:] != (self.width,):
            wanted = ", ".join(["m", *map(str, self.shape)])
            raise ValueError(f"{where} has shape {x.shape}, where ({wanted}) is needed")
        flat = checked(x, where).reshape(len(x), self.width)
        if self.mean == 0.0:
            # Without a copy in double precision: images are many.
            X: NDArray[Any] = np.divide(flat, self.scale, dtype=dtype, casting="same_kind")
        else:
            X = ((flat - np.asarray(self.mean)) / np.asarray(self.scale)).astype(dtype)
        return X


def checked(x: NDArray[Any], where: str) -> NDArray[Any]:
    """Return an array of examples unless its values cannot be inputs."""
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{where} holds {x.dtype}, where numbers are needed")
    if x.ndim == 0:
        raise ValueError(f"{where} is a single number, where an array of examples is needed")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x))[0][0])
        raise ValueError(f"{where}, row {row + 1}: a value is not a finite number")
    return x


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an ``.npz`` file; nothing in it is executed."""
    try:
        with open(path, "rb") as stream:
            # Asked first, because NumPy takes whatever is not an archive for a pickle, and says so.
            if not zipfile.is_zipfile(stream):
                raise ValueError("it is no archive of arrays")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
    except NPZ_ERRORS as error:
        raise ValueError(f"{path} is no readable .npz file: {error}") from error
