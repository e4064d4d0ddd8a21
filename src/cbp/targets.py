"""Targets: numbers, or labels of classes where there is an output for each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbp.conversion import Array, numeric


def targets(values: Any, m: int, n_outputs: int, softmax: bool, name: str, *, labels: bool = True) -> Array:
    """Targets of m examples: labels, int32 and (m,), or numbers, (m, n_outputs), in whatever dtype they come.

    What is 1-D means labels, unless there is a single output. `labels`: whether they will do.
    """
    array = numeric(values, name)
    numbers = f"({m}, {n_outputs})"
    if n_outputs == 1:
        if array.shape not in ((m,), (m, 1)):
            raise ValueError(f"{name} must have shape ({m},) or {numbers}, got {array.shape}")
        return array.reshape(m, 1)
    if array.shape == (m, n_outputs):
        return array
    if array.shape == (m,) and labels:
        return class_labels(
            array, n_outputs, name, f"{'probabilities' if softmax else 'numbers'} need shape {numbers}"
        )
    hint = ""
    if array.shape == ((m, 1) if labels else (m,)):
        hint = "; class labels need .ravel()" if labels else "; class labels are for accuracy"
    raise ValueError(
        f"{name} must have shape {expected(m, numbers, softmax, labels)}, got {array.shape}{hint}"
    )


def expected(m: int, numbers: str, softmax: bool, labels: bool) -> str:
    """The shapes that targets of several outputs may have, in words."""
    if not labels:
        return numbers
    return f"({m},) class labels or {numbers} {'probabilities' if softmax else 'numbers'}"


def class_labels(array: Array, n_classes: int, name: str, otherwise: str) -> NDArray[np.int32]:
    """Class labels 0 … n_classes - 1; `otherwise` says what else there might be in their place."""
    refuse_others(array, array, n_classes, name, otherwise)
    # Always a copy: kernels take labels for places in memory, and the caller may write into his any time.
    with np.errstate(invalid="ignore"):
        copied = np.array(array, dtype=np.int32, order="C")
    refuse_others(copied, array, n_classes, name, otherwise)
    return copied


def refuse_others(found: Array, given: Array, n_classes: int, name: str, otherwise: str) -> None:
    """Refuse the first that is not a class label. `given` is what came, for the message."""
    good = (found >= 0) & (found < n_classes)  # not where it is NaN
    if found.dtype.kind == "f":
        good &= found == np.floor(found)
    if good.all():
        return
    row = int(np.argmin(good))
    from_one = found.min() == 1 and found.max() == n_classes
    value = given[row].item()
    raise ValueError(
        f"{name} must hold {'' if value == value // 1 else 'whole '}class labels from 0 to {n_classes - 1}, "
        f"got {value!r} in row {row}; "
        f"{'labels count from 0: subtract 1' if from_one else otherwise}"
    )
