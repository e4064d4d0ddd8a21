"""Metrics: numbers that `fit` records besides the losses, as scikit-learn defines them.

A metric is a function of the targets Y, labels (m,) or numbers (m, s(L)), the outputs (m, s(L)), and the
weights (m,) or None. Classes are those of `Network.predict_labels`: with softmax outputs, or with labels, the
largest output; else, for sigmoid, each output is a class of its own, which is there if it is at least ½.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cbp import scores
from cbp.examples.arrays import Examples
from cbp.examples.conversion import Array, short
from cbp.functions import Named
from cbp.scalars import kind

# The names of the other columns of a history.
RESERVED = ("epoch", "loss", "validation_loss", "seconds", "examples_per_second", "learning_rate")


class Row(NamedTuple):
    """A named metric.

    Attributes
    ----------
    formula : str
    value : callable
        Takes Y, outputs and weights in float64, and whether classes exclude each other.
    larger : bool
        Whether more is better.
    classes : bool
        Whether it is for classes; else for numbers.
    """

    formula: str
    value: Callable[[Array, Array, Array | None, bool], float]
    larger: bool
    classes: bool


class Metric(NamedTuple):
    """A metric that a training records: its name and its function, and its row if it is one of cbp's."""

    name: str
    function: Callable[..., Any]
    row: Row | None


def r2(Y: Array, a: Array, w: Array | None, exclusive: bool) -> float:
    """Return R², or NaN where there are less than two examples."""
    return scores.r2(a, Y, w) if (len(Y) if w is None else np.count_nonzero(w)) > 1 else math.nan


def mae(Y: Array, a: Array, w: Array | None, exclusive: bool) -> float:
    """Return the mean of |y - a|."""
    return float(np.average(np.abs(Y - a), axis=0, weights=w).mean())


def rmse(Y: Array, a: Array, w: Array | None, exclusive: bool) -> float:
    """Return the mean over the outputs of the root of the mean of (y - a)²."""
    return float(np.sqrt(np.average((Y - a) ** 2, axis=0, weights=w)).mean())


def accuracy(Y: Array, a: Array, w: Array | None, exclusive: bool) -> float:
    """Return the share of right answers."""
    return scores.accuracy(a, Y, exclusive, w)


def present(Y: Array, n: int) -> Array:
    """Return which classes each example is of, bool, (m, n)."""
    return np.asarray(Y[:, None] == np.arange(n) if Y.ndim == 1 else Y >= 0.5)


def auc(Y: Array, a: Array, w: Array | None, exclusive: bool) -> float:
    """Return the mean over the classes of the area under the ROC curve, each class against the others."""
    found = present(Y, a.shape[1])
    columns = [1] if exclusive and a.shape[1] == 2 else range(a.shape[1])
    return float(np.mean([area(found[:, j], a[:, j], w) for j in columns]))


def area(positive: Array, score: Array, w: Array | None) -> float:
    """Return the share of pairs of a positive and a negative example that the score puts in order.

    A pair of equal scores counts half. Without positive or negative examples the area is NaN.
    """
    w = np.ones(len(score)) if w is None else w
    values, place = np.unique(score, return_inverse=True)
    up = np.bincount(place, w * positive, len(values))
    down = np.bincount(place, w * ~positive, len(values))
    pairs = up.sum() * down.sum()
    below = np.cumsum(down) - down / 2
    return float(up @ below / pairs) if pairs > 0 else math.nan


def f1(Y: Array, a: Array, w: Array | None, exclusive: bool) -> float:
    """Return 2 · right / (given + found) of class 1 of two, else its mean over the classes; 0 for 0 / 0."""
    n = a.shape[1]
    given = present(Y, n)
    found = a.argmax(axis=1)[:, None] == np.arange(n) if exclusive else a >= 0.5
    w = np.ones(len(a)) if w is None else w
    right, both = w @ (given & found), w @ given + w @ found
    each = np.divide(2 * right, both, out=np.zeros(n), where=both > 0)
    if exclusive and n == 2:
        return float(each[1])
    seen = (given | found).any(axis=0) if exclusive else np.ones(n, bool)
    return float(each[seen].mean())


