"""Targets: numbers or, where there is an output for each class, labels of classes."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cbp.examples.conversion import Array, numeric


def one_hot(labels: NDArray[np.int32], n_outputs: int, dtype: DTypeLike) -> Array:
    """Return labels as rows with a 1 at the label, else 0."""
    rows = np.zeros((len(labels), n_outputs), dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows


def targets(values: Any, m: int, n_outputs: int, softmax: bool, name: str, *, labels: bool = True) -> Array:
    """Return targets: labels, int32, (m,), or numbers, (m, n_outputs), in the dtype that they have.

    A 1-D array is labels, unless there is a single output. `labels`: whether labels are allowed.
    """
    array = numeric(values, name)
    numbers, kind = f"({m}, {n_outputs})", "probabilities" if softmax else "numbers"
    if n_outputs == 1:
        if array.shape not in ((m,), (m, 1)):
            raise ValueError(f"{name} must have shape ({m},) or {numbers}, got {array.shape}")
        return array.reshape(m, 1)
    if array.shape == (m, n_outputs):
        return array
    if array.shape == (m,) and labels:
        meaning = f"shape ({m},) means labels, shape {numbers} {kind}"
        return class_labels(array, n_outputs, name, meaning)
    hint = ""
    if array.shape == ((m, 1) if labels else (m,)):
        hint = "; class labels need .ravel()" if labels else "; class labels are for accuracy"
    raise ValueError(
        f"{name} must have shape {f'({m},) class labels or {numbers} {kind}' if labels else numbers}, "
        f"got {array.shape}{hint}"
    )


def class_labels(array: Array, n_classes: int, name: str, meaning: str) -> NDArray[np.int32]:
    """Return class labels 0 … n_classes - 1; `meaning` says why the array was taken for labels."""
    if not within(array, n_classes):
        refuse_others(array, array, n_classes, name, meaning)
    # Always a copy: kernels use labels as offsets in memory, and the caller may write into the array.
    with np.errstate(invalid="ignore"):
        copied = np.array(array, dtype=np.int32, order="C")
    if not within(copied, n_classes):
        refuse_others(copied, array, n_classes, name, meaning)
    return copied


def within(array: Array, n_classes: int) -> bool:
    """Whether an array of whole numbers holds labels alone; this is quicker than to look for others."""
    return array.dtype.kind in "iu" and len(array) > 0 and bool(array.min() >= 0 and array.max() < n_classes)


def refuse_others(found: Array, given: Array, n_classes: int, name: str, meaning: str) -> None:
    """Refuse the first value that is not a class label. `given` is the caller's array, for the message."""
    good = (found >= 0) & (found < n_classes)  # False for NaN
    if found.dtype.kind == "f":
        good &= found == np.floor(found)
    if good.all():
        return
    row = int(np.argmin(good))
    hint = "; labels count from 0: subtract 1" if found.min() == 1 and found.max() == n_classes else ""
    value = given[row].item()
    raise ValueError(
        f"{name} must hold {'' if value == value // 1 else 'whole '}class labels from 0 to {n_classes - 1}, "
        f"got {value!r} in row {row}; {meaning}{hint}"
    )
