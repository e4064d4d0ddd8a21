"""How each threading policy would scale to 64 cores: estimates, checked on the cores at hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import command
import harness
import machine
import report
from check import Reference
from command import Options
from harness import Setting, Timing, Worker
from plan import Plan, Shares
from report import Part, figure
from rivals import in_cbp
from workloads import GRID, Workload

TITLE = "Estimates to 64 cores"
TEAMS = (2, 4, 8, 16, 32, 64)
CASES = tuple(
    w for w in GRID if w.number in ("1", "3", "6", "7") or (w.number == "8" and w.sizes[1] in (64, 128))
)
# The costs are fitted to this network and to BARRIERS. Of the networks that are trained in one round by rows
# of W, it has the most bytes for its work.
FITTED = next(w for w in GRID if w.sizes == (10, 128, 128, 10))
# This network has hardly more work and bytes than it takes for two threads to be used: an input counts as
# UNIT_WORK, but takes less. The batch is longer than a tile, because one thread would take another way if it
# were not.
BARRIERS = Workload("barriers", (42, 2), batch=100, n=100_000, output="identity", loss="squared_error",
                    learning_rate=1e-4)  # fmt: skip
STILL_GAINS = 1.1  # times faster with twice the threads: less is no gain

VECTOR_BYTES = {"x86-64-v4": 64, "x86-64-v3": 32}  # of all others: 16


@dataclass(frozen=True)
class Costs:
    barrier_us: float  # the cost of a barrier of two threads
    us_per_byte: float
    grows: str = "T"  # how the cost of a barrier grows with the threads: "T" or "log T"

    def barrier(self, team: int) -> float:
        # T threads increment one counter in turn, and T - 1 then fetch a cache line: this takes cost(2) T/2.
        # A tree of counters would take cost(2) log2 T.
        return self.barrier_us * (team / 2 if self.grows == "T" else math.log2(team))


@dataclass(frozen=True)
class Estimate:
    """Microseconds of a step."""

    shares: Shares
    ideal: float  # one thread's time / T
    granularity: float  # what the longest shares take beyond that
    barriers: float
    moving: float  # of bytes between caches

    @property
    def total(self) -> float:
        return self.ideal + self.granularity + self.barriers + self.moving

    @property
    def losses(self) -> dict[str, float]:
        return {"granularity": self.granularity, "barriers": self.barriers, "bytes": self.moving}


def estimate(plan: Plan, one_us: float, n_threads: int, costs: Costs) -> Estimate:
    """Estimate time = work / rate + barriers cost(T) + bytes / bandwidth, with the rate of one thread."""
    shares = plan.shares(n_threads)
    working = one_us * shares.work / plan.shares(1).work
    meeting, moving = shares.barriers * costs.barrier(shares.team), shares.n_bytes * costs.us_per_byte
    return Estimate(shares, one_us / n_threads, working - one_us / n_threads, meeting, moving)


def fitted(plans: Sequence[Plan], measured: Sequence[Mapping[int, float]]) -> Costs:
    """Return the costs for which the estimates for two workloads on two threads equal the measured times."""
    free = Costs(0, 0)
    rows = []
    for plan, us in zip(plans, measured, strict=True):
        s = plan.shares(2)
        rows.append((s.barriers, s.n_bytes, us[2] - estimate(plan, us[1], 2, free).total))
    # Two equations: barriers c + bytes x = the rest of the measured time. Negative solutions become 0.
    (n, n_bytes, left), (m, m_bytes, m_left) = rows
    x = max(0.0, (left * m - m_left * n) / (n_bytes * m - m_bytes * n))
    return Costs(max(0.0, (m_left - m_bytes * x) / m), x)


class Cbp(in_cbp.Cbp):
    warm_up = False  # the first epoch of a round is the warm-up; only it checks the data

    def run(self, n: int) -> list[float]:  # type: ignore[override]
        self.train(n + 1)
        return [epoch.seconds for epoch in self.net.history][1:]


def one_round(worker: Worker, i: int) -> None:
    s = worker.settings[i]
    seconds, cpu, epochs = worker.ask(i, s.n)
    s.rounds_us.append(min(epochs) / worker.cases[i].steps * 1e6)
    s.cpu_us.append(cpu / seconds * s.rounds_us[-1])


def measure(cases: Sequence[Workload], counts: Sequence[int], timing: Timing) -> list[list[Setting]]:
    """Measure as `harness.run` does, but take the time of the fastest epoch for that of a round."""
    harness.say(f"{len(cases)} networks: starting and checking")
    workers = [Worker(Cbp, cases, n) for n in counts]
    with harness.closing(workers):
        judges = [Reference(w).judge for w in cases]
        for worker in workers:
            worker.attempt(lambda worker=worker: worker.check(judges))  # type: ignore[misc]
            for i in worker.going():
                worker.attempt(lambda worker=worker, i=i: worker.calibrate(i, timing.seconds), i)  # type: ignore[misc]
        harness.say(f"{len(cases)} networks: {timing.rounds} rounds")
        for turn in range(timing.rounds):
            for i in range(len(cases)):
                first = turn % len(workers)
                for worker in workers[first:] + workers[:first]:
                    if not worker.settings[i].failure:
                        worker.attempt(lambda worker=worker, i=i: one_round(worker, i), i)  # type: ignore[misc]
    return [[worker.settings[i] for worker in workers] for i in range(len(cases))]


def taken_up(w: Workload, settings: Sequence[Setting], part: Part) -> dict[int, float]:
    """Record the settings of a workload; return the least µs of a step by number of threads.

    Return an empty dict if a setting has failed.
    """
    part.record.append(asdict(w) | {"name": w.name, "settings": [harness.as_dict(s) for s in settings]})
    part.failures += [f"{w.name}, {s.n_threads} threads: {s.failure}" for s in settings if s.failure]
    if not all(s.counts for s in settings):
        return {}
    for s in settings[:2]:
        # Two threads have equal shares, and seldom wait for each other for long. So each uses about as much
        # CPU time as time passes, unless other programs keep it waiting: then they go on as one thread.
        us, cpu = min(zip(s.rounds_us, s.cpu_us, strict=True))
        if cpu < 0.8 * us * (s.n_threads or 1) and report.BUSY not in part.warnings:
            part.warnings.append(report.BUSY)
    return {s.n_threads: min(s.rounds_us) for s in settings if s.n_threads}


def shapes_table(plans: Sequence[Plan]) -> str:
    columns = ["network", "policy", "most threads", "barriers", "kB a thread: 2", "16", "64",
               "longest share x T: 2", "16", "64"]  # fmt: skip
    rows = []
    for plan in plans:
        shares = {n: plan.shares(n) for n in (1, 2, 16, 64)}
        kilobytes = [figure(shares[n].n_bytes / 1e3) for n in (2, 16, 64)]
        longest = [figure(shares[n].work * n / shares[1].work) for n in (2, 16, 64)]
        policy = ", then ".join(dict.fromkeys(map(plan.policy, TEAMS)))
        most, barriers = shares[64].team, shares[64].barriers
        rows.append([plan.w.name, policy, str(most), str(barriers), *kilobytes, *longest])
    return report.table(columns, rows)


def checked_table(plans: Sequence[Plan], measured: Sequence[Mapping[int, float]], costs: Costs) -> str:
    rows = []
    for i, (plan, us) in enumerate(zip(plans, measured, strict=True)):
        for n in list(us)[1:]:
            predicted = estimate(plan, us[1], n, costs).total
            name = plan.w.name + " (fitted)" * (n == 2 and i < 2)
            figures = us[1], us[n], predicted, predicted / us[n], us[1] / us[n]
            rows.append([name, str(n), *map(figure, figures)])
    columns = ["network", "threads", "one thread, µs", "measured, µs", "predicted, µs", "ratio", "speed-up"]
    return report.table(columns, rows)


def reason(plan: Plan, e: Estimate, n_threads: int) -> str:
    """Return what limits the speed-up: what costs most beside the ideal time."""
    most = max(e.losses, key=lambda name: e.losses[name])
    if most != "granularity":
        return most
    used = math.ceil(plan.w.batch / plan.share) if plan.n_partials else n_threads
    if used < n_threads:
        return f"granularity: {used} partial sums"
    if plan.has_columns and e.shares.team == plan.panels:
        return f"granularity: {plan.panels} panels"
    return "granularity: work for " + f"{e.shares.team} threads" if e.shares.team < n_threads else most


def speedups_table(plans: Sequence[Plan], measured: Sequence[Mapping[int, float]], costs: Costs) -> str:
    rows = []
    for plan, us in zip(plans, measured, strict=True):
        found = {n: estimate(plan, us[1], n, costs) for n in TEAMS}
        times = {1: us[1]} | {n: e.total for n, e in found.items()}
        end = next((n for n in times if n < TEAMS[-1] and times[n] < STILL_GAINS * times[2 * n]), None)
        why = f"{end}: {reason(plan, found[2 * end], 2 * end)}" if end else "beyond 64"
        rows.append([plan.w.name, *(figure(us[1] / e.total) for e in found.values()), why])
    return report.table(["network", *map(str, TEAMS), "gains until"], rows)


def sensitivity_table(plans: Sequence[Plan], measured: Sequence[Mapping[int, float]], costs: Costs) -> str:
    others = [costs, replace(costs, grows="log T"), replace(costs, us_per_byte=2 * costs.us_per_byte)]
    rows = [
        [plan.w.name, *(figure(us[1] / estimate(plan, us[1], n, c).total) for c in others for n in (16, 64))]
        for plan, us in zip(plans, measured, strict=True)
    ]
    columns = ["network", "as above: 16", "64", "barrier by log T: 16", "64", "half the bandwidth: 16", "64"]
    return report.table(columns, rows)


def lanes(dtype: str) -> int:
    isa: Any = machine.in_cbp("cbp.machine.versions.describe()['instruction set'].split()[0]", 1)
    return VECTOR_BYTES.get(isa, 16) // {"float32": 4, "float64": 8}[dtype]


def run(options: Options) -> Part:
    """Answer the question in float32, unless another dtype is asked for."""
    rivals, absent = options.rivals([Cbp])
    part = Part("scaling", TITLE, absent=absent)
    if not rivals:
        return part
    if harness.n_cpus() < 2:
        part.left_out.append("scaling: one CPU cannot tell what two threads cost")
        return part
    dtype = options.dtypes[0]
    wanted = [w for w in CASES if w != FITTED and (not options.workloads or w.number in options.workloads)]
    cases = [replace(w, dtype=dtype) for w in (FITTED, BARRIERS, *wanted)]
    counts = [n for n in (1, *TEAMS) if n <= harness.n_cpus()]
    times = [taken_up(w, s, part) for w, s in zip(cases, measure(cases, counts, options.timing), strict=True)]
    if not (times[0] and times[1]):
        return part
    plans = [Plan(w, lanes(dtype)) for w, us in zip(cases, times, strict=True) if us]
    measured = [us for us in times if us]
    costs = fitted(plans[:2], measured[:2])
    shown = [plans[0], *plans[2:]], [measured[0], *measured[2:]]
    bandwidth = f"{figure(1e-3 / costs.us_per_byte)} GB/s" if costs.us_per_byte else "no limit seen"
    part.record.append({"costs": asdict(costs)})
    part.text += [
        f"time = work / rate + barriers × cost(T) + bytes / bandwidth, {dtype}. A barrier of two threads "
        f"costs {figure(costs.barrier_us)} µs, taken to grow as T; a thread's bandwidth from others' caches "
        f"is {bandwidth}.",
        "From shapes alone, a step; the longest share times T is 1 where all threads have the same to do:",
        shapes_table(shown[0]),
        "Predicted beside measured, the least epoch of all rounds; both costs are fitted to the first two:",
        checked_table(plans, measured, costs),
        "Predicted speed-up over one thread, and the threads after which twice as many gain less than "
        f"{STILL_GAINS - 1:.0%}, with what costs most there:",
        speedups_table(*shown, costs),
        "How much of it rests on two assumptions:",
        sensitivity_table(*shown, costs),
    ]
    return part


if __name__ == "__main__":
    command.start(__file__)
