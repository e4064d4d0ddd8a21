"""The initial weights, by a named scheme, a user's function, or the scheme that suits the activation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cbp.examples.arrays import finite
from cbp.examples.conversion import Array, numeric
from cbp.functions import ACTIVATIONS, Named, name_of

# The square of the limit of a scheme's uniform weights, which is three times the variance of its weights.
SQUARES: dict[str, Callable[[int, int], float]] = {
    "glorot": lambda n_in, n_out: 6 / (n_in + n_out),  # Glorot and Bengio, 2010
    "he": lambda n_in, n_out: 6 / n_in,  # He et al., 2015
    "lecun": lambda n_in, n_out: 3 / n_in,  # LeCun et al., 1998
}
SCHEMES = (*(f"{name}_{form}" for name in SQUARES for form in ("uniform", "normal")), "zeros")
# A function of a Generator and the shape (s(l), s(l+1)) that returns weights of that shape.
Init = Callable[[Any, tuple[int, int]], Any]  # not np.random.Generator, which takes long to import


def drawn(scheme: str, source: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Return weights drawn by the scheme of this name, in double precision."""
    if scheme == "zeros":
        return np.zeros(shape)
    name, _, form = scheme.partition("_")
    square = SQUARES[name](*shape)
    if form == "normal":
        return source.normal(scale=math.sqrt(square / 3), size=shape)
    limit = math.sqrt(square)
    return source.uniform(-limit, limit, size=shape)


def draw_weights(
    weights: Sequence[Array],
    activations: Sequence[Named],
    source: np.random.Generator,
    init: str | Init | None = None,
) -> None:
    """Fill W(1), W(2), … by a scheme, a function, or the scheme that goes with each activation.

    The schemes draw in double precision, so that a seed gives the same weights, but for rounding, in both
    dtypes.
    """
    for i, (W, g) in enumerate(zip(weights, activations, strict=True)):
        if callable(init):
            array = numeric(init(source, W.shape), f"what init returns for weights[{i}]")
            if array.shape != W.shape:
                raise ValueError(f"init must return shape {W.shape} for weights[{i}], got {array.shape}")
            W[:] = finite(array, f"what init returns for weights[{i}]")
        else:
            W[:] = drawn(init or ACTIVATIONS[name_of(g)].initial, source, W.shape)
