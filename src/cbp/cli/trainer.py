"""How ``cbp train`` carries out a recipe: cross-validation, early stopping and averaged parameters.

Unless the user sets the number of epochs, the trained network gets the average of the parameters over the
epochs, which is less noisy than the parameters after any one epoch.
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

PATIENCE = 10  # training goes on for at least so many epochs after the best one
LATE = 3  # γ of the class Average: the last sixth of the epochs has half of the weight
# How many standard errors better than predicting the average a network must be, for numbers and for classes.
# With fewer than ENOUGH examples hardly any gain in right classes reaches 1.5 of them, so 0 is enough there.
CLEAR_OF_NUMBERS = 1.0
CLEAR_OF_CLASSES = 1.5
ENOUGH = 100


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Parameters
    ----------
    net : cbp.Network
        The trained network.
    epochs : int
        The number of epochs that its parameters come from. Those after the best epoch do not count.
    finished : bool
        False if Ctrl-C interrupted the training.
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
    """Train an untrained network by a recipe, and return the result; after Ctrl-C, what was reached by then.

    Parameters
    ----------
    nets : sequence of cbp.Network
        One untrained network for each candidate of the recipe.
    recipe : Recipe
    X, Y : ndarray
        Examples and encoded targets, as for `cbp.Network.fit`.
    test : (X, Y), optional
        Examples whose loss the history records too. They have no influence on the training.
    seed : int
        Decides which examples are left out.
    progress : bool or None
        Whether to show progress; None shows it if there is a terminal and training takes some time.
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
    """Make an untrained network predict the average for every example: the frequencies of classes, or 0.

    0 is the mean of standardised targets. So 0 epochs can be the best choice, and after a few epochs the
    predictions are still close to the average. With random weights of the output layer, the first epochs
    would have to undo random predictions.
    """
    net.weights[-1][:] = 0
    if net.output == "softmax":
        counts = np.bincount(Y, minlength=net.sizes[-1])
        net.biases[-1][:] = np.log((counts + 1) / (len(Y) + net.sizes[-1]))


def parted(order: Array, out: slice) -> tuple[Array, Array]:
    """Return the rows that a slice of an order selects, and all other rows, each ascending."""
    left_out = np.zeros(len(order), bool)
    left_out[order[out]] = True
    return np.flatnonzero(left_out), np.flatnonzero(~left_out)


