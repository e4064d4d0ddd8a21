"""How long it takes to learn the digits of MNIST: to 97 % on the test set."""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import command
import harness
import report
from command import Options
from harness import Setting, Worker
from report import Part, figure
from rivals import in_cbp, in_sklearn, in_torch
from rivals.base import Rival
from workloads import MNIST, MNIST_EXAMPLES, Array, Parameters, Workload

TITLE = "Time to 97 % on MNIST"
GOAL, MOST_EPOCHS = 0.97, 40
FILE = Path(os.environ.get("CBP_MNIST") or Path(__file__).parents[2] / "shared" / "data" / "mnist.npz")
NET = Workload("4", **{**MNIST, "n": MNIST_EXAMPLES}, shuffle=True)  # type: ignore[arg-type]
CASES = (
    replace(NET, optimizer="momentum", learning_rate=0.1),
    replace(NET, optimizer="adam", learning_rate=1e-3),
)
Digits = tuple[Array, "np.ndarray[Any, Any]", Array, "np.ndarray[Any, Any]"]


@functools.cache
def digits(dtype: str) -> Digits:
    """Return X, Y, X_test and Y_test, with pixels from 0 to 1."""
    with np.load(FILE) as file:
        X, X_test = (
            (file[name].reshape(-1, 784) / 255).astype(dtype) for name in ("x_train", "x_test")
        )  # fmt: skip
        return X, file["y_train"].astype("i8"), X_test, file["y_test"].astype("i8")


class Learner(Rival):
    """`start` sets weights and a fresh optimiser; `learn` trains in a new order each epoch."""

    warm_up = False  # n is the number of a start, and not of units of work

    def __init__(self, w: Workload, n_threads: int | None) -> None:
        self.w = w
        self.X, self.Y, self.X_test, self.Y_test = digits(w.dtype)
        self.build(n_threads)

    def build(self, n_threads: int | None) -> None:
        raise NotImplementedError

    def start(self, parameters: Parameters) -> None:
        raise NotImplementedError

    def learn(self, after_epoch: Callable[[], bool]) -> None:
        """Train until `after_epoch` returns True, or for MOST_EPOCHS."""
        raise NotImplementedError

    def labels(self) -> Any:
        """Return the labels predicted for X_test."""
        raise NotImplementedError

    def result(self) -> None:
        """Return nothing to check: reaching the goal is the check."""

    def run(self, n: int) -> tuple[float, int, float]:
        """Train from the n-th initial weights; return seconds (without evaluation), epochs and accuracy."""
        self.start(self.w.parameters(seed=n))
        seconds, epochs, accuracy = 0.0, 0, 0.0
        started = time.perf_counter()

        def after_epoch() -> bool:
            nonlocal seconds, epochs, accuracy, started
            seconds += time.perf_counter() - started
            epochs += 1
            accuracy = float((self.labels() == self.Y_test).mean())
            started = time.perf_counter()
            return accuracy >= GOAL

        self.learn(after_epoch)
        return (seconds if accuracy >= GOAL else math.inf), epochs, accuracy


class Cbp(Learner):
    name, package = "cbp", "cbp"

    def build(self, n_threads: int | None) -> None:
        self.n_threads = n_threads

    def start(self, parameters: Parameters) -> None:
        self.net = in_cbp.network(self.w, parameters, self.n_threads)

    def learn(self, after_epoch: Callable[[], bool]) -> None:
        self.net.fit(self.X, self.Y, epochs=MOST_EPOCHS, batch_size=self.w.batch, progress=False,
                     optimizer=in_cbp.optimizer(self.w), callbacks=[lambda epoch: after_epoch()])  # fmt: skip

    def labels(self) -> Any:
        return self.net.predict_labels(self.X_test)


class PyTorch(Learner):
    name, package = "PyTorch", "torch"

    def build(self, n_threads: int | None) -> None:
        import torch

        self.trainer = in_torch.PyTorch(replace(self.w, n=self.w.batch), n_threads)
        self.trainer.w, self.trainer.shuffle = self.w, True
        self.trainer.x, self.trainer.y = torch.from_numpy(self.X), torch.from_numpy(self.Y)
        self.x_test = torch.from_numpy(self.X_test)

    def start(self, parameters: Parameters) -> None:
        self.trainer.load(parameters)

    def learn(self, after_epoch: Callable[[], bool]) -> None:
        for _ in range(MOST_EPOCHS):
            self.trainer.train(1)
            if after_epoch():
                return

    def labels(self) -> Any:
        t = self.trainer
        with t.torch.inference_mode():
            return t.logits(t.flat, self.x_test).argmax(1).numpy()


