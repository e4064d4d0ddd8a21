"""The training state: all that training stands on between two steps, as one record that can be written down.

With it, with the same examples and settings, training goes on to the same bits, in any process and with any
number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cbp.conversion import Array
from cbp.optimizers.base import OptimizerState


class Place(NamedTuple):
    """How far an epoch has come: what `Pass.write_place` takes."""

    first: int  # the next minibatch's first example, in the order of training
    step: int  # steps of the epoch
    updates: int  # … and since the optimiser's state was fresh
    loss: float  # the sum of J of each minibatch times its weight
    weight: float  # the sum of the minibatches' weights


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Where training stands between two steps. Its arrays are copies.

    Attributes
    ----------
    parameters : ndarray, (n_parameters,)
    optimizer : OptimizerState
        The optimiser, its moments and its number of updates.
    batch : int
        Examples of a minibatch.
    epochs : int
        Epochs completed.
    place : Place or None
        How far the next epoch has come; None: it has not begun.
    order : ndarray of uint32, (m,), or None
        The order of the examples; None where they are not shuffled.
    generator : mapping or None
        The state of the bit generator that the next shuffle draws from.
    """

    parameters: Array
    optimizer: OptimizerState
    batch: int
    epochs: int
    place: Place | None
    order: Array | None
    generator: Mapping[str, Any] | None
