"""Random numbers: where they come from, and the initial weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cbp.conversion import Array


def generator(rng: Any) -> np.random.Generator:
    """A Generator for a seed, None, or a Generator, which is used itself.

    Raises
    ------
    TypeError, ValueError
        If rng is none of these, or a negative seed.
    """
    if isinstance(rng, np.random.RandomState):
        raise TypeError("rng must be a seed or a numpy.random.Generator, got a RandomState")
    if isinstance(rng, bool):
        raise TypeError(f"rng must be a seed, a numpy.random.Generator or None, got {rng}")
    try:
        return np.random.default_rng(rng)
    except TypeError:
        raise TypeError(
            f"rng must be a seed, a numpy.random.Generator or None, got {type(rng).__name__}"
        ) from None
    except ValueError:
        raise ValueError(f"rng must be a seed of at least 0, got {rng!r}") from None


def spawn(source: np.random.Generator) -> np.random.Generator:
    """An independent child, for which nothing is drawn from the source."""
    try:
        return source.spawn(1)[0]
    except TypeError:  # its bit generator was made without a seed sequence
        return source


def draw_weights(weights: Sequence[Array], activations: Sequence[str], source: np.random.Generator) -> None:
    """Fill W(1), W(2), … with uniform draws in ±√(6 / (s(l) + s(l+1))), before relu in ±√(6 / s(l)).

    Glorot and Bengio, 2010; He et al., 2015. In double precision, so that a seed means the same weights in
    both.
    """
    for W, g in zip(weights, activations, strict=True):
        limit = math.sqrt(6 / fan(g, *W.shape))
        W[:] = source.uniform(-limit, limit, size=W.shape)


def fan(g: str, n_in: int, n_out: int) -> int:
    """What the variance of weights before g is divided by: see `draw_weights`."""
    if g == "relu":
        return n_in
    if g in ("sigmoid", "tanh", "identity", "softmax"):
        return n_in + n_out
    raise ValueError(f"there are no initial weights for the activation {g!r}")
