"""The promise: any shape with any batch, weights, penalty, order and form of arrays trains as the reference.

The kernels take many ways: by rows or columns, in partial sums, in one round or several, for a single row,
for narrow and wide layers. What is right on each alone may be wrong on two together. So cases are drawn: for
each way, the level of every factor at random.
"""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pytest

import cbp
from cbp import functions, reference
from cbp.training import passes

DRAWS = 60  # of each way
WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 48, 49, 65, 130]


@dataclass(frozen=True)
class Way:
    """What makes the kernels go a certain way: sizes (0 for any width), examples, and how many to a batch."""

    sizes: tuple[tuple[int, ...], ...]
    examples: tuple[int, ...]
    batches: tuple[int | None, ...]
    threads: int = 1


WAYS = {
    "one tile": Way(((0, 0), (0, 0, 0), (0, 0, 0, 0)), (1, 2, 5, 6, 7, 24, 25), (1, 2, 5, 6, 7, None)),
    "one row": Way(((0, 0), (0, 0, 0)), (1, 3), (1,)),
    "rows": Way(((130, 140, 0), (200, 0, 90)), (47, 48, 49, 97, 250), (30, 48, 49, None)),
    "chains": Way(((130, 140, 0), (300, 129, 257)), (161, 257, 500), (None, 159, 160, 256)),
    "segments": Way(((60, 300, 3),), (4000,), (None,)),
    "partial sums": Way(((0, 0), (0, 0, 0)), (128, 300, 513), (128, 129, None)),
    "rounds of partial sums": Way(((100, 100, 10),), (6200,), (None,)),
    "columns": Way(
        ((480, 64, 0), (480, 65, 33, 0), (500, 130, 0)), (48, 50, 96), (24, 25, 48, None), threads=2
    ),
}
OUTPUTS = {
    "softmax": "cross_entropy",
    "sigmoid": "cross_entropy",
    "identity": "squared_error",
    "tanh": "squared_error",
    "exp": "poisson",
    "softplus": "huber",
    "silu": "log_cosh",  # computed from z
}
FACTORS = {
    "hidden": [*functions.HIDDEN, ("leaky_relu", 0.3), ("elu", 0.5)],
    "output": list(OUTPUTS),
    "loss": [None, "squared_error"],
    "targets": ["matrix", "labels"],
    "weights": [None, "some", "one small"],
    "penalty": ["none", "l2", "l1", "both, a layer"],
    "shuffle": [False, True],
    "form": ["ready", "strided", "Fortran", "other type"],
    "scale": [1, 30],  # of the last weights: far-out outputs, where they end in a limit
    "optimizer": [
        cbp.SGD(0.05),
        cbp.SGD(0.02, momentum=0.9),
        cbp.SGD(0.02, momentum=0.9, nesterov=True),
        cbp.Adam(0.01, epsilon=1e-3),
        cbp.AdamW(0.01, epsilon=1e-3, weight_decay=0.3),
        cbp.Nadam(0.01, epsilon=1e-3),
        cbp.RMSprop(0.003, epsilon=1e-3, momentum=0.5, centered=True),
        cbp.Adagrad(0.03, epsilon=1e-3),
    ],
    "dtype": ["float64", "float32"],
    "bias": [True, False],
}


def drawn():
    """Cases as (way, number, sizes, examples, batch, factors), the same each time."""
    rng = np.random.default_rng(12)
    for name, way in WAYS.items():
        for number in range(DRAWS if way.examples[-1] < 1000 else 6):
            sizes = [s or int(rng.choice(WIDTHS)) for s in way.sizes[rng.integers(len(way.sizes))]]
            m, batch = int(rng.choice(way.examples)), way.batches[rng.integers(len(way.batches))]
            factors = {factor: levels[rng.integers(len(levels))] for factor, levels in FACTORS.items()}
            if factors["output"] == "softmax" and sizes[-1] == 1:
                sizes[-1] = 2
            if factors["output"] not in ("softmax", "sigmoid", "tanh"):
                factors["scale"] = 1
            yield pytest.param(sizes, m, batch, way.threads, factors, id=f"{name}-{number}")


CASES = list(drawn())


def in_form(A, form, dtype):
    """The same numbers, held otherwise."""
    if form == "strided":
        return np.repeat(A.astype(dtype), 2, axis=1)[:, ::2]
    if form == "Fortran":
        return np.asfortranarray(A.astype(dtype))
    return A.astype("float64" if form == "other type" and dtype == "float32" else dtype)


