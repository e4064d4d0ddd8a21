"""The results as tables that read as text and as markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from harness import Setting
from workloads import Workload

Results = Sequence[tuple[Workload, Sequence[Setting]]]
Peaks = dict[int, float]  # GFLOP/s by number of threads

NOTES = """\
*Of peak* is the share of the peak that as many threads reached in the probe. *Speed* is beside the best
rival's, which is 1. *Peak MB* is the resident memory of the whole process, data included.
`bench/README.md` tells how all this is measured."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """First column to the left, figures to the right, padded."""
    lines = [list(columns), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])

    def padded(line: Sequence[str]) -> str:
        first, *figures = line
        cells = [first.ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(figures, widths[1:], strict=True)]
        return f"| {' | '.join(cells)} |"

    return "\n".join(map(padded, lines))


def figure(x: float) -> str:
    """Three significant digits."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 1 else f"{x:.3g}"


def best(settings: Iterable[Setting], rival: str | None = None) -> Setting | None:
    """The fastest of a rival; of all rivals of cbp unless named."""
    mine = (s for s in settings if s.counts and (s.rival == rival if rival else s.rival != "cbp"))
    return min(mine, key=lambda s: s.step_us, default=None)


def gflops(w: Workload, s: Setting) -> float:
    return w.flop * w.batch / s.step_us / 1e3


def share(w: Workload, s: Setting | None, peaks: Peaks) -> str:
    """Of the peak of as many threads."""
    return f"{gflops(w, s) / peaks[s.n_threads]:.0%}" if s and s.n_threads in peaks else "-"


def ratio(rival: Setting | None, s: Setting | None) -> str:
    return figure(rival.step_us / s.step_us) if rival and s else "-"


def to_show(settings: Sequence[Setting]) -> list[Setting]:
    """Both thread counts of cbp, the better one of each rival, fastest first."""
    names = dict.fromkeys(s.rival for s in settings if s.rival != "cbp")
    shown = [s for s in settings if s.rival == "cbp" and s.counts]
    shown += [s for name in names if (s := best(settings, name))]
    return sorted(shown, key=lambda s: s.step_us)


def workload_table(w: Workload, settings: Sequence[Setting], peaks: Peaks) -> str:
    rival = best(settings)
    rows = [
        (
            s.rival,
            str(s.n_threads),
            figure(s.step_us),
            f"{figure(min(s.rounds_us))} to {figure(max(s.rounds_us))}",
            f"{w.batch / s.step_us * 1e6:,.0f}",
            figure(gflops(w, s)),
            share(w, s, peaks),
            ratio(rival, s),
            f"{s.peak_rss_mb:,.0f}",
        )
        for s in to_show(settings)
    ]
    head = "competitor|threads|µs a step|rounds|examples/s|GFLOP/s|of peak|speed|peak MB"
    return table(head.split("|"), rows)


def summary(results: Results, peaks: Peaks) -> str:
    rows = []
    for w, settings in results:
        ours, rival = best(settings, "cbp"), best(settings)
        one = best((s for s in settings if s.n_threads == 1), "cbp")
        rows.append(
            (
                w.name,
                figure(ours.step_us) if ours else "-",
                figure(rival.step_us) if rival else "-",
                rival.rival if rival else "-",
                ratio(rival, ours),
                share(w, one, peaks),
            )
        )
    head = "network|cbp, µs a step|best rival, µs a step|which|times faster|of peak, one thread"
    return table(head.split("|"), rows)


def warnings(head: dict[str, Any], results: Results) -> list[str]:
    """Why these figures should not be published, if so."""
    settings = [s for _, of_workload in results for s in of_workload]
    found = []
    if any(s.n_threads == 1 and s.counts and s.cores < 0.9 for s in settings):
        found.append("**Not a quiet machine**: something else had the CPU during some rounds")
    if len(head["peak_gflops"]) == 1 < head["cpus"]:
        found.append("**Not a quiet machine**: the probe of the peak was disturbed")
    if head["rounds"] < 7:
        found.append("**Fewer than 7 rounds**: a trial, not a result")
    if head["absent"]:
        found.append(f"Not installed, skipped: {', '.join(head['absent'])}")
    failed = {f"{s.rival} on {w.name}: {s.failure}" for w, of in results for s in of if s.failure}
    return found + [f"Left out: {line}" for line in sorted(failed)]


def description(head: dict[str, Any], results: Results) -> str:
    blas = sorted({library for _, settings in results for s in settings for library in s.blas})
    peaks = [f"{figure(g)} GFLOP/s on {n} thread{'s' * (n > 1)}" for n, g in head["peak_gflops"].items()]
    ours = head["cbp"] or {}
    lines = [
        f"{head['cpu']}, {head['cpus']} CPUs, {head['caches']}",
        head["os"],
        ", ".join(f"{name} {number}" for name, number in head["versions"].items()),
        f"cbp: {ours.get('instruction set')}, compiler {ours.get('compiler')}, OpenMP {ours.get('OpenMP')}",
        f"BLAS of NumPy and SciPy: {'; '.join(blas) or 'unknown'}",
        f"Measured FMA peak, {head['dtype']}: {', '.join(peaks) or 'not measured'}",
        f"{head['date']}, {head['dtype']}, plain SGD, no shuffling, medians of {head['rounds']} interleaved "
        "rounds, each competitor at its better thread count",
        *warnings(head, results),
    ]
    return "\n".join(f"- {line}" for line in lines)


def markdown(head: dict[str, Any], results: Results) -> str:
    peaks = head["peak_gflops"]
    title = "# A training step beside other libraries"
    parts = [title, description(head, results), summary(results, peaks), NOTES]
    for w, settings in results:
        parts += [f"## {w.name}", workload_table(w, settings, peaks)]
    return "\n\n".join(parts)
