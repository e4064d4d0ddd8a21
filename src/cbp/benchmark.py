"""The figures that ``cbp bench`` prints: how fast this machine trains and predicts, next to its peak.

Networks of several sizes are trained on synthetic data in memory, with plain SGD, without shuffling. One step
of each is compared with `cbp.reference` before anything is timed. The rounds of all settings are interleaved,
so that other work on the machine slows all of them alike. A figure is the median of its rounds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from statistics import median
from typing import Any

import numpy as np

from cbp import flops, reference
from cbp.examples.conversion import Array
from cbp.machine import threads
from cbp.machine.versions import peak_gflops
from cbp.network import Network
from cbp.optimizers.sgd import SGD

ROUNDS = 7
ROWS = 16_000  # with 784 columns 50 MB in float32: like real data, more than most caches hold
LEARNING_RATE = 0.1
# The largest error that a step may have, relative to the largest change of a parameter or to the largest
# output. Rounding alone makes an error of 2e-6 in float32, and of 2e-15 in float64.
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}


@dataclass(frozen=True, slots=True)
class Workload:
    """A network and its step: to train on a minibatch or, where batch is None, to predict one example."""

    sizes: tuple[int, ...]
    batch: int | None

    @property
    def name(self) -> str:
        """The name that is printed."""
        return "-".join(map(str, self.sizes)) + (f", batch {self.batch}" if self.batch else ", predict one")

    @property
    def examples(self) -> int:
        """The number of examples in a step."""
        return self.batch or 1

    @property
    def step_flops(self) -> int:
        """The number of floating-point operations in a step."""
        return self.examples * (flops.training if self.batch else flops.prediction)(self.sizes)


WORKLOADS = (
    Workload((2, 4, 1), 4),
    Workload((8, 16, 1), 32),
    Workload((784, 30, 10), 10),
    Workload((784, 128, 10), 32),
    Workload((784, 128, 10), 200),
    Workload((784, 256, 256, 10), 256),
    Workload((4, 16, 2), None),
)


@dataclass(slots=True)
class Setting:
    """A workload on a number of threads: how to run it, and what its rounds took."""

    workload: Workload
    n_threads: int
    net: Network
    X: Array
    Y: Array
    steps: int = 1  # in a round
    rounds_us: list[float] = field(default_factory=list)  # microseconds a step, for each round

    @property
    def step_us(self) -> float:
        """The median time of a step, in microseconds."""
        return median(self.rounds_us)

    @property
    def examples_per_second(self) -> float:
        """Examples a second, from the median time."""
        return self.workload.examples / self.step_us * 1e6

    @property
    def gflops(self) -> float:
        """10⁹ operations a second, from the median time."""
        return self.workload.step_flops / self.step_us / 1e3

    def run(self) -> float:
        """Run one round; return the seconds of a step."""
        batch = self.workload.batch
        return self.predict() if batch is None else self.train(batch)

    def train(self, batch: int) -> float:
        """Train for one round, always from the same parameters; return the seconds of a step."""
        steps = min(self.steps, ROWS // batch)
        epochs = round(self.steps / steps)
        X, Y = self.X[: steps * batch], self.Y[: steps * batch]
        before = self.net.parameters.copy()
        started = time.perf_counter()
        self.net.fit(
            X,
            Y,
            epochs=epochs,
            batch_size=batch,
            optimizer=SGD(LEARNING_RATE),
            shuffle=False,
            progress=False,
        )
        seconds = time.perf_counter() - started
        self.net.parameters = before
        return seconds / (epochs * steps)

    def predict(self) -> float:
        """Predict for one round, into an array that exists already; return the seconds of a prediction."""
        predict, x = self.net.predict, self.X[0]
        out = predict(x)
        started = time.perf_counter()
        for _ in repeat(None, self.steps):
            predict(x, out=out)
        return (time.perf_counter() - started) / self.steps

    def check(self) -> None:
        """Compare one step's result with the reference.

        Raises
        ------
        ArithmeticError
            If they differ.
        """
        before, expected = self.expected()
        if self.workload.batch is None:
            x = self.X[0]
            found = self.net.predict(x, out=np.empty_like(self.net.predict(x)))
        else:
            X, Y, batch = self.X, self.Y, self.workload.batch
            rule = SGD(LEARNING_RATE)
            self.net.partial_fit(X[:batch], Y[:batch], optimizer=rule, batch_size=batch, shuffle=False)
            found = self.net.parameters.copy()
            self.net.parameters = before
        error = float(abs(found - expected).max() / abs(expected - before).max())
        if not error < TOLERANCE[self.net.dtype.name]:
            raise ArithmeticError(
                f"{self.workload.name}, n_threads={self.n_threads}: "
                f"the result is not that of cbp.reference, the relative error is {error:.1e}"
            )

    def expected(self) -> tuple[Array, Array]:
        """Return the parameters before a step, and after it by the reference, in double precision.

        For a prediction, return zeros and the outputs by the reference.
        """
        net, batch = self.net, self.workload.batch
        weights = [W.astype(np.float64) for W in net.weights]
        biases = [b.astype(np.float64) for b in net.biases]
        g = (*net.hidden, net.output)
        if batch is None:
            a = reference.forward(weights, biases, g, self.X[:1].astype(np.float64))[1][-1][0]
            return np.zeros_like(a), a
        X, Y = self.X[:batch], self.Y[:batch]
        assert isinstance(net.loss_name, (str, tuple))
        _, D_W, D_b, _ = reference.gradient(weights, biases, g, net.loss_name, X, Y)
        D = np.concatenate([D.ravel() for pair in zip(D_W, D_b, strict=True) for D in pair])
        before = net.parameters.astype(np.float64)
        return before, before - LEARNING_RATE * D

    def calibrate(self, seconds: float) -> None:
        """Choose the steps of a round so that it takes about this many seconds; also warm up the machine."""
        while (took := max(1e-9, self.run() * self.steps)) < seconds / 2:
            self.steps *= max(2, min(16, int(seconds / took)))
        self.steps = max(1, math.ceil(self.steps * min(1.0, seconds / took)))

    def as_dict(self, peak: float) -> dict[str, Any]:
        """Return the setting and its figures, as values that JSON can hold."""
        return {
            "workload": self.workload.name,
            "sizes": list(self.workload.sizes),
            "batch": self.workload.batch,
            "n_threads": self.n_threads,
            "step_us": self.step_us,
            "examples_per_second": self.examples_per_second,
            "gflops": self.gflops,
            "share_of_peak": self.gflops / peak,
            "rounds_us": self.rounds_us,
        }


def data(n_inputs: int, n_outputs: int, dtype: str) -> tuple[Array, Array]:
    """Return noise, (ROWS, n_inputs), where the column of a row's label is raised by 2; and the labels."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((ROWS, n_inputs), dtype=np.dtype(dtype).type)
    labels = rng.integers(0, max(2, n_outputs), ROWS)
    X[np.arange(ROWS), labels % n_inputs] += 2
    return X, labels if n_outputs > 1 else labels.astype(dtype)[:, None]


