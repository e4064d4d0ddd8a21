"""Schedules that fall: by steps, exponentially, by a power of t; and one that stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cbp.examples.conversion import Array
from cbp.optimizers.rates import Schedule


@dataclass(frozen=True, slots=True)
class Constant(Schedule):
    """The same rate in each step.

    Examples
    --------
    >>> import cbp
    >>> cbp.schedules.Constant(0.1).rates(3).tolist()
    [0.1, 0.1, 0.1]
    """

    learning_rate: float

    def at(self, t: Array, whole: int | None) -> Array:  # noqa: D102
        return np.full(len(t), float(self.learning_rate))


@dataclass(frozen=True, slots=True)
class StepDecay(Schedule):
    """learning_rate · gamma^⌊t / step_size⌋, PyTorch's ``StepLR``.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    step_size : int
        Steps between two changes, at least 1.
    gamma : float, default 0.1
        Factor of each change, at least 0.
    per : {"step", "epoch"}, default "step"
        What t counts.

    Examples
    --------
    >>> import cbp
    >>> cbp.schedules.StepDecay(1.0, step_size=2, gamma=0.5).rates(5).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    learning_rate: float
    step_size: int
    gamma: float = 0.1
    per: str = "step"

    def at(self, t: Array, whole: int | None) -> Array:  # noqa: D102
        return np.asarray(self.learning_rate * float(self.gamma) ** (t // self.step_size))


@dataclass(frozen=True, slots=True)
class Exponential(Schedule):
    """learning_rate · gamma^t, PyTorch's ``ExponentialLR``.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    gamma : float
        At least 0.
    per : {"step", "epoch"}, default "step"
        What t counts.

    Examples
    --------
    >>> import cbp
    >>> cbp.schedules.Exponential(1.0, gamma=0.5).rates(3).tolist()
    [1.0, 0.5, 0.25]
    """

    learning_rate: float
    gamma: float
    per: str = "step"

    def at(self, t: Array, whole: int | None) -> Array:  # noqa: D102
        return np.asarray(self.learning_rate * float(self.gamma) ** t)


@dataclass(frozen=True, slots=True)
class InverseScaling(Schedule):
    """learning_rate / (t + 1)^power.

    scikit-learn's "invscaling" is the same, but that its t counts examples, and changes after each epoch.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    power : float, default 0.5
        At least 0.
    per : {"step", "epoch"}, default "step"
        What t counts.

    Examples
    --------
    >>> import cbp
    >>> cbp.schedules.InverseScaling(1.0, power=1.0).rates(4).round(3).tolist()
    [1.0, 0.5, 0.333, 0.25]
    """

    learning_rate: float
    power: float = 0.5
    per: str = "step"

    def at(self, t: Array, whole: int | None) -> Array:  # noqa: D102
        return np.asarray(self.learning_rate / (t + 1.0) ** self.power)


@dataclass(frozen=True, slots=True)
class Polynomial(Schedule):
    """learning_rate · (1 − t / total_iters)^power until total_iters, then 0; PyTorch's ``PolynomialLR``.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    total_iters : int, optional
        At least 1. Default: the length of the whole training.
    power : float, default 1.0
        At least 0.
    per : {"step", "epoch"}, default "step"
        What t counts.

    Examples
    --------
    >>> import cbp
    >>> cbp.schedules.Polynomial(1.0).rates(4).tolist()
    [1.0, 0.75, 0.5, 0.25]
    """

    learning_rate: float
    total_iters: int | None = None
    power: float = 1.0
    per: str = "step"

    def at(self, t: Array, whole: int | None) -> Array:  # noqa: D102
        n = self.length("total_iters", whole)
        return np.asarray(self.learning_rate * (1 - np.minimum(t, n) / n) ** self.power)