class Case:
    """A network and its data."""

    def __init__(self, sizes, m, batch, threads, factors):
        rng = np.random.default_rng([m, *sizes])
        f = factors
        self.batch, self.shuffle = batch, f["shuffle"]
        slow = 0.1 if f["output"] == "exp" else 1  # exponentials of outputs that move far overflow
        self.optimizer = replace(f["optimizer"], learning_rate=slow * f["optimizer"].learning_rate)
        numbers = np.linspace(0.1, 0.7, len(sizes) - 1)  # one a layer of weights
        self.penalties = {
            "none": {},
            "l2": {"l2": 0.7},
            "l1": {"l1": 0.2},
            "both, a layer": {"l2": numbers.tolist(), "l1": numbers[::-1].tolist()},
        }[f["penalty"]]
        self.net = cbp.Network(
            sizes, hidden=f["hidden"], output=f["output"], loss=f["loss"] or OUTPUTS[f["output"]],
            dtype=f["dtype"], bias=f["bias"], rng=m, n_threads=threads, **self.penalties,
        )  # fmt: skip
        self.net.parameters = rng.uniform(-1, 1, self.net.n_parameters) / np.sqrt(max(sizes[:-1]))
        for b in self.net.biases[-1:]:
            b[:] += rng.uniform(-1, 1, sizes[-1])
        self.net.weights[-1][:] *= f["scale"]
        # Numbers that single precision holds, so that the reference has the same.
        X = rng.uniform(-1, 1, (m, sizes[0])).astype("float32")
        Y = self.targets(rng, m, sizes[-1], f).astype("float32")
        self.X, self.Y = X.astype(float), Y.astype(float)
        self.given_X = in_form(X, f["form"], f["dtype"])
        self.given_Y = Y.astype(int) if Y.ndim == 1 else in_form(Y, f["form"], f["dtype"])
        self.weights = None
        if f["weights"]:
            self.weights = rng.integers(0, 4, m) / 2 + (rng.uniform(size=m) < 0.5)
            # Alone in its minibatch, a small one would make the penalty's steps, eta lambda / m, diverge.
            small = 1e-30 if batch is None else 0.3 if self.penalties else 1e-3
            self.weights[0] = 1.5 if f["weights"] == "some" else small

    @staticmethod
    def targets(rng, m, n, f):
        if f["targets"] == "labels" and n > 1:
            return rng.integers(0, n, m)
        Y = rng.integers(0, 16, (m, n)) / 16
        if f["output"] == "softmax":
            Y[:, 0] += Y.sum(axis=1) == 0
            return Y / Y.sum(axis=1, keepdims=True)
        return Y

    @property
    def for_reference(self):
        """The network as the reference takes it."""
        weights, biases = (
            [part.astype(float) for part in parts] for parts in (self.net.weights, self.net.biases)
        )
        return weights, biases, [*self.net.hidden, self.net.output], self.net.loss_name

    def orders(self, epochs):
        """The order of the examples in each epoch: the generator's first child decides."""
        order = np.arange(len(self.X), dtype=np.uint32)
        source = np.random.default_rng(len(self.X)).spawn(1)[0]
        for _ in range(epochs):
            if self.shuffle:
                passes.shuffle(order, int(source.integers(1 << 63)))
            yield order.copy()

    def trained(self, epochs):
        """The parameters and the losses that the reference gets to."""
        run = reference.Training(*self.for_reference, **self.penalties)
        how = (self.X, self.Y, self.batch, self.optimizer.kernel, self.optimizer.rule())
        whole = len(self.X) if self.weights is None else np.sum(self.weights)
        weights = {"sample_weight": self.weights, "whole": whole}
        losses = [run.epoch(*how, order=order, **weights) for order in self.orders(epochs)]
        return run.parameters, losses


def close(found, expected, tolerance):
    # Where all are small, outputs are near a limit, and the reference has few digits of 1 - a.
    assert np.abs(np.asarray(found, float) - expected).max() <= tolerance * max(np.abs(expected).max(), 0.01)


@pytest.mark.parametrize(("sizes", "m", "batch", "threads", "factors"), CASES)
def test_as_the_reference(sizes, m, batch, threads, factors):
    case = Case(sizes, m, batch, threads, factors)
    net = case.net
    tolerance = 1e-11 if factors["dtype"] == "float64" else 3e-5

    J, D_W, D_b, D_X = reference.gradient(
        *case.for_reference, case.X, case.Y, **case.penalties, sample_weight=case.weights
    )
    D = net.gradient(case.given_X, case.given_Y, case.weights, inputs=True)
    for found, expected in zip([*D.weights, *D.biases, D.inputs], [*D_W, *D_b, D_X], strict=True):
        close(found, expected, tolerance)
    assert D.loss == pytest.approx(J, rel=tolerance)
    assert net.loss(case.given_X, case.given_Y, case.weights) == pytest.approx(J, rel=tolerance)
    a = reference.forward(*case.for_reference[:3], case.X)[1][-1]
    close(net.predict(case.given_X), a, tolerance)

    start = net.parameters.copy()
    parameters, losses = case.trained(2)
    history = net.fit(
        case.given_X, case.given_Y, epochs=2, batch_size=batch, optimizer=case.optimizer,
        shuffle=case.shuffle, sample_weight=case.weights,
    )  # fmt: skip
    assert history.losses == pytest.approx(losses, rel=100 * tolerance)
    # In float32, a weight near the kink of |W| may come to its other side, and go another way from there.
    if factors["dtype"] == "float64" or "l1" not in case.penalties:
        close(net.parameters - start, parameters - start, 100 * tolerance)


def test_the_draw_pairs_every_factor_with_every_other():
    drawn = [dict(case.values[-1], way=case.id.rpartition("-")[0]) for case in CASES if case.values[1] < 1000]
    levels = {**FACTORS, "way": [name for name, way in WAYS.items() if way.examples[-1] < 1000]}
    rows = {"hidden", "output", "optimizer"}  # of tables: which of them meet makes no difference
    for a, b in combinations(levels, 2):
        if {a, b} <= rows:
            continue
        found = {(str(case[a]), str(case[b])) for case in drawn}
        never = {(g, "30") for g in OUTPUTS if g not in ("softmax", "sigmoid", "tanh")}
        never = never if (a, b) == ("output", "scale") else set()
        assert len(found) == len(levels[a]) * len(levels[b]) - len(never), (a, b)