def errors(outputs: Array, Y: Array, usual: Array) -> Array:
    """Return three sums over the examples: of the squared error of the outputs, of d and of d².

    d compares the outputs for an example with ``usual``, the outputs of the untrained network, which predicts
    the average. A positive d means that the outputs are worse than the average, a negative d that they are
    better. For numbers, d is the squared error of the outputs minus that of the average. For classes, d is 1
    if only the average gives the right class, −1 if only the outputs give it, else 0.

    The squared error of probabilities is Σ (p − y)² = Σ p² − 2 p(class) + 1 (G. W. Brier, 1950, *Verification
    of forecasts expressed in terms of probability*). Unlike the cross-entropy it is bounded, so that a few
    confident but wrong predictions count less.
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
    """Return how many standard errors better than predicting the average a network must be."""
    if Y.ndim == 2:
        return CLEAR_OF_NUMBERS
    return CLEAR_OF_CLASSES if len(Y) >= ENOUGH else 0.0


def best(found: ArrayLike, least: float) -> int:
    """Return the epoch with the least squared error, of epoch 0 and those that are clearly better.

    Epoch 0 is the untrained network, which predicts the average. Another epoch is clearly better if −Σ d is
    at least ``least`` standard errors, each √(Σ d²). For classes this is the test of Q. McNemar (1947, *Note
    on the sampling error of the difference between correlated proportions or percentages*). An epoch that
    predicts the same classes as epoch 0 counts as well, because both sides are 0.

    Parameters
    ----------
    found : array_like of shape (epochs + 1, 3)
        The sums that `errors` returns for epoch 0 and after each epoch.
    least : float
        The number of standard errors that `least_gain` returns.
    """
    squares, d, d_squared = np.asarray(found).T
    return int(np.where(-d >= least * np.sqrt(d_squared), squares, np.inf).argmin())


@dataclass(frozen=True)
class Trainer:
    """Trains networks by a recipe; ``progress`` is as for `train`."""

    recipe: Recipe
    progress: bool | None

    def fit(
        self, net: cbp.Network, X: Array, Y: Array, test: Pair | None, average: Average | None = None
    ) -> None:
        """Train for all epochs of the recipe, or until ``average`` stops the training."""
        net.fit(
            X,
            Y,
            epochs=self.recipe.epochs,
            batch_size=self.recipe.batch_size,
            optimizer=self.recipe.optimizer,
            validation_data=test,
            l2_per="batch",
            callbacks=[] if average is None else [average],
            progress=self.progress,
        )

    def fit_average(
        self, net: cbp.Network, X: Array, Y: Array, test: Pair | None, left_out: Pair | None = None
    ) -> Trained:
        """Train, and give the network the average parameters: those of the best epoch for ``left_out``."""
        average = Average(net, left_out, stops=True)
        try:
            self.fit(net, X, Y, test, average)
        except KeyboardInterrupt:
            # While epoch 0 is the best, there is no average to take: the network stays as it is.
            if average.epoch:
                net.parameters = average.parameters
            raise
        net.parameters = average.parameters
        return Trained(net, average.epoch)

    def hold_out(self, net: cbp.Network, X: Array, Y: Array, order: Array, test: Pair | None) -> Trained:
        """Train without the first tenth of the examples in an order; stop early by the error on it."""
        out, kept = parted(order, slice(math.ceil(HELD_OUT * len(Y))))
        return self.fit_average(net, X[kept], Y[kept], test, left_out=(X[out], Y[out]))

    def try_out(self, net: cbp.Network, X: Array, Y: Array, order: Array) -> tuple[float, int]:
        """Cross-validate copies of a network; return the least squared error and the best number of epochs.

        With one fold only, a tenth of the examples is held out once. There is one candidate then, so that its
        error does not matter, and is returned as 0.
        """
        silent = replace(self, progress=False)
        found = np.zeros((1 + self.recipe.epochs, 3))
        for fold in range(self.recipe.folds):
            trial = copy.copy(net)
            try:
                if self.recipe.folds == 1:
                    return 0.0, silent.hold_out(trial, X, Y, order, None).epochs
                # The number of threads does not change the result. On a busy machine one thread is faster,
                # because several would wait for each other in each of the short epochs.
                trial.n_threads = 1
                found += silent.fold_errors(trial, X, Y, order, fold)
            except KeyboardInterrupt:
                net.parameters, net.history = trial.parameters, trial.history
                raise
        epoch = best(found, least_gain(Y))
        return float(found[epoch, 0]), epoch

    def fold_errors(self, net: cbp.Network, X: Array, Y: Array, order: Array, fold: int) -> Array:
        """Train without the examples of one fold; return the `errors` of that fold after each epoch."""
        out, kept = parted(order, slice(fold, None, self.recipe.folds))
        average = Average(net, (X[out], Y[out]))
        self.fit(net, X[kept], Y[kept], None, average)
        return np.array(average.errors)


class Average:
    """A callback that averages the parameters over the epochs; late epochs weigh more.

    With the parameters θ(n) after epoch n, the average is
    a(n) = a(n − 1) + (γ + 1)/(n + γ) (θ(n) − a(n − 1)), so that a(1) = θ(1) (O. Shamir and T. Zhang, 2013,
    *Stochastic gradient descent for non-smooth optimization*); γ is LATE.

    Parameters
    ----------
    net : cbp.Network
        The network that is being trained.
    left_out : (X, Y), optional
        Examples by which the best average is chosen. Without them the last average is the best.
    stops : bool, default False
        Whether to keep the best average, and to stop the training if none better comes within as many epochs
        again, and at least PATIENCE. If false, as in cross-validation, only the errors of all epochs are
        recorded.
    """

    def __init__(self, net: cbp.Network, left_out: Pair | None, *, stops: bool = False) -> None:
        self.net, self.left_out, self.stops = net, left_out, stops
        self.mean = copy.copy(net)
        self.usual = net.predict(left_out[0]) if left_out else np.empty(0)
        self.errors = [errors(self.usual, left_out[1], self.usual)] if left_out else []
        self.epoch = 0  # the best one so far
        self.parameters = net.parameters.copy()  # the average after that epoch

    def __call__(self, epoch: cbp.Epoch) -> bool:
        """Add an epoch that has ended to the average; return whether to stop the training."""
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
