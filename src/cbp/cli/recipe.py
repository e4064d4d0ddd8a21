"""How ``cbp train`` trains: the choices that follow from the data where the user makes none.

A network soon overfits few examples, and then predicts others worse than their average would. So the number
of epochs, and the activation and the penalty of the network, are those that predict examples left out best.
They are chosen by cross-validation with five folds. Where that would take long, a tenth of the examples is
held out once, and chooses the number of epochs alone. The network is then trained anew on all examples for
that many epochs, unless this is too much work. `trainer.py` carries the recipe out, and `bench/tables.py` is
the experiment that these choices come from.
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
# All optimisers of the package, by the names that the kernels give them.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    kind.kernel: kind
    for name in cbp.__all__
    if isinstance(kind := getattr(cbp, name), type) and issubclass(kind, Optimizer)
}
RATES = {"adam": 0.003, "adamw": 0.003}  # learning rates that differ from the defaults of the classes
HELD_OUT = 0.1  # share of the examples that is held out once where cross-validation would take long
STEPS = 3000  # with few examples there are more than EPOCHS epochs, to make about so many steps
EPOCHS = 100  # passes over the examples if they are many
MOST_EPOCHS = 300
LEAST_EPOCHS = 15
LEAST_EPOCHS_WITH_FOLDS = 50  # cross-validation that can afford fewer is given up
WORK = 1e10  # most examples × parameters × epochs, summed over all trainings: it takes some seconds


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
    """The properties of a network that cross-validation may choose.

    Parameters
    ----------
    activation : tuple of str
        One name for all hidden layers, or one for each.
    l2 : float
        λ, as in `cbp.Network`, with ``fit(l2_per="batch")``: then folds and all examples want the same.
    """

    activation: tuple[str, ...]
    l2: float


# Each is the best on some tables. The first is the fastest, and is taken where there is no cross-validation.
CANDIDATES = Candidate(("relu",), 0.0), Candidate(("tanh",), 0.0), Candidate(("relu",), 0.3)


@dataclass(frozen=True)
class Recipe:
    """What a network looks like and how it is trained.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    candidates : tuple of Candidate
        If there are several, cross-validation chooses one.
    optimizer : Optimizer
    batch_size : int
        Examples in a step.
    epochs : int
        The number of epochs, or the most that may be chosen.
    folds : int
        The parts of the examples that are left out in turn to choose the number of epochs; 1: a single part
        is held out; 0: nothing is left out, and the number is ``epochs``.
    refit : bool
        Whether the network is trained anew, on all examples, once the number of epochs is chosen.
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
        """Whether the candidates differ in their activations."""
        return len({candidate.activation for candidate in self.candidates}) > 1

    @classmethod
    def choose(cls, m: int, n_inputs: int, n_outputs: int, asked: Asked) -> Recipe:
        """Return the recipe for m training examples, which follows what the user has asked for."""
        hidden = (128,) if asked.hidden is None else tuple(asked.hidden)
        work = m * sum((s + 1) * t for s, t in pairwise((n_inputs, *hidden, n_outputs)))
        batch_size = min(32 if asked.batch_size is None else asked.batch_size, m)
        candidates, folds = possible(hidden, asked), min(FOLDS, m)
        # For each candidate, the folds together cost as much as folds - 1 trainings on all examples, because
        # each training lacks one fold; the final training is on all examples.
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
    """Return the distinct candidates, with what the user has asked for in place of their own properties."""
    found = []
    for one in CANDIDATES:
        # Without hidden layers the candidates' activations make no difference.
        activation = one.activation if hidden else CANDIDATES[0].activation
        if asked.activation is not None:
            activation = tuple(asked.activation)
        found.append(Candidate(activation, one.l2 if asked.l2 is None else asked.l2))
    return tuple(dict.fromkeys(found))
