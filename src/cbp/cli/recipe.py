"""How ``cbp train`` trains: what the data decide where nothing was asked for, and when to stop.

Few examples are soon learnt by heart, and others are then predicted worse than by the average. So what is
chosen is what predicts examples left out best: the number of epochs, and the activation and penalty of the
network. A fifth of the examples is left out in turn, or, where that would take long, a tenth once, which
chooses the number of epochs alone. The network is then trained on all examples for that long, unless this is
much work. `trainer.py` does it, and `bench/tables.py` is the experiment that these choices come from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cbp
from cbp.optimizers.base import Optimizer

__all__ = ["Asked", "Candidate", "Recipe"]

FOLDS = 5
# All that the package has, by the names of the kernels.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    kind.kernel: kind
    for name in cbp.__all__
    if isinstance(kind := getattr(cbp, name), type) and issubclass(kind, Optimizer)
}
RATES = {"adam": 0.003, "adamw": 0.003}  # where they are not those of Python
HELD_OUT = 0.1  # where folds would take long
STEPS = 3000  # a training has about so many where examples are few, in at most MOST_EPOCHS
EPOCHS = 100  # so often are many examples gone through
MOST_EPOCHS = 300
LEAST_EPOCHS = 15
LEAST_EPOCHS_WITH_FOLDS = 50
WORK = 1e10  # examples times parameters, over all epochs of all trainings: some seconds


@dataclass(frozen=True)
class Asked:
    """What the user has asked for; None where the recipe decides."""

    hidden: Sequence[int] | None = None
    activation: Sequence[str] | None = None
    l2: float | None = None
    optimizer: str = "adam"
    lr: float | None = None
    momentum: float | None = None
    batch_size: int | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        if self.momentum is not None and "momentum" not in OPTIMIZERS[self.optimizer].__slots__:
            raise ValueError(f"--momentum goes with --optimizer sgd or rmsprop, not {self.optimizer}")

    def make_optimizer(self) -> Optimizer:
        """Return the optimiser."""
        rate = RATES.get(self.optimizer) if self.lr is None else self.lr
        given = {"learning_rate": rate, "momentum": self.momentum}
        return OPTIMIZERS[self.optimizer](
            **{name: value for name, value in given.items() if value is not None}
        )


@dataclass(frozen=True)
class Candidate:
    """What may be chosen of a network.

    Parameters
    ----------
    activation : tuple of str
        One name for all hidden layers, or one for each.
    l2 : float
        λ, as in `cbp.Network`.
    """

    activation: tuple[str, ...]
    l2: float


# Each is the best on some tables. The first is also the fastest, and the one where none is chosen.
CANDIDATES = Candidate(("relu",), 0.0), Candidate(("tanh",), 0.0), Candidate(("relu",), 0.3)


@dataclass(frozen=True)
class Recipe:
    """What a network looks like and how it is trained.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    candidates : tuple of Candidate
        Several where the examples that are left out choose one.
    optimizer : Optimizer
    batch_size : int
        Examples a step.
    epochs : int
        How often to go through the examples, or at most how often.
    folds : int
        Parts that are left out in turn to choose the number of epochs; 1: a single part is held out; 0: there
        are exactly ``epochs``.
    refit : bool
        Whether the network is trained anew, on all examples, once the number is chosen.
    """

    hidden: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    optimizer: Optimizer
    batch_size: int
    epochs: int
    folds: int
    refit: bool

    @property
    def chooses_activation(self) -> bool:
        """Whether the candidates differ in it."""
        return len({candidate.activation for candidate in self.candidates}) > 1

    @classmethod
    def choose(cls, m: int, n_inputs: int, n_outputs: int, asked: Asked) -> Recipe:
        """Return what suits m training examples; whatever was asked for is done."""
        hidden = (128,) if asked.hidden is None else tuple(asked.hidden)
        work = m * sum((s + 1) * t for s, t in pairwise((n_inputs, *hidden, n_outputs)))
        batch_size = min(32 if asked.batch_size is None else asked.batch_size, m)
        candidates, folds = possible(hidden, asked), min(FOLDS, m)
        # A fold is a part of a training; the last training has all examples.
        affordable = int(WORK / (work * (1 + len(candidates) * (folds - 1))))
        if asked.epochs is not None or m < 2:
            # A single example can be trained on or left out, but not both.
            candidates, folds, affordable = candidates[:1], 0, MOST_EPOCHS
        elif affordable < LEAST_EPOCHS_WITH_FOLDS:
            candidates, folds = candidates[:1], 1
            affordable = max(LEAST_EPOCHS, int(WORK / (2 * work)))
        epochs = max(EPOCHS, math.ceil(STEPS / math.ceil(m / batch_size)))
        epochs = min(epochs, affordable, MOST_EPOCHS) if asked.epochs is None else asked.epochs
        refit = folds > 1 or (folds == 1 and 2 * epochs * work <= WORK)
        return cls(hidden, candidates, asked.make_optimizer(), batch_size, epochs, folds, refit)


def possible(hidden: tuple[int, ...], asked: Asked) -> tuple[Candidate, ...]:
    """Return the candidates, each once, with what was asked for."""
    found = []
    for one in CANDIDATES:
        # Without hidden layers the candidates' activations make no difference.
        activation = one.activation if hidden else CANDIDATES[0].activation
        if asked.activation is not None:
            activation = tuple(asked.activation)
        found.append(Candidate(activation, one.l2 if asked.l2 is None else asked.l2))
    return tuple(dict.fromkeys(found))
