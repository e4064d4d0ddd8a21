"""How ``cbp train`` trains: what the data decide where nothing was asked for, and when to stop.

Few examples are soon learnt by heart, and others are then predicted worse than by the average. So the number
of epochs is the one that is best for examples left out: in turn a fifth of them where they are few, a tenth
once where they are many or a fold would take long. The network is then trained on all of them for that long,
unless this is much work. The parameters are averages over the epochs, which are less noisy than those of any
one. `bench/tables.py` is the experiment that these choices come from.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cbp

__all__ = ["Asked", "Recipe", "Trained", "train"]

Array = NDArray[Any]
Pair = tuple[Array, Array]  # X and Y

FEW = 1000  # examples: fewer are cross-validated
FOLDS = 5
HELD_OUT = 0.1  # of many examples
PATIENCE = 10  # epochs to wait for a better one at least
STEPS = 3000  # a training has about so many where examples are few, in at most MOST_EPOCHS_OF_FEW
MOST_EPOCHS_OF_FEW = 1000
EPOCHS = 15, 100  # the least and the most that many examples are gone through
WORK = 5e9  # examples times parameters of one training: some seconds
LATE = 3  # how much late epochs weigh in an average: half of it are the last sixth of them


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
        if self.momentum is not None and self.optimizer != "sgd":
            raise ValueError("--momentum goes with --optimizer sgd")

    def make_optimizer(self) -> cbp.SGD | cbp.Adam:
        """Return the optimiser."""
        if self.optimizer == "sgd":
            return cbp.SGD(0.1 if self.lr is None else self.lr, self.momentum or 0.0)
        return cbp.Adam(0.003 if self.lr is None else self.lr)


@dataclass(frozen=True)
class Recipe:
    """What a network looks like and how it is trained.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    activation : tuple of str
        One name for all hidden layers, or one for each.
    l2 : float
        λ, as in `cbp.Network`.
    optimizer : cbp.SGD or cbp.Adam
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
    activation: tuple[str, ...]
    l2: float
    optimizer: cbp.SGD | cbp.Adam
    batch_size: int
    epochs: int
    folds: int
    refit: bool

    @classmethod
    def choose(cls, m: int, n_inputs: int, n_outputs: int, asked: Asked) -> Recipe:
        """Return what suits m training examples; whatever was asked for is done."""
        hidden = (128,) if asked.hidden is None else tuple(asked.hidden)
        work = m * sum((s + 1) * t for s, t in pairwise((n_inputs, *hidden, n_outputs)))
        batch_size = min(32 if asked.batch_size is None else asked.batch_size, m)
        epochs = math.ceil(STEPS / math.ceil(m / batch_size))
        few = m < FEW and min(epochs, MOST_EPOCHS_OF_FEW) * work <= WORK
        least, most = EPOCHS
        epochs = min(epochs, MOST_EPOCHS_OF_FEW) if few else max(least, min(most, int(WORK / work)))
        # A single example can be trained on or left out, but not both.
        folds = 0 if asked.epochs is not None or m < 2 else min(FOLDS, m) if few else 1
        # Between few points a smooth function errs less than one with kinks.
        activation = "tanh" if few else "relu"
        return cls(
            hidden,
            (activation,) if asked.activation is None else tuple(asked.activation),
            asked.l2 or 0.0,
            asked.make_optimizer(),
            batch_size,
            epochs if asked.epochs is None else asked.epochs,
            folds,
            refit=folds > 0 and epochs * work <= WORK,
        )


@dataclass(frozen=True)
class Trained:
    """How a training went.

    Parameters
    ----------
    epochs : int
        The number of epochs after which these were its parameters.
    finished : bool
        Whether nobody interrupted it.
    """

    epochs: int
    finished: bool = True


def train(
    net: cbp.Network,
    recipe: Recipe,
    X: Array,
    Y: Array,
    *,
    test: tuple[Array, Array] | None = None,
    seed: int = 0,
    progress: bool | None = False,
) -> Trained:
    """Train a fresh network by a recipe, and return how that went; Ctrl-C leaves what was reached.

    Parameters
    ----------
    net : cbp.Network
        Of the recipe's layers.
    recipe : Recipe
    X, Y : ndarray
        Examples and encoded targets, as for `cbp.Network.fit`.
    test : (X, Y), optional
        Examples whose loss the history records beside. Nothing is chosen by them.
    seed : int
        Decides which examples are left out.
    progress : bool or None
        Whether to show progress; None shows it where there is a terminal, and training takes some time.
    """
    start_at_average(net, Y)
    trainer = Trainer(recipe, progress)
    order = np.random.default_rng([seed, len(Y)]).permutation(len(Y))
    try:
        if recipe.folds == 0:
            trainer.fit(net, X, Y, test)
            return Trained(recipe.epochs)
        if not recipe.refit:
            return trainer.hold_out(net, X, Y, order, test)
        chosen = replace(recipe, epochs=trainer.choose_epochs(net, X, Y, order))
        return replace(trainer, recipe=chosen).fit_average(net, X, Y, test)
    except KeyboardInterrupt:
        return Trained(len(net.history), finished=False)


