"""The errors for faults in the values of X and Y: NaN, infinity, and targets that the loss does not allow.

The kernels look for faults while they read the data, in the order of training, and each thread in its own
examples. If they find one, the rows up to that one are searched again here, so that the error names the first
fault in the order of the array.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from cbp.examples.conversion import Array, convert, place
from cbp.functions import LOSSES, Named, name_of

PART = 1 << 20  # numbers searched at a time; Ctrl-C takes effect in between

Fault = tuple[str, int, int]  # kind, row, column


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that a loss sets to targets given as numbers.

    Attributes
    ----------
    least, most : float
        The least and the largest that a target may be.
    above : bool
        Whether a target must be above the least.
    sums_to_one : bool
        Whether the targets of an example are probabilities that sum to 1.
    missing : bool, default False
        Whether a target that is NaN is missing, not a fault.
    """

    least: float
    most: float
    above: bool
    sums_to_one: bool
    missing: bool = False

    def __str__(self) -> str:
        """Return what a target must do, in words after "must"."""
        if self.most < np.inf:
            return f"lie in [{self.least:g}, {self.most:g}]"
        return f"be {'above' if self.above else 'at least'} {self.least:g}"


@cache
def limits(output: Named, loss: Named | None, missing: bool = False) -> Limits:
    """Return the limits of the targets for an output and a loss, as the kernels check them, or none."""
    if loss is None:
        return Limits(-np.inf, np.inf, False, False)
    if output == "softmax":
        return Limits(0.0, np.inf, False, True)
    row = LOSSES[name_of(loss)]
    return Limits(row.least, row.most, row.above, False, missing)


def first_fault(X: Array, Y: Array | None, stop: int, allowed: Limits, dtype: DTypeLike) -> Fault | None:
    """Return the fault in the lowest row before `stop`, for the same row that in X; None without a fault."""
    step = max(1, PART // (X.shape[1] + (0 if Y is None else Y.shape[1])))
    for start in range(0, stop, step):
        part = slice(start, min(start + step, stop))
        found = [fault_of_X(convert(X[part], dtype))]
        found += [] if Y is None else [fault_of_Y(convert(Y[part], dtype), allowed)]
        faults = [fault for fault in found if fault is not None]
        if faults:
            kind, row, column = min(faults, key=lambda fault: fault[1])  # the first of equals
            return kind, start + row, column
    return None


def fault_of_X(x: Array) -> Fault | None:
    """Return the fault of the first value that is not finite; None without a fault."""
    return first_of("X_NOT_FINITE", ~np.isfinite(x))


def fault_of_Y(y: Array, allowed: Limits) -> Fault | None:
    """Return the fault in the first row that has one; None without a fault."""
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        total = y.sum(axis=1, dtype=np.float64)
    # A sum of NaN counts as off. But for a row with NaN, Y_NOT_FINITE comes first below.
    off = ~(np.abs(total - 1) <= 1e-3) if allowed.sums_to_one else np.zeros(len(y), bool)
    found = [
        first_of("Y_NOT_FINITE", np.isinf(y) if allowed.missing else ~np.isfinite(y)),
        first_of("Y_OUT_OF_RANGE", out_of_range(y, allowed)),
        first_of("Y_NOT_SUMMING_TO_ONE", off[:, None]),
    ]
    return min((fault for fault in found if fault is not None), key=lambda fault: fault[1], default=None)


def out_of_range(y: Array, allowed: Limits) -> Array:
    """Return which targets the loss does not allow."""
    outside = (y < allowed.least) | (y > allowed.most)
    return np.asarray(outside | (y == allowed.least) if allowed.above else outside)


def first_of(kind: str, bad: Array) -> Fault | None:
    """Return a fault of this kind at the first place, row by row, that is bad; None if there is none."""
    rows = bad.any(axis=1)
    if not rows.any():
        return None
    row = int(rows.argmax())
    return kind, row, int(bad[row].argmax())


def refusal(
    kind: str,
    name: str,
    values: Array,
    row: int,
    column: int,
    dtype: DTypeLike,
    columns: Any = None,
    allowed: Limits | None = None,
) -> ValueError:
    """Return the error for a fault in `values`, a row of the array called `name`."""
    value = np.atleast_1d(values)[column]
    where = place((row, column), columns)
    if kind == "Y_NOT_SUMMING_TO_ONE":
        total = float(np.sum(values, dtype=np.float64))
        return ValueError(
            f"{name} must hold probabilities that sum to 1 in each row, got a sum of {total:g} in row {row}"
        )
    if kind == "Y_OUT_OF_RANGE":
        # For softmax, whose targets must also sum to 1, the range is that of probabilities.
        range = "lie in [0, 1]" if allowed is None or allowed.sums_to_one else str(allowed)
        return ValueError(f"{name} must {range} for this loss, got {shown(value)} {where}")
    if np.isfinite(value):
        return ValueError(f"{name} must fit into {np.dtype(dtype)}, got {shown(value)} {where}")
    return ValueError(f"{name} must be finite, got {shown(value)} {where}")


def shown(value: Any) -> str:
    """Return a number as text, short if that loses no digit: 1.0000001 is not 1."""
    text = f"{value:g}"
    return text if not np.isfinite(value) or float(text) == value else repr(value.item())
