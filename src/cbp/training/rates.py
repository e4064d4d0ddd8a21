"""The learning rate of each step of an epoch, where it is not a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp.examples.conversion import Array
from cbp.metrics import Metric, is_maximized
from cbp.optimizers.base import Optimizer
from cbp.optimizers.rates import Schedule
from cbp.scalars import kind

if TYPE_CHECKING:
    from cbp.schedules.plateau import PlateauWatch


class Rates:
    """The rates of one training.

    Parameters
    ----------
    optimizer : Optimizer
    n_steps : int
        Steps of an epoch.
    epochs : int or None
        Epochs of the whole training, where they are known.
    before : int
        Steps before the training: those of the calls of `partial_fit` that it goes on from.
    """

    def __init__(self, optimizer: Optimizer, n_steps: int, epochs: int | None, before: int) -> None:
        self.rate: Any = optimizer.learning_rate
        self.n_steps, self.epochs, self.before = n_steps, epochs, before
        self.counted = True  # n_steps is exact, and not a part of an epoch whose length is unknown
        self.plateau: PlateauWatch | None = None  # of a `Plateau`

    def watch(
        self, names: Sequence[str], metrics: Sequence[Metric], seen: tuple[float, float, int, int] | None
    ) -> None:
        """Let a `Plateau` watch the epochs of the training; `seen` is what it saw before a break.

        `names` are those of what each epoch records, `metrics` the metrics among it.
        """
        if type(self.rate).__name__ != "Plateau":  # of the module that only then is imported already
            return
        from cbp.schedules.plateau import PlateauWatch
        from cbp.training.stopping import refuse_unrecorded

        monitor = self.rate.monitor or ("validation_loss" if "validation_loss" in names else "loss")
        refuse_unrecorded(monitor, names, "Plateau")
        self.plateau = PlateauWatch(self.rate, monitor, is_maximized(monitor, self.rate.mode, metrics))
        if seen is not None:
            self.plateau.state = seen

    def of_steps(self, first: int, n_steps: int, epoch: int) -> Array:
        """Return the rates of n_steps steps of an epoch, float64, (n_steps,).

        `first` is the number of the first step in the training, and `epoch` that of the epoch, both from 0.

        Raises
        ------
        TypeError, ValueError
            If a rate is not a number, or not at least 0 and finite.
        """
        if self.plateau is not None:
            return np.full(n_steps, self.plateau.rate)
        t = self.before + first + np.arange(n_steps)
        if not isinstance(self.rate, Schedule):
            return np.array([checked(self.rate(step), step) for step in t.tolist()])
        if self.rate.unit == "epoch":
            number = np.array([self.before // self.n_steps + epoch])
            found = np.full(n_steps, self.rate.at(number, self.epochs)[0])
        else:
            whole = (
                None if self.epochs is None or not self.counted else self.before + self.epochs * self.n_steps
            )
            found = self.rate.at(t, whole)
        good = np.isfinite(found) & (found >= 0)
        if not good.all():
            bad = int(good.argmin())
            checked(float(found[bad]), int(t[bad]))
        return found


def checked(value: Any, step: int) -> float:
    """Return a learning rate as a float, if it is one."""
    try:
        rate = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"learning_rate must return a number, got {kind(value)} for step {step}") from None
    if not (rate >= 0 and math.isfinite(rate)):
        raise ValueError(f"learning_rate must be at least 0 and finite, got {rate} at step {step}")
    return rate
