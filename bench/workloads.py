"""The grid: which networks are trained, on what, and in which steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Parameters = list[tuple[Array, Array]]  # (W (s(l), s(l+1)), b (s(l+1),)) for each layer of weights


@dataclass(frozen=True)
class Workload:
    """One network and how it is trained: plain SGD, minibatches in order, every batch full."""

    number: str  # as --workloads selects it
    sizes: tuple[int, ...]
    batch: int
    n: int  # examples, a multiple of batch: an epoch is n / batch steps
    output: str = "softmax"  # softmax: integer labels; sigmoid: a column of 0 and 1
    hidden: str = "sigmoid"
    loss: str = "cross_entropy"
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    dtype: Literal["float32", "float64"] = "float32"

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}, batch {self.batch}"

    @property
    def steps(self) -> int:
        return self.n // self.batch

    @property
    def flop(self) -> int:
        """FLOP of a training example: three products a layer, less the unused gradient of the inputs."""
        products = sum(n_in * n_out for n_in, n_out in pairwise(self.sizes))
        return 2 * (3 * products - self.sizes[0] * self.sizes[1])

    def data(self) -> tuple[Array, NDArray[np.generic]]:
        """The same bits in every process (no BLAS): noise, with one feature raised by its class."""
        rng = np.random.default_rng(1)
        X = rng.standard_normal((self.n, self.sizes[0]), dtype=self.dtype)
        labels = rng.integers(0, max(2, self.sizes[-1]), self.n)
        X[np.arange(self.n), labels] += 2
        if self.output == "softmax":
            return X, labels
        return X, labels.astype(self.dtype)[:, None]

    def parameters(self) -> Parameters:
        """The initial weights, Glorot's for sigmoid; biases start at zero."""
        rng = np.random.default_rng(2)
        return [
            (
                (rng.uniform(-1, 1, (n_in, n_out)) * (6 / (n_in + n_out)) ** 0.5).astype(self.dtype),
                np.zeros(n_out, self.dtype),
            )
            for n_in, n_out in pairwise(self.sizes)
        ]


# 16,000 rows of 784 are 50 MB in f32: more than most caches hold, as real training data are.
GRID = (
    Workload("5", (784, 30, 10), batch=10, n=16_000),
    Workload("6", (784, 128, 10), batch=32, n=16_000),
    Workload("6", (784, 128, 10), batch=200, n=16_000),
    *(
        Workload("9", sizes, batch, n, output="sigmoid")
        for sizes in ((2, 4, 1), (8, 16, 1))
        for batch, n in ((1, 4_000), (4, 8_000), (32, 16_000))
    ),
    Workload("digits", (64, 32, 10), batch=32, n=16_000),
)