METRICS: Mapping[str, Row] = {
    "accuracy": Row("share of right answers, as Network.accuracy", accuracy, True, True),
    "r2": Row("1 - sum (y - a)^2 / sum (y - mean y)^2", r2, True, False),
    "mae": Row("mean |y - a|", mae, False, False),
    "rmse": Row("root of the mean of (y - a)^2", rmse, False, False),
    "auc": Row("area under the ROC curve, mean over classes", auc, True, True),
    "f1": Row("2 right / (given + found), mean over classes", f1, True, True),
}


def wanted(
    values: Iterable[Any], output: Named, examples: Examples, may_be_missing: bool
) -> tuple[Metric, ...]:
    """Return the metrics that `fit` is asked for, checked.

    Raises
    ------
    TypeError, ValueError
        If one is unknown, does not fit the output or the targets, or has the name of another.
    """
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(f"metrics must be an iterable of names and functions, got {short(values)}")
    found = tuple(metric(value, i) for i, value in enumerate(values))
    classes = examples.labels is not None or output in ("softmax", "sigmoid")
    fitting = [name for name, row in METRICS.items() if (classes if row.classes else examples.labels is None)]
    for i, each in enumerate(found):
        if each.row is not None and each.name not in fitting:
            raise ValueError(
                f"metrics[{i}] {each.name!r} does not fit the output {output!r} and these targets; "
                f"{', '.join(fitting)} do"
            )
        if each.row is not None and may_be_missing:
            raise ValueError(f"metrics[{i}] {each.name!r} needs all targets, and missing is 'ignore'")
        taken = (*RESERVED, *[other.name for other in found[:i]])
        if not each.name or each.name in taken or each.name.startswith("validation_"):
            raise ValueError(f"metrics[{i}] has the name {each.name!r}, which is taken")
    return found


def metric(value: Any, i: int) -> Metric:
    """Return a metric for a name, a function, or a name and a function."""
    if isinstance(value, str):
        if value not in METRICS:
            raise ValueError(
                f"metrics[{i}] must be one of {', '.join(METRICS)}, or a function, got {value!r}"
            )
        return Metric(value, METRICS[value].value, METRICS[value])
    pair = isinstance(value, (tuple, list)) and len(value) == 2 and isinstance(value[0], str)
    name, function = value if pair else (getattr(value, "__name__", type(value).__name__), value)
    if not callable(function):
        raise TypeError(f"metrics[{i}] must be a name, a function or both, got {short(value)}")
    return Metric(name, function, None)


def recorded(metrics: Sequence[Metric], *, validated: bool) -> tuple[str, ...]:
    """Return the names of what an epoch records."""
    names = ("loss", *(each.name for each in metrics))
    if not validated:
        return names
    return ("loss", "validation_loss", *names[1:], *(f"validation_{name}" for name in names[1:]))


def is_maximized(monitor: str, mode: str | None, metrics: Sequence[Metric]) -> bool:
    """Return whether more of what is monitored is better.

    Raises
    ------
    ValueError
        If it is a function's, and the mode is not given.
    """
    if mode is not None:
        return mode == "max"
    name = monitor.removeprefix("validation_")
    row = next((each for each in metrics if each.name == name), None)
    if row is not None and row.row is None:
        raise ValueError(f"mode must be 'min' or 'max' to monitor {monitor!r}, a function of your own")
    return row is not None and row.row is not None and row.row.larger


def evaluate(
    metrics: Sequence[Metric], examples: Examples, outputs: Array, exclusive: bool
) -> dict[str, float]:
    """Return the metrics of some examples' outputs, by name."""
    Y = examples.given_Y if examples.numbers is None else examples.given_Y[examples.numbers]
    w = None if examples.weights is None else examples.weights.astype(np.float64)
    exclusive = exclusive or Y.ndim == 1
    found = {}
    for each in metrics:
        if each.row is not None:
            wide = Y if Y.ndim == 1 else np.asarray(Y, np.float64)
            found[each.name] = each.function(wide, outputs.astype(np.float64), w, exclusive)
            continue
        value = each.function(Y, outputs, w)
        if isinstance(value, bool) or not isinstance(value, (numbers.Real, np.generic)):
            raise TypeError(f"the metric {each.name!r} must return a number, got {kind(value)}")
        found[each.name] = float(value)
    return found
