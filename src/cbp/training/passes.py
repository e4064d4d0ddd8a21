"""Passes over examples, in slices of about 20 ms, between which Python reacts to Ctrl-C and shows progress.

Results have the same bits wherever the slices end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from cbp import _core
from cbp.examples.arrays import Examples
from cbp.examples.conversion import Array, convert
from cbp.training import own_losses

SLICE_SECONDS = 0.02
ONE_ROUND = 1.0  # multiply-adds: the first round of a slice uses up this budget
SLICE_WORK = 1e9  # multiply-adds: some 20 ms
FIRST_BUDGET = 2e7  # multiply-adds of the first slice: less than a millisecond
SHUFFLE_PART = 1 << 20  # examples shuffled at a time: some milliseconds
MOST_SHUFFLED = 2**32 - 1  # the numbers of examples are uint32
PART_BYTES = 1 << 24  # of a part, the examples that are converted at a time
LEAST_PART = 256  # the least examples of a part: LEAST_ROUND of kernels/partition.pxi


def part_rows(examples: Examples) -> int:
    """Return the most examples to bind at a time: all, or a part where X or Y are converted by parts."""
    width = examples.X.shape[1] if examples.X_by_parts else 0
    if examples.Y is not None and examples.Y_by_parts:
        width += examples.Y.shape[1]
    if width == 0:
        return examples.m
    return int(max(LEAST_PART, PART_BYTES // (width * examples.dtype.itemsize)))


def shuffle(order: Array, state: int) -> None:
    """Shuffle in place by parts, so that Ctrl-C takes effect between them."""
    for stop in range(len(order), 1, -SHUFFLE_PART):
        state = _core.shuffle(order, max(1, stop - SHUFFLE_PART), stop, state)


def forward_rows(n_parameters: int, row_bytes: int) -> int:
    """Return the number of examples to predict at a time: some milliseconds of work, and at most a part."""
    return max(LEAST_PART, min(int(4e8 / n_parameters), PART_BYTES // row_bytes))


def new_pass(
    engine: _core.Engine, mode: str, examples: Examples, batch: int, n_threads: int, **options: Any
) -> _core.Pass:
    """Make a pass over these examples, in minibatches of `batch`."""
    return _core.Pass(engine, _core.MODES[mode], batch, n_threads, bound=part_rows(examples), **options)


def bind_part(
    run: _core.Pass,
    examples: Examples,
    order: Array | None,
    inputs: Array | None,
    outputs: Array | None,
    check: bool,
) -> None:
    """Bind the examples to the pass (give it their arrays): all, or the next part if converted by parts."""
    start, rows = run.position, part_rows(examples)
    if rows < examples.m:
        rows -= rows % run.stride  # an incomplete minibatch would be converted twice
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
        outputs=outputs,
        check=check,
        X_gathered=X_by_parts,
        Y_gathered=Y_by_parts,
        offset=start,
        available=stop,
        missing=examples.limits.missing,
        losses=examples.losses,
    )


def bind_batch(run: _core.Pass, examples: Examples, first: int) -> None:
    """Bind a minibatch whose first example has this number, and that has arrays of its own."""
    run.bind(
        convert(examples.X, examples.dtype),
        None if examples.Y is None else convert(examples.Y, examples.dtype),
        examples.labels,
        examples.weights,
        None,
        first + examples.m,
        base=first,
        missing=examples.limits.missing,
        losses=examples.losses,
    )


def advance_to(run: _core.Pass, examples: Examples, stop: int, n_threads: int) -> None:
    """Take the pass to an example, in slices, so that Ctrl-C takes effect between them."""
    while run.position < stop:
        run.advance(SLICE_WORK, n_threads)
        own_losses.refuse_fault(run, examples)


def run_through(
    run: _core.Pass,
    examples: Examples,
    n_threads: int,
    *,
    order: Array | None = None,
    inputs: Array | None = None,
    outputs: Array | None = None,
    check: bool = True,
    tick: Callable[[int], object] = lambda n: None,
    budget: float = FIRST_BUDGET,
    by_round: bool = False,
) -> float:
    """Take all examples through a packed pass, in slices, and call `tick` with the number in each slice.

    `inputs` and `outputs`, if given, receive dJ/dX and a(L) of the examples, each in its row. With `by_round`
    a slice is a single round, which is a minibatch, or a part of a long one, so that `tick` is called after
    every step. Return the budget, the multiply-adds of a slice, to start the next pass with.

    Raises
    ------
    ValueError
        If X or Y hold values that they must not.
    FloatingPointError
        If a minibatch's loss is not finite.
    """
    bind_part(run, examples, order, inputs, outputs, check)
    while True:
        before, started = run.position, time.perf_counter()
        run.advance(ONE_ROUND if by_round else budget, n_threads)
        seconds = time.perf_counter() - started
        own_losses.refuse_fault(run, examples)
        tick(run.position - before)
        if run.finished:
            return budget
        if run.needs_data:
            bind_part(run, examples, order, inputs, outputs, check)
        elif not by_round:
            budget *= min(2.0, max(0.25, SLICE_SECONDS / max(seconds, 1e-6)))


def loss(
    engine: _core.Engine,
    examples: Examples,
    n_threads: int,
    penalties: Array | None,
    outputs: Array | None = None,
) -> float:
    """Return J of all the examples; write their outputs to `outputs`, if that is given."""
    examples = own_losses.measured(engine, examples, n_threads)
    run = new_pass(engine, "loss", examples, examples.m, n_threads)
    run.set_rule(penalties)
    run.pack(n_threads)
    run_through(run, examples, n_threads, outputs=outputs)
    return float(run.loss)


def gradient(
    engine: _core.Engine,
    examples: Examples,
    n_threads: int,
    penalties: Array | None,
    D: Array,
    inputs: Array | None,
) -> float:
    """Return J of all the examples; write its gradient to D and, if `inputs` is given, dJ/dX to `inputs`."""
    examples = own_losses.measured(engine, examples, n_threads)
    run = new_pass(engine, "gradient", examples, examples.m, n_threads, inputs=inputs is not None)
    run.set_rule(penalties)
    run.pack(n_threads)
    run_through(run, examples, n_threads, inputs=inputs)
    run.read_gradient(D)
    return float(run.loss)
