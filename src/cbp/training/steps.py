"""The optimiser's state while it trains, held in a pass of the kernels, which the next call may use too."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cbp import _core
from cbp.examples.conversion import Array
from cbp.machine import forks
from cbp.optimizers.base import Optimizer, OptimizerState
from cbp.training.state import Place

AVERAGE = "average"  # the name of the moving average of the parameters, among the moments


class Extent(NamedTuple):
    """The sizes that a pass is made for, and whether it can be restored."""

    batch: int  # examples of a minibatch
    bound: int  # the most examples whose arrays the pass is given at a time
    n_threads: int
    restorable: bool  # whether the state from before an epoch is kept until the epoch has succeeded
    averages: bool = False  # whether the parameters at rest are a moving average of those that are trained


class Steps:
    """A pass that trains, and the optimiser whose state is in it.

    A pass holds the parameters and moments packed, that is in the layout that the kernels compute with. To
    pack all of them takes longer than a step on a few examples, so `partial_fit` leaves them packed for the
    next call. If the network's own vector of parameters has changed since, the next epoch begins with what
    that vector holds. The state is the one after the last completed epoch.

    Parameters
    ----------
    engine : Engine
    state : OptimizerState
        What to go on from.
    optimizer : Optimizer
        Of the same class as the state's. A moment that the state lacks, such as a velocity, starts at 0. One
        that the optimizer does not use is left out.
    dtype : dtype
        The network's.
    extent : Extent
    """

    def __init__(
        self,
        engine: _core.Engine,
        state: OptimizerState,
        optimizer: Optimizer,
        dtype: np.dtype[Any],
        extent: Extent,
    ) -> None:
        self.optimizer, self.extent = optimizer, extent
        self._n_parameters, self._dtype = engine.n_parameters, dtype
        self._process = forks.depth
        self._rates = np.empty(0)
        self._rate: float | None = None  # all of them, if they are equal
        # The last that `set_rule` was given.
        self._rule: tuple[Optimizer, Array | None, tuple[int, float, int]] | None = None
        self.run = _core.Pass(
            engine,
            _core.MODES["train"],
            extent.batch,
            extent.n_threads,
            optimizer=optimizer.kernel,
            n_moments=len(optimizer.moments) + extent.averages,
            bound=extent.bound,
            restorable=extent.restorable,
            clips=optimizer.clips,
            averages=extent.averages,
        )
        self._names = (*optimizer.moments, *([AVERAGE] if extent.averages else []))
        self.run.write_state(state.updates, [state.moments.get(name) for name in self._names])

    def set_rule(
        self,
        optimizer: Optimizer,
        penalties: Array | None,
        n_steps: int,
        whole: float = 0.0,
        seed: int = 0,
        ema: float = 0.0,
        rates: Array | None = None,
    ) -> None:
        """Set hyper-parameters, penalties and the learning rate of each step, for a pass of n_steps steps.

        `whole` is the weight of all examples that the penalties belong to, or 0, as in `Pass.set_rule`.
        `seed` is that of dropout and noise, `ema` the decay rate of the moving average; `rates`, (n_steps,),
        are the learning rates, where that of the optimizer is not a number.
        """
        last, numbers = self._rule, (n_steps, whole, seed)
        same = last is not None and last[0] is optimizer and last[1] is penalties and last[2] == numbers
        if same and rates is None:
            return
        self._rule = optimizer, penalties, numbers
        rule = optimizer.rule()
        rate = rule.pop("learning_rate")
        if rates is not None:
            self._rates, self._rate = rates, None
        elif len(self._rates) < n_steps or self._rate != rate:
            self._rates, self._rate = np.full(n_steps, float(rate)), rate
        self.run.set_rule(penalties, self._rates, whole, seed=seed, ema=ema, **rule)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step of the pass, counted from 1."""
        return float(self._rates[step - 1])

    def serves(self, optimizer: Optimizer, extent: Extent) -> bool:
        """Return whether an epoch may use this pass, and gives the same bits as with a new one."""
        mine = self.extent
        return (
            type(optimizer) is type(self.optimizer)
            and optimizer.moments == self.optimizer.moments
            and optimizer.clips == self.optimizer.clips
            and extent.batch == mine.batch
            # A pass divides its work by `bound` only where that is less than a minibatch.
            and min(extent.bound, extent.batch) == min(mine.bound, mine.batch)
            and extent.n_threads <= mine.n_threads
            and (extent.restorable, extent.averages) == (mine.restorable, mine.averages)
            # In a child of fork, the pass may be in the middle of a step of the parent.
            and forks.depth == self._process
        )

    def at_rest(self) -> OptimizerState | None:
        """Return a copy of the optimiser's state, not packed, without the moving average.

        Return None within an epoch of a pass that is not restorable.
        """
        moments = {name: self._zeros() for name in self.optimizer.moments}
        updates = self.run.read_state([moments.get(name) for name in self._names])
        return None if updates is None else OptimizerState(self.optimizer, updates, moments)

    def place(self) -> tuple[Array, OptimizerState, Place] | None:
        """Return copies of the parameters and the state after the last step of an epoch, and the place.

        The parameters are those that are trained. Return None inside a minibatch.
        """
        parameters, moments = self._zeros(), {name: self._zeros() for name in self._names}
        place = self.run.read_place(parameters, list(moments.values()))
        if place is None:
            return None
        return parameters, OptimizerState(self.optimizer, place[2], moments), place

    def _zeros(self) -> Array:
        return np.zeros(self._n_parameters, self._dtype)


def at_rest(state: OptimizerState | Steps | None) -> OptimizerState | None:
    """Return the state itself, or a copy of a state that is in a pass."""
    return state.at_rest() if isinstance(state, Steps) else state
