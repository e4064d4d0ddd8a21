"""Floating-point operations of one example: the additions and multiplications of its matrix products."""

from collections.abc import Sequence
from itertools import pairwise


def products(sizes: Sequence[int]) -> list[int]:
    """Return [s(1) s(2), …], the multiplications of one example with the weights of each layer."""
    return [n_in * n_out for n_in, n_out in pairwise(sizes)]


def prediction(sizes: Sequence[int]) -> int:
    """Return 2 Σ s(l) s(l+1), the operations of a prediction: one matrix product a layer.

    Examples
    --------
    >>> prediction([2, 4, 1])
    24
    """
    return 2 * sum(products(sizes))


def training(sizes: Sequence[int]) -> int:
    """Return 2 (3 Σ s(l) s(l+1) − s(1) s(2)), the operations of training.

    They are three matrix products a layer: forward, for the deltas of the layer before, and for the gradient
    of the weights. The first layer lacks the second of them, since nothing needs the deltas of the inputs.

    Examples
    --------
    >>> training([2, 4, 1])
    56
    """
    return 2 * (3 * sum(products(sizes)) - products(sizes)[0])
