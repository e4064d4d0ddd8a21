"""Passes over examples: epochs of training, a gradient, a loss.

Every pass goes in slices of a few milliseconds, between which Python sees to Ctrl-C and progress; results
have the same bits wherever the slices end. The parameters at rest are written at the end of an epoch, or when
Ctrl-C ends it, so that a refusal or a loss that is no longer finite leaves those of the last good epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from cbp import _core
from cbp.arrays import Examples
from cbp.conversion import Array
from cbp.history import Epoch, History
from cbp.optimizers.base import Optimizer, OptimizerState
from cbp.progress import Progress
from cbp.scalars import kind
from cbp.steps import Extent, Steps, at_rest

SLICE_SECONDS = 0.02
FIRST_BUDGET = 2e7  # multiply-adds: less than a millisecond
SHUFFLE_PART = 1 << 20  # examples: some milliseconds
MOST_SHUFFLED = 2**32 - 1  # their numbers are uint32
PART_BYTES = 1 << 24  # of X that is converted at a time …
LEAST_PART = 256  # … and the least examples: LONGEST_CHAIN of kernels/pass.pxi


def part_rows(examples: Examples) -> int:
    """The most examples that are bound at a time: all, or a part where X or Y are converted by parts."""
    width = examples.X.shape[1] if examples.X_by_parts else 0
    if examples.Y is not None and examples.Y_by_parts:
        width += examples.Y.shape[1]
    if width == 0:
        return examples.m
    return int(max(LEAST_PART, PART_BYTES // (width * examples.dtype.itemsize)))


def shuffle(order: Array, state: int) -> None:
    """Shuffle in place by parts, so that Ctrl-C is heard."""
    for stop in range(len(order), 1, -SHUFFLE_PART):
        state = _core.shuffle(order, max(1, stop - SHUFFLE_PART), stop, state)


def forward_rows(n_parameters: int, row_bytes: int) -> int:
    """Examples to take through a network at a time: some milliseconds of work, and no more than a part."""
    return max(LEAST_PART, min(int(4e8 / n_parameters), PART_BYTES // row_bytes))


def new_pass(
    engine: _core.Engine, mode: str, examples: Examples, batch: int, n_threads: int, **options: Any
) -> _core.Pass:
    """A pass for minibatches of `batch` of these examples."""
    return _core.Pass(engine, _core.MODES[mode], batch, n_threads, bound=part_rows(examples), **options)


def bind_part(
    run: _core.Pass, examples: Examples, order: Array | None, inputs: Array | None, check: bool
) -> None:
    """Bind the examples, or the next part of those that are converted by parts."""
    start, rows = run.position, part_rows(examples)
    if rows < examples.m:
        rows -= rows % run.stride  # what is left over would be converted twice
    stop = min(start + rows, examples.m)
    chosen = slice(start, stop) if order is None else order[start:stop]
    X, Y = examples.X, examples.Y
    X_by_parts, Y_by_parts = examples.X_by_parts, examples.Y_by_parts
    run.bind(
        examples.part(X, chosen) if X_by_parts else X,
        examples.part(Y, chosen) if Y is not None and Y_by_parts else Y,
        examples.labels,
        examples.weights,
        order,
        examples.m,
        inputs=inputs,
        check=check,
        X_gathered=X_by_parts,
        Y_gathered=Y_by_parts,
        offset=start,
        available=stop,
    )


def run_through(
    run: _core.Pass,
    examples: Examples,
    n_threads: int,
    *,
    order: Array | None = None,
    inputs: Array | None = None,
    check: bool = True,
    tick: Callable[[int], object] = lambda n: None,
    budget: float = FIRST_BUDGET,
) -> float:
    """Take all examples through a packed pass, in slices; `tick` hears of each slice how many it has done.

    Returns the budget to start the next pass with.

    Raises
    ------
    ValueError
        If X or Y hold what they must not.
    FloatingPointError
        If a minibatch's loss is not finite.
    """
    bind_part(run, examples, order, inputs, check)
    while True:
        before, started = run.position, time.perf_counter()
        run.advance(budget, n_threads)
        seconds = time.perf_counter() - started
        if run.fault is not None:
            if run.fault[0] == "LOSS_NOT_FINITE":
                raise FloatingPointError(f"the loss is no longer finite at step {run.step + 1}")
            raise examples.refusal(*run.fault)
        tick(run.position - before)
        if run.finished:
            return budget
        if run.needs_data:
            bind_part(run, examples, order, inputs, check)
        else:
            budget *= min(2.0, max(0.25, SLICE_SECONDS / max(seconds, 1e-6)))


def loss(engine: _core.Engine, examples: Examples, n_threads: int, l2: float) -> float:
    """J of all the examples."""
    run = new_pass(engine, "loss", examples, examples.m, n_threads)
    run.set_rule(l2=l2)
    run.pack(n_threads)
    run_through(run, examples, n_threads)
    return float(run.loss)


def gradient(
    engine: _core.Engine, examples: Examples, n_threads: int, l2: float, D: Array, inputs: Array | None
) -> float:
    """J of all the examples, its gradient into D and, where wanted, dJ/dX into inputs."""
    run = new_pass(engine, "gradient", examples, examples.m, n_threads, inputs=inputs is not None)
    run.set_rule(l2=l2)
    run.pack(n_threads)
    run_through(run, examples, n_threads, inputs=inputs)
    run.read_gradient(D)
    return float(run.loss)


class Training:
    """A run of epochs on one set of examples.

    Parameters
    ----------
    engine : Engine
    examples : Examples
    state : OptimizerState or Steps
        What to go on from.
    optimizer : Optimizer
        Of the same class as the state's.
    batch_size : int or None
    settings : callable
        Returns, for each epoch anew, l2, the number of threads and the lock for what other threads may copy:
        the parameters at rest and the optimiser's state.
    keep : callable
        Is given the steps at the end of each epoch, under the lock.
    shuffler : Generator or None
    restorable : bool
        As in `Extent`.
    """

    def __init__(
        self,
        engine: _core.Engine,
        examples: Examples,
        state: OptimizerState | Steps,
        optimizer: Optimizer,
        *,
        batch_size: int | None,
        settings: Callable[[], tuple[float, int, AbstractContextManager[object]]],
        keep: Callable[[Steps], object],
        shuffler: np.random.Generator | None,
        restorable: bool,
    ) -> None:
        if shuffler is not None and examples.m > MOST_SHUFFLED:
            raise ValueError(f"shuffle=True is for at most {MOST_SHUFFLED} examples, got {examples.m}")
        self.engine, self.examples, self.optimizer = engine, examples, optimizer
        self.batch = examples.m if batch_size is None else min(batch_size, examples.m)
        self.bound = part_rows(examples)
        self.settings, self.shuffler, self.restorable = settings, shuffler, restorable
        self.keep = keep
        self.l2, self.n_threads, self.lock = settings()
        self.steps = self.steps_from(state)
        self.order = np.arange(examples.m, dtype=np.uint32) if shuffler is not None else None
        self.failed = False
        self.check = True
        self.budget = FIRST_BUDGET
        self.epochs_done = 0

    def steps_from(self, state: OptimizerState | Steps) -> Steps:
        """Those with the state where they serve this training, or new ones that go on from it."""
        extent = Extent(self.batch, self.bound, self.n_threads, self.restorable)
        if isinstance(state, Steps) and state.serves(self.optimizer, extent):
            return state
        rest = at_rest(state) or OptimizerState(self.optimizer)
        return Steps(self.engine, rest, self.optimizer, self.examples.dtype, extent)

    def epoch(self, number: int, tick: Callable[[int], object]) -> Epoch:
        """One epoch: the parameters at rest change at its end, or when Ctrl-C cuts it short."""
        started = time.perf_counter()
        if self.epochs_done > 0:  # a callback may have set them, or forked
            self.l2, self.n_threads, self.lock = self.settings()
            self.steps = self.steps_from(self.steps)
        run, n_threads = self.steps.run, self.n_threads
        self.steps.set_rule(self.optimizer, self.l2, -(-self.examples.m // self.batch))
        try:
            self.begin()
            self.budget = run_through(
                run,
                self.examples,
                n_threads,
                order=self.order,
                check=self.check,
                tick=tick,
                budget=self.budget,
            )
            if not self.settle():
                raise FloatingPointError(f"the parameters are no longer finite at step {run.step}")
        except KeyboardInterrupt:
            self.failed = not self.settle()
            raise
        except FloatingPointError as error:
            self.failed = True
            raise FloatingPointError(f"epoch {number}: {error}; {remedy(self.optimizer, self.l2)}") from None
        except BaseException:
            self.failed = True
            raise
        self.check = False  # every example has been seen
        self.epochs_done += 1
        seconds = time.perf_counter() - started
        return Epoch(number, float(run.loss), None, seconds, self.examples.m / seconds)

    def begin(self) -> None:
        """Take the parameters over, and shuffle."""
        with self.lock:
            state = None if self.shuffler is None else int(self.shuffler.integers(1 << 63))
            self.steps.run.pack(self.n_threads)
        if state is not None and self.order is not None:
            shuffle(self.order, state)

    def settle(self) -> bool:
        """Have the parameters and the optimiser's state stand, if they are finite."""
        with self.lock:
            finite = self.steps.run.unpack(self.n_threads)
            if finite:
                self.keep(self.settled())
        return finite

    @property
    def undone(self) -> bool:
        """Whether it failed in its first epoch, so that the parameters are those from before."""
        return self.failed and not self.epochs_done

    def settled(self) -> Steps:
        """The steps, once those of this training stand."""
        self.steps.optimizer = self.optimizer
        return self.steps

    def close(self, before: OptimizerState | Steps | None) -> OptimizerState | Steps | None:
        """Let go of the examples, and return the optimiser's state to keep.

        After a failure in the first epoch that is the state from before; in a later one none, since the
        parameters went back to an epoch without a state.
        """
        self.steps.run.release()
        if self.failed:
            return before if self.undone else None
        # What only partial_fit can go on with is not worth its memory after a fit.
        return self.settled() if self.restorable else self.settled().at_rest()


