"""The work, the barriers and the bytes of each thread in a step, from shapes alone: see scaling.py."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from workloads import Workload

# These constants must equal those of plan.pxi, partition.pxi and layouts.pxi, which explain them.
TILE = 96
MOST_TILE = 384
TILE_BYTES = 384 * 1024
STRIP = 6
THREAD_WORK = 100_000  # the multiply-adds for which `useful_threads` adds a thread
MOST_PARTIALS = 64
PARTIALS_FROM = 128
PARTIAL_LEAST = 48
SMALL_NETWORK = 16384
COLUMNS_FROM = 2
COLUMNS_BYTES = 256 * 1024
BLOCK_BYTES = 8 * 1024 * 1024
LEAST_ROUND = 256
CHAIN = 160
CHAINS = 24
LANE_WORK = 200_000_000
UNIT_WORK = 50

# Guesses, in multiply-adds, of work besides products. They only weigh the phases against each other, because
# the sum of all work is scaled to the time that one thread was measured at.
UPDATE_WORK = {"sgd": 16, "momentum": 20, "adam": 40}  # to update a weight, in W and W^T
LOSS_WORK = 48  # to add the loss of an example to a sum, which every thread does for all examples: 3 cycles
# Two FMA units with a latency of 4 cycles need so many independent vectors: a tile of fewer takes as long.
INDEPENDENT = 8
L2_BYTES = 512 * 1024


@dataclass(frozen=True)
class Shares:
    """The sums over the phases of a step, in each phase for the thread that has most to do."""

    team: int
    work: float  # multiply-adds, including those that a partly filled tile wastes
    barriers: int
    n_bytes: float  # fetched from other threads' caches


@dataclass(frozen=True)
class Plan:
    """How plan.pxi and partition.pxi divide the work, computed from the shapes of a workload."""

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

    def row_length(self, n: int) -> int:
        """Numbers from row to row of a tile: never a multiple of 1 kB."""
        ld = self.padded(n)
        return ld + self.lanes * (ld * self.itemsize % 1024 == 0)

    @cached_property
    def packed(self) -> int:
        return sum((n_in + 1) * self.padded(n_out) for n_in, n_out in self.layers)

    @cached_property
    def weights_bytes(self) -> int:
        """Bytes of W and b, and of W^T except the first layer's: what the phase over the examples reads."""
        transposed = sum(n_out * self.padded(n_in) for n_in, n_out in self.layers[1:])
        return self.itemsize * (self.packed + transposed)

    @cached_property
    def example_work(self) -> int:
        """The multiply-adds of an example, as `new_pass` counts them."""
        return 3 * sum(n_in * n_out for n_in, n_out in self.layers) + UNIT_WORK * sum(self.w.sizes)

    def team(self, n_threads: int) -> int:
        most = min(n_threads, self.n_partials or n_threads)
        if self.has_columns:
            most = min(most, self.panels)
        return max(1, min(most, self.example_work * self.w.batch // THREAD_WORK))

    @cached_property
    def n_partials(self) -> int:
        """The number of partial sums; 0 if the threads share W by rows instead."""
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
        """Examples of a round; with partial sums, of each of them."""
        most_work = LANE_WORK * min(self.lanes, 8)
        if self.n_partials:
            fit = int(most_work / 10 / (self.example_work * self.n_partials))
            return min(self.share, max(1, min(fit, CHAINS * CHAIN) // TILE) * TILE)
        block = sum(strips(n_in + 1) * STRIP + self.padded(n_out) for n_in, n_out in self.layers)
        fit = min(CHAINS * CHAIN, BLOCK_BYTES // (block * self.itemsize), most_work // self.example_work)
        fit = max(LEAST_ROUND, fit)
        if self.w.batch <= fit:
            return strips(self.w.batch) * STRIP
        parts = next(n for n in range(1, CHAINS + 1) if CHAINS % n == 0 and CHAINS // n * CHAIN <= fit)
        return CHAINS // parts * CHAIN

    @cached_property
    def tile(self) -> int:
        """The most examples of a tile."""
        fit = TILE_BYTES // (max(map(self.row_length, self.w.sizes)) * self.itemsize) // STRIP * STRIP
        return TILE if self.packed <= SMALL_NETWORK else max(TILE, min(fit, MOST_TILE))

    @staticmethod
    def tile_start(n: int, tiles: int, t: int) -> int:
        return min(n, strips(n) * t // tiles * STRIP)

    @cached_property
    def rounds(self) -> list[int]:
        """Examples of each round; with partial sums, of each of them."""
        n = self.share if self.n_partials else self.w.batch
        return [min(self.round, n - done) for done in range(0, n, self.round)]

    @cached_property
    def panels(self) -> int:
        """The number of panels of the first W."""
        return math.ceil(self.w.sizes[1] / (2 * self.lanes))

    @cached_property
    def has_columns(self) -> bool:
        """Whether a team shares the first W out by columns."""
        n_in, batch = self.w.sizes[0], self.w.batch
        one_round = self.n_partials == 0 and len(self.rounds) == 1
        fits = COLUMNS_FROM * batch <= n_in and batch * n_in * self.itemsize <= COLUMNS_BYTES
        return one_round and fits and self.panels > 1

    def policy(self, n_threads: int) -> str:
        team = self.team(n_threads)
        if team == 1:
            return "serial"
        if self.has_columns:
            return "columns"
        return f"{math.ceil(self.w.batch / self.share)} partial sums" if self.n_partials else "rows"

    def product(self, rows: list[int], columns: int, depth: int) -> int:
        """The time of a product, in multiply-adds; `rows` are the heights of its tiles."""
        # depth * lanes * sum over tiles and panels of max(rows of the tile * vectors, INDEPENDENT)
        whole, left = divmod(columns, 2 * self.lanes)
        panels = [2] * whole + ([math.ceil(left / self.lanes)] if left else [])
        tiles = sum(panels.count(v) * sum(max(height * v, INDEPENDENT) for height in rows) for v in (1, 2))
        return depth * self.lanes * tiles

    def through_layers(self, n: int, z_known: bool = False) -> float:
        """The work of taking n examples forward and back: without Delta, and without z(2) if it is known."""
        work: float = UNIT_WORK * n * sum(self.w.sizes)
        tiles = math.ceil(n / self.tile)
        for rows in (self.tile_start(n, tiles, t + 1) - self.tile_start(n, tiles, t) for t in range(tiles)):
            heights = parted(rows)
            work += sum(self.product(heights, n_out, n_in) for n_in, n_out in self.layers[z_known:])
            work += sum(self.product(heights, n_in, n_out) for n_in, n_out in self.layers[1:])
        return work

    def rows_of(self, me: int, team: int, columns: bool = False) -> list[int]:
        """Rows of each W, with b, that belong to thread `me`, as `share_of` cuts them.

        If `columns`, the first W is shared by columns, and none of its rows count.
        """
        sizes = [(strips(n_in + 1), self.padded(n_out)) for n_in, n_out in self.layers]
        every = sum(n * width for n, width in sizes)
        cuts = [self.rest_before(t, team) if columns else every * t / team for t in (me, me + 1)]
        found, before = [0] * columns, 0
        for (n_in, _), (n, width) in zip(self.layers[columns:], sizes[columns:], strict=True):
            first, last = (max(0, min(n, int((cut - before) / width + 0.5))) for cut in cuts)
            first, last = first if me > 0 else 0, last if me + 1 < team else n
            found.append(max(0, min(last * STRIP, n_in + 1) - first * STRIP))
            before += n * width
        return found

    def rest_before(self, thread: int, team: int) -> float:
        """The work of earlier threads on the other layers if the first is by columns: as in partition.pxi."""
        n, *rest = (strips(n_in + 1) for n_in, _ in self.layers)
        widths = [self.padded(n_out) for _, n_out in self.layers]
        total = sum(m * width for m, width in zip([2 * n, *rest], widths, strict=True))
        ends = [self.panels * t // team * 2 * self.lanes for t in range(thread + 1)]
        return max(total * t / team - 2 * n * end for t, end in enumerate(ends))

    def by_rows(self, team: int) -> Iterator[tuple[float, float]]:
        """Yield the work and the bytes of each phase of a step that shares W by rows."""
        for number, n in enumerate(self.rounds):
            mine = [n * (me + 1) // team - n * me // team for me in range(team)]
            work = max(map(self.through_layers, set(mine)))
            # Phase over the examples: in the first round it fetches W and W^T, of which other threads have
            # updated (T - 1)/T. In later rounds nothing has changed. But if the L2 cannot hold W and W^T,
            # every tile reads them again, a short tile for few examples. This is more than one thread reads
            # for as many examples, by  (1 - examples / tile) (W + W^T)
            n_bytes = self.weights_bytes * (team - 1) / team
            if number > 0:
                n_bytes = (
                    self.weights_bytes * max(0.0, 1 - max(mine) / self.tile) * (self.weights_bytes > L2_BYTES)
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
        # Phase over the rows: other threads have written (T - 1)/T of the round's n examples. A thread
        # fetches the activations for its rows, in strips, the deltas of each layer in which it has rows, in
        # panels, and the losses:  n (T - 1)/T (itemsize (6 strips + sum of padded n_out) + 8)
        return work, n * (team - 1) / team * (self.itemsize * columns + 8)

    def by_columns(self, team: int) -> Iterator[tuple[float, float]]:
        """Yield the work and the bytes of each phase of a step that shares the first W by columns."""
        n, n_in, n_out = self.w.batch, *self.w.sizes[:2]
        others = (team - 1) / team
        longest = math.ceil(n / team)
        # Phase over the examples: a thread fetches z(2) of its own examples, and W and W^T except the first
        # W. Other threads have written (T - 1)/T of all that.
        rest_bytes = self.weights_bytes - self.itemsize * (n_in + 1) * self.padded(n_out)
        z_bytes = self.itemsize * longest * self.padded(n_out)
        yield self.through_layers(longest, z_known=True), others * (rest_bytes + z_bytes)
        shares = []
        for me in range(team):
            # work and bytes of the other layers, shared by rows
            work, n_bytes = self.rows_phase(n, self.rows_of(me, team, columns=True), team, last=True)
            first, last = (self.panels * t // team * 2 * self.lanes for t in (me, me + 1))
            mine = min(last, n_out) - first
            # in its columns of the first layer: z(2) of the next minibatch, Delta with the bias, the update
            work += self.product(parted(n), mine, n_in) + self.product(parted(n_in), mine, n)
            work += (n + UPDATE_WORK[self.w.optimizer] * (n_in + 1)) * self.padded(mine)
            # Other threads have written (T - 1)/T of the n examples' deltas in these columns, and none of W.
            shares.append((work, n_bytes + others * n * self.itemsize * self.padded(mine)))
        yield max(work for work, _ in shares), max(n_bytes for _, n_bytes in shares)

    def by_partials(self, team: int) -> Iterator[tuple[float, float]]:
        """Yield the work and the bytes of each phase of a step by partial sums."""
        for number, _ in enumerate(self.rounds):
            shares = [
                range(self.n_partials * me // team, self.n_partials * (me + 1) // team) for me in range(team)
            ]
            work = max(sum(self.partial(p, number) for p in mine) for mine in shares)
            # Phase over the examples: W and W^T, of which other threads have updated (T - 1)/T, are fetched
            # once in a step, because they fit the L2.
            yield work, (number == 0) * self.weights_bytes * (team - 1) / team
        used = math.ceil(self.w.batch / self.share)
        widths = [self.padded(n_out) for _, n_out in self.layers]
        most = max(
            sum(rows * width for rows, width in zip(self.rows_of(me, team), widths, strict=True))
            for me in range(team)
        )
        # Reduction: other threads have computed (T - 1)/T of the P partial Deltas of the thread's elements,
        # and of the P losses:  P (T - 1)/T (itemsize elements + 8)
        n_bytes = used * (team - 1) / team * (self.itemsize * most + 8)
        yield (used + UPDATE_WORK[self.w.optimizer]) * most + LOSS_WORK * used, n_bytes

    def partial(self, p: int, number: int) -> float:
        """The work of the examples that partial sum p has in a round, Delta included."""
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
        by = self.by_partials if self.n_partials else self.by_rows
        phases = list((self.by_columns if self.has_columns and team > 1 else by)(team))
        work, n_bytes = (sum(column) for column in zip(*phases, strict=True))
        # each round has two barriers
        return Shares(team, work, 2 * len(self.rounds) * (team > 1), n_bytes)


def strips(n: int) -> int:
    return math.ceil(n / STRIP)


def parted(n: int) -> list[int]:
    """Heights of the tiles of n rows, as in `multiply`, which makes the last two of about equal height.

    It does so instead of a last tile of one to three rows.
    """
    whole, left = divmod(n, STRIP)
    if 0 < left < 4 and whole > 0:
        return [STRIP] * (whole - 1) + [(left + STRIP + 1) // 2, (left + STRIP) // 2]
    return [STRIP] * whole + [left] * (left > 0)
