"""Training on minibatches that the user makes, one after the other."""

from __future__ import annotations

import itertools
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from cbp.examples.arrays import Examples, joined
from cbp.examples.frames import Names
from cbp.training import own_losses, passes
from cbp.training.epochs import Training
from cbp.training.steps import Steps

QUICK = 1e-4  # seconds to read a batch, up to which it is read where it is wanted …
SLOW = 3  # … unless as many in a row take longer
STEPS_AT_FIRST = 1024  # of an epoch, for which there are learning rates; twice as many when they are used up


class Reader:
    """Reads the user's batches, and converts them.

    Parameters
    ----------
    batches : iterable
        Of what `convert` takes.
    convert : callable
        Makes `Examples` of a batch, its number, and the names of the columns of those before.
    steps : int or None
        Batches of an epoch; None: all there are.
    n_joined : int
        Batches that are joined into one.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        convert: Callable[[Any, int, Names | None], Examples],
        steps: int | None,
        n_joined: int,
    ) -> None:
        self.batches, self.convert, self.steps, self.joined = batches, convert, steps, n_joined
        self.columns: Names | None = None  # of a data frame that came first
        self.source = iter(batches)
        self.number = 0  # of batches read
        self.first: Examples | None = None  # read before the training, which needs its size

    def peek(self) -> Examples:
        """Return the first batch, which the first epoch begins with."""
        if self.first is None:
            self.first = next(self.examples(), None)
        if self.first is None:
            raise ValueError("batches must have at least one batch, got none")
        self.columns = self.first.feature_names
        return self.first

    def examples(self) -> Iterator[Examples]:
        """Yield what is read until the source ends. What is joined is copied: a source may reuse memory."""
        while True:
            parts: list[Examples] = []
            for batch in itertools.islice(self.source, self.joined):
                part = self.convert(batch, self.number, self.columns)
                parts.append(part.copied() if self.joined > 1 else part)
                self.number += 1
            if not parts:
                return
            yield parts[0] if len(parts) == 1 else joined(parts)

    def epoch(self, number: int) -> Iterator[Examples]:
        """Yield the batches of an epoch, counted from 0.

        Raises
        ------
        ValueError
            If there are too few.
        """
        n = 0
        if self.first is not None:
            first, self.first, n = self.first, None, 1
            yield first
        elif self.steps is None:
            self.source = iter(self.batches)
        again = False
        while self.steps is None or n < self.steps:
            before = n
            for each in ahead(self.examples(), None if self.steps is None else self.steps - n):
                yield each
                n += 1
            if self.steps is None or n >= self.steps:
                break
            if n == before and again:
                raise ValueError(
                    f"batches has ended after {self.number} batches, within epoch {number + 1}: give an "
                    f"iterable that can be read again, or fewer epochs or steps_per_epoch"
                )
            self.source, again = iter(self.batches), True  # of a sequence, from its beginning on
        if n == 0:
            raise ValueError(
                f"batches has nothing for epoch {number + 1}: a generator can be read once; give an "
                f"iterable that can be read again, or steps_per_epoch"
            )


def ahead(source: Iterator[Examples], most: int | None) -> Iterator[Examples]:
    """Yield at most so many of a source; once SLOW in a row have not been read at once, one ahead.

    To hand a batch from thread to thread takes longer than to read one from an array.
    """
    n = slow = 0
    while slow < SLOW and (most is None or n < most):
        started = time.perf_counter()
        examples = next(source, None)
        if examples is None:
            return
        slow = slow + 1 if time.perf_counter() - started > QUICK else 0
        n += 1
        yield examples
    yield from in_thread(source, None if most is None else most - n)


def in_thread(source: Iterator[Examples], most: int | None) -> Iterator[Examples]:
    """Yield at most so many of a source, of which the next one is read in another thread meanwhile."""
    ready: queue.SimpleQueue[tuple[Examples | None, BaseException | None]] = queue.SimpleQueue()
    wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()  # False: no more

    def read() -> None:
        error = None
        try:
            while wanted.get():
                ready.put((next(source).copied(), None))  # the source may reuse its memory
            return
        except StopIteration:
            pass
        except BaseException as found:  # of any kind: it is raised where the batch is wanted
            error = found
        ready.put((None, error))

    threading.Thread(target=read, name="cbp batches", daemon=True).start()
    n = 0
    try:
        while most is None or n < most:
            if n == 0:
                wanted.put(True)
            if most is None or n + 1 < most:
                wanted.put(True)
            examples, error = ready.get()
            if error is not None:
                raise error
            if examples is None:
                return
            yield examples
            n += 1
    finally:
        wanted.put(False)


class Stream(Training):
    """Epochs of training on batches that are read.

    Parameters
    ----------
    reader : Reader
    *arguments, **options
        As for `Training`, without examples, batch_size and shuffler.
    """

    def __init__(self, reader: Reader, engine: Any, parameters: Any, *arguments: Any, **options: Any) -> None:
        self.reader, self.steps_before = reader, 0
        self.n_rates = 0  # steps of the epoch for which there are learning rates
        super().__init__(
            engine, parameters, reader.peek(), *arguments, batch_size=None, shuffler=None, **options
        )
        self.outputs = None  # each step of a user's loss has its own
        if self.rates is not None and reader.steps is None:
            self.rates.counted = False

    @property
    def n_steps(self) -> int:
        """The number of steps of an epoch, or of those that there are rates for."""
        return self.reader.steps or STEPS_AT_FIRST

    @property
    def size(self) -> float:
        """The number of examples of an epoch, as far as it is known."""
        return self.reader.steps * self.batch if self.reader.steps else math.inf

    @property
    def steps_done(self) -> int:
        """The number of steps since the training began."""
        return self.steps_before + (self.steps.run.step if self.under_way else 0)

    def set_rule(self, n_steps: int) -> None:
        """Give the steps all that they need to know, at first for a part of an epoch that may be endless."""
        super().set_rule(n_steps if self.under_way else min(n_steps, STEPS_AT_FIRST))

    def go_through(self, tick: Callable[[int], object], by_round: bool) -> None:
        """Take the batches of an epoch through the pass."""
        self.seen, self.n_rates = 0, min(self.n_steps, STEPS_AT_FIRST)
        for examples in self.reader.epoch(self.epochs_done):
            if examples.m > self.batch:
                self.grow(examples.m)
            run = self.steps.run
            if run.step >= self.n_rates:
                self.n_rates *= 2
                self.set_rule(self.n_rates)
            self.step(examples)
            self.seen += examples.m
            tick(examples.m)
        self.steps_before += self.steps.run.step

    def step(self, examples: Examples) -> None:
        """Make the step of one batch."""
        run, first = self.steps.run, self.steps.run.position
        if examples.own_loss is not None:
            outputs = np.empty((examples.m, self.engine.n_out), examples.dtype)
            own_losses.run_through(
                *(run, examples, self.n_threads),
                order=None,
                outputs=outputs,
                check=True,
                tick=lambda n: None,
                base=first,
            )
            return
        passes.bind_batch(run, examples, first)
        passes.advance_to(run, examples, first + examples.m, self.n_threads)

    def grow(self, m: int) -> None:
        """Go on with a pass for larger batches."""
        found = self.steps.place()
        assert found is not None
        parameters, state, place = found
        self.batch = self.bound = m
        with self.lock:
            rest = self.parameters.copy()
            self.parameters[:] = parameters
            extent = self.steps.extent._replace(batch=m, bound=m)
            self.steps = Steps(self.engine, state, self.optimizer, self.examples.dtype, extent)
            self.engine.note_write()
            self.steps.run.pack(self.n_threads)
            self.parameters[:] = rest  # of the last epoch, which others see
            self.engine.note_write()
        self.steps.run.write_place(*place)
        self.set_rule(self.n_rates)
