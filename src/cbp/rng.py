"""Random number generators, from seeds."""

from __future__ import annotations

from typing import Any

import numpy as np


def generator(rng: Any) -> np.random.Generator:
    """Return a new Generator for a seed or None; return a Generator itself.

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
    """Return an independent child of a Generator, without drawing from it; else the Generator itself."""
    try:
        return source.spawn(1)[0]
    except TypeError:  # a bit generator that was made without a seed sequence has no children
        return source
