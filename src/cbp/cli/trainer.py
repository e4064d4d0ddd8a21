"""How ``cbp train`` carries out a recipe: what is trained on what, and which epoch is the best.

The parameters are averages over the epochs, which are less noisy than those of any one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import cbp
from cbp.cli.recipe import HELD_OUT, Recipe

__all__ = ["Average", "Trained", "train"]

Array = NDArray[Any]
Pair = tuple[Array, Array]  # X and Y

PATIENCE = 10  # epochs to wait for a better one at least
LATE = 3  # how much late epochs weigh in an average: half of it are the last sixth of them
# How many standard errors a gain over the average must have. With fewer than ENOUGH examples hardly any gain
# in right classes has as many, so that none are asked for.
CLEAR_OF_NUMBERS = 1.0
CLEAR_OF_CLASSES = 1.5
ENOUGH = 100


@dataclass(frozen=True)
class Trained:
    """How a training went.

    Parameters
    ----------
    net : cbp.Network
        What was trained.
    epochs : int
        The number of epochs after which these were its parameters.
    finished : bool
        Whether nobody interrupted it.
    """

    net: cbp.Network
    epochs: int
    finished: bool = True


def train(
    nets: Sequence[cbp.Network],
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
    nets : sequence of cbp.Network
        One for each candidate of the recipe, of its layers.
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
    trainer = Trainer(recipe, progress)
    order = np.random.default_rng([seed, len(Y)]).permutation(len(Y))
    net, tried = nets[0], []
    try:
        for net in nets:
            start_at_average(net, Y)
            if recipe.folds == 0:
                trainer.fit(net, X, Y, test)
                return Trained(net, recipe.epochs)
            if not recipe.refit:
                return trainer.hold_out(net, X, Y, order, test)
            tried.append((*trainer.try_out(net, X, Y, order), net))
        _, epochs, net = min(tried, key=lambda found: found[0])
        chosen = replace(recipe, epochs=epochs)
        return replace(trainer, recipe=chosen).fit_average(net, X, Y, test)
    except KeyboardInterrupt:
        return Trained(net, len(net.history), finished=False)


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


def errors(outputs: Array, Y: Array, usual: Array) -> Array:
    """Return how wrong outputs are: sums over the examples of the squared error, d and d².

    d compares an example with the usual outputs. For classes it is 1 where only the usual class is right, −1
    where only the other one is, else 0; for numbers it is the difference of squared errors. The squared error
    of probabilities is Σ (p − y)² = Σ p² − 2 p(class) + 1 (G. W. Brier, 1950, *Verification of forecasts
    expressed in terms of probability*). It is bounded, so that a few examples that a network is sure of and
    wrong about count less than in the cross-entropy.
    """
    if Y.ndim == 2:
        squares = np.sum((outputs - Y) ** 2, axis=1, dtype=np.float64)
        d = squares - np.sum((usual - Y) ** 2, axis=1, dtype=np.float64)
        return np.array([squares.sum(), d.sum(), np.sum(d**2)])
    of_class = outputs[np.arange(len(Y)), Y]
    brier = np.sum(outputs**2, dtype=np.float64) - 2 * np.sum(of_class, dtype=np.float64) + len(Y)
    d = (usual.argmax(axis=1) == Y) * 1.0 - (outputs.argmax(axis=1) == Y)
    return np.array([brier, d.sum(), np.sum(d**2)])


def least_gain(Y: Array) -> float:
    """Return how many standard errors a gain over the average must have."""
    if Y.ndim == 2:
        return CLEAR_OF_NUMBERS
    return CLEAR_OF_CLASSES if len(Y) >= ENOUGH else 0.0


def best(found: ArrayLike, least: float) -> int:
    """Return the epoch with the least squared error, of those that are clearly better than epoch 0.

    Epoch 0 predicts the average. Something else is predicted if −Σ d is at least so many standard errors,
    √(Σ d²); for classes this is the test of Q. McNemar (1947, *Note on the sampling error of the difference
    between correlated proportions or percentages*). Epochs that predict the same classes count as well.

    Parameters
    ----------
    found : array_like of shape (epochs + 1, 3)
        The sums of `errors` after each epoch.
    least : float
        Standard errors.
    """
    squares, d, d_squared = np.asarray(found).T
    return int(np.where(-d >= least * np.sqrt(d_squared), squares, np.inf).argmin())


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
        return Trained(net, average.epoch)

    def hold_out(self, net: cbp.Network, X: Array, Y: Array, order: Array, test: Pair | None) -> Trained:
        """Train on all examples but the first tenth in some order: as long as that is predicted better."""
        out, kept = parted(order, slice(math.ceil(HELD_OUT * len(Y))))
        return self.fit_average(net, X[kept], Y[kept], test, left_out=(X[out], Y[out]))

    def try_out(self, net: cbp.Network, X: Array, Y: Array, order: Array) -> tuple[float, int]:
        """Return the least error of copies of a network for examples left out, and after how many epochs."""
        silent = replace(self, progress=False)
        found = np.zeros((1 + self.recipe.epochs, 3))
        for fold in range(self.recipe.folds):
            trial = copy.copy(net)
            try:
                if self.recipe.folds == 1:
                    return 0.0, silent.hold_out(trial, X, Y, order, None).epochs
                # Bits are the same, and on a busy machine each short epoch would wait for a team.
                trial.n_threads = 1
                found += silent.fold_errors(trial, X, Y, order, fold)
            except KeyboardInterrupt:
                net.parameters, net.history = trial.parameters, trial.history
                raise
        epoch = best(found, least_gain(Y))
        return float(found[epoch, 0]), epoch

    def fold_errors(self, net: cbp.Network, X: Array, Y: Array, order: Array, fold: int) -> Array:
        """Train on all examples but those of a fold; return their errors after each epoch."""
        out, kept = parted(order, slice(fold, None, self.recipe.folds))
        average = Average(net, (X[out], Y[out]))
        self.fit(net, X[kept], Y[kept], None, average)
        return np.array(average.errors)


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
        Whether to keep the best one, and to stop when there is little hope of a better one: after as many
        epochs again, and PATIENCE at least. Folds do neither, but record the errors of all epochs.
    """

    def __init__(self, net: cbp.Network, left_out: Pair | None, *, stops: bool = False) -> None:
        self.net, self.left_out, self.stops = net, left_out, stops
        self.mean = copy.copy(net)
        self.usual = net.predict(left_out[0]) if left_out else np.empty(0)
        self.errors = [errors(self.usual, left_out[1], self.usual)] if left_out else []
        self.epoch = 0  # the best
        self.parameters = net.parameters.copy()  # of the best

    def __call__(self, epoch: cbp.Epoch) -> bool:
        """Take up an epoch that has ended; return whether to stop."""
        mean = self.mean.parameters
        mean += (LATE + 1) / (epoch.number + LATE) * (self.net.parameters - mean)
        if self.left_out:
            X, Y = self.left_out
            self.errors.append(errors(self.mean.predict(X), Y, self.usual))
            if not self.stops or best(self.errors, least_gain(Y)) < epoch.number:
                return self.stops and epoch.number - self.epoch >= max(PATIENCE, self.epoch)
        self.epoch = epoch.number
        self.parameters[:] = mean
        return False
