"""Schedules with a form: cosine, one cycle, and growth before another schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cbp import scalars
from cbp.examples.conversion import Array, short
from cbp.optimizers.rates import Schedule
from cbp.schedules.decays import Constant
from cbp.schedules.plateau import Plateau


@dataclass(frozen=True, slots=True)
class Cosine(Schedule):
    """From learning_rate to eta_min by half a cosine (Loshchilov and Hutter, 2017, arXiv:1608.03983).

    eta_min + (learning_rate − eta_min) (1 + cos(π t / T_max)) / 2, PyTorch's ``CosineAnnealingLR``. With T_0
    it restarts after T_0 steps, then after T_mult times as many, and so on: ``CosineAnnealingWarmRestarts``.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    T_max : int, optional
        At least 1. Default: the length of the whole training. Not together with T_0.
    eta_min : float, default 0.0
        At least 0.
    T_0, T_mult : int, optional and 1
        At least 1.
    per : {"step", "epoch"}, default "step"
        What t counts.

    Examples
    --------
    >>> import cbp
    >>> cbp.schedules.Cosine(1.0).rates(4).round(3).tolist()
    [1.0, 0.854, 0.5, 0.146]
    >>> cbp.schedules.Cosine(1.0, T_0=2).rates(4).round(3).tolist()
    [1.0, 0.5, 1.0, 0.5]
    """

    learning_rate: float
    T_max: int | None = None
    eta_min: float = 0.0
    T_0: int | None = None
    T_mult: int = 1
    per: str = "step"

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        if self.T_max is not None and self.T_0 is not None:
            raise ValueError(f"Cosine needs T_max or T_0, not both, got {self.T_max} and {self.T_0}")

    def at(self, t: Array, whole: int | None) -> Array:  # noqa: D102
        if self.T_0 is None:
            share = t / self.length("T_max", whole)
        else:
            starts, lengths = [0], [self.T_0]
            while len(t) and starts[-1] + lengths[-1] <= t[-1]:
                starts.append(starts[-1] + lengths[-1])
                lengths.append(lengths[-1] * self.T_mult)
            cycle = np.searchsorted(starts, t, side="right") - 1
            share = (t - np.array(starts)[cycle]) / np.array(lengths)[cycle]
        half = (self.learning_rate - self.eta_min) / 2
        return np.asarray(self.eta_min + half * (1 + np.cos(np.pi * share)))


@dataclass(frozen=True, slots=True)
class OneCycle(Schedule):
    """Up to max_lr, then down to almost nothing (L. N. Smith and N. Topin, 2018, arXiv:1708.07120).

    From max_lr / div_factor up to max_lr in the share pct_start of the steps, and down to
    max_lr / (div_factor · final_div_factor) in the others. With three_phase it comes down to where it began
    as fast as it rose, and falls to the last rate then. PyTorch's ``OneCycleLR``.

    Parameters
    ----------
    max_lr : float
        The largest rate, at least 0.
    total_steps : int, optional
        At least 1; the last rate stays after them. Default: the length of the whole training.
    pct_start : float, default 0.3
        From 0 to 1.
    anneal_strategy : {"cos", "linear"}, default "cos"
        The form of the curve.
    div_factor, final_div_factor : float, default 25 and 1e4
        Above 0.
    three_phase : bool, default False
        Whether it falls in two phases.

    Examples
    --------
    >>> import cbp
    >>> cbp.schedules.OneCycle(1.0, pct_start=0.6, anneal_strategy="linear").rates(5).round(2).tolist()
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """

    max_lr: float
    total_steps: int | None = None
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        if scalars.non_negative(self.pct_start, "pct_start") > 1:
            raise ValueError(f"pct_start must be from 0 to 1, got {self.pct_start}")
        if self.anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', got {short(self.anneal_strategy)}")
        scalars.flag(self.three_phase, "three_phase")

    def at(self, t: Array, whole: int | None) -> Array:  # noqa: D102
        n = self.length("total_steps", whole)
        first, up = self.max_lr / self.div_factor, self.pct_start * n - 1.0
        ends, values = [up, n - 1.0], [first, self.max_lr, first / self.final_div_factor]
        if self.three_phase:
            ends, values = (
                [up, 2 * up, n - 1.0],
                [first, self.max_lr, first, values[-1]],
            )
        t = np.minimum(t, n - 1).astype(np.float64)
        found, start = np.empty(len(t)), 0.0
        left = np.ones(len(t), bool)  # steps that are in no phase yet
        for end, low, high in zip(ends, values, values[1:], strict=False):
            here = left & (t <= end)
            found[here] = self.between(low, high, (t[here] - start) / (end - start or 1.0))
            left, start = left & ~here, end
        return found

    def between(self, low: float, high: float, share: Array) -> Array:
        """Return the rates at shares of the way from one to another."""
        if self.anneal_strategy == "linear":
            return np.asarray(low + (high - low) * share)
        return np.asarray(high + (low - high) / 2 * (1 + np.cos(np.pi * share)))


@dataclass(frozen=True, slots=True)
class WarmUp(Schedule):
    """Linear growth before another schedule: r (t + 1) / steps for t < steps, where r is its first rate.

    Parameters
    ----------
    steps : int
        At least 1.
    then : Schedule or float
        What follows, beginning with its t = 0; its length is that of the rest of the training.

    Examples
    --------
    >>> import cbp
    >>> cbp.schedules.WarmUp(4, 1.0).rates(6).tolist()
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """

    steps: int
    then: Schedule | float

    def __post_init__(self) -> None:
        scalars.count(self.steps, "steps", least=1)
        if not isinstance(self.then, Schedule):
            scalars.non_negative(self.then, "then")
        elif self.then.unit != "step" or isinstance(self.then, Plateau):
            raise ValueError(f"then must be a schedule by steps, or a number, got {self.then}")

    @property
    def largest(self) -> float:
        """The largest rate of what follows."""
        return self.then.largest if isinstance(self.then, Schedule) else float(self.then)

    def at(self, t: Array, whole: int | None) -> Array:  # noqa: D102
        then = self.then if isinstance(self.then, Schedule) else Constant(self.then)
        rest = None if whole is None else max(1, whole - self.steps)
        later = then.at(np.maximum(t - self.steps, 0), rest)
        first = float(then.at(np.zeros(1, np.int64), rest)[0])
        return np.asarray(np.where(t < self.steps, first * (t + 1) / self.steps, later))
