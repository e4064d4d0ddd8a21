"""The range test, which finds a learning rate (L. N. Smith, 2017, arXiv:1506.01186)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cbp import arguments, scalars
from cbp.examples.conversion import Array
from cbp.network import Network
from cbp.optimizers.adam import Adam
from cbp.optimizers.base import Optimizer
from cbp.schedules.decays import Exponential

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cbp.training.hooks import Step

MEMORY = 0.9  # of the moving average of the losses, of the steps before
DIVERGED = 4.0  # times the least smoothed loss, at which the test ends


@dataclass(frozen=True)
class RangeTest:
    """What `find_learning_rate` has found.

    Attributes
    ----------
    rates, losses : ndarray, (n,)
        The learning rate and J of the minibatch of each step.
    smoothed : ndarray, (n,)
        A moving average of the losses.
    suggestion : float
        The rate at which the smoothed loss falls fastest, by the logarithm of the rate.
    """

    rates: Array
    losses: Array
    smoothed: Array
    suggestion: float

    def __repr__(self) -> str:
        return f"RangeTest({len(self.rates)} steps, suggestion {self.suggestion:.2g})"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the losses against the rates, and mark the suggestion; ``ax`` is as for `History.plot`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        if ax is None:
            try:
                from matplotlib import pyplot
            except ImportError as error:
                hint = "pip install 'cython-backprop[plot]'"
                raise ImportError(f"RangeTest.plot needs matplotlib: {hint}") from error
            ax = pyplot.subplots()[1]
        ax.plot(self.rates, self.losses, color="C0", alpha=0.3, label="loss of a minibatch")
        ax.plot(self.rates, self.smoothed, color="C0", label="smoothed")
        ax.axvline(self.suggestion, color="C1", linestyle="--", label=f"suggestion {self.suggestion:.2g}")
        ax.set_xscale("log")
        ax.set_ylim(top=1.5 * float(self.smoothed[: max(3, len(self.smoothed) // 2)].max()))
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.legend()
        return ax


def find_learning_rate(
    net: Network,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    optimizer: Optimizer | None = None,
    batch_size: int | None = 32,
    start: float = 1e-6,
    end: float = 10.0,
    n_steps: int = 200,
) -> RangeTest:
    """Try learning rates: train a copy of the network with rates that rise in each step.

    The rates rise from `start` to `end` by the same factor each step. The test ends when the smoothed loss is
    four times its least value, or not finite. The network itself, its generator and its optimiser's state
    stay as they are.

    Parameters
    ----------
    net : Network
    X, Y, sample_weight
        As for `fit`.
    optimizer : Optimizer, optional
        Its learning rate is not used. Default: ``cbp.Adam()``.
    batch_size : int or None, default 32
        As for `fit`.
    start, end : float, default 1e-6 and 10
        The first and the last rate, above 0; the last is the larger.
    n_steps : int, default 200
        At least 10.

    Returns
    -------
    RangeTest
        With ``rates``, ``losses``, ``smoothed``, ``suggestion`` and ``plot()``.

    Raises
    ------
    TypeError, ValueError
        As for `fit`.

    Examples
    --------
    >>> import cbp
    >>> digits = cbp.datasets.load_digits()
    >>> net = cbp.Network([64, 32, 10], rng=0)
    >>> found = cbp.find_learning_rate(net, digits.x_train, digits.y_train)
    >>> 1e-3 < found.suggestion < 1e-1
    True
    """
    first = scalars.real(start, "start", least=0, above=True)
    last = scalars.real(end, "end", least=first, above=True)
    count = scalars.count(n_steps, "n_steps", least=10)
    schedule = Exponential(first, gamma=(last / first) ** (1 / (count - 1)))
    if not isinstance(net, Network):
        raise TypeError(f"net must be a cbp.Network, got {scalars.kind(net)}")
    base: Any = arguments.optimizer(optimizer, net.dtype) or Adam()
    twin = copy.deepcopy(net)
    steps: list[Step] = []
    best = math.inf

    def stop(step: Step) -> bool:
        nonlocal best
        steps.append(step)
        smoothed = float(average([each.loss for each in steps])[-1])
        best = min(best, smoothed)
        return len(steps) >= count or not smoothed <= DIVERGED * best

    with divergence_expected():
        twin.fit(
            *(X, Y),
            epochs=count,  # at least one step each
            sample_weight=sample_weight,
            optimizer=replace(base, learning_rate=schedule),
            batch_size=batch_size,
            batch_callbacks=[stop],
            progress=False,
        )
    rates = np.array([step.learning_rate for step in steps])
    losses = np.array([step.loss for step in steps])
    smoothed = average(losses)
    return RangeTest(rates, losses, smoothed, steepest(rates, smoothed))


@contextmanager
def divergence_expected() -> Iterator[None]:
    """Take a loss that is no longer finite for the end of the test."""
    try:
        yield
    except FloatingPointError:
        return


def average(losses: Any) -> Array:
    """Return the moving average, with the bias of its first values corrected."""
    total, found = 0.0, []
    for n, loss in enumerate(losses, start=1):
        total = MEMORY * total + (1 - MEMORY) * float(loss)
        found.append(total / (1 - MEMORY**n))
    return np.array(found)


def steepest(rates: Array, smoothed: Array) -> float:
    """Return the rate before the least loss at which the loss falls fastest, by the logarithm of the rate."""
    least = max(2, int(np.nanargmin(smoothed)) + 1)
    slope = np.gradient(smoothed[:least], np.log(rates[:least]))
    return float(rates[int(slope.argmin())])
