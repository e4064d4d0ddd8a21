"""What a network is asked for: one of some classes, or a number; encoded for training, decoded for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cbp.tabular.cells import Label, is_running_text, is_text, labels, listed, numbers, standard
from cbp.tabular.choices import Task

__all__ = ["Classes", "Quantity", "Target", "fit_target"]

# A target of whole numbers means classes if it has at most this many values, and this many rows for each.
MOST_NUMBERED_CLASSES = 20
ROWS_PER_NUMBERED_CLASS = 10


@dataclass(frozen=True)
class Classes:
    """A target that is one of some classes, for a softmax output with a unit for each, in this order.

    Examples
    --------
    >>> classes = Classes("animal", ["cat", "dog"])
    >>> classes.encode(["dog", "cat"]), classes.decode([[0.3, 0.7]])
    (array([1, 0]), ['dog'])
    """

    name: str
    labels: list[Label]

    task: ClassVar[Task] = "classification"
    output: ClassVar[str] = "softmax"

    @property
    def width(self) -> int:
        """How many outputs the network has."""
        return len(self.labels)

    def encode(self, values: ArrayLike, where: str | None = None) -> NDArray[Any]:
        """Return integer labels of shape (m,); ValueError for a value that is none of the classes."""
        where = where or f"column {self.name!r}"
        place = {label: k for k, label in enumerate(self.labels)}
        codes = np.empty(np.shape(values), np.intp)
        for row, label in enumerate(labels(where, np.asarray(values))):
            if label not in place:
                raise ValueError(f"{where}, row {row + 1}: {label!r} is none of the classes {listed(place)}")
            codes[row] = place[label]
        return codes

    def decode(self, outputs: ArrayLike) -> list[Label]:
        """Return the most probable class for each row of a network's outputs, of shape (m, ``width``)."""
        return [self.labels[k] for k in np.argmax(outputs, axis=1)]

    def score(self, outputs: ArrayLike, targets: ArrayLike) -> str:
        """Return in words how many of a network's outputs are right; ``targets`` are encoded."""
        right = np.argmax(outputs, axis=1) == np.asarray(targets)
        # Rounded down: 100 % is all of them.
        share = np.floor(10_000 * np.mean(right)) / 100
        return f"accuracy {share:.2f}% ({np.count_nonzero(right):,} of {right.size:,})"

    @property
    def summary(self) -> str:
        """What is asked for, in words."""
        return f"{self.width} classes, {listed(self.labels)}"


@dataclass(frozen=True)
class Quantity:
    """A target that is a number, for one identity output: the network learns ``(y - mean) / scale``.

    Examples
    --------
    >>> price = Quantity("price", mean=100.0, scale=20.0)
    >>> price.encode([120.0]), price.decode([[2.0]])
    (array([[1.]]), [140.0])
    """

    name: str
    mean: float
    scale: float

    task: ClassVar[Task] = "regression"
    output: ClassVar[str] = "identity"
    width: ClassVar[int] = 1

    def encode(self, values: ArrayLike, where: str | None = None) -> NDArray[Any]:
        """Return standardised targets of shape (m, 1); ValueError for a value that is not a finite number."""
        found = numbers(where or f"column {self.name!r}", np.asarray(values))
        return ((found - self.mean) / self.scale)[:, np.newaxis]

    def decode(self, outputs: ArrayLike) -> list[float]:
        """Return the number that each row of a network's outputs, of shape (m, 1), stands for."""
        outputs = np.asarray(outputs)
        found = self.mean + self.scale * outputs[:, 0].astype(np.float64)
        # In the precision of the network: further digits would be noise.
        return [float(str(y)) for y in found.astype(outputs.dtype)]

    def score(self, outputs: ArrayLike, targets: ArrayLike) -> str:
        """Return in words the error of a network's outputs, in the target's own unit; targets are encoded."""
        outputs, targets = np.asarray(outputs, np.float64), np.asarray(targets, np.float64)
        error, spread = float(np.mean((outputs - targets) ** 2)), float(np.var(targets))
        explained = f"{1 - error / spread:.4f}" if spread else "undefined (all targets are equal)"
        return f"RMSE {self.scale * error**0.5:.4g}, R² {explained}"

    @property
    def summary(self) -> str:
        """What is asked for, in words."""
        return f"a number, {self.mean:.4g} on average"


Target = Classes | Quantity


def fit_target(
    name: str,
    values: ArrayLike,
    task: Task | None = None,
    rows: NDArray[np.intp] | None = None,
    where: str = "",
) -> Target:
    """Recognise classes or numbers in a target, and learn their names from all rows or their scale from some.

    Text and booleans are classes. So are whole numbers if there are at most 20 different ones with ten rows
    or more for each on average, or just two. Other numbers are quantities. ``task`` decides instead.
    ValueError for a target that is unfit for the task: text for regression, one class alone, dates and so on.

    Examples
    --------
    >>> fit_target("animal", ["dog", "cat", "dog"])
    Classes(name='animal', labels=['cat', 'dog'])
    """
    values = np.asarray(values)
    hint = "" if where else " (--target NAME chooses another)"
    where = where or f"column {name!r}"
    if not values.size:
        raise ValueError(f"{where} is empty")
    if values.dtype.kind == "M":
        raise ValueError(f"{where} holds dates, which are not predicted{hint}")
    kind = "text" if is_text(where, values) else "numbers"
    found = values if kind == "text" and task != "regression" else numbers(where, values)
    most = max(2, min(MOST_NUMBERED_CLASSES, len(found) // ROWS_PER_NUMBERED_CLASS))
    if task != "classification" and kind == "numbers" and (len(np.unique(found)) > most or (found % 1).any()):
        task = "regression"
    if task == "regression":
        return Quantity(name, *map(float, standard(where, found if rows is None else found[rows])))
    different = set(labels(where, values))
    if is_running_text(len(different), len(values)):
        counts = f"{len(different)} values in {len(values)} rows"
        raise ValueError(f"{where} holds {kind} and not classes: {counts}{hint}")
    if len(different) == 1:
        raise ValueError(f"{where} is {different.pop()!r} in every row: there is nothing to tell apart{hint}")
    return Classes(name, sorted(different))
