"""What share of the peak a training step reaches, beside a probe of the peak in the rounds around it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from statistics import median

import command
import harness
import report
from check import Reference
from command import Options
from harness import Judge, Setting
from report import Part, figure
from rivals import in_cbp
from rivals.base import Rival
from workloads import Workload

TITLE = "Shares of the adjacent peak"
NEAR = 1.05  # a probe within 5 % of its best has found the machine quiet
NETWORKS = (
    Workload("90", (90, 300, 300, 1), batch=128, n=2_560, output="sigmoid"),
    Workload("700", (700, 600, 500, 12), batch=512, n=1_536),
    Workload("784-512", (784, 512, 512, 10), batch=128, n=768),
    Workload("784-256", (784, 256, 256, 10), batch=256, n=1_536),
    Workload("256", (256, 1024, 1024, 10), batch=1024, n=1_024),
)


class Probe(Rival):
    """Does nothing but as many multiply-adds as an epoch has."""

    name, package, warm_up = "peak", "cbp", False

    def __init__(self, case: Workload, n_threads: int | None) -> None:
        from cbp import _core, kernels

        self.burn = partial(_core.burn, kernels.table(case.dtype), n_threads or 1)
        turns = 1_000
        self.turns = round(case.flop * case.n * turns / self.burn(turns))

    def result(self) -> None:
        """There is none to check."""

    def run(self, n: int) -> None:
        self.burn(self.turns * n)


def judges(w: Workload) -> list[Judge]:
    """Of the parameters that a step leads to; the probe has no result."""
    judge = Reference(w).judge
    return [lambda found: judge(found) if found is not None else ({}, "")]


def by_threads(settings: list[Setting], rival: str) -> dict[int | None, Setting]:
    return {s.n_threads: s for s in settings if s.rival == rival and s.counts}


def cells(w: Workload, settings: list[Setting]) -> list[str]:
    """A row of the table: for each number of threads the time, and the shares in all and in quiet rounds."""
    steps, probes = by_threads(settings, "cbp"), by_threads(settings, "peak")
    found = [w.name, w.dtype]
    for n in harness.thread_counts():
        if n not in steps or n not in probes:
            found += ["-"] * 4
            continue
        pairs = list(zip(probes[n].rounds_us, steps[n].rounds_us, strict=True))
        best = min(probes[n].rounds_us)
        quiet = [peak / step for peak, step in pairs if peak <= NEAR * best]
        shares = [peak / step for peak, step in pairs]
        found += [figure(steps[n].step_us), f"{median(shares):.2f}", f"{median(quiet):.2f}", str(len(quiet))]
    if len(steps) > 1:
        few, many = (steps[n].rounds_us for n in harness.thread_counts())
        found.append(figure(median(a / b for a, b in zip(few, many, strict=True))))
    return found


def run(options: Options) -> Part:
    part = Part("share", TITLE)
    rows = []
    for dtype in options.dtypes:
        for w in (replace(w, dtype=dtype) for w in NETWORKS):
            settings = harness.run([w], [Probe, in_cbp.Cbp], lambda w=w: judges(w), options.timing)[0]
            part.failures += [f"{s.rival} on {w.name}: {s.failure}" for s in settings if s.failure]
            kept = [harness.as_dict(s) for s in settings]
            part.record.append({"case": f"{w.name}, {dtype}", "settings": kept})
            rows.append(cells(w, settings))
    columns = ["network", "dtype"]
    for n in harness.thread_counts():
        columns += [f"{n} thread{'s' * (n > 1)}, µs a step", "share", "quiet", "of rounds"]
    part.text += [
        "The median over the rounds of the probe's time for as many multiply-adds, divided by the step's; "
        f"and the same over the rounds whose probe came within {NEAR - 1:.0%} of its best.",
        report.table([*columns, *["times faster"] * (len(harness.thread_counts()) > 1)], rows),
    ]
    return part


if __name__ == "__main__":
    command.start(__file__)
