"""Dropout and noise in NumPy: the random numbers of a step, and what they do to the activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Words = NDArray[np.uint64]


def mixed(z: Words) -> Words:
    """Return the output of SplitMix64 (Steele, Lea and Flood, 2014) for a state."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def next_of(keys: Any, numbers: Any) -> Words:
    """Return random numbers `numbers` of the sequences that `keys` begin; they are broadcast."""
    steps = np.asarray(numbers, np.uint64) + np.uint64(1)
    with np.errstate(over="ignore"):
        return mixed(np.asarray(keys, np.uint64) + steps * np.uint64(0x9E3779B97F4A7C15))


def rows(seed: int, updates: int, examples: Any, layer: int) -> Words:
    """Return the keys of rows, (n_rows, 1), where examples are numbered by their places in the epoch."""
    return next_of(next_of(next_of(seed, updates), examples), layer)[:, None]


def kept(seed: int, updates: int, examples: Any, layer: int, n: int, p: float) -> Array:
    """Return the factors, (n_rows, n), of a layer's activations: 0 with probability p, else 1 / (1 - p).

    p is rounded to a multiple of 2^-32.
    """
    below = int(p * 2**32 + 0.5)
    numbers = next_of(rows(seed, updates, examples, layer), np.arange((n + 1) // 2))
    halves = np.stack([numbers & np.uint64(0xFFFFFFFF), numbers >> np.uint64(32)], axis=-1)
    bits = halves.reshape(len(numbers), -1)[:, :n]
    return np.where(bits >= np.uint64(below), 1 / (1 - below / 2**32), 0.0)


def normal(seed: int, updates: int, examples: Any, layer: int, n: int) -> Array:
    """Return numbers of mean 0 and variance 1, (n_rows, n).

    Each is the sum of 96 random bits and of a number from 0 to 1, scaled. Its distribution function differs
    from the normal one by at most 6e-4.
    """
    key = rows(seed, updates, examples, layer)
    bits, more = next_of(key, 2 * np.arange(n)), next_of(key, 2 * np.arange(n) + 1)
    total = ones(bits) + ones(more & np.uint64(0xFFFFFFFF)) + ((more >> np.uint64(32)) + 0.5) / 2**32
    return np.asarray((total - 97 / 2) / np.sqrt(24 + 1 / 12))


def ones(bits: Words) -> Array:
    """Return the number of bits that are 1."""
    return np.asarray(np.unpackbits(bits[..., None].view(np.uint8), axis=-1).sum(axis=-1), np.float64)


class Noise:
    """What is random in one step.

    Parameters
    ----------
    seed, updates : int
        The seed of the training, and the number of updates before this step.
    examples : array-like of int, (n_rows,)
        The places of the minibatch's examples in the epoch.
    dropout : sequence of float, (L - 1,)
        Shares of the inputs of each layer of weights that are dropped.
    input_noise : float
        Standard deviation of the noise on the inputs.
    """

    def __init__(
        self, seed: int, updates: int, examples: Any, dropout: Sequence[float], input_noise: float
    ) -> None:
        self.key = (seed, updates, np.asarray(examples))
        self.dropout, self.input_noise = dropout, input_noise

    def inputs(self, X: Array) -> Array:
        """Return the inputs with noise."""
        noise = normal(*self.key, len(self.dropout), X.shape[1]) if self.input_noise else np.zeros(1)
        return np.asarray(X + self.input_noise * noise)

    def factors(self, layer: int, n: int) -> Array:
        """Return the factors of the n inputs of a layer of weights."""
        p = self.dropout[layer]
        return kept(*self.key, layer, n, p) if p else np.ones((len(self.key[2]), n))