def start_at_average(net: cbp.Network, Y: Array) -> None:
    """Let an untrained network predict the same for every example: the frequencies of classes, or 0.

    0 is the average of standardised targets. So no epochs at all is a choice too, and a few are little more
    than that: with random weights of the outputs, noise would have to be unlearnt first.
    """
    net.weights[-1][:] = 0
    if net.output == "softmax":
        counts = np.bincount(Y, minlength=net.sizes[-1])
        net.biases[-1][:] = np.log((counts + 1) / (len(Y) + net.sizes[-1]))


def parted(order: Array, out: slice) -> tuple[Array, Array]:
    """Return the rows of a part of some order, and all others."""
    left_out = np.zeros(len(order), bool)
    left_out[order[out]] = True
    return np.flatnonzero(left_out), np.flatnonzero(~left_out)


@dataclass(frozen=True)
class Trainer:
    """Trains by a recipe, and shows progress or not."""

    recipe: Recipe
    progress: bool | None

    def fit(
        self, net: cbp.Network, X: Array, Y: Array, test: Pair | None, average: Average | None = None
    ) -> None:
        """Train for all epochs, unless the average stops that."""
        net.fit(
            X,
            Y,
            epochs=self.recipe.epochs,
            batch_size=self.recipe.batch_size,
            optimizer=self.recipe.optimizer,
            validation_data=test,
            callbacks=[] if average is None else [average],
            progress=self.progress,
        )

    def fit_average(
        self, net: cbp.Network, X: Array, Y: Array, test: Pair | None, left_out: Pair | None = None
    ) -> Trained:
        """Train, and give the network the average of its parameters: the best one for examples left out."""
        average = Average(net, left_out, stops=True)
        try:
            self.fit(net, X, Y, test, average)
        except KeyboardInterrupt:
            # A part of the first epoch is more than nothing.
            if average.epoch:
                net.parameters = average.parameters
            raise
        net.parameters = average.parameters
        return Trained(average.epoch)

    def hold_out(self, net: cbp.Network, X: Array, Y: Array, order: Array, test: Pair | None) -> Trained:
        """Train on all examples but the first tenth in some order: as long as that is predicted better."""
        out, kept = parted(order, slice(math.ceil(HELD_OUT * len(Y))))
        return self.fit_average(net, X[kept], Y[kept], test, left_out=(X[out], Y[out]))

    def choose_epochs(self, net: cbp.Network, X: Array, Y: Array, order: Array) -> int:
        """Return after how many epochs examples left out are predicted best, by copies of the network."""
        silent = replace(self, progress=False)
        losses = np.zeros(1 + self.recipe.epochs)
        for fold in range(self.recipe.folds):
            trial = copy.copy(net)
            try:
                if self.recipe.folds == 1:
                    return silent.hold_out(trial, X, Y, order, None).epochs
                losses += silent.fold_losses(trial, X, Y, order, fold)
            except KeyboardInterrupt:
                net.parameters, net.history = trial.parameters, trial.history
                raise
        return int(losses.argmin())

    def fold_losses(self, net: cbp.Network, X: Array, Y: Array, order: Array, fold: int) -> Array:
        """Train on all examples but those of a fold; return the sum of their losses after each epoch."""
        out, kept = parted(order, slice(fold, None, self.recipe.folds))
        average = Average(net, (X[out], Y[out]))
        self.fit(net, X[kept], Y[kept], None, average)
        return len(out) * np.array(average.losses)


class Average:
    """A callback that averages the parameters over the epochs, late ones weighing more.

    a(n) = a(n − 1) + (γ + 1)/(n + γ) (θ(n) − a(n − 1)) after epoch n, so that a(1) = θ(1) (O. Shamir and
    T. Zhang, 2013, *Stochastic gradient descent for non-smooth optimization*), with γ = LATE.

    Parameters
    ----------
    net : cbp.Network
        The one in training.
    left_out : (X, Y), optional
        Examples that say which average is best; without them it is the last one.
    stops : bool, default False
        Whether to stop when there is little hope of a better one: after as many epochs again, and PATIENCE at
        least. Folds do not: one that stops by chance would speak against the later epochs of all others.
    """

    def __init__(self, net: cbp.Network, left_out: Pair | None, *, stops: bool = False) -> None:
        self.net, self.left_out, self.stops = net, left_out, stops
        self.mean = copy.copy(net)
        self.mean.l2 = 0.0  # the penalty is not a part of an error
        self.losses = [self.mean.loss(*left_out)] if left_out else []
        self.epoch = 0  # the best
        self.parameters = net.parameters.copy()  # of the best

    def __call__(self, epoch: cbp.Epoch) -> bool:
        """Take up an epoch that has ended; return whether to stop."""
        mean = self.mean.parameters
        mean += (LATE + 1) / (epoch.number + LATE) * (self.net.parameters - mean)
        if self.left_out:
            self.losses.append(self.mean.loss(*self.left_out))
        if not self.losses or self.losses[-1] < self.losses[self.epoch]:
            self.epoch = epoch.number
            self.parameters[:] = mean
        return self.stops and epoch.number - self.epoch >= max(PATIENCE, self.epoch)
