"""What a network predicts, a class or a number: encoded for the network, and decoded from its outputs."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cbp.tabular.choices import Task, listed

Label = str | int | float | bool

# A target of whole numbers is classes if it has at most so many distinct values, and so many rows for each.
MOST_NUMBERED_CLASSES = 20
ROWS_PER_NUMBERED_CLASS = 10


@dataclass(frozen=True)
class Classes:
    """A target with classes, for a softmax output that has a unit for each label, in the order of the labels.

    Examples
    --------
    >>> classes = Classes("animal", ["cat", "dog"])
    >>> classes.encode(["dog", "cat"]), classes.decode([[0.3, 0.7]])
    (array([1, 0]), ['dog'])
    """

    name: str
    labels: list[Label]

    output: ClassVar[str] = "softmax"

    @property
    def width(self) -> int:
        """How many outputs the network has."""
        return len(self.labels)

    def encode(self, values: ArrayLike, where: str | None = None) -> NDArray[Any]:
        """Return integer labels of shape (m,); ValueError for a value that is none of the classes."""
        where = where or f"column {self.name!r}"
        place = {label: k for k, label in enumerate(self.labels)}
        found = np.asarray(values).tolist()
        for row, label in enumerate(found):
            if label not in place:
                raise ValueError(f"{where}, row {row + 1}: {label!r} is none of the classes {listed(place)}")
        return np.array([place[label] for label in found], np.intp)

    def decode(self, outputs: ArrayLike) -> list[Label]:
        """Return the most probable class for each row of a network's outputs, of shape (m, ``width``)."""
        return [self.labels[k] for k in np.argmax(outputs, axis=1)]


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
        # Outputs are exact to about eps, so the numbers are exact to scale times eps, however large the mean
        # is. Digits beyond that are noise, and are rounded off.
        eps = np.finfo(outputs.dtype).eps
        decimals = -math.floor(math.log10(self.scale) + math.log10(eps))
        return [round(y, decimals) for y in found.tolist()]


Target = Classes | Quantity


def fit_target(name: str, values: ArrayLike, task: Task | None = None, where: str = "") -> Target:
    """Decide whether a target is classes or numbers, and learn the labels or the scale.

    Text and booleans are classes. So are whole numbers if there are just two different ones, or at most 20
    with ten rows or more for each on average. Other numbers are quantities. If ``task`` is given, it decides
    instead. Raise ValueError for a target that is unfit for the task: text for regression, a single class,
    dates and so on.

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
    kind = "text" if values.dtype.kind in "bOU" else "numbers"
    found = values if values.dtype.kind in "bOUiu" else numbers(where, values)
    different = np.unique(found).tolist()
    most = max(2, min(MOST_NUMBERED_CLASSES, len(found) // ROWS_PER_NUMBERED_CLASS))
    if task is None and kind == "numbers" and (len(different) > most or (found % 1).any()):
        task = "regression"
    if task == "regression":
        return Quantity(name, *map(float, standard(where, numbers(where, values))))
    # The label of a whole number is an int, even if the file writes 1.0.
    different = [int(y) if isinstance(y, float) and y.is_integer() else y for y in different]
    if is_running_text(len(different), len(values)):
        counts = f"{len(different)} values in {len(values)} rows"
        raise ValueError(f"{where} holds {kind} and not classes: {counts}{hint}")
    if len(different) == 1:
        raise ValueError(f"{where} is {different[0]!r} in every row: there is nothing to tell apart{hint}")
    return Classes(name, different)


def is_running_text(different: int, rows: int) -> bool:
    """Return whether so many texts differ that they must be names or remarks, and no categories."""
    return different > max(20, rows / 2)


def standard(where: str, values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation of each column; the latter is 1 for a constant column."""
    least, most = values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64)
    with np.errstate(over="ignore"):
        if not np.isfinite(most - least).all():
            raise ValueError(f"{where}: the numbers are too large to be scaled")
    # The values are first divided by a power of two, which is exact, because the squares of tiny or huge
    # numbers would underflow or overflow.
    _, exponent = np.frexp(np.maximum(np.abs(least), np.abs(most)))
    near_one = np.ldexp(values.astype(np.float64), -exponent)
    mean, scale = (np.ldexp(moment, exponent) for moment in (near_one.mean(axis=0), near_one.std(axis=0)))
    # A constant column is recognised by its values, not by a deviation of 0: the mean of equal numbers can
    # have a rounding error, and then their deviation is not 0.
    constant = least == most
    return np.where(constant, values[0], mean), np.where(constant | (scale == 0), 1.0, scale)


def numbers(where: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the values as doubles; ValueError for text, and for a value that is missing or infinite."""
    if values.dtype.kind in "OU":
        raise ValueError(f"{where} holds text ({listed(values[:2].tolist())}, ...), where numbers are needed")
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{where} holds {values.dtype}, which is neither numbers nor text")
    found = values.astype(np.float64)
    for kind, wrong in (("missing", np.isnan(found)), ("infinite", np.isinf(found))):
        if wrong.any():
            raise ValueError(f"{where}, row {np.argmax(wrong) + 1}: {kind} value")
    return found
