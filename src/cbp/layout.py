"""The layout of parameters: one flat vector W(1), b(1), W(2), b(2), …, each row-major, and views of it.

W(l), (s(l), s(l+1)), and b(l), (s(l+1),), together are one matrix whose last row is the bias. Without
biases there are the weights alone.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from cbp.examples.conversion import Array, numeric
from cbp.layers import Layers

MOST_UNITS = 2**31 - 1  # labels are int32 in the kernels
SLACK_BYTES = 128  # kernels read up to two vectors past the end, and ignore what is there


def n_parameters(sizes: Sequence[int], dtype: DTypeLike, bias: bool = True) -> int:
    """Return the number of parameters; raise ValueError if they are more than memory can address."""
    n = sum((n_in + bias) * n_out for n_in, n_out in pairwise(sizes))
    if n * np.dtype(dtype).itemsize * 8 > sys.maxsize:
        raise ValueError(f"sizes {list(sizes)} make more parameters than can be addressed")
    if max(sizes) > MOST_UNITS:
        raise ValueError(f"sizes must be at most {MOST_UNITS}, got {max(sizes)}")
    return n


def allocate(n: int, dtype: DTypeLike) -> tuple[Array, Array]:
    """Return a vector of n zeros at an address divisible by 64, and the same vector with SLACK_BYTES more."""
    itemsize = np.dtype(dtype).itemsize
    memory = np.zeros(n * itemsize + SLACK_BYTES + 64, dtype=np.uint8)
    start = -memory.ctypes.data % 64
    storage = memory[start : start + n * itemsize + SLACK_BYTES].view(dtype)
    return storage[:n], storage


def views(flat: Array, sizes: Sequence[int], bias: bool = True) -> tuple[Layers, Layers]:
    """Return (W(1), W(2), …) and (b(1), b(2), …), or () without biases, as views of the flat vector."""
    weights: list[Array] = []
    biases: list[Array] = []
    start = 0
    for n_in, n_out in pairwise(sizes):
        layer = flat[start : start + (n_in + bias) * n_out].reshape(n_in + bias, n_out)
        weights.append(layer[:n_in])
        biases.extend(layer[n_in:])
        start += layer.size
    return Layers(weights, "weights"), Layers(biases, "biases")


def thetas(weights: Sequence[Array], biases: Sequence[Array]) -> list[Array]:
    """Return copies in the textbook's form, [b(l) | W(l)^T], (s(l+1), 1 + s(l)); without biases b = 0."""
    columns = biases or [np.zeros(W.shape[1], W.dtype) for W in weights]
    return [np.column_stack([b, W.T]) for W, b in zip(weights, columns, strict=True)]


def check_biases(matrices: Sequence[Array], bias: bool) -> None:
    """Refuse textbook matrices with biases other than 0 for a network without biases."""
    for i, theta in enumerate(matrices):
        first = int((theta[:, 0] != 0).argmax())
        if not bias and theta[first, 0] != 0:
            raise ValueError(
                f"thetas[{i}][{first}, 0] must be 0 with bias=False, got {float(theta[first, 0]):g}"
            )


def sizes_of(given: Sequence[Any]) -> tuple[list[Array], list[int]]:
    """Check textbook matrices; return them as arrays, and the sizes s(1), …, s(L) of their network.

    Raises
    ------
    TypeError
        If it is no sequence, or a matrix does not hold numbers.
    ValueError
        If the sequence is empty, a matrix is not 2-D, or its columns do not match the rows of the one before.
    """
    if not hasattr(given, "__iter__"):
        raise TypeError(f"thetas must be a sequence of matrices, got {type(given).__name__}")
    matrices = [numeric(theta, f"thetas[{i}]") for i, theta in enumerate(given)]
    if not matrices:
        raise ValueError("thetas must hold at least one matrix, got none")
    sizes: list[int] = []
    for i, theta in enumerate(matrices):
        if theta.ndim != 2 or theta.shape[1] < 2 or theta.shape[0] < 1:
            raise ValueError(f"thetas[{i}] must have shape (s(l+1), 1 + s(l)), got {theta.shape}")
        if sizes and theta.shape[1] != sizes[-1] + 1:
            raise ValueError(
                f"thetas[{i}] must have {sizes[-1] + 1} columns, a bias and one for each of the {sizes[-1]} "
                f"rows of thetas[{i - 1}], got {theta.shape[1]}"
            )
        sizes = sizes or [theta.shape[1] - 1]
        sizes.append(theta.shape[0])
    return matrices, sizes
