"""Where training falls off a cliff: on a busy machine, under a quota, after fork, with denormal weights."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, median

import burden
import command
import harness
import report
from check import Reference
from command import Options
from harness import Timing, Worker
from report import Part, figure
from rivals import TRAINERS, in_cbp
from rivals.base import Rival
from workloads import Workload

TITLE = "Under load"
NET = Workload("11", (784, 128, 10), batch=32, n=6_400)
SHORT = replace(NET, n=1_600)  # 50 steps, which take some rivals seconds on a busy machine
NORMAL = Workload("normal", (784, 128, 10), batch=32, n=3_200, learning_rate=0.0)
DENORMAL = replace(NORMAL, number="denormal")
BUSY = (0, 1, 2, 4)  # busy threads a CPU
AT_ONCE = 4
QUOTA = 0.5
LONG = 3  # seconds: a competitor whose epoch takes longer under a load is measured once under it
Times = dict[str, list[float]]  # µs a step of every round, by competitor


def label(worker: Worker) -> str:
    s = worker.settings[0]
    return s.rival if s.n_threads is None else f"{s.rival}, {s.n_threads} thread"


def start(
    rivals: Sequence[type[Rival]], w: Workload, seconds: float, part: Part, before: Sequence[str] = ()
) -> list[Worker]:
    """Start, check and calibrate workers with their default number of threads, and for cbp also with one."""
    kinds = [(rival, None) for rival in rivals]
    kinds += [(rival, 1) for rival in rivals if issubclass(rival, in_cbp.Cbp)]  # type: ignore[misc]
    workers = [Worker(rival, [w], n, before) for rival, n in kinds]
    with_reference = w.learning_rate > 0
    judge = Reference(w).judge if with_reference else lambda found: ({}, "")
    for worker in workers:
        worker.attempt(lambda worker=worker: worker.check([judge]))  # type: ignore[misc]
        if worker.going() and w is not SHORT:
            worker.attempt(lambda worker=worker: worker.calibrate(0, seconds))  # type: ignore[misc]
    return workers


def note(part: Part, workers: Sequence[Worker], what: str) -> None:
    part.failures += [
        f"{label(w)}, {what}: {w.settings[0].failure}" for w in workers if w.settings[0].failure
    ]


def rounds(workers: Sequence[Worker], times: Times, seconds: float = 0) -> None:
    """Run one round of each worker, or as many as fill `seconds`, and add their mean to the times.

    A worker is left out if its first round took longer than LONG.
    """
    for worker in workers:
        so_far = times.get(label(worker), [])
        if worker.going() and not (so_far and so_far[0] * worker.cases[0].units > LONG * 1e6):
            found = worker.settings[0].rounds_us = []
            end = time.perf_counter() + seconds
            while worker.going() and (not found or time.perf_counter() < end):
                worker.attempt(lambda worker=worker: worker.round(0))  # type: ignore[misc]
            times.setdefault(label(worker), []).extend([fmean(found)] if found else [])


def middle(times: Times) -> dict[str, float]:
    return {name: median(found) for name, found in times.items() if found}


def compare(part: Part, case: str, times: Times) -> None:
    """Add a case to the chart, with the better of cbp's two numbers of threads."""
    found = middle(times)
    ours = min((t for name, t in found.items() if report.is_ours(name)), default=None)
    rivals = {name: t for name, t in found.items() if not report.is_ours(name)}
    part.compared.append(
        {"case": case, "unit": "µs a step", "times": {"cbp": ours} | rivals if ours else rivals}
    )


def busy_machine(rivals: Sequence[type[Rival]], timing: Timing, part: Part) -> None:
    found: list[Times] = [{} for _ in BUSY]
    workers = start(rivals, SHORT, timing.seconds, part)
    with harness.closing(workers):
        for turn in range(timing.rounds):
            harness.say(f"busy machine: round {turn + 1} of {timing.rounds}")
            for times, n in zip(found, BUSY, strict=True):
                with burden.busy(n * harness.n_cpus()):
                    rounds(workers, times, 2 * timing.seconds)
    note(part, workers, "busy machine")
    alone, *loaded = [middle(times) for times in found]
    rows = [
        [name, figure(us), *(figure(times[name] / us) if name in times else "-" for times in loaded)]
        for name, us in sorted(alone.items(), key=lambda item: item[1])
    ]
    fair = ", ".join(str(1 + n) for n in BUSY[1:])
    part.text += [
        f"### Busy processes beside it: {SHORT.name}",
        f"How many times longer a step takes beside so many busy processes a CPU. Even shares make it {fair} "
        f"times as long. Where {SHORT.steps} steps take over {LONG} s, they are measured once.",
        report.table(["competitor", "alone, µs a step", *(f"{n} a CPU" for n in BUSY[1:])], rows),
    ]
    part.record.append({"case": "busy", "rounds": dict(zip(map(str, BUSY), found, strict=True))})
    for times, n in zip(found[1:], BUSY[1:], strict=True):
        compare(part, f"{SHORT.name}, {n} busy a CPU", times)


def together(workers: Sequence[Worker], n: int) -> float:
    """Let all workers train n epochs at once; return the examples a second of all together."""
    for worker in workers:
        worker.say((0, n))
    return sum(n * SHORT.n / worker.hear()[0] for worker in workers)


