"""How each threading policy would scale to 64 cores: estimates, checked on the cores at hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import command
import harness
import machine
import report
from check import Reference
from command import Options
from harness import Setting, Timing, Worker
from report import Part, figure
from rivals import in_cbp
from workloads import GRID, Workload

TITLE = "Estimates to 64 cores"
TEAMS = (2, 4, 8, 16, 32, 64)
CASES = tuple(
    w for w in GRID if w.number in ("1", "3", "6", "7") or (w.number == "8" and w.sizes[1] in (64, 128))
)
FITTED = next(w for w in GRID if w.sizes == (784, 128, 10) and w.batch == 32)
# As little work and as few bytes as two threads are used for: an input counts as UNIT_WORK, and takes less.
# More examples than a tile, or one thread would go another way.
BARRIERS = Workload("barriers", (42, 2), batch=100, n=100_000, output="identity", loss="squared_error",
                    learning_rate=1e-4)  # fmt: skip
STILL_GAINS = 1.1  # times faster with twice the threads

# As in plan.pxi, pass.pxi and products.pxi, which explain them: who changes them there changes them here.
TILE = 96
STRIP = 6
THREAD_WORK = 100_000  # multiply-adds a thread, in `useful_threads`
MOST_PARTIALS = 64
PARTIALS_FROM = 128
PARTIAL_LEAST = 48
SMALL_NETWORK = 16384
BLOCK_BYTES = 8 * 1024 * 1024
BLOCK_MOST = 4096
LANE_WORK = 125_000_000
UNIT_WORK = 50

# Guesses, in multiply-adds, that weigh the phases against each other: the sum of all is what one thread was
# measured at.
UPDATE_WORK = {"sgd": 16, "momentum": 20, "adam": 40}  # of a weight, its transposition included
LOSS_WORK = 48  # of adding up the loss of an example, which every thread does for itself: 3 cycles
CHAINS = 8  # that two units of 4 cycles' latency need: tiles of fewer vectors take no less time
L2_BYTES = 512 * 1024
VECTOR_BYTES = {"x86-64-v4": 64, "x86-64-v3": 32}  # all others: 16


@dataclass(frozen=True)
class Shares:
    """What a step asks of the thread that has most to do, phase by phase."""

    team: int
    work: float  # multiply-adds, with what a partly filled tile wastes
    barriers: int
    n_bytes: float  # from other threads' caches


@dataclass(frozen=True)
class Plan:
    """What plan.pxi and pass.pxi make of a workload's shapes."""

    w: Workload
    lanes: int

    @cached_property
    def layers(self) -> list[tuple[int, int]]:
        return list(pairwise(self.w.sizes))

    @cached_property
    def itemsize(self) -> int:
        return {"float32": 4, "float64": 8}[self.w.dtype]

    def padded(self, n: int) -> int:
        return math.ceil(n / self.lanes) * self.lanes

    @cached_property
    def packed(self) -> int:
        return sum((n_in + 1) * self.padded(n_out) for n_in, n_out in self.layers)

    @cached_property
    def weights_bytes(self) -> int:
        """Of W and b, and of W^T but the first layer's: what the examples phase reads."""
        transposed = sum(n_out * self.padded(n_in) for n_in, n_out in self.layers[1:])
        return self.itemsize * (self.packed + transposed)

    @cached_property
    def example_work(self) -> int:
        """As `new_pass` counts it."""
        return 3 * sum(n_in * n_out for n_in, n_out in self.layers) + UNIT_WORK * sum(self.w.sizes)

    def team(self, n_threads: int) -> int:
        most = min(n_threads, self.n_partials or n_threads)
        return max(1, min(most, self.example_work * self.w.batch // THREAD_WORK))

    @cached_property
    def n_partials(self) -> int:
        """0: by rows of W."""
        if self.packed > SMALL_NETWORK or self.w.batch < PARTIALS_FROM:
            return 0
        found = MOST_PARTIALS
        while found * PARTIAL_LEAST > self.w.batch:
            found //= 2
        return found

    @cached_property
    def share(self) -> int:
        """Examples of a partial sum."""
        return math.ceil(math.ceil(self.w.batch / self.n_partials) / STRIP) * STRIP

    @cached_property
    def round(self) -> int:
        """Examples of a round, of each partial sum."""
        most_work = LANE_WORK * min(self.lanes, 8)
        if self.n_partials:
            fit = int(most_work / 10 / (self.example_work * self.n_partials))
            return min(self.share, max(1, fit // TILE) * TILE)
        block = sum(strips(n_in + 1) * STRIP + self.padded(n_out) for n_in, n_out in self.layers)
        fit = min(BLOCK_MOST, BLOCK_BYTES // (block * self.itemsize), most_work // self.example_work)
        return min(strips(self.w.batch) * STRIP, max(TILE, fit // TILE * TILE))

    @cached_property
    def rounds(self) -> list[int]:
        """Examples of each, of each partial sum."""
        n = self.share if self.n_partials else self.w.batch
        return [min(self.round, n - done) for done in range(0, n, self.round)]

    def policy(self, n_threads: int) -> str:
        if self.team(n_threads) == 1:
            return "serial"
        return f"{math.ceil(self.w.batch / self.share)} partial sums" if self.n_partials else "rows"

    def product(self, rows: list[int], columns: int, depth: int) -> int:
        """Multiply-adds that tiles of so many rows have the time of."""
        # depth * lanes * sum over tiles and panels of max(rows of the tile * vectors of the panel, CHAINS)
        whole, left = divmod(columns, 2 * self.lanes)
        panels = [2] * whole + ([math.ceil(left / self.lanes)] if left else [])
        tiles = sum(panels.count(v) * sum(max(height * v, CHAINS) for height in rows) for v in (1, 2))
        return depth * self.lanes * tiles

    def through_layers(self, n: int) -> float:
        """Taking n examples through the layers and back, without Delta."""
        work: float = UNIT_WORK * n * sum(self.w.sizes)
        tiles = math.ceil(n / TILE)
        for rows in (n * (t + 1) // tiles - n * t // tiles for t in range(tiles)):
            heights = parted(rows)
            work += sum(self.product(heights, n_out, n_in) for n_in, n_out in self.layers)
            work += sum(self.product(heights, n_in, n_out) for n_in, n_out in self.layers[1:])
        return work

    def rows_of(self, me: int, team: int) -> list[int]:
        """Rows of each W and b that are a thread's, as `share_of` cuts them."""
        every = sum(strips(n_in + 1) * self.padded(n_out) for n_in, n_out in self.layers)
        found, before = [], 0
        for n_in, n_out in self.layers:
            n, width = strips(n_in + 1), self.padded(n_out)
            ends = [int((every * t / team - before) / width + 0.5) for t in (me, me + 1)]
            first, last = (max(0, min(n, end)) for end in ends)
            first, last = first if me > 0 else 0, last if me + 1 < team else n
            found.append(max(0, min(last * STRIP, n_in + 1) - first * STRIP))
            before += n * width
        return found

    def by_rows(self, team: int) -> Iterator[tuple[float, float]]:
        """Work and bytes of the phases of a step by rows of W."""
        for number, n in enumerate(self.rounds):
            mine = [n * (me + 1) // team - n * me // team for me in range(team)]
            work = max(map(self.through_layers, set(mine)))
            # examples: W and W^T, of which others have updated (T - 1)/T. In later rounds no one has, but
            # where the L2 cannot hold them every tile reads them again, a short one for few examples: beyond
            # what one thread reads for as many,  (1 - examples / TILE) (W + W^T)
            n_bytes = self.weights_bytes * (team - 1) / team
            if number > 0:
                n_bytes = (
                    self.weights_bytes * max(0.0, 1 - max(mine) / TILE) * (self.weights_bytes > L2_BYTES)
                )
            yield work, n_bytes * (team > 1)
            last = number == len(self.rounds) - 1
            shares = [self.rows_phase(n, self.rows_of(me, team), team, last) for me in range(team)]
            yield max(work for work, _ in shares), max(n_bytes for _, n_bytes in shares)

    def rows_phase(self, n: int, rows: list[int], team: int, last: bool) -> tuple[float, float]:
        work: float = LOSS_WORK * n
        columns = 0
        for (_, n_out), mine in zip(self.layers, rows, strict=True):
            heights = [STRIP] * (mine // STRIP) + [mine % STRIP] * (mine % STRIP > 0)
            work += self.product(heights, n_out, n)
            work += last * UPDATE_WORK[self.w.optimizer] * mine * self.padded(n_out)
            columns += strips(mine) * STRIP + self.padded(n_out) * (mine > 0)
        # rows: of the round's n examples others have written (T - 1)/T: the activations of its rows in
        # strips, the deltas of each layer in which it has any in panels, and the losses,
        #   n (T - 1)/T (itemsize (6 strips + sum of padded n_out) + 8)
        return work, n * (team - 1) / team * (self.itemsize * columns + 8)

    def by_partials(self, team: int) -> Iterator[tuple[float, float]]:
        """Work and bytes of the phases of a step by partial sums."""
        for number, _ in enumerate(self.rounds):
            shares = [
                range(self.n_partials * me // team, self.n_partials * (me + 1) // team) for me in range(team)
            ]
            work = max(sum(self.partial(p, number) for p in mine) for mine in shares)
            # examples: W and W^T, of which others have updated (T - 1)/T. They fit the L2: once a step
            yield work, (number == 0) * self.weights_bytes * (team - 1) / team
        used = math.ceil(self.w.batch / self.share)
        widths = [self.padded(n_out) for _, n_out in self.layers]
        most = max(
            sum(rows * width for rows, width in zip(self.rows_of(me, team), widths, strict=True))
            for me in range(team)
        )
        # reduction: others have made (T - 1)/T of its elements' P partial Deltas, and of the P losses,
        #   P (T - 1)/T (itemsize elements + 8)
        n_bytes = used * (team - 1) / team * (self.itemsize * most + 8)
        yield (used + UPDATE_WORK[self.w.optimizer]) * most + LOSS_WORK * used, n_bytes

    def partial(self, p: int, number: int) -> float:
        """The work of a partial sum's examples of a round, Delta included."""
        first = p * self.share + number * self.round
        n = max(0, min(first + self.round, (p + 1) * self.share, self.w.batch) - first)
        if n == 0:
            return 0
        # the bias's row of Delta is a sum without products: an addition has the time of a multiply-add
        Delta = sum(
            self.product(parted(n_in), n_out, n) + n * self.padded(n_out) for n_in, n_out in self.layers
        )
        return self.through_layers(n) + Delta

    def shares(self, n_threads: int) -> Shares:
        team = self.team(n_threads)
        phases = list(self.by_partials(team) if self.n_partials else self.by_rows(team))
        work, n_bytes = (sum(column) for column in zip(*phases, strict=True))
        # two barriers a round
        return Shares(team, work, 2 * len(self.rounds) * (team > 1), n_bytes)


def strips(n: int) -> int:
    return math.ceil(n / STRIP)


def parted(n: int) -> list[int]:
    """Heights of the tiles of n rows: `multiply` would rather have two halves than a tile of up to three."""
    whole, left = divmod(n, STRIP)
    if 0 < left < 4 and whole > 0:
        return [STRIP] * (whole - 1) + [(left + STRIP + 1) // 2, (left + STRIP) // 2]
    return [STRIP] * whole + [left] * (left > 0)


@dataclass(frozen=True)
class Costs:
    barrier_us: float  # of two threads
    us_per_byte: float
    grows: str = "T"  # the barrier with the threads: "T" or "log T"

    def barrier(self, team: int) -> float:
        # One counter that T threads increment in turn, and one line that T - 1 then fetch: cost(2) T/2.
        # A tree of counters would take cost(2) log2 T.
        return self.barrier_us * (team / 2 if self.grows == "T" else math.log2(team))


@dataclass(frozen=True)
class Estimate:
    """Microseconds of a step."""

    shares: Shares
    ideal: float  # one thread's time / T
    granularity: float  # what the longest shares take beyond that
    barriers: float
    moving: float

    @property
    def total(self) -> float:
        return self.ideal + self.granularity + self.barriers + self.moving

    @property
    def losses(self) -> dict[str, float]:
        return {"granularity": self.granularity, "barriers": self.barriers, "bytes": self.moving}


def estimate(plan: Plan, one_us: float, n_threads: int, costs: Costs) -> Estimate:
    """time = work / rate + barriers cost(T) + bytes / bandwidth, the rate being that of one thread."""
    shares = plan.shares(n_threads)
    working = one_us * shares.work / plan.shares(1).work
    meeting, moving = shares.barriers * costs.barrier(shares.team), shares.n_bytes * costs.us_per_byte
    return Estimate(shares, one_us / n_threads, working - one_us / n_threads, meeting, moving)


def fitted(plans: Sequence[Plan], measured: Sequence[Mapping[int, float]]) -> Costs:
    """The two costs that make the two-thread times of two workloads right."""
    free = Costs(0, 0)
    rows = []
    for plan, us in zip(plans, measured, strict=True):
        s = plan.shares(2)
        rows.append((s.barriers, s.n_bytes, us[2] - estimate(plan, us[1], 2, free).total))
    # barriers c + bytes x = what is left over, twice; neither is negative
    (n, n_bytes, left), (m, m_bytes, m_left) = rows
    x = max(0.0, (left * m - m_left * n) / (n_bytes * m - m_bytes * n))
    return Costs(max(0.0, (m_left - m_bytes * x) / m), x)


class Cbp(in_cbp.Cbp):
    warm_up = False  # the first epoch of a round is one, and looks at the data, which later ones need not

    def run(self, n: int) -> list[float]:  # type: ignore[override]
        self.train(n + 1)
        return [epoch.seconds for epoch in self.net.history][1:]


def one_round(worker: Worker, i: int) -> None:
    s = worker.settings[i]
    seconds, cpu, epochs = worker.ask(i, s.n)
    s.rounds_us.append(min(epochs) / worker.cases[i].steps * 1e6)
    s.cpu_us.append(cpu / seconds * s.rounds_us[-1])


def measure(cases: Sequence[Workload], counts: Sequence[int], timing: Timing) -> list[list[Setting]]:
    """The settings of each case, a round's time that of its least epoch; else as `harness.run`."""
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
    """Microseconds of a step, the least of all rounds, by number of threads; none where one has failed."""
    part.record.append(asdict(w) | {"name": w.name, "settings": [harness.as_dict(s) for s in settings]})
    part.failures += [f"{w.name}, {s.n_threads} threads: {s.failure}" for s in settings if s.failure]
    if not all(s.counts for s in settings):
        return {}
    for s in settings[:2]:
        # two threads have equal shares and seldom wait for long; those that others keep waiting go on as one
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
        team = shares[64].team
        rows.append([plan.w.name, plan.policy(64), str(team), str(shares[64].barriers), *kilobytes, *longest])
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
    """Why no more: what costs most beside the ideal."""
    most = max(e.losses, key=lambda name: e.losses[name])
    if most != "granularity":
        return most
    used = math.ceil(plan.w.batch / plan.share) if plan.n_partials else n_threads
    if used < n_threads:
        return f"granularity: {used} partial sums"
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
    isa: Any = machine.in_cbp("cbp.versions.describe()['instruction set'].split()[0]", 1)
    return VECTOR_BYTES.get(isa, 16) // {"float32": 4, "float64": 8}[dtype]


def run(options: Options) -> Part:
    """In float32, unless another is asked for by name."""
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
