"""The examples, targets and weights that a call is given, checked and converted.

Values become arrays in `conversion`. A memory-mapped array that the kernels cannot read is converted part by
part while training (`Examples.part`); anything else is converted once. The kernels look for NaN and infinity
while they read the data; `Examples.refusal` makes the error for what they have found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cbp.examples import faults, frames
from cbp.examples.conversion import Array, convert, is_mapped, is_ready, numeric, place
from cbp.examples.faults import Limits, limits
from cbp.examples.frames import Names
from cbp.examples.targets import targets
from cbp.functions import Named, OwnLoss


def rows(values: Any, n_columns: int, name: str, columns: Names | None = None) -> Array:
    """Return a 2-D array of n_columns columns; those of a data frame are put in the order of `columns`."""
    array = frames.in_order(numeric(values, name), values, columns, name)
    if array.ndim != 2:
        hint = "; one example is a row: use reshape(1, -1)" if array.ndim == 1 else ""
        raise ValueError(f"{name} must be 2-D with {n_columns} columns, got shape {array.shape}{hint}")
    if array.shape[1] != n_columns:
        raise ValueError(f"{name} must have {n_columns} columns, got {array.shape[1]} (shape {array.shape})")
    return array


def examples_of(values: Any, n_columns: int, name: str, columns: Names | None = None) -> Array:
    """Return the same as `rows`, with at least one row."""
    array = rows(values, n_columns, name, columns)
    if len(array) == 0:
        raise ValueError(f"{name} must have at least one row, got shape {array.shape}")
    return array


def finite(array: Array, name: str) -> Array:
    """Return the array itself; refuse one with NaN or infinity."""
    bad = ~np.isfinite(array)
    if bad.any():
        first = np.unravel_index(bad.argmax(), bad.shape)
        raise ValueError(f"{name} must be finite, got {array[first].item()!r} {place(first)}")
    return array


def weights(
    values: Any, m: int, dtype: DTypeLike, name: str = "sample_weight", numbers: NDArray[Any] | None = None
) -> Array | None:
    """Return weights of m examples: finite, at least 0, not all 0, with a sum that the dtype holds.

    `numbers` are the rows that messages name; None: 0, 1, 2, ….
    """
    if values is None:
        return None
    array = numeric(values, name)
    if array.shape != (m,):
        raise ValueError(f"{name} must have shape ({m},), got {array.shape}")
    converted = convert(array, dtype)
    least = 1 / float(np.finfo(converted.dtype).max)  # 1 / (sum of a minibatch's) must be finite
    good = (array == 0) | ((array > 0) & (converted >= least) & (converted < np.inf))
    if not good.all():
        row = int(good.argmin())
        wanted = wanted_weight(array[row].item(), converted[row].item(), least, np.dtype(dtype))
        where = f"in row {row if numbers is None else int(numbers[row])}"
        raise ValueError(f"{name} must {wanted}, got {array[row].item()!r} {where}")
    if not converted.any():
        raise ValueError(f"{name} must not be zero for all {m} examples")
    with np.errstate(over="ignore"):
        total = float(converted.sum(dtype=np.float64))
    most = float(np.finfo(converted.dtype).max)
    if total > most:
        raise ValueError(
            f"{name} must have a sum of at most {most:.2g}, which {np.dtype(dtype)} holds, got {total:.2g}; "
            f"divide by the largest"
        )
    return converted


def wanted_weight(value: float, converted: float, least: float, dtype: np.dtype[Any]) -> str:
    """Return what a weight should do instead, in words after "must"."""
    if not np.isfinite(value):
        return "be finite"
    if value < 0:
        return "not be negative"
    return f"fit into {dtype}" if np.isinf(converted) else f"be 0 or at least {least:.2g}"


@dataclass(frozen=True, slots=True)
class Examples:
    """What one call trains or evaluates on. All arrays but memory-mapped ones are ready for the kernels.

    Attributes
    ----------
    X : array, (m, s(1))
    Y : array, (m, s(L)), or None where there are labels
    labels : array of int32, (m,), or None
        Classes, for several outputs: the kernels take the targets of an example to be 1 at its label, else 0.
    weights : array, (m,), or None
    dtype : dtype
        The network's.
    given_X, given_Y : array
        As the caller gave them, for messages.
    name_X, name_Y : str
        What the caller calls them.
    limits : Limits
        What the loss asks of Y.
    feature_names : tuple of str, or None
        The names of the columns of X, in their order.
    own_loss : OwnLoss or None
        The user's loss, where the network has one: its errors take the place of Y, …
    losses : array of float64, (m,), or None
        … and these that of the losses.
    numbers : array, (m,), or None
        Their rows in given_X and given_Y; None: these are all rows.
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
    limits: Limits
    feature_names: Names | None
    own_loss: OwnLoss | None = None
    losses: NDArray[np.float64] | None = None
    numbers: NDArray[Any] | None = None

    @property
    def m(self) -> int:
        """The number of examples."""
        return len(self.X)

    @property
    def weight(self) -> float:
        """The sum of the weights, each of which is 1 where there are none."""
        return float(self.m) if self.weights is None else float(self.weights.sum(dtype=np.float64))

    @property
    def X_by_parts(self) -> bool:
        """Whether X must be converted part by part."""
        return not is_ready(self.X, self.dtype)

    @property
    def Y_by_parts(self) -> bool:
        """Whether Y must be converted part by part."""
        return self.Y is not None and not is_ready(self.Y, self.dtype)

    def take(self, numbers: NDArray[Any]) -> Examples:
        """Return some of the examples, copied. Messages name the rows that the caller gave."""
        return replace(
            self,
            X=self.X[numbers],
            Y=None if self.Y is None else self.Y[numbers],
            labels=None if self.labels is None else self.labels[numbers],
            weights=None if self.weights is None else self.weights[numbers],
            numbers=numbers,
        )

    def copied(self) -> Examples:
        """Return the examples in memory of their own."""
        found: dict[str, Any] = {"X": self.X.copy()}
        for name in ("Y", "weights"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name).copy()
        return replace(self, **found)

    def part(self, array: Array, chosen: Any) -> Array:
        """Return some rows of a memory-mapped array, converted for the kernels."""
        return convert(array[chosen], self.dtype)

    def refusal(self, kind: str, row: int, column: int) -> ValueError:
        """Return the error for a fault that a kernel found in a row of X or Y, or for an earlier row's."""
        first = faults.first_fault(self.X, self.Y, row + 1, self.limits, self.dtype)
        # No fault is found if the caller's array has changed meanwhile. Then the kernel's finding counts.
        kind, row, column = first or (kind, row, column)
        row = row if self.numbers is None else int(self.numbers[row])
        if kind.startswith("X"):
            name, given, columns = self.name_X, self.given_X, self.feature_names
        else:
            name, given, columns = self.name_Y, self.given_Y, None
        return faults.refusal(kind, name, given[row], row, column, self.dtype, columns, self.limits)


