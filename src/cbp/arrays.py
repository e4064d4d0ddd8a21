"""The only place where input is validated and converted.

What is C-contiguous, aligned, native and of the network's dtype is passed on as it is. A memory-mapped array
that is not is left alone too, and converted part by part while training (`Examples.part`); anything else is
converted once. NaN and infinity are looked for by the kernels, while they read the data anyway;
`Examples.refusal` words what they found.
"""

import mmap
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]


def numeric(values: Any, name: str) -> Array:
    """An array of real numbers, in whatever dtype and layout it comes."""
    if isinstance(values, np.ndarray) and hasattr(values, "mask") and np.ma.is_masked(values):
        raise TypeError(f"{name} must not have masked values, whose mask would be lost: fill them first")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array: {error}") from None
    if array.dtype.kind == "O":
        bad = [v for v in array.flat if not isinstance(v, (numbers.Real, np.bool_))]
        if bad:
            what = type(values).__name__ if array.ndim == 0 else f"an object array with {bad[0]!r}"
            raise TypeError(f"{name} must hold numbers, got {what}")
        try:
            return array.astype(np.float64)
        except OverflowError:
            raise ValueError(f"{name} must hold numbers that fit into float64") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def is_ready(array: Array, dtype: DTypeLike) -> bool:
    """Whether the kernels can read the array where it is."""
    return array.dtype == dtype and array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned


def convert(array: Array, dtype: DTypeLike) -> Array:
    """The array itself if it is ready, else a copy that is. Numbers beyond the dtype become infinite."""
    if is_ready(array, dtype):
        return array
    with np.errstate(over="ignore"):
        return np.require(array, dtype=dtype, requirements=["C", "A"])


def is_mapped(array: Array) -> bool:
    """Whether the array's memory is a file's."""
    base: Any = array
    while base is not None:
        if isinstance(base, mmap.mmap):  # not np.memmap, which copies in memory are too
            return True
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return False


def rows(values: Any, n_columns: int, name: str) -> Array:
    """A 2-D array of numbers with n_columns columns."""
    array = numeric(values, name)
    if array.ndim != 2:
        hint = "; one example is a row: use reshape(1, -1)" if array.ndim == 1 else ""
        raise ValueError(f"{name} must be 2-D with {n_columns} columns, got shape {array.shape}{hint}")
    if array.shape[1] != n_columns:
        raise ValueError(f"{name} must have {n_columns} columns, got {array.shape[1]} (shape {array.shape})")
    return array


def examples_of(values: Any, n_columns: int, name: str) -> Array:
    """As `rows`, and at least one of them."""
    array = rows(values, n_columns, name)
    if len(array) == 0:
        raise ValueError(f"{name} must have at least one row, got shape {array.shape}")
    return array


def finite(array: Array, name: str) -> Array:
    """The array itself, without NaN and infinity."""
    bad = ~np.isfinite(array)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, got {array[place].item()!r} at {place}")
    return array


def labels(array: Array, n_classes: int, name: str) -> NDArray[np.int32]:
    """Class labels 0 … n_classes - 1."""
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError(
                f"{name} must hold class labels, got NaN or infinity in row {_first(~np.isfinite(array))}"
            )
        if (array != np.floor(array)).any():
            row = _first(array != np.floor(array))
            raise ValueError(f"{name} must hold whole class labels, got {array[row].item()!r} in row {row}")
    # Always a copy: kernels take labels for places in memory, and the caller may write into his any time.
    with np.errstate(invalid="ignore"):
        copied = np.array(array, dtype=np.int32, order="C")
    for found in (array, copied):  # numbers that do not fit into the copy, and what came into it
        if found.size and (found.min() < 0 or found.max() >= n_classes):
            row = _first((found < 0) | (found >= n_classes))
            raise ValueError(
                f"{name} must hold class labels from 0 to {n_classes - 1}, "
                f"got {array[row].item()!r} in row {row}"
            )
    return copied


def _first(where: Array) -> int:
    return int(np.flatnonzero(where)[0])


def targets(values: Any, m: int, n_outputs: int, softmax: bool, name: str) -> Array:
    """Targets: 1-D for labels of softmax or for a single output, else 2-D; int32 means labels."""
    array = numeric(values, name)
    expected = f"({m}, {n_outputs})"
    if softmax:
        expected = f"({m},) class labels or ({m}, {n_outputs}) probabilities"
    elif n_outputs == 1:
        expected = f"({m},) or ({m}, 1)"
    if array.ndim == 1 and (softmax or n_outputs == 1):
        fits = len(array) == m
    else:
        fits = array.shape == (m, n_outputs)
    if not fits:
        raise ValueError(f"{name} must have shape {expected}, got {array.shape}")
    if softmax and array.ndim == 1:
        return labels(array, n_outputs, name)
    return array.reshape(m, n_outputs)


