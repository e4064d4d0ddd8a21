"""What is measured after each epoch: the validation loss, and metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cbp import _core, metrics
from cbp.examples.arrays import Examples
from cbp.examples.conversion import Array
from cbp.metrics import Metric
from cbp.training import passes
from cbp.training.record import Epoch


class Measures:
    """What one training measures.

    Parameters
    ----------
    engine : Engine
    examples : Examples
        Those trained on; not used where the training keeps no outputs.
    aside : Examples or None
        Those to validate on.
    wanted : sequence of Metric
    exclusive : bool
        Whether classes exclude each other.
    n_threads : callable
        Returns the number of threads.
    """

    def __init__(
        self,
        engine: _core.Engine,
        examples: Any,
        aside: Examples | None,
        wanted: Sequence[Metric],
        exclusive: bool,
        n_threads: Callable[[], int],
    ) -> None:
        self.engine, self.examples, self.aside = engine, examples, aside
        self.wanted, self.exclusive, self.n_threads = wanted, exclusive, n_threads

    def validate(self) -> tuple[float | None, dict[str, float]]:
        """Return the loss, without the penalty, and the metrics of the validation data, or None and {}."""
        if self.aside is None:
            return None, {}
        a = np.empty((self.aside.m, self.engine.n_out), self.aside.dtype) if self.wanted else None
        loss = passes.loss(self.engine, self.aside, self.n_threads(), None, a)
        found = {} if a is None else metrics.evaluate(self.wanted, self.aside, a, self.exclusive)
        return loss, {f"validation_{name}": value for name, value in found.items()}

    def completed(self, epoch: Epoch, outputs: Array | None) -> Epoch:
        """Return an epoch with the measures; `outputs` are those that it has computed."""
        if self.aside is None and not self.wanted:
            return epoch
        found = {}
        if self.wanted and outputs is not None:
            found = metrics.evaluate(self.wanted, self.examples, outputs, self.exclusive)
        loss, validated = self.validate()
        return replace(epoch, validation_loss=loss, metrics={**found, **validated})
