"""Runs the competitors: one process for each one and setting, interleaved round by round, medians.

All processes of a run are up, checked and warm before the first round. One is asked at a time; the others
sleep on their pipes: a worker answers once its threads have stopped spinning (OpenBLAS's do for some 80 ms).
`idle_cpu_ms` tells whether they kept still.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from rivals.base import Rival

STILL_MS = 2.0  # CPU time a worker may use between two of its rounds
Judge = Callable[[Any], tuple[dict[str, float], str]]  # of a result: its errors, and what is wrong if it is


@dataclass(frozen=True)
class Timing:
    rounds: int = 7
    seconds: float = 0.1  # that a round lasts at least


@dataclass
class Setting:
    """One competitor with one thread count on one case."""

    rival: str
    n_threads: int | None
    n: int = 1  # units of work a round
    rounds_us: list[float] = field(default_factory=list)  # a step, or whatever a unit holds `case.units` of
    cpu_us: list[float] = field(default_factory=list)  # of all threads, a step
    errors: dict[str, float] = field(default_factory=dict)
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


@dataclass(frozen=True)
class Failure:
    """A worker's answer where it has no other."""

    text: str


class WorkerError(Exception):
    pass


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def clean_environment(n_threads: int | None) -> dict[str, str]:
    """The caller's, with every thread count set (None: none) and without what would choose old kernels."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "XLA_", "JAX_"))
    }
    counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return kept | (dict.fromkeys(counts, str(n_threads)) if n_threads else {})


def n_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Worker:
    """The driver's end of a worker process, which has one rival for each case that it can do."""

    def __init__(
        self, rival: type[Rival], cases: Sequence[Any], n_threads: int | None, before: Sequence[str] = ()
    ) -> None:
        """`before`: a command that ends by executing its arguments."""
        self.cases = cases
        self.settings = [Setting(rival.name, n_threads, failure=rival.unable(case)) for case in cases]
        self.process = subprocess.Popen(
            [*before, sys.executable, str(Path(__file__).with_name("worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_environment(n_threads) | rival.environment(n_threads),
        )
        able = [None if s.failure else case for s, case in zip(self.settings, cases, strict=True)]
        self.say((rival.__module__, rival.__name__, able, n_threads))

    def say(self, message: Any) -> None:
        assert self.process.stdin
        pickle.dump(message, self.process.stdin)
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout
        answer = pickle.load(self.process.stdout)
        if isinstance(answer, Failure):
            raise WorkerError(answer.text)
        return answer

    def check(self, judges: Sequence[Judge]) -> None:
        """Wait until it is ready, and compare what it has computed."""
        ready = self.hear()
        for s, result, judge in zip(self.settings, ready["results"], judges, strict=True):
            if not s.failure:
                s.blas, s.rss_imported_mb = ready["blas"], ready["rss_imported_mb"]
                s.errors, s.failure = judge(result)

    def going(self) -> list[int]:
        return [i for i, s in enumerate(self.settings) if not s.failure]

    def ask(self, i: int, n: int) -> tuple[float, float, Any]:
        """Seconds and CPU seconds for n units of case i, and what its `run` returned."""
        self.say((i, n))
        seconds, cpu, returned = self.hear()
        return float(seconds), float(cpu), returned

    def calibrate(self, i: int, seconds: float) -> None:
        """Choose the units of a round so that it lasts; warms up as well."""
        s = self.settings[i]
        while (took := self.ask(i, s.n)[0]) < seconds:
            s.n = math.ceil(s.n * min(max(1.2 * seconds / took, 1.2), 100))

    def round(self, i: int) -> None:
        s = self.settings[i]
        seconds, cpu, _ = self.ask(i, s.n)
        units = s.n * self.cases[i].units
        s.rounds_us.append(seconds / units * 1e6)
        s.cpu_us.append(cpu / units * 1e6)

    def attempt(self, action: Callable[[], object], i: int | None = None) -> None:
        """An error is the end of case i, or of all: None; that of the process, too."""
        try:
            action()
        except WorkerError as error:
            failure = str(error)
        except (EOFError, OSError, pickle.UnpicklingError):
            failure, i = f"the process ended (status {self.process.wait()})", None
        else:
            return
        for s in self.settings if i is None else [self.settings[i]]:
            s.failure = s.failure or failure

    def close(self) -> None:
        if self.process.poll() is None:
            try:
                self.say(None)
                last = self.hear()
                for s in self.settings:
                    s.peak_rss_mb, s.idle_cpu_ms = last["peak_rss_mb"], last["idle_cpu_ms"]
            except (EOFError, OSError, pickle.UnpicklingError, WorkerError):
                self.process.kill()
        self.process.communicate()


@contextmanager
def closing(workers: Sequence[Worker]) -> Iterator[None]:
    """Whatever happens, no process stays."""
    try:
        yield
    except BaseException:
        for worker in workers:
            worker.process.kill()
        raise
    finally:
        for worker in workers:
            worker.close()


def run(
    cases: Sequence[Any],
    rivals: Sequence[type[Rival]],
    judges: Callable[[], Sequence[Judge]],
    timing: Timing,
    counts: Sequence[int] | None = None,
) -> list[list[Setting]]:
    """The settings of each case: every competitor with one thread and with all, or as `counts` says.

    The order turns by one each round. `judges` makes one judge a case, while the processes start.
    """
    names = cases[0].name + (f" and {len(cases) - 1} more" if len(cases) > 1 else "")
    say(f"{names}: starting and checking")
    workers = [
        Worker(rival, cases, n)
        for rival in rivals
        for n in (counts or sorted({1, n_cpus()}) if rival.threaded else [1])
    ]
    with closing(workers):
        made = judges()
        for worker in workers:
            worker.attempt(lambda worker=worker: worker.check(made))  # type: ignore[misc]
        for worker in workers:
            for i in worker.going():
                worker.attempt(lambda worker=worker, i=i: worker.calibrate(i, timing.seconds), i)  # type: ignore[misc]
        say(f"{names}: {timing.rounds} rounds")
        for turn in range(timing.rounds):
            for i in range(len(cases)):
                going = [worker for worker in workers if not worker.settings[i].failure]
                first = turn % max(1, len(going))
                for worker in going[first:] + going[:first]:
                    worker.attempt(lambda worker=worker, i=i: worker.round(i), i)  # type: ignore[misc]
    found = [[worker.settings[i] for worker in workers] for i in range(len(cases))]
    for case, settings in zip(cases, found, strict=True):
        for s in settings:
            if s.failure and not s.failure.startswith("cannot"):
                say(f"{case.name}: {s.rival} left out: {s.failure}")
            elif s.counts and s.idle_cpu_ms > STILL_MS:
                say(f"{case.name}: {s.rival} was busy while others ran: the figures are not clean")
    return found


def present(rivals: Sequence[type[Rival]]) -> tuple[list[type[Rival]], list[str]]:
    """Those that can be imported, and the names of those that can't."""
    found = [r for r in rivals if find_spec(r.package)]
    return found, sorted({r.name for r in rivals if r not in found})


def for_json(value: Any) -> Any:
    """JSON knows neither NaN nor infinity, and six digits are enough."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: for_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [for_json(v) for v in value]
    return value


def json_text(record: dict[str, Any]) -> str:
    return json.dumps(for_json(record), separators=(",", ":"), ensure_ascii=False) + "\n"


def as_dict(s: Setting) -> dict[str, Any]:
    return asdict(s) | {"step_us": s.step_us, "cores": s.cores}