def weights(values: Any, m: int, dtype: DTypeLike, name: str = "sample_weight") -> Array | None:
    """Weights of m examples: finite, not negative, not all zero."""
    if values is None:
        return None
    array = numeric(values, name)
    if array.shape != (m,):
        raise ValueError(f"{name} must have shape ({m},), got {array.shape}")
    converted = convert(array, dtype)
    if not np.isfinite(converted).all():
        value = array[_first(~np.isfinite(converted))].item()
        wanted = f"fit into {np.dtype(dtype)}" if np.isfinite(value) else "be finite"
        raise ValueError(f"{name} must {wanted}, got {value!r}")
    if (array < 0).any():
        raise ValueError(f"{name} must not be negative, got {array[_first(array < 0)].item()!r}")
    if not converted.any():
        raise ValueError(f"{name} must not be zero for all {m} examples")
    least = 1 / float(np.finfo(converted.dtype).max)  # the gradient is divided by a minibatch's sum
    if ((converted > 0) & (converted < least)).any():
        raise ValueError(
            f"{name} must be 0 or at least {least:.2g}, got {array[_first(converted < least)].item()!r}"
        )
    return converted


@dataclass(frozen=True, slots=True)
class Examples:
    """What one call trains or evaluates on, ready for the kernels but for what is memory-mapped.

    Attributes
    ----------
    X : array, (m, s(1))
    Y : array, (m, s(L)), or None where there are labels
    labels : array of int32, (m,), or None
    weights : array, (m,), or None
    dtype : dtype
        The network's.
    given_X, given_Y : array
        What came, for messages.
    name_X, name_Y : str
        What the caller calls them.
    """

    X: Array
    Y: Array | None
    labels: NDArray[np.int32] | None
    weights: Array | None
    dtype: np.dtype[Any]
    given_X: Array
    given_Y: Array
    name_X: str
    name_Y: str

    @property
    def m(self) -> int:
        """The number of examples."""
        return len(self.X)

    @property
    def X_by_parts(self) -> bool:
        """Whether X must be converted part by part."""
        return not is_ready(self.X, self.dtype)

    @property
    def Y_by_parts(self) -> bool:
        """Whether Y must be converted part by part."""
        return self.Y is not None and not is_ready(self.Y, self.dtype)

    @property
    def by_parts(self) -> list[Array]:
        """Those of X and Y that must be converted part by part."""
        return [a for a in (self.X, self.Y) if a is not None and not is_ready(a, self.dtype)]

    def part(self, array: Array, chosen: Any) -> Array:
        """Some rows of a memory-mapped array, ready for the kernels."""
        return convert(array[chosen], self.dtype)

    def refusal(self, kind: str, row: int, column: int) -> ValueError:
        """The error for what a kernel found in a row of X or Y."""
        name, given = (self.name_X, self.given_X) if kind.startswith("X") else (self.name_Y, self.given_Y)
        return refusal(kind, name, given[row], row, column, self.dtype)


def refusal(kind: str, name: str, values: Array, row: int, column: int, dtype: DTypeLike) -> ValueError:
    """The error for what a kernel found in `values`, a row of the array called `name`."""
    value = np.atleast_1d(values)[column]
    where = f"row {row}, column {column}"
    if kind == "Y_NOT_SUMMING_TO_ONE":
        total = float(np.sum(values, dtype=np.float64))
        return ValueError(
            f"{name} must hold probabilities that sum to 1 a row, got a sum of {total:g} in row {row}"
        )
    if kind == "Y_NOT_IN_UNIT_INTERVAL":
        return ValueError(f"{name} must lie in [0, 1] for this loss, got {value:g} in {where}")
    if np.isfinite(value):
        return ValueError(f"{name} must fit into {np.dtype(dtype)}, got {value:g} in {where}")
    return ValueError(f"{name} must be finite, got {value:g} in {where}")


def examples(
    X: Any,
    Y: Any,
    sample_weight: Any,
    *,
    n_inputs: int,
    n_outputs: int,
    softmax: bool,
    dtype: np.dtype[Any],
    names: tuple[str, str, str] = ("X", "Y", "sample_weight"),
) -> Examples:
    """Check and convert what a call was given.

    Raises
    ------
    TypeError
        If something holds no real numbers.
    ValueError
        If a shape does not fit, there are no examples, a label is out of range or not whole, or weights are
        negative, not finite or all zero.
    """
    given_X = examples_of(X, n_inputs, names[0])
    m = len(given_X)
    given_Y = targets(Y, m, n_outputs, softmax, names[1])
    is_labels = softmax and given_Y.ndim == 1
    return Examples(
        X=given_X if is_mapped(given_X) else convert(given_X, dtype),
        Y=None if is_labels else given_Y if is_mapped(given_Y) else convert(given_Y, dtype),
        labels=given_Y if is_labels else None,
        weights=weights(sample_weight, m, dtype, names[2]),
        dtype=dtype,
        given_X=given_X,
        given_Y=given_Y,
        name_X=names[0],
        name_Y=names[1],
    )
