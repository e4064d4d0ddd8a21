"""Floating-point operations of one example: the additions and multiplications of its matrix products."""

from collections.abc import Sequence
from itertools import pairwise


def products(sizes: Sequence[int]) -> list[int]:
    """[s(1) s(2), …]: multiplications of an example with each layer's weights."""
    return [n_in * n_out for n_in, n_out in pairwise(sizes)]


def prediction(sizes: Sequence[int]) -> int:
    """2 Σ s(l) s(l+1): a product a layer.

    Examples
    --------
    >>> prediction([2, 4, 1])
    24
    """
    return 2 * sum(products(sizes))


def training(sizes: Sequence[int]) -> int:
    """2 (3 Σ s(l) s(l+1) − s(1) s(2)): three products a layer, but no gradient of the inputs.

    Examples
    --------
    >>> training([2, 4, 1])
    56
    """
    return 2 * (3 * sum(products(sizes)) - products(sizes)[0])
