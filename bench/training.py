"""How fast a training step is beside other libraries."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise

import command
import harness
import machine
import report
from check import Reference
from command import Options
from harness import Setting, Timing
from report import Part, Results, figure
from rivals import TRAINERS
from rivals.base import Rival
from workloads import MNIST_EXAMPLES, SHUFFLED, Workload, chosen

TITLE = "A training step"
MOST_JUMP = 1.3  # the most ratio of the times for a FLOP of two neighbouring widths of workload 8


def settings_of(w: Workload, rivals: list[type[Rival]], timing: Timing) -> list[Setting]:
    return harness.run([w], rivals, lambda: [Reference(w).judge], timing)[0]


def epochs(results: Results) -> str:
    """Return a table of workload 4 with the seconds of an epoch."""
    rivals = list(dict.fromkeys(s.rival for _, settings in results for s in settings))
    rows = [
        [w.name, *(figure(s.step_us * MNIST_EXAMPLES / w.batch / 1e6) if s else "-" for s in best)]
        for w, settings in results
        if w.number == "4"
        for best in [[report.best(settings, name) for name in rivals]]
    ]
    title = f"Seconds an epoch of MNIST's {MNIST_EXAMPLES:,} examples"
    return f"{title}\n\n{report.table(['network', *rivals], rows)}" if rows else ""


def cliffs(results: Results) -> str:
    """Return a table of how cbp's time for a FLOP changes from one width of workload 8 to the next."""
    found = [(w, s) for w, settings in results if w.number == "8" if (s := report.best(settings, "cbp"))]
    rows = []
    for (w, s), (wider, t) in pairwise(found):
        jump = t.step_us / s.step_us / (wider.flop / w.flop)
        verdict = "yes" if jump <= MOST_JUMP else "**no**"
        widths = f"{w.sizes[1]} to {wider.sizes[1]}"
        rows.append([widths, str(s.n_threads), str(t.n_threads), figure(jump), verdict])
    columns = ["widths", "threads", "then", "ratio of times / of FLOP", f"at most {MOST_JUMP}"]
    title = "Cliffs of cbp between the widths w of 10-w-w-10"
    return f"{title}\n\n{report.table(columns, rows)}" if rows else ""


def shuffling(results: Results) -> str:
    """Return a table of what a new order in each epoch costs, beside the same workload in order."""
    by_workload = {replace(w, number=""): settings for w, settings in results}
    rows = []
    for w, shuffled in by_workload.items():
        ordered = by_workload.get(replace(w, shuffle=False)) if w.shuffle else None
        for name in dict.fromkeys(s.rival for s in shuffled if ordered):
            a, b = report.best(ordered or [], name), report.best(shuffled, name)
            if a and b:
                rows.append([name, figure(a.step_us), figure(b.step_us), figure(b.step_us / a.step_us)])
    title = f"What shuffling costs: {replace(SHUFFLED, shuffle=False).name}, µs a step"
    return f"{title}\n\n{report.table(['competitor', 'in order', 'shuffled', 'ratio'], rows)}" if rows else ""


def run(options: Options) -> Part:
    rivals, absent = options.rivals(TRAINERS)
    part = Part("training", TITLE, absent=absent)
    for dtype in options.dtypes:
        grid = chosen(options.workloads, dtype)
        results = [(w, settings_of(w, rivals, options.timing)) for w in grid]
        peaks = machine.peaks(dtype)
        part.text.append(f"### {dtype}")
        part.text += [report.summary(results, peaks), epochs(results), cliffs(results), shuffling(results)]
        for w, settings in results:
            part.text += [f"#### {w.name}, {dtype}", report.workload_table(w, settings, peaks)]
            part.compare(f"{w.name}, {dtype}", "µs a step", settings)
            kept = [harness.as_dict(s) for s in settings]
            part.record.append(asdict(w) | {"name": w.name, "settings": kept})
    return part


if __name__ == "__main__":
    command.start(__file__)
