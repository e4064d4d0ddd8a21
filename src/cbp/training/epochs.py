"""Training: epochs, one after the other, on one set of examples.

Training works on a copy of the parameters. The network's own vector, the parameters at rest, is written at
the end of an epoch, or when Ctrl-C ends it. If examples are refused, or the loss is not finite, it has the
parameters of the last good epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from cbp import _core
from cbp.examples.arrays import Examples
from cbp.examples.conversion import Array
from cbp.optimizers.base import Optimizer, OptimizerState
from cbp.optimizers.rates import Schedule
from cbp.training import own_losses, passes, saving
from cbp.training.ends import Stopped, remedy
from cbp.training.rates import Rates
from cbp.training.record import Epoch
from cbp.training.state import Place, TrainingState
from cbp.training.steps import Extent, Steps, at_rest


class Training:
    """Epochs of training on one set of examples.

    Parameters
    ----------
    engine : Engine
    parameters : ndarray, (n_parameters,)
        The parameters at rest.
    examples : Examples
    state : OptimizerState, Steps or TrainingState
        What to go on from. From a `TrainingState`, the parameters, the order of the examples and the state of
        the generator are taken too.
    optimizer : Optimizer
        Of the same class as the state's.
    batch_size : int or None
    settings : callable
        Called before each epoch. Returns the penalties, the number of threads, and the lock that guards what
        other threads may copy: the parameters at rest and the optimiser's state.
    keep : callable
        Called with the steps at the end of each epoch, under the lock.
    shuffler : Generator or None
    restorable : bool
        As in `Extent`.
    whole : float
        The weight of all examples that the penalties belong to; 0: each minibatch has penalties of its own.
    epochs : int, optional
        Epochs of the whole training, where they are known, for schedules of the learning rate.
    ema : float, default 0.0
        Decay rate of the moving average of the parameters, which the parameters at rest then are; 0: none.
    seed : int, default 0
        Of dropout and noise. From a `TrainingState`, its seed is taken.
    wants_outputs : bool, default False
        Whether `outputs`, (m, s(L)), receives the outputs that each epoch computes, in the order of the
        examples, not of training. Each is from before the update of its minibatch.
    """

    def __init__(
        self,
        engine: _core.Engine,
        parameters: Array,
        examples: Examples,
        state: OptimizerState | Steps | TrainingState,
        optimizer: Optimizer,
        *,
        batch_size: int | None,
        settings: Callable[[], tuple[Array, int, AbstractContextManager[object]]],
        keep: Callable[[Steps], object],
        shuffler: np.random.Generator | None,
        restorable: bool,
        whole: float,
        epochs: int | None = None,
        ema: float = 0.0,
        seed: int = 0,
        wants_outputs: bool = False,
    ) -> None:
        if shuffler is not None and examples.m > passes.MOST_SHUFFLED:
            raise ValueError(f"shuffle=True is for at most {passes.MOST_SHUFFLED} examples, got {examples.m}")
        self.engine, self.parameters, self.examples, self.optimizer = engine, parameters, examples, optimizer
        self.batch = examples.m if batch_size is None else min(batch_size * optimizer.accumulate, examples.m)
        self.bound = passes.part_rows(examples)
        self.settings, self.shuffler, self.restorable = settings, shuffler, restorable
        self.keep, self.whole, self.ema, self.seed = keep, whole, ema, seed
        wants_outputs = wants_outputs or examples.own_loss is not None
        self.outputs = np.zeros((examples.m, engine.n_out), examples.dtype) if wants_outputs else None
        self.penalties, self.n_threads, self.lock = settings()
        self.order = np.arange(examples.m, dtype=np.uint32) if shuffler is not None else None
        self.epochs_before = 0  # epochs that the saved training had completed
        self.first_step = 0  # steps made when the training began, or was taken up
        self.taken: TrainingState | None = None  # what the training began with
        self.place: Place | None = None  # where the first epoch goes on, if a training was saved within it
        if isinstance(state, TrainingState):
            saving.take_up(self, state)
            state = state.optimizer
        self.steps = self.steps_from(state)
        self.rates: Rates | None = None
        if isinstance(optimizer.learning_rate, Schedule) or callable(optimizer.learning_rate):
            before = self.steps.run.updates if restorable else 0
            self.rates = Rates(optimizer, self.n_steps, epochs, before)
        self.failed = False
        self.check = True
        self.budget = passes.FIRST_BUDGET
        self.epochs_done = 0
        self.seen = examples.m  # examples of the epoch
        self.under_way = False
        self.started = 0.0  # when the epoch began, or would have begun without a break
        self.keeps_cut = False
        self.cut: TrainingState | None = None  # if `keeps_cut`, the state where an epoch was cut short

    def steps_from(self, state: OptimizerState | Steps) -> Steps:
        """Return the steps that hold the state, if they fit this training; else new ones with this state."""
        extent = Extent(self.batch, self.bound, self.n_threads, self.restorable, self.ema > 0)
        if isinstance(state, Steps) and state.serves(self.optimizer, extent):
            return state
        rest = at_rest(state) or OptimizerState(self.optimizer)
        return Steps(self.engine, rest, self.optimizer, self.examples.dtype, extent)

    @property
    def n_steps(self) -> int:
        """The number of steps of an epoch."""
        return -(-self.examples.m // self.batch)

    @property
    def size(self) -> float:
        """The number of examples of an epoch."""
        return self.examples.m

    @property
    def steps_done(self) -> int:
        """The number of steps since the training began, those before it was saved among them."""
        before = (self.epochs_before + self.epochs_done) * self.n_steps
        return before + (self.steps.run.step if self.under_way else 0)

    def epoch(self, number: int, tick: Callable[[int], object], *, by_round: bool = False) -> Epoch:
        """Train one epoch. The parameters at rest change at its end, or when Ctrl-C cuts it short.

        `tick` and `by_round` are those of `passes.run_through`; `tick` may raise `Stopped`.
        """
        before = 0.0 if self.place is None or self.taken is None else self.taken.seconds
        self.started = time.perf_counter() - before
        if self.epochs_done > 0:  # a callback may have changed them, or forked the process
            self.penalties, self.n_threads, self.lock = self.settings()
            if self.ema:  # the pass has the parameters that are trained
                self.n_threads = min(self.n_threads, self.steps.extent.n_threads)
            self.steps = self.steps_from(self.steps)
        self.set_rule(self.n_steps)
        try:
            self.begin()
            self.go_through(tick, by_round)
            if not self.settle():
                raise FloatingPointError(f"the parameters are no longer finite at step {self.steps.run.step}")
        except (KeyboardInterrupt, Stopped):
            self.cut = self.state() if self.keeps_cut and self.under_way else None
            self.failed = not self.settle()
            raise
        except FloatingPointError as error:
            self.failed = True
            raise FloatingPointError(
                f"epoch {number}: {error}; {remedy(self.optimizer, self.penalties)}"
            ) from None
        except BaseException:
            self.failed = True
            raise
        self.check = False  # every example has been checked
        self.epochs_done += 1
        seconds = time.perf_counter() - self.started
        run = self.steps.run
        rate = self.steps.learning_rate(run.step)
        return Epoch(number, float(run.loss), None, seconds, self.seen / seconds, learning_rate=rate)

    def set_rule(self, n_steps: int) -> None:
        """Give the steps all that they need to know for n_steps steps of the epoch."""
        rates, epoch = None, self.epochs_before + self.epochs_done
        if self.rates is not None:
            first = self.steps_done - (self.steps.run.step if self.under_way else 0)
            rates = self.rates.of_steps(first, n_steps, epoch)
        rule = (self.penalties, n_steps, self.whole, self.seed, self.ema, rates)
        self.steps.set_rule(self.optimizer, *rule)

    def go_through(self, tick: Callable[[int], object], by_round: bool) -> None:
        """Take all examples through the pass."""
        run, examples, n_threads = self.steps.run, self.examples, self.n_threads
        options: dict[str, Any] = {"order": self.order, "check": self.check, "tick": tick}
        if examples.own_loss is not None and self.outputs is not None:
            own_losses.run_through(run, examples, n_threads, outputs=self.outputs, **options)
        else:
            self.budget = passes.run_through(
                *(run, examples, n_threads),
                outputs=self.outputs,
                budget=self.budget,
                by_round=by_round,
                **options,
            )

    def begin(self) -> None:
        """Take the parameters into the pass; then shuffle, or go to the place where the saved epoch stood."""
        place, self.place = self.place, None
        state = None
        with self.lock:
            if self.shuffler is not None and place is None:
                state = int(self.shuffler.integers(1 << 63))
            self.steps.run.pack(self.n_threads)
        if place is not None:
            self.steps.run.write_place(*place)
        if state is not None and self.order is not None:
            passes.shuffle(self.order, state)
        self.under_way = True

    def settle(self) -> bool:
        """Make the parameters and the state final, if the parameters are finite; return whether they are."""
        with self.lock:
            finite = self.steps.run.unpack(self.n_threads)
            if finite:
                self.keep(self.settled())
        self.under_way = False
        return finite

    def restore(self, parameters: Array) -> None:
        """Give the network the parameters of an earlier epoch."""
        with self.lock:
            self.parameters[:] = parameters
            self.engine.note_write()

    def state(self) -> TrainingState | None:
        """Return all that the training depends on; None inside a minibatch, and after a failure.

        Only the thread that trains may call this: between epochs, or from `tick` within one.
        """
        return saving.state_of(self)

    @property
    def undone(self) -> bool:
        """Whether the first epoch failed, so that the parameters are those from before the training."""
        return self.failed and not self.epochs_done

    def settled(self) -> Steps:
        """Give the steps the optimiser of this training, and return them."""
        self.steps.optimizer = self.optimizer
        return self.steps

    def close(self, before: OptimizerState | Steps | None) -> OptimizerState | Steps | None:
        """Release the examples, and return the optimiser's state to keep.

        After a failure in the first epoch, that is the state from before. After one in a later epoch it is
        None, since the state of the epoch that the parameters went back to is gone.
        """
        self.steps.run.release()
        if self.failed:
            return before if self.undone else None
        # Only partial_fit can go on with the steps. After fit, a copy of the state takes less memory.
        return self.settled() if self.restorable else self.settled().at_rest()