def examples(
    X: Any,
    Y: Any,
    sample_weight: Any,
    *,
    n_inputs: int,
    n_outputs: int,
    output: Named,
    dtype: np.dtype[Any],
    loss: Named | OwnLoss,
    feature_names: Names | None = None,
    names: tuple[str, str, str] = ("X", "Y", "sample_weight"),
    missing: bool = False,
) -> Examples:
    """Check and convert what a call was given; `feature_names` are the columns that a data frame must have.

    `missing` says that targets which are NaN are missing, and not faults.

    Raises
    ------
    TypeError
        If something does not hold real numbers.
    ValueError
        If a shape does not fit, there are no examples, columns have other names, a label is out of range or
        not whole, or weights are negative, not finite or all zero.
    """
    given_X = examples_of(X, n_inputs, names[0], feature_names)
    m = len(given_X)
    given_Y = targets(Y, m, n_outputs, output == "softmax", names[1])
    is_labels = given_Y.ndim == 1
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
        limits=limits(output, loss if isinstance(loss, (str, tuple)) else None, missing),
        own_loss=None if isinstance(loss, (str, tuple)) else loss,
        feature_names=feature_names,
    )


def joined(parts: Sequence[Examples]) -> Examples:
    """Return the examples of several batches, one after the other."""
    first = parts[0]
    forms = {(part.labels is None, part.weights is None) for part in parts}
    if len(forms) > 1:
        names = ", ".join(part.name_X for part in parts)
        raise ValueError(f"batches that are joined must be alike, in labels and weights: {names}")
    found: dict[str, Any] = {}
    for name in ("X", "Y", "labels", "weights", "given_X", "given_Y"):
        if getattr(first, name) is not None:
            found[name] = np.concatenate([getattr(part, name) for part in parts])
    return replace(first, **found)
