"""When training stops before its last epoch: early stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cbp import scalars
from cbp.examples.conversion import Array, short
from cbp.metrics import Metric, is_maximized
from cbp.training.record import Epoch


@dataclass(frozen=True)
class EarlyStopping:
    """Stop training when a quantity has not improved for some epochs, and go back to the best parameters.

    Parameters
    ----------
    patience : int, default 10
        Epochs without an improvement after which training stops, at least 1.
    min_delta : float, default 0.0
        The value must be better than the best by more than this to count as an improvement.
    monitor : str, default "validation_loss"
        What should improve: "loss", "validation_loss", or a metric that `fit` records, such as "accuracy" or
        "validation_accuracy". Those of validation need ``validation_data`` or ``validation_fraction``.
    mode : {"min", "max"}, optional
        Whether less or more is better. Default: less of a loss, and what is right for the metrics of cbp; it
        must be given for a function of your own.
    restore_best : bool, default True
        Whether the network gets the parameters of the best epoch at the end; else it keeps the last ones. The
        optimiser's state stays that of the last epoch. Nothing is restored after a FloatingPointError, or an
        error in a callback.
    warm_up : int, default 0
        Epochs at the beginning that are not looked at.
    on_interrupt : bool, default False
        Whether the best parameters come back after Ctrl-C, too.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of its range.

    Examples
    --------
    >>> import cbp
    >>> digits = cbp.datasets.load_digits()
    >>> net = cbp.Network([64, 32, 10], rng=0)
    >>> history = net.fit(
    ...     digits.x_train,
    ...     digits.y_train,
    ...     validation_fraction=0.1,
    ...     epochs=1000,
    ...     early_stopping=cbp.EarlyStopping(patience=5),
    ... )
    >>> history.stopped, len(history) - history.best.number
    ('patience', 5)
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str = "validation_loss"
    mode: str | None = None
    restore_best: bool = True
    warm_up: int = 0
    on_interrupt: bool = False

    def __post_init__(self) -> None:
        scalars.count(self.patience, "patience", least=1)
        scalars.non_negative(self.min_delta, "min_delta")
        if not isinstance(self.monitor, str):
            raise TypeError(f"monitor must be the name of a loss or a metric, got {short(self.monitor)}")
        if self.mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min', 'max' or None, got {short(self.mode)}")
        scalars.flag(self.restore_best, "restore_best")
        scalars.count(self.warm_up, "warm_up", least=0)
        scalars.flag(self.on_interrupt, "on_interrupt")


class Watch:
    """What early stopping has seen: the best epoch so far, and its parameters.

    Parameters
    ----------
    rule : EarlyStopping
    maximize : bool
        Whether more of what it monitors is better.
    """

    def __init__(self, rule: EarlyStopping, maximize: bool) -> None:
        self.rule = rule
        self.best: Epoch | None = None
        self.parameters: Array | None = None  # of the best epoch
        self.waited = 0  # epochs since the best
        # Less is better for a value times this.
        self._sign = -1.0 if maximize else 1.0

    def value(self, epoch: Epoch) -> float:
        """Return the quantity to minimise."""
        return self._sign * epoch[self.rule.monitor]

    def see(self, epoch: Epoch, parameters: Array) -> None:
        """Take notice of an epoch, and of the parameters after it."""
        if epoch.number <= self.rule.warm_up:
            return
        value = self.value(epoch)
        # NaN and infinity are no improvement.
        to_beat = math.inf if self.best is None else self.value(self.best) - self.rule.min_delta
        if math.isfinite(value) and value < to_beat:
            self.best, self.waited = epoch, 0
            if self.rule.restore_best:
                self.parameters = parameters.copy()
        else:
            self.waited += 1

    def restores_after(self, reason: str) -> bool:
        """Whether the best parameters come back after a training that has ended for this reason."""
        return reason in ("epochs", "patience", "callback", "max_seconds") or (
            reason == "interrupted" and self.rule.on_interrupt
        )

    @property
    def patience_is_over(self) -> bool:
        """Whether training should stop."""
        return self.waited >= self.rule.patience


def watch_of(value: Any, names: Sequence[str], metrics: Sequence[Metric]) -> Watch:
    """Return the watch over the epochs of a training, for what `fit` was given.

    `names` are those of what each epoch records, `metrics` the metrics among it.
    """
    rule = EarlyStopping() if isinstance(value, (bool, np.bool_)) and value else value
    if not isinstance(rule, EarlyStopping):
        hint = "; call it: cbp.EarlyStopping()" if value is EarlyStopping else ""
        raise TypeError(
            f"early_stopping must be a cbp.EarlyStopping, True or False, got {short(value)}{hint}"
        )
    refuse_unrecorded(rule.monitor, names, "early_stopping")
    return Watch(rule, is_maximized(rule.monitor, rule.mode, metrics))


def refuse_unrecorded(monitor: str, names: Sequence[str], what: str) -> None:
    """Refuse to monitor what no epoch records."""
    if monitor in names:
        return
    hint = f"there are {', '.join(names)}"
    if monitor.startswith("validation_") and not any(name.startswith("validation_") for name in names):
        hint = "give validation_data or validation_fraction, or monitor 'loss'"
    raise ValueError(f"{what} monitors {monitor!r}, which is not recorded: {hint}")
