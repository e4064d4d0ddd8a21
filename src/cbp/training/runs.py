"""A training run: epochs, one after the other, until something ends it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from cbp.scalars import kind
from cbp.training.ends import Stopped
from cbp.training.epochs import Training
from cbp.training.history import History
from cbp.training.progress import Progress
from cbp.training.record import Epoch

if TYPE_CHECKING:
    from cbp.training.checkpoints import Saver
    from cbp.training.measures import Measures
    from cbp.training.stopping import Watch


def wants_to_stop(answer: object, argument: str, number: int) -> bool:
    """Return whether a callback's answer ends the training; refuse one that is neither a bool nor None."""
    if answer is not None and not isinstance(answer, (bool, np.bool_)):
        raise TypeError(
            f"{argument}[{number}] must return True to stop the training, False or None to go on with it, "
            f"got {kind(answer)}"
        )
    return bool(answer)


def train(
    training: Training,
    epochs: int,
    history: History,
    *,
    measures: Measures | None = None,
    callbacks: Iterable[Callable[[Epoch], object]] = (),
    after_step: Callable[[Training, int], bool] | None = None,
    progress: bool | None = None,
    watch: Watch | None = None,
    saver: Saver | None = None,
    max_seconds: float = math.inf,
) -> None:
    """Train until there are `epochs` epochs, each recorded in the history, or something ends the training.

    `after_step` is called at least after every step, with the training and the number of the epoch, and
    returns whether to stop: `Hooks.stop`. At the end the network gets the parameters of the best epoch, if
    early stopping wants them back.
    """
    reason, error = "error", None
    try:
        if saver is not None:
            saver.begin(training, history, watch)
        reason = run_epochs(
            training,
            epochs,
            history,
            measures=measures,
            callbacks=callbacks,
            after_step=after_step,
            progress=progress,
            watch=watch,
            saver=saver,
            end=time.monotonic() + max_seconds,
        )
    except Stopped as stopped:
        reason, error = stopped.reason, stopped.error
    except KeyboardInterrupt:
        reason = "interrupted"
        raise
    except FloatingPointError:
        reason = "not_finite"
        raise
    finally:
        history.end(reason, watch.best if watch else None)
        left = (
            training.cut or training.state() if saver is not None else None
        )  # before parameters are restored
        if watch is not None and watch.parameters is not None and watch.restores_after(reason):
            training.restore(watch.parameters)
        if saver is not None:
            saver.end(reason, left)
    if error is not None:
        try:
            raise error
        finally:
            error = None  # else it and this frame would keep each other, and the examples, in memory


def run_epochs(
    training: Training,
    epochs: int,
    history: History,
    *,
    measures: Measures | None,
    callbacks: Iterable[Callable[[Epoch], object]],
    after_step: Callable[[Training, int], bool] | None,
    progress: bool | None,
    watch: Watch | None,
    saver: Saver | None,
    end: float,
) -> str:
    """Train, and return why training has ended; raise `Stopped` if it has within an epoch."""
    left = 0.0  # examples of the epoch that are still to come
    stopping = False  # whether a batch callback has asked for the end

    def tick(n: int) -> None:
        nonlocal left, stopping
        bar.advance(n)
        left -= n
        if after_step is not None:
            stopping = after_step(training, number)
        if saver is not None:
            saver.after_slice()
        if left > 0 and stopping:
            raise Stopped("callback")
        if left > 0 and time.monotonic() >= end:
            raise Stopped("max_seconds")

    bar = Progress(
        progress, epochs=epochs, examples=int(training.size) if math.isfinite(training.size) else 0
    )
    with bar:
        for number in range(training.epochs_before + 1, epochs + 1):
            if time.monotonic() >= end:
                return "max_seconds"
            left = training.size - (training.place[0] if training.place else 0)
            epoch = training.epoch(number, tick, by_round=after_step is not None)
            try:
                if measures is not None:
                    epoch = measures.completed(epoch, training.outputs)
            finally:  # the epoch counts, even if Ctrl-C cuts its validation short
                history.append(epoch)
            if watch is not None:
                watch.see(epoch, training.parameters)
            if training.rates is not None and training.rates.plateau is not None:
                training.rates.plateau.see(epoch[training.rates.plateau.monitor])
            bar.finish_epoch(epoch)
            # A list, so that every callback is called, even after one has returned True.
            answers = [wants_to_stop(each(epoch), "callbacks", i) for i, each in enumerate(callbacks)]
            if saver is not None:
                saver.after_epoch()
            if stopping or any(answers):
                return "callback"
            if watch is not None and watch.patience_is_over:
                return "patience"
    return "epochs"
