"""What a network is asked for: one of some classes, or a number; encoded for training, decoded for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cbp.tabular.cells import Label, is_text, labels, listed, numbers, refuse_text, standard

__all__ = ["Classes", "Quantity", "Target", "Task", "fit_target"]

Task = Literal["classification", "regression"]

# A target of whole numbers means classes if it has at most this many values, and this many rows for each.
MOST_NUMBERED_CLASSES = 20
ROWS_PER_NUMBERED_CLASS = 10


@dataclass(frozen=True)
class Classes:
    """A target that is one of some classes, for a softmax output with a unit for each.

    Parameters
    ----------
    name : str
        What the target is called.
    labels : list of str, int, float or bool
        The classes, in the order of the outputs.

    Examples
    --------
    >>> classes = Classes("animal", ["cat", "dog"])
    >>> classes.encode(["dog", "cat"])
    array([1, 0])
    >>> classes.decode([[0.3, 0.7]])
    ['dog']
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
        """Return integer labels of shape (m,).

        Raises
        ------
        ValueError
            If a value is missing, or is none of the classes.
        """
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
        return f"accuracy {np.mean(right):.2%} ({np.count_nonzero(right):,} of {right.size:,})"

    @property
    def summary(self) -> str:
        """What is asked for, in words."""
        return f"{self.width} classes, {listed(self.labels)}"


@dataclass(frozen=True)
class Quantity:
    """A target that is a number, standardised for training, for one identity output.

    Parameters
    ----------
    name : str
        What the target is called.
    mean, scale : float
        The network learns ``(y - mean) / scale``.

    Examples
    --------
    >>> price = Quantity("price", mean=100.0, scale=20.0)
    >>> price.encode([120.0, 90.0])
    array([[ 1. ],
           [-0.5]])
    >>> price.decode([[2.0]])
    [140.0]
    """

    name: str
    mean: float
    scale: float

    task: ClassVar[Task] = "regression"
    output: ClassVar[str] = "identity"
    width: ClassVar[int] = 1

    def encode(self, values: ArrayLike, where: str | None = None) -> NDArray[Any]:
        """Return standardised targets of shape (m, 1).

        Raises
        ------
        ValueError
            If a value is missing, infinite or no number.
        """
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
    *,
    task: Task | None = None,
    rows: NDArray[np.intp] | None = None,
    where: str | None = None,
) -> Target:
    """Recognise classes or numbers in a target, and learn their names or their scale.

    Text and booleans are classes. So are whole numbers if there are at most 20 different ones with ten rows
    or more for each on average, or just two. Other numbers are quantities.

    Parameters
    ----------
    name : str
        What the target is called.
    values : array_like, shape (m,)
        The target of every example.
    task : {"classification", "regression"}, optional
        Decides instead of the rule above.
    rows : array of int, optional
        The training rows, from which a quantity's scale is learnt; the names of classes are taken from all.
    where : str, optional
        What error messages call the target; by default "column" and its name.

    Raises
    ------
    ValueError
        If a value is missing, or the target is unfit for the task: text for regression, one class alone, text
        that differs from row to row.

    Examples
    --------
    >>> fit_target("animal", ["dog", "cat", "dog"])
    Classes(name='animal', labels=['cat', 'dog'])
    >>> fit_target("weight", [2.0, 2.5, 1.5, 2.0, 2.5, 1.5])
    Quantity(name='weight', mean=2.0, scale=0.408248290463863)
    """
    values = np.asarray(values)
    where = where or f"column {name!r}"
    if not values.size:
        raise ValueError(f"{where} is empty")
    if task == "regression" or (task is None and not means_classes(where, values)):
        found = numbers(where, values)
        return Quantity(name, *map(float, standard(where, found if rows is None else found[rows])))
    return Classes(name, classes_of(where, values))


def means_classes(where: str, values: NDArray[Any]) -> bool:
    """Return whether a target looks like classes: text, booleans, or few whole numbers."""
    if is_text(where, values):
        return True
    found = numbers(where, values)
    if not np.array_equal(found, np.round(found)):
        return False
    count = len(np.unique(found))
    return count <= max(2, min(MOST_NUMBERED_CLASSES, len(found) // ROWS_PER_NUMBERED_CLASS))


def classes_of(where: str, values: NDArray[Any]) -> list[Label]:
    """Return the classes of a target, sorted."""
    found = labels(where, values)
    different = set(found)
    if is_text(where, values):
        refuse_text(where, [str(label) for label in found])
    elif len(different) > max(MOST_NUMBERED_CLASSES, len(found) / 2):
        raise ValueError(f"{where} holds numbers, not classes: {len(different)} values in {len(found)} rows")
    if len(different) == 1:
        raise ValueError(f"{where} is {found[0]!r} in every row: there is nothing to tell apart")
    return sorted(different)
