"""The training state: all that training depends on between two steps, in one record that can be saved.

Training that goes on from it, with the same examples and settings, gives the same bits in any process and
with any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cbp.examples.conversion import Array
from cbp.optimizers.base import OptimizerState

# How far an epoch has come: the number of the first example of the next minibatch, in the order of training;
# the number of steps in the epoch; the number of steps since the optimiser's state was fresh; the sum, over
# the minibatches done, of J times the minibatch's weight; the sum of these weights.
Place = tuple[int, int, int, float, float]


class TrainingState:
    """Where training stands between two steps.

    It is not a dataclass, which would add a twentieth to the time of `import cbp`.

    Parameters
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
    seed : int
        Of dropout and noise.
    plateau : tuple or None
        What a `Plateau` has seen.
    seconds : float
        What the next epoch has taken so far.
    outputs : ndarray, (m, s(L)), or None
        The outputs of its examples so far, where they are wanted.
    order : ndarray of uint32, (m,), or None
        The order of the examples; None where they are not shuffled.
    generator : mapping or None
        The state of the bit generator that the next shuffle draws from.
    """

    __slots__ = (
        "batch", "epochs", "generator", "optimizer", "order", "outputs", "parameters", "place", "plateau",
        "seconds", "seed",
    )  # fmt: skip

    def __init__(
        self,
        parameters: Array,
        optimizer: OptimizerState,
        *,
        batch: int,
        epochs: int,
        seed: int,
        plateau: tuple[float, float, int, int] | None,
        seconds: float,
        outputs: Array | None,
        place: Place | None,
        order: Array | None,
        generator: Mapping[str, Any] | None,
    ) -> None:
        self.parameters, self.optimizer, self.batch, self.epochs = parameters, optimizer, batch, epochs
        self.plateau, self.seconds, self.outputs = plateau, seconds, outputs
        self.seed, self.place, self.order, self.generator = seed, place, order, generator