class ScikitLearn(Learner):
    """Uses partial_fit, which keeps the optimiser's state: `fit` does not if stopped after an epoch."""

    name, package = "scikit-learn", "sklearn"

    def build(self, n_threads: int | None) -> None:
        self.net = in_sklearn.estimator(self.w, self.X[:1000], self.Y[:1000], shuffle=True)

    def start(self, parameters: Parameters) -> None:
        in_sklearn.load(self.net, parameters)
        del self.net._optimizer  # partial_fit makes a new one if there is none

    def learn(self, after_epoch: Callable[[], bool]) -> None:
        for _ in range(MOST_EPOCHS):
            self.net.partial_fit(self.X, self.Y)
            if after_epoch():
                return

    def labels(self) -> Any:
        return self.net.predict(self.X_test)


RIVALS = (Cbp, PyTorch, ScikitLearn)
Race = list[tuple[float, int, float]]  # seconds, epochs and accuracy of each start


def race(w: Workload, rivals: list[type[Rival]], starts: int) -> list[tuple[Setting, Race]]:
    """Train in each setting from the same initial weights, interleaved; return settings and their runs."""
    counts = sorted({1, harness.n_cpus()})
    workers = [Worker(rival, [w], n) for rival in rivals for n in counts]
    runs: list[Race] = [[] for _ in workers]
    with harness.closing(workers):
        for worker in workers:
            worker.attempt(lambda worker=worker: worker.check([lambda result: ({}, "")]))  # type: ignore[misc]
        for seed in range(starts):
            harness.say(f"{w.name}: start {seed + 1} of {starts}")
            for worker, found in zip(workers, runs, strict=True):
                if worker.going():
                    partial = functools.partial(worker.ask, 0, seed + 1)
                    worker.attempt(lambda ask=partial, found=found: found.append(ask()[2]))  # type: ignore[misc]
    for worker, found in zip(workers, runs, strict=True):
        s = worker.settings[0]
        s.rounds_us = [seconds * 1e6 for seconds, _, _ in found]
        s.cpu_us = list(s.rounds_us)
        if found and median(seconds for seconds, _, _ in found) == math.inf:
            s.failure = f"{GOAL:.0%} not reached in {MOST_EPOCHS} epochs"
    return [(worker.settings[0], found) for worker, found in zip(workers, runs, strict=True)]


def race_table(results: list[tuple[Setting, Race]]) -> str:
    settings = [s for s, _ in results]
    rival = report.best(settings)
    rows = []
    for s in report.to_show(settings):
        found = next(runs for t, runs in results if t is s)
        rows.append([
            s.rival, str(s.n_threads), figure(s.step_us / 1e6), report.spread_of([t for t, _, _ in found]),
            f"{median(epochs for _, epochs, _ in found):g}",
            figure(median(t / epochs for t, epochs, _ in found)), report.ratio(rival, s),
        ])  # fmt: skip
    columns = ["competitor", "threads", "s to 97 %", "starts", "epochs", "s an epoch", "speed"]
    return report.table(columns, rows)


def run(options: Options) -> Part:
    """Answer the question in float32, unless another dtype is asked for, by five starts.

    There are fewer starts if there are fewer rounds.
    """
    rivals, absent = options.rivals(RIVALS)
    part = Part("accuracy", TITLE, absent=absent)
    if not FILE.exists():
        part.left_out.append("everything: no MNIST; name its file in CBP_MNIST")
        return part
    for w in CASES:
        w = replace(w, dtype=options.dtypes[0])
        results = race(w, rivals, min(5, options.timing.rounds))
        part.text += [f"### {w.name}, {w.dtype}, learning rate {w.learning_rate:g}", race_table(results)]
        settings = [s for s, _ in results]
        part.compare(f"to 97 %, {w.name}", "µs", settings)
        part.record += [
            asdict(w) | {"rival": s.rival, "n_threads": s.n_threads, "runs": runs} for s, runs in results
        ]
    return part


if __name__ == "__main__":
    command.start(__file__)
