"""Runs the competitors, each with each number of threads in a process of its own, in interleaved rounds.

All processes of a run are started, checked and warmed up before the first round. Only one works at a time;
the others wait on their pipes. A worker answers only when its threads have stopped spinning, as those of
OpenBLAS do for some 80 ms after a call. `idle_cpu_ms` tells whether waiting workers really used no CPU time.
The figure of a setting is the median of its rounds.
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
Judge = Callable[[Any], tuple[dict[str, float], str]]  # of a result: its errors, and what is wrong


@dataclass(frozen=True)
class Timing:
    rounds: int = 7
    seconds: float = 0.1  # the least length of a round


@dataclass
class Setting:
    """One competitor with one thread count on one case."""

    rival: str
    n_threads: int | None
    n: int = 1  # units of work in a round
    # The time of a step, or of another part of a unit, in each round; `case.units` is how many a unit has.
    rounds_us: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)  # CPU time of all threads for the same
    errors: dict[str, float] = field(default_factory=dict)
    peak_rss_mb: float = math.nan
    rss_imported_mb: float = math.nan
    idle_cpu_ms: float = math.nan  # CPU time between two of its rounds, on average
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
        """CPUs in use; well under 1 with one thread if other programs used the CPU."""
        return median(self.cpu_us) / self.step_us if self.rounds_us else math.nan


@dataclass(frozen=True)
class Failure:
    """The answer of a worker after an error."""

    text: str


class WorkerError(Exception):
    pass


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def clean_environment(n_threads: int | None) -> dict[str, str]:
    """Return the caller's variables without settings of BLAS, OpenMP and JAX, but with numbers of threads.

    With `n_threads` None, no number of threads is set.
    """
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "XLA_", "JAX_"))
    }
    counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return kept | (dict.fromkeys(counts, str(n_threads)) if n_threads else {})


def n_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_counts() -> list[int]:
    return sorted({1, n_cpus()})


class Worker:
    """The driver's end of a worker process, which has one rival for each case that it can do."""

    def __init__(
        self, rival: type[Rival], cases: Sequence[Any], n_threads: int | None, before: Sequence[str] = ()
    ) -> None:
        """Start the process by `before`, if given: a command that executes its arguments."""
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
        """Wait until the worker is ready, and judge the results that it has computed."""
        ready = self.hear()
        for s, result, judge in zip(self.settings, ready["results"], judges, strict=True):
            if not s.failure:
                s.blas, s.rss_imported_mb = ready["blas"], ready["rss_imported_mb"]
                s.errors, s.failure = judge(result)

    def going(self) -> list[int]:
        return [i for i, s in enumerate(self.settings) if not s.failure]

    def ask(self, i: int, n: int) -> tuple[float, float, Any]:
        """Run n units of case i; return the seconds, the CPU seconds and what `run` returned."""
        self.say((i, n))
        seconds, cpu, returned = self.hear()
        return float(seconds), float(cpu), returned

    def calibrate(self, i: int, seconds: float) -> None:
        """Choose how many units make a round of `seconds` at least; this also warms up the worker."""
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
        """Do something; an error ends case i, or all cases if i is None or the process has ended."""
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
    """Close the workers in the end, and kill them first after an error, so that no process is left."""
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
    """Run the cases and return the settings of each: every competitor with one thread and with all.

    `counts`, if given, are the numbers of threads instead. The order of the competitors is rotated by one in
    each round. `judges` returns a judge for each case; it is called while the processes start.
    """
    names = cases[0].name + (f" and {len(cases) - 1} more" if len(cases) > 1 else "")
    say(f"{names}: starting and checking")
    workers = [
        Worker(rival, cases, n)
        for rival in rivals
        for n in (counts or thread_counts() if rival.threaded else [1])
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
    """Return the rivals whose packages are installed, and the names of the others."""
    found = [r for r in rivals if find_spec(r.package)]
    return found, sorted({r.name for r in rivals if r not in found})


def for_json(value: Any) -> Any:
    """Return a value for JSON: floats with six digits, and None for NaN and infinity, which JSON lacks."""
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