def remedy(optimizer: Optimizer, l2: float) -> str:
    """What to try where numbers have grown beyond all bounds."""
    tries = {"a learning_rate": float(optimizer.learning_rate), "an l2": l2}
    smaller = [f"{name} below {value:g}, " for name, value in tries.items() if value > 0]
    return f"try {''.join(smaller)}{'or ' if smaller else ''}X and Y scaled to a range of about 1"


def wants_to_stop(answer: object, number: int) -> bool:
    """Whether a callback's answer ends the training; TypeError for one that says neither."""
    if answer is not None and not isinstance(answer, (bool, np.bool_)):
        raise TypeError(
            f"callbacks[{number}] must return True to stop the training, False or None to go on with it, "
            f"got {kind(answer)}"
        )
    return bool(answer)


def train(
    training: Training,
    epochs: int,
    history: History,
    *,
    validate: Callable[[], float] | None,
    callbacks: Iterable[Callable[[Epoch], object]],
    progress: bool | None,
) -> None:
    """Train for some epochs, each recorded in the history, or until a callback returns True."""
    bar = Progress(progress, epochs=epochs, examples=training.examples.m)
    with bar:
        for number in range(1, epochs + 1):
            epoch = training.epoch(number, bar.advance)
            try:
                if validate is not None:
                    epoch = replace(epoch, validation_loss=validate())
            finally:  # the epoch counts, even if Ctrl-C cuts its validation short
                history.append(epoch)
            bar.finish_epoch(epoch)
            # A list, so that each of them is called whatever another says.
            if any([wants_to_stop(callback(epoch), i) for i, callback in enumerate(callbacks)]):  # noqa: C419
                break
