"""A training run: epochs, one after the other, until something ends it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cbp.scalars import kind
from cbp.training.epochs import OutOfTime, Training
from cbp.training.history import History
from cbp.training.progress import Progress
from cbp.training.record import Epoch

if TYPE_CHECKING:
    from cbp.training.stopping import Watch


def wants_to_stop(answer: object, number: int) -> bool:
    """Return whether a callback's answer ends the training; refuse one that is neither a bool nor None."""
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
    validate: Callable[[], float] | None = None,
    callbacks: Iterable[Callable[[Epoch], object]] = (),
    progress: bool | None = None,
    watch: Watch | None = None,
    max_seconds: float = math.inf,
) -> None:
    """Train for some epochs, each recorded in the history, unless something ends the training before.

    Then the network gets the parameters of the best epoch, if early stopping wants them back.
    """
    reason = "error"
    try:
        reason = run_epochs(
            training,
            epochs,
            history,
            validate=validate,
            callbacks=callbacks,
            progress=progress,
            watch=watch,
            end=time.monotonic() + max_seconds,
        )
    except KeyboardInterrupt:
        reason = "interrupted"
        raise
    except FloatingPointError:
        reason = "not_finite"
        raise
    finally:
        history.end(reason, watch.best if watch else None)
        if watch is not None and watch.parameters is not None and watch.restores_after(reason):
            training.restore(watch.parameters)


def run_epochs(
    training: Training,
    epochs: int,
    history: History,
    *,
    validate: Callable[[], float] | None,
    callbacks: Iterable[Callable[[Epoch], object]],
    progress: bool | None,
    watch: Watch | None,
    end: float,
) -> str:
    """Train, and return why training has ended."""
    left = 0  # examples of the epoch that are still to come

    def tick(n: int) -> None:
        nonlocal left
        bar.advance(n)
        left -= n
        if left > 0 and time.monotonic() >= end:
            raise OutOfTime

    bar = Progress(progress, epochs=epochs, examples=training.examples.m)
    with bar:
        for number in range(1, epochs + 1):
            if time.monotonic() >= end:
                return "max_seconds"
            left = training.examples.m
            try:
                epoch = training.epoch(number, tick)
            except OutOfTime:
                return "max_seconds"
            try:
                if validate is not None:
                    epoch = replace(epoch, validation_loss=validate())
            finally:  # the epoch counts, even if Ctrl-C cuts its validation short
                history.append(epoch)
            if watch is not None:
                watch.see(epoch, training.parameters)
            bar.finish_epoch(epoch)
            # A list, so that every callback is called, even after one has returned True.
            if any([wants_to_stop(callback(epoch), i) for i, callback in enumerate(callbacks)]):  # noqa: C419
                return "callback"
            if watch is not None and watch.patience_is_over:
                return "patience"
    return "epochs"
