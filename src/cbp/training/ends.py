"""Ends of a training before its time: by what has asked for it, and by divergence."""

from __future__ import annotations

from cbp.examples.conversion import Array
from cbp.optimizers.base import Optimizer
from cbp.optimizers.rates import largest


class Stopped(Exception):
    """Training must stop within an epoch, and keep what the steps so far have changed.

    Parameters
    ----------
    reason : str
        As `History.stopped` has it.
    error : BaseException, optional
        What to raise when training has stopped.
    """

    def __init__(self, reason: str, error: BaseException | None = None) -> None:
        super().__init__(reason)
        self.reason, self.error = reason, error


def remedy(optimizer: Optimizer, penalties: Array) -> str:
    """Return what to try after divergence, in words."""
    l1, l2 = penalties.max(axis=1).tolist()
    tries = {"a learning_rate": float(largest(optimizer.learning_rate) or 0), "an l2": l2, "an l1": l1}
    smaller = [f"{name} below {value:g}, " for name, value in tries.items() if value > 0]
    return f"try {''.join(smaller)}{'or ' if smaller else ''}X and Y scaled to a range of about 1"
