"""A schedule that looks at how training goes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cbp import scalars
from cbp.examples.conversion import Array, short
from cbp.optimizers.rates import Schedule


@dataclass(frozen=True, slots=True)
class Plateau(Schedule):
    """Multiply the rate by a factor when a value has not improved for some epochs: ``ReduceLROnPlateau``.

    Parameters
    ----------
    learning_rate : float
        The first rate, at least 0.
    factor : float, default 0.1
        Above 0 and below 1.
    patience : int, default 10
        Epochs without an improvement that are still waited for: after one more, the rate is reduced.
    threshold : float, default 1e-4
        How much better a value must be than the best, at least 0, …
    threshold_mode : {"rel", "abs"}, default "rel"
        … as a share of the best, or as a difference.
    cooldown : int, default 0
        Epochs after a reduction in which nothing is counted.
    min_lr : float, default 0.0
        The rate is not reduced below this.
    monitor : str, optional
        What should improve, as in `EarlyStopping`. Default: "validation_loss" if there is one, else "loss".
    mode : {"min", "max"}, optional
        Whether less or more is better. Default: that of the monitor.

    Examples
    --------
    >>> import cbp
    >>> cbp.schedules.Plateau(0.1, factor=0.5, patience=2).rates(2).tolist()
    [0.1, 0.1]
    """

    learning_rate: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    monitor: str | None = None
    mode: str | None = None

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        scalars.real(self.factor, "factor", least=0, below=1, above=True)
        scalars.count(self.patience, "patience", least=0)
        scalars.count(self.cooldown, "cooldown", least=0)
        if self.threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold_mode must be 'rel' or 'abs', got {short(self.threshold_mode)}")
        if self.mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min', 'max' or None, got {short(self.mode)}")

    def at(self, t: Array, whole: int | None) -> Array:  # noqa: D102
        return np.full(len(t), float(self.learning_rate))


class PlateauWatch:
    """What a `Plateau` has seen in one training.

    Parameters
    ----------
    rule : Plateau
    monitor : str
        What should improve.
    maximize : bool
        Whether more of it is better.
    """

    def __init__(self, rule: Plateau, monitor: str, maximize: bool) -> None:
        self.rule, self.monitor, self.maximize = rule, monitor, maximize
        self.rate = float(rule.learning_rate)
        self.best = -math.inf if maximize else math.inf
        self.bad = 0  # epochs without an improvement
        self.resting = 0  # epochs of the cooldown that are left

    def see(self, value: float) -> None:
        """Take notice of the value after an epoch, and reduce the rate if it is time to."""
        rule = self.rule
        if self.improves(value):
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.resting > 0:
            self.resting, self.bad = self.resting - 1, 0
        if self.bad > rule.patience:
            self.rate = max(self.rate * rule.factor, float(rule.min_lr))
            self.resting, self.bad = rule.cooldown, 0

    def improves(self, value: float) -> bool:
        """Return whether a value is better than the best by more than the threshold, or the first finite."""
        if math.isinf(self.best):
            return math.isfinite(value)
        margin = abs(self.best) if self.rule.threshold_mode == "rel" else 1.0
        gain = value - self.best if self.maximize else self.best - value
        return gain > self.rule.threshold * margin

    @property
    def state(self) -> tuple[float, float, int, int]:
        """All that it has kept."""
        return self.rate, self.best, self.bad, self.resting

    @state.setter
    def state(self, value: tuple[float, float, int, int]) -> None:
        self.rate, self.best, self.bad, self.resting = value
