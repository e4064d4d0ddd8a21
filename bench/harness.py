"""Runs the competitors: one process for each one and setting, interleaved round by round, medians.

All processes of a workload are up, checked and warm before the first round. One is asked at a time; the
others sleep on their pipes: a worker answers once its threads have stopped spinning (OpenBLAS's do for some
80 ms). `idle_cpu_ms` tells whether they kept still.
"""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from check import Reference
from rivals import Rival
from workloads import Workload

STILL_MS = 2.0  # CPU time a worker may use between two of its rounds
LOSS_TOLERANCE = 1e-3
PARAMETER_TOLERANCE = 1e-2  # beside the largest way that a parameter has moved


@dataclass
class Setting:
    """One competitor with one thread count on one workload."""

    rival: str
    n_threads: int
    epochs: int = 1  # a round
    rounds_us: list[float] = field(default_factory=list)  # a step
    cpu_us: list[float] = field(default_factory=list)  # of all threads, a step
    loss_error: float = math.nan
    parameter_error: float = math.nan
    peak_rss_mb: float = math.nan
    rss_imported_mb: float = math.nan
    idle_cpu_ms: float = math.nan  # between two of its rounds, on average
    blas: list[str] = field(default_factory=list)
    failure: str = ""

    @property
    def counts(self) -> bool:
        return bool(self.rounds_us) and not self.failure

    @property
    def step_us(self) -> float:
        return median(self.rounds_us) if self.rounds_us else math.inf

    @property
    def cores(self) -> float:
        """CPUs in use; well under 1 with one thread where something else had the CPU."""
        return median(self.cpu_us) / self.step_us if self.rounds_us else math.nan


def clean_environment(n_threads: int) -> dict[str, str]:
    """The caller's, with every thread count set and without what would choose an old OpenBLAS kernel."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "XLA_", "JAX_"))
    }
    counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return kept | dict.fromkeys(counts, str(n_threads))


def n_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Worker:
    """The driver's end of a worker process."""

    def __init__(self, rival: type[Rival], w: Workload, n_threads: int) -> None:
        self.w, self.setting = w, Setting(rival.name, n_threads)
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_environment(n_threads) | rival.environment(n_threads),
        )
        self.say((rival.name, w, n_threads))

    def say(self, message: Any) -> None:
        assert self.process.stdin
        pickle.dump(message, self.process.stdin)
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout
        return pickle.load(self.process.stdout)

    def check(self, reference: Reference) -> None:
        """Wait until it is ready, and compare what one epoch made of the parameters."""
        s, ready = self.setting, self.hear()
        s.blas, s.rss_imported_mb = ready["blas"], ready["rss_imported_mb"]
        s.loss_error, s.parameter_error = reference.errors(ready["parameters"])
        if not (s.loss_error < LOSS_TOLERANCE and s.parameter_error < PARAMETER_TOLERANCE):
            s.failure = f"wrong result: loss off by {s.loss_error:.1e}, parameters by {s.parameter_error:.1e}"

    def calibrate(self, seconds: float) -> None:
        """Choose the epochs of a round so that it lasts; warms up as well."""
        while (took := self.round(record=False)) < seconds:
            more = 1.2 * seconds / took
            self.setting.epochs = math.ceil(self.setting.epochs * min(max(more, 1.2), 100))

    def round(self, record: bool = True) -> float:
        self.say(self.setting.epochs)
        seconds, cpu = self.hear()
        if record:
            steps = self.setting.epochs * self.w.steps
            self.setting.rounds_us.append(seconds / steps * 1e6)
            self.setting.cpu_us.append(cpu / steps * 1e6)
        return float(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            try:
                self.say(0)
                last = self.hear()
                self.setting.peak_rss_mb = last["peak_rss_mb"]
                self.setting.idle_cpu_ms = last["idle_cpu_ms"]
            except (EOFError, OSError, pickle.UnpicklingError):
                self.process.kill()
        self.process.communicate()


def attempt(worker: Worker, action: Callable[[], object]) -> None:
    try:
        action()
    except (EOFError, OSError, pickle.UnpicklingError):
        worker.setting.failure = f"the process ended (status {worker.process.wait()})"


def run_workload(
    w: Workload, rivals: Sequence[type[Rival]], rounds: int, seconds: float, say: Callable[[str], None]
) -> list[Setting]:
    """Every competitor with one thread and with all; the order turns by one each round."""
    say(f"{w.name}: starting and checking")
    counts = sorted({1, n_cpus()})
    workers = [Worker(rival, w, n) for rival in rivals for n in counts]
    try:
        reference = Reference(w)
        for worker in workers:
            attempt(worker, lambda worker=worker: worker.check(reference))  # type: ignore[misc]
        going = [worker for worker in workers if not worker.setting.failure]
        for worker in going:
            attempt(worker, lambda worker=worker: worker.calibrate(seconds))  # type: ignore[misc]
        for turn in range(rounds):
            say(f"{w.name}: round {turn + 1} of {rounds}")
            going = [worker for worker in going if not worker.setting.failure]
            first = turn % max(1, len(going))
            for worker in going[first:] + going[:first]:
                attempt(worker, worker.round)
    finally:
        for worker in workers:
            worker.close()
    for worker in workers:
        if worker.setting.failure:
            say(f"{w.name}: {worker.setting.rival} left out: {worker.setting.failure}")
        elif worker.setting.idle_cpu_ms > STILL_MS:
            say(f"{w.name}: {worker.setting.rival} was busy while others ran: the figures are not clean")
    return [worker.setting for worker in workers]


def present(rivals: Sequence[type[Rival]]) -> tuple[list[type[Rival]], list[str]]:
    """Those that can be imported, and the names of those that can't."""
    found = [r for r in rivals if find_spec(r.package)]
    return found, [r.name for r in rivals if r not in found]


def as_dict(s: Setting) -> dict[str, Any]:
    """For JSON, which knows neither NaN nor infinity."""
    values = asdict(s) | {"step_us": s.step_us, "cores": s.cores}
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
