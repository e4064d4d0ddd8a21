"""Random numbers: where they come from, and the initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cbp.conversion import Array
from cbp.functions import ACTIVATIONS, Named, name_of


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


# The square of the limit up to which weights are uniform, three times their variance.
SCHEMES: dict[str, Callable[[int, int], float]] = {
    "glorot_uniform": lambda n_in, n_out: 6 / (n_in + n_out),  # Glorot and Bengio, 2010
    "he_uniform": lambda n_in, n_out: 6 / n_in,  # He et al., 2015
    "lecun_uniform": lambda n_in, n_out: 3 / n_in,  # LeCun et al., 1998
}


def draw_weights(weights: Sequence[Array], activations: Sequence[Named], source: np.random.Generator) -> None:
    """Fill W(1), W(2), … with uniform draws in the limits of each activation's scheme.

    In double precision, so that a seed means the same weights in both.
    """
    for W, g in zip(weights, activations, strict=True):
        limit = math.sqrt(SCHEMES[ACTIVATIONS[name_of(g)].initial](*W.shape))
        W[:] = source.uniform(-limit, limit, size=W.shape)