def at_once(rivals: Sequence[type[Rival]], timing: Timing, part: Part) -> None:
    rows = []
    for rival in rivals:
        harness.say(f"{AT_ONCE} processes at once: {rival.name}")
        teams = {n: [Worker(rival, [SHORT], n) for _ in range(AT_ONCE)] for n in (None, 1)}
        every = [worker for team in teams.values() for worker in team]
        rates: dict[int | None, list[float]] = {n: [] for n in teams}
        with harness.closing(every):
            for worker in every:
                worker.attempt(lambda worker=worker: worker.check([Reference(SHORT).judge]))  # type: ignore[misc]
            if all(worker.going() for worker in every):
                # As many epochs as fill a round, by the rate of the second of two trials.
                epochs = {n: [together(team, 1), together(team, 1)][1] for n, team in teams.items()}
                epochs = {
                    n: math.ceil(timing.seconds * rate / SHORT.n / AT_ONCE) for n, rate in epochs.items()
                }
                for _ in range(timing.rounds):
                    for n, team in teams.items():
                        if rates[n] and epochs[n] * SHORT.n * AT_ONCE / rates[n][0] > LONG:
                            continue
                        rates[n].append(together(team, epochs[n]))
        note(part, every, "processes at once")
        if rates[1]:
            default, one = median(rates[None]), median(rates[1])
            rows.append([rival.name, f"{default:,.0f}", f"{one:,.0f}", figure(default / one)])
            part.record.append(
                {"case": "at once", "rival": rival.name, "default": rates[None], "one": rates[1]}
            )
    columns = ["competitor", "default threads, examples/s", "one thread each, examples/s", "ratio"]
    part.text += [
        f"### {AT_ONCE} processes training at once: {SHORT.name}",
        f"Examples a second of the {AT_ONCE} together.",
        report.table(columns, rows),
    ]


def under_quota(rivals: Sequence[type[Rival]], timing: Timing, part: Part, alone: dict[str, float]) -> None:
    seconds = max(timing.seconds, min(0.5, 5 * timing.seconds))  # several periods of the quota
    times: Times = {}
    with burden.quota(QUOTA) as (before, reason):
        if reason:
            part.left_out.append(f"a quota of CPU time: {reason}")
            return
        workers = start(rivals, NET, seconds, part, before)
        with harness.closing(workers):
            for turn in range(timing.rounds):
                harness.say(f"under a quota: round {turn + 1} of {timing.rounds}")
                rounds(workers, times)
        note(part, workers, "under a quota")
    slowed(part, f"A quota of {QUOTA:.0%} of one CPU: {NET.name}", times, alone)
    compare(part, f"{NET.name}, {QUOTA:.0%} of a CPU", times)


def after_fork(rivals: Sequence[type[Rival]], timing: Timing, part: Part, alone: dict[str, float]) -> None:
    times: Times = {}
    workers = start(rivals, NET, timing.seconds, part)
    with harness.closing(workers):
        for turn in range(timing.rounds):
            harness.say(f"after fork: round {turn + 1} of {timing.rounds}")
            rounds(workers, times)
    # If a rival hangs, that is a result about it; if cbp hangs, the benchmark has failed.
    for worker in workers:
        if failure := worker.settings[0].failure:
            to = part.failures if report.is_ours(label(worker)) else part.left_out
            to.append(f"{label(worker)}, after fork: {failure}")
    slowed(part, f"In a child of fork, after training in its parent: {NET.name}", times, alone)
    compare(part, f"{NET.name}, after fork", times)


def slowed(part: Part, title: str, times: Times, alone: dict[str, float]) -> None:
    rows = [
        [name, figure(us), figure(us / alone[name]) if name in alone else "-"]
        for name, us in sorted(middle(times).items(), key=lambda item: item[1])
    ]
    part.text += [f"### {title}", report.table(["competitor", "µs a step", "times as long as alone"], rows)]
    part.record.append({"case": title, "rounds": times})


def denormal(rivals: Sequence[type[Rival]], timing: Timing, part: Part) -> None:
    found: list[Times] = [{}, {}]
    teams = [start(rivals, w, timing.seconds, part) for w in (NORMAL, DENORMAL)]
    with harness.closing(teams[0] + teams[1]):
        for turn in range(timing.rounds):
            harness.say(f"denormal weights: round {turn + 1} of {timing.rounds}")
            for workers, times in zip(teams, found, strict=True):
                rounds(workers, times)
    note(part, teams[0] + teams[1], "denormal weights")
    normal, tiny = map(middle, found)
    rows = [
        [name, figure(normal[name]), figure(us), figure(us / normal[name])]
        for name, us in sorted(tiny.items(), key=lambda item: item[1])
        if name in normal
    ]
    part.text += [
        f"### Denormal weights: {NORMAL.name}, all weights ±1e-40 and a learning rate of 0",
        report.table(["competitor", "normal, µs a step", "denormal, µs a step", "times as long"], rows),
    ]
    part.record.append({"case": "denormal", "normal": found[0], "denormal": found[1]})


def run(options: Options) -> Part:
    """Answer the question in float32."""
    rivals, absent = options.rivals(TRAINERS)
    part = Part("load", TITLE, absent=absent)
    busy_machine(rivals, options.timing, part)
    alone = middle(part.record[0]["rounds"]["0"])
    at_once(rivals, options.timing, part)
    under_quota(rivals, options.timing, part, alone)
    after_fork(options.rivals(burden.FORKED)[0], options.timing, part, alone)
    denormal(options.rivals(burden.STILL)[0], options.timing, part)
    return part


if __name__ == "__main__":
    command.start(__file__)