def settings(workloads: Sequence[Workload], dtype: str, counts: Sequence[int]) -> list[Setting]:
    """Return a setting for each workload and number of threads; to predict one example takes one thread."""
    made: list[Setting] = []
    shared: dict[tuple[int, int], tuple[Array, Array]] = {}
    for workload in workloads:
        ends = workload.sizes[0], workload.sizes[-1]
        if ends not in shared:
            shared[ends] = data(*ends, dtype)
        output = "softmax" if ends[1] > 1 else "sigmoid"
        for n in counts if workload.batch else (1,):
            net = Network(workload.sizes, output=output, dtype=dtype, rng=2, n_threads=n)
            made.append(Setting(workload, n, net, *shared[ends]))
    return made


@dataclass(frozen=True, slots=True)
class Report:
    """The settings with their times, and the machine's peak in GFLOP/s for each number of threads."""

    settings: list[Setting]
    peaks: dict[int, float]


def thread_counts(n_threads: int | None = None) -> list[int]:
    """Return 1 and n_threads, or 1 and the default number of threads."""
    return sorted({1, threads.count(n_threads)[0]})


def measure(
    dtype: str = "float32",
    n_threads: int | None = None,
    seconds: float = 10.0,
    *,
    rounds: int = ROUNDS,
    workloads: Sequence[Workload] = WORKLOADS,
) -> Report:
    """Measure how fast this machine trains and predicts.

    Parameters
    ----------
    dtype : {"float32", "float64"}, default "float32"
    n_threads : int, optional
        Measure with one thread and with so many. Default: see `cbp.get_num_threads`.
    seconds : float, default 10.0
        About how long to measure; to prepare takes a second or two more.
    rounds : int, default 7
        How often each workload is measured.
    workloads : sequence of Workload
        What to measure.

    Returns
    -------
    Report
        The settings with their times, and the peaks. A peak is the best of all rounds.

    Raises
    ------
    ArithmeticError
        If the result of a step differs from that of `cbp.reference`.

    Examples
    --------
    >>> report = measure(n_threads=1, seconds=0.01, rounds=1, workloads=[Workload((2, 4, 1), 4)])
    >>> report.settings[0].step_us > 0
    True
    """
    counts = thread_counts(n_threads)
    todo = settings(workloads, dtype, counts)
    for setting in todo:
        setting.check()
    share = seconds / ((rounds + 1) * (len(todo) + len(counts)))
    for setting in todo:
        setting.calibrate(share)
    peaks = dict.fromkeys(counts, 0.0)
    for turn in range(rounds):
        for n in counts:
            # Other work on the machine may slow several threads below one. Then the peak of one counts.
            peaks[n] = max(peaks[1], peaks[n], peak_gflops(dtype, n, share))
        first = turn % max(1, len(todo))
        for setting in todo[first:] + todo[:first]:
            setting.rounds_us.append(setting.run() * 1e6)
    return Report(todo, peaks)
