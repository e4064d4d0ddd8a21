"""Random number generators, from seeds."""

from __future__ import annotations

from typing import Any

import numpy as np


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
