"""The grid of workloads: which networks are trained, on what data, and in which steps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Parameters = list[tuple[Array, Array]]  # (W (s(l), s(l+1)), b (s(l+1),)) for each layer of weights


@dataclass(frozen=True)
class Workload:
    """One network and how it is trained: minibatches in order unless `shuffle`, every batch full."""

    number: str  # by which --workloads selects it
    sizes: tuple[int, ...]
    batch: int
    n: int  # examples, a multiple of batch: an epoch is n / batch steps
    output: str = "softmax"  # softmax: integer labels; sigmoid: columns of 0 and 1; identity: any numbers
    hidden: str = "sigmoid"  # sigmoid, tanh or relu
    loss: str = "cross_entropy"  # or, with identity, squared_error: sum_j (a_j - y_j)^2 / 2
    optimizer: str = "sgd"  # momentum is SGD with 0.9
    learning_rate: float = 0.1
    dtype: Literal["float32", "float64"] = "float32"
    shuffle: bool = False  # a new order in each epoch, made by the competitor itself

    @property
    def name(self) -> str:
        how = {"sgd": "", "momentum": ", momentum", "adam": ", Adam"}[self.optimizer]
        batch = "full batch" if self.batch == self.n > 1 else f"batch {self.batch}"
        return f"{'-'.join(map(str, self.sizes))}, {batch}{how}{', shuffled' * self.shuffle}"

    @property
    def steps(self) -> int:
        return self.n // self.batch

    units = steps  # for the harness, whose unit of work is an epoch: times are given for a step of it

    @property
    def checked_epochs(self) -> int:
        """Epochs after which results are compared: at least ten steps.

        Adam's first step has the same size for every sign, even for that of a gradient that is only noise.
        """
        return math.ceil(10 / self.steps)

    @property
    def flop(self) -> int:
        """FLOP of a training example: three products a layer, less the unused gradient of the inputs."""
        products = sum(n_in * n_out for n_in, n_out in pairwise(self.sizes))
        return 2 * (3 * products - self.sizes[0] * self.sizes[1])

    def data(self) -> tuple[Array, NDArray[np.generic]]:
        """Make noise, in which an example's class raises one feature: the same bits in every process."""
        rng = np.random.default_rng(1)
        X = rng.standard_normal((self.n, self.sizes[0]), dtype=self.dtype)
        if self.output == "identity":
            return X, np.sin(2 * np.resize(X, (self.n, self.sizes[-1])))
        labels = rng.integers(0, max(2, self.sizes[-1]), self.n)
        X[np.arange(self.n), labels % self.sizes[0]] += 2
        if self.output == "softmax":
            return X, labels
        if self.sizes[-1] > 1:
            return X, np.eye(self.sizes[-1], dtype=self.dtype)[labels]
        return X, labels.astype(self.dtype)[:, None]

    def parameters(self, seed: int = 2) -> Parameters:
        """Make the initial weights, Glorot's for sigmoid and tanh, He's for relu; biases start at zero."""
        rng = np.random.default_rng(seed)
        fans = ((n_in, 0 if self.hidden == "relu" else n_out) for n_in, n_out in pairwise(self.sizes))
        return [
            (
                (rng.uniform(-1, 1, shape) * (6 / sum(fan)) ** 0.5).astype(self.dtype),
                np.zeros(shape[1], self.dtype),
            )
            for shape, fan in zip(pairwise(self.sizes), fans, strict=True)
        ]


def one_hot(w: Workload, Y: NDArray[np.generic], dtype: str) -> Array:
    return np.eye(w.sizes[-1], dtype=dtype)[Y] if w.output == "softmax" else Y.astype(dtype)


MNIST_EXAMPLES = 60_000
MNIST = {"sizes": (784, 100, 100, 10), "batch": 200, "n": 12_000, "hidden": "relu"}
SHUFFLED = Workload("shuffling", (784, 128, 10), batch=32, n=16_000, shuffle=True)
WIDTHS = (32, 45, 46, 64, 128, 256)  # the use of threads, and so the time, may jump between them

# 16,000 rows of 784 are 50 MB in f32: more than most caches hold, as real training data are.
# HIGGS, of workload 3, has a million rows of 28. A step takes 2.2 MFLOP for a row, beside which reading its
# 112 bytes takes no time. So 5,000 rows give the same figures, and a round stays short.
GRID: tuple[Workload, ...] = (
    Workload("1", (4, 32, 16, 4), batch=10_000, n=10_000, hidden="tanh", output="identity",
             loss="squared_error", optimizer="adam", learning_rate=1e-3),
    Workload("3", (28, 300, 300, 300, 300, 300, 1), batch=100, n=5_000, hidden="tanh", output="sigmoid",
             optimizer="adam", learning_rate=1e-4),
    Workload("4", **MNIST, optimizer="momentum", learning_rate=0.02),  # type: ignore[arg-type]
    Workload("4", **MNIST, optimizer="adam", learning_rate=1e-3),  # type: ignore[arg-type]
    Workload("5", (784, 30, 10), batch=10, n=16_000),
    Workload("6", (784, 128, 10), batch=32, n=16_000),
    Workload("6", (784, 128, 10), batch=200, n=16_000),
    Workload("7", (784, 256, 256, 10), batch=256, n=7_680, hidden="relu", learning_rate=0.02),
    Workload("7", (784, 512, 512, 10), batch=128, n=7_680, hidden="relu", learning_rate=0.02),
    Workload("7", (256, 1024, 1024, 10), batch=1024, n=4_096, hidden="relu", learning_rate=0.02),
    *(Workload("8", (10, width, width, 10), batch=128, n=6_400) for width in WIDTHS),
    *(
        Workload("9", sizes, batch, n, output="sigmoid")
        for sizes in ((2, 4, 1), (8, 16, 1))
        for batch, n in ((1, 1_000), (4, 4_000), (32, 16_000))
    ),
    Workload("digits", (64, 32, 10), batch=32, n=16_000),
    Workload("odd", (7, 13, 3), batch=17, n=13_600),
    Workload("odd", (33, 65, 5), batch=50, n=10_000, hidden="tanh"),
    Workload("odd", (50, 19, 31, 2), batch=111, n=11_100, hidden="relu"),
    Workload("odd", (101, 203, 7), batch=75, n=7_500),
    Workload("odd", (129, 257, 127, 11), batch=250, n=7_500, hidden="relu"),
    SHUFFLED,
)  # fmt: skip


def chosen(numbers: Iterable[str] | None, dtype: Literal["float32", "float64"]) -> list[Workload]:
    return [replace(w, dtype=dtype) for w in GRID if not numbers or w.number in numbers]
