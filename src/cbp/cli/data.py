"""Data files of the command line: tables, which `cbp.tabular` reads, and arrays of ``.npz`` files."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cbp import tabular
from cbp.tabular import (
    DAMAGED,
    Choices,
    Columns,
    Examples,
    Inputs,
    Preprocessor,
    Remarks,
    divided,
    fit_target,
    listed,
    standard,
)

__all__ = ["Arrays", "load_examples", "load_inputs"]


def load_examples(path: Path, choices: Choices) -> Examples:
    """Read a file to train on: a table, or an ``.npz`` file with ``x_train`` and ``y_train``.

    Raise ValueError if the content is not as required, OSError if the file cannot be read, and ImportError if
    a package that is needed to read it is not installed.
    """
    return (examples_of_arrays if is_archive(path) else tabular.load_examples)(path, choices)


def load_inputs(path: Path, record: Preprocessor, dtype: DTypeLike, choices: Choices) -> Inputs:
    """Read a file to predict from.

    It is a table with the columns that the network was trained on, or an ``.npz`` file with an array
    ``x_test`` or ``x``, or with a single array of any name.
    """
    if isinstance(record.inputs, Arrays) and is_archive(path):
        return inputs_of_arrays(path, record.inputs, dtype)
    if isinstance(record.inputs, Columns) and not is_archive(path):
        return tabular.load_inputs(path, record, dtype, choices)
    if is_archive(path):
        needed = "a table, so a table is needed, such as a .csv file"
    else:
        needed = "arrays, so an .npz file is needed"
    raise ValueError(f"{path}: the model was trained on {needed}")


def is_archive(path: Path) -> bool:
    """Return whether the name of a file is that of an archive of arrays."""
    return path.suffix.lower() == ".npz"


@dataclass(frozen=True)
class Arrays:
    """How inputs are made from arrays: each example is flattened to x, and becomes ``(x - mean) / scale``."""

    shape: list[int]  # of one example, (28, 28) for a small image
    mean: float | list[float]  # one number for all values of an example, or one for each
    scale: float | list[float]

    @classmethod
    def fit(cls, x: ArrayLike, where: str = "x") -> Self:
        """Learn the scales of training examples x, of shape (m, ...).

        - Values whose minimum is exactly 0 or -1, and whose maximum is exactly 1, are taken to be scaled
          already, and left unchanged.
        - Images (more than two dimensions, or bytes) are divided by their largest magnitude: 255 as a rule.
          A separate scale for each pixel would magnify pixels that are almost always black.
        - Otherwise each column is standardised, as in a table.
        """
        x = checked(np.asarray(x), where)
        if x.size == 0:
            raise ValueError(f"{where} is empty: its shape is {x.shape}")
        shape, low, high = list(x.shape[1:]), float(x.min()), float(x.max())
        if x.ndim > 2 or x.dtype == np.uint8:
            return cls(shape, 0.0, max(abs(low), abs(high)) or 1.0)
        if high == 1 and low in (0, -1):
            return cls(shape, 0.0, 1.0)
        return cls(shape, *(moment.tolist() for moment in standard(where, x.reshape(len(x), -1))))

    @property
    def width(self) -> int:
        """How many inputs the network takes."""
        return int(np.prod(self.shape))

    def transform(self, x: ArrayLike, dtype: DTypeLike = np.float64, where: str = "x") -> Any:
        """Return the inputs X of a network, of shape (m, ``width``), from whole or flattened examples."""
        x = np.asarray(x)
        if x.shape[1:] != tuple(self.shape) and x.shape[1:] != (self.width,):
            wanted = ", ".join(["m", *map(str, self.shape)])
            raise ValueError(f"{where} has shape {x.shape}, where ({wanted}) is needed")
        flat = checked(x, where).reshape(len(x), self.width)
        if self.mean == 0.0:
            # Divides without a copy in double precision, which would be large for many images.
            return np.divide(flat, self.scale, dtype=dtype, casting="same_kind")
        return ((flat - np.asarray(self.mean)) / np.asarray(self.scale)).astype(dtype)


def checked(x: NDArray[Any], where: str) -> NDArray[Any]:
    """Return an array of examples; ValueError if its values cannot be inputs."""
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{where} holds {x.dtype}, where numbers are needed")
    if x.ndim == 0:
        raise ValueError(f"{where} is a single number, where an array of examples is needed")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x))[0][0])
        raise ValueError(f"{where}, row {row + 1}: a value is not a finite number")
    return x


def examples_of_arrays(path: Path, choices: Choices) -> Examples:
    """Return ``x_train, y_train, x_test, y_test`` as examples; hold some out if the file has no last two."""
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
    """Return the arrays x and y of one part, "train" or "test"; ValueError if their numbers differ."""
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
    """Return the inputs in a file: from ``x_test``, else from ``x``, else from its only array."""
    arrays = read_npz(path)
    name = next((name for name in ("x_test", "x", *arrays) if name in arrays), "")
    if name not in ("x_test", "x") and len(arrays) != 1:
        raise ValueError(f"there is no x_test and no x among the arrays {listed(arrays)}")
    X = inputs.transform(arrays[name], dtype, name)
    return X, np.zeros(len(X), np.bool_), []


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an ``.npz`` file; pickled objects, which could run code, are refused."""
    try:
        # Checked first, because NumPy takes any other file for a pickle, and complains about that.
        with open(path, "rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise ValueError("it is no archive of arrays")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except DAMAGED as error:
        raise ValueError(f"{path} is no readable .npz file: {error}") from error
