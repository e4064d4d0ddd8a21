"""Checkpoints: all that a training depends on, written to a file while it goes on.

A checkpoint is written before the first step, whenever one is due, and at the end. It replaces the file of
the one before only when it is complete and on the disk. So a process that is killed at any moment leaves the
last one, from which `cbp.resume` goes on.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import scalars
from cbp.examples.arrays import Examples
from cbp.examples.conversion import Array, convert, short
from cbp.files import checkpoint, metadata
from cbp.training.epochs import Training
from cbp.training.plain import to_plain
from cbp.training.state import TrainingState

if TYPE_CHECKING:
    from cbp.training.history import History
    from cbp.training.stopping import Watch

COMPLETE = ("epochs", "patience")  # reasons of an end after which nothing is left to do
ROWS_IN_DIGEST = 256


@dataclass(frozen=True, slots=True)
class Every:
    """How often `fit` writes a checkpoint; give one of the two.

    Parameters
    ----------
    steps : int, optional
        After at least as many steps, at least 1. The core makes steps for up to 50 ms before it looks.
    seconds : float, optional
        After at least as much time, above 0.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong kind or out of its range, or not exactly one is given.

    Examples
    --------
    >>> import cbp
    >>> cbp.Every(seconds=30)
    Every(steps=None, seconds=30)
    """

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise ValueError(
                f"Every needs steps or seconds, got {'neither' if self.steps is None else 'both'}"
            )
        if self.steps is not None:
            scalars.count(self.steps, "steps", least=1)
        if self.seconds is not None:
            scalars.real(self.seconds, "seconds", least=0, above=True)


def interval(value: Any) -> Every | None:
    """Return the interval that `checkpoint_every` of `fit` names; None is an epoch."""
    if isinstance(value, str) and value == "epoch":
        return None
    if not isinstance(value, Every):
        raise TypeError(
            f"checkpoint_every must be 'epoch', cbp.Every(steps=...) or cbp.Every(seconds=...), "
            f"got {short(value)}"
        )
    return value


def digest(examples: Examples | None) -> str | None:
    """Return a fingerprint of the shape of the examples, and of the values in some of their rows."""
    if examples is None:
        return None
    rows = np.unique(np.linspace(0, examples.m - 1, ROWS_IN_DIGEST).astype(np.int64))
    found = hashlib.sha256(repr((examples.X.shape, examples.labels is None)).encode())
    for array in (examples.X, examples.Y, examples.weights):
        if array is not None:
            found.update(convert(array[rows], examples.dtype).tobytes())
    if examples.labels is not None:
        found.update(examples.labels[rows].tobytes())
    return found.hexdigest()


class Saver:
    """Writes the checkpoints of one training.

    Parameters
    ----------
    network : Network
    path : path-like
    settings : mapping
        The arguments of `fit`, as `resume` needs them.
    examples, aside : Examples
        What `fit` was given to train and to validate on, of which the file has fingerprints.

    Raises
    ------
    TypeError
        If a setting is a function, or anything else that a file cannot hold.
    """

    def __init__(
        self,
        network: Any,
        path: str | os.PathLike[str],
        settings: Mapping[str, Any],
        examples: Examples,
        aside: Examples | None,
    ) -> None:
        self.network, self.path = network, os.fspath(path)
        self.every = interval(settings["checkpoint_every"])
        self.about = {
            "architecture": network._architecture.to_dict(),
            "metadata": network.metadata,
            "feature_names": examples.feature_names,
            "settings": {
                name: to_plain(value, f"{name}, for a checkpoint,") for name, value in settings.items()
            },
            "data": digest(examples),
            "validation_data": digest(aside),
        }
        metadata.check(network.metadata)
        self.steps = 0  # of the training, when the last one was written
        self.written = time.monotonic()

    def begin(self, training: Training, history: History, watch: Watch | None) -> None:
        """Write the first checkpoint, which shows whether the file can be written."""
        self.training, self.history, self.watch = training, history, watch
        training.keeps_cut = True
        self.write(training.state(), None)

    def after_slice(self) -> None:
        """Write one if it is due within an epoch; inside a long minibatch, wait."""
        every, done = self.every, self.training.steps_done
        if every is None:
            return
        if every.steps is not None and done - self.steps < every.steps:
            return
        if every.seconds is not None and time.monotonic() - self.written < every.seconds:
            return
        self.write(self.training.state(), None)

    def after_epoch(self) -> None:
        """Write one if each epoch has one, or if it is due."""
        if self.every is None:
            self.write(self.training.state(), None)
        else:
            self.after_slice()

    def end(self, reason: str, state: TrainingState | None) -> None:
        """Write the last one, for the state in which the training has ended, unless an error has ended it."""
        if reason not in ("error", "not_finite"):
            self.write(state, reason)

    def write(self, state: TrainingState | None, reason: str | None) -> None:
        """Write one for a state; do nothing for None, where there is none to take."""
        if state is None:
            return
        arrays: dict[str, Array | None] = {
            "parameters": state.parameters,
            "order": state.order,
            "outputs": state.outputs,
            "at_rest": self.training.parameters,
            "best_parameters": self.watch.parameters if self.watch else None,
            "validation_rows": self.history.validation_rows,
        }
        arrays |= {f"moment {name}": moment for name, moment in state.optimizer.moments.items()}
        watch = self.watch
        description = {
            **self.about,
            "state": to_plain(
                {
                    "updates": state.optimizer.updates,
                    "batch": state.batch,
                    "epochs": state.epochs,
                    "place": state.place,
                    "seed": state.seed,
                    "seconds": state.seconds,
                    "plateau": state.plateau,
                    "generator": state.generator,
                },
                "the state of the training",
            ),
            "generator": to_plain(self.network._shuffler.bit_generator.state, "the state of rng"),
            "history": [to_plain(epoch, "an epoch") for epoch in self.history],
            "stopped": reason,
            "best": watch.best.number if watch and watch.best else None,
            "waited": watch.waited if watch else None,
        }
        checkpoint.write(self.path, description, {k: v for k, v in arrays.items() if v is not None})
        self.steps, self.written = self.training.steps_done, time.monotonic()
