"""Writes the results as tables that can be read as text and as markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness import Setting
from workloads import Workload

Results = Sequence[tuple[Workload, Sequence[Setting]]]
Peaks = dict[int, float]  # GFLOP/s by number of threads
CANNOT = "cannot: "  # a reason that begins with this is no error
BUSY = "**Not a quiet machine**: something else had the CPU during some rounds"


def is_ours(name: str) -> bool:
    """Whether a name is that of cbp, to which the way it is called may be added: "cbp, out="."""
    return name.split(",")[0] == "cbp"


@dataclass
class Part:
    """What a file such as training.py has found out: a chapter of the report, and its figures."""

    name: str
    title: str
    text: list[str] = field(default_factory=list)
    record: list[Any] = field(default_factory=list)  # for JSON, in addition to `compared`
    # [{"case": ..., "unit": ..., "times": {competitor: its time with the better number of threads}}]
    compared: list[dict[str, Any]] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # with the reasons
    failures: list[str] = field(default_factory=list)  # wrong results, and errors
    warnings: list[str] = field(default_factory=list)
    blas: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return bool(self.failures)

    def compare(self, case: str, unit: str, settings: Sequence[Setting]) -> None:
        """Add a case: the better time of each competitor, and failures and warnings of the settings."""
        names = dict.fromkeys(s.rival for s in settings)
        times = {name: s.step_us for name in names if (s := best(settings, name))}
        self.compared.append({"case": case, "unit": unit, "times": times})
        self.blas = sorted({*self.blas, *(library for s in settings for library in s.blas)})
        for s in settings:
            if s.failure:
                to = self.left_out if s.failure.startswith(CANNOT) else self.failures
                if (line := f"{s.rival} on {case}: {s.failure.removeprefix(CANNOT)}") not in to:
                    to.append(line)
        if (
            any(s.n_threads == 1 and s.counts and s.cores < 0.9 for s in settings)
            and BUSY not in self.warnings
        ):
            self.warnings.append(BUSY)

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "title": self.title, "compared": self.compared, "record": self.record,
                "failures": self.failures, "warnings": self.warnings}  # fmt: skip


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with padded cells: the first column to the left, figures to the right."""
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
    """Return a number as text with three significant digits, or more if it is 1,000 or more."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 1 else f"{x:.3g}"


def best(settings: Iterable[Setting], rival: str | None = None) -> Setting | None:
    """Return the fastest setting of a rival, or, without a name, of all rivals of cbp."""
    mine = (s for s in settings if s.counts and (s.rival == rival if rival else not is_ours(s.rival)))
    return min(mine, key=lambda s: s.step_us, default=None)


def gflops(w: Workload, s: Setting) -> float:
    return w.flop * w.batch / s.step_us / 1e3


def share(gflops: float, n_threads: int | None, peaks: Peaks) -> str:
    """Return the share of the peak that as many threads have."""
    return f"{gflops / peaks[n_threads]:.0%}" if n_threads in peaks else "-"


def ratio(rival: Setting | None, s: Setting | None) -> str:
    return figure(rival.step_us / s.step_us) if rival and s else "-"


def spread_of(values: Sequence[float]) -> str:
    return f"{figure(min(values))} to {figure(max(values))}"


def spread(s: Setting) -> str:
    return spread_of(s.rounds_us)


def to_show(settings: Sequence[Setting]) -> list[Setting]:
    """Return all settings of cbp, and the fastest of each rival, sorted from the fastest on."""
    names = dict.fromkeys(s.rival for s in settings if not is_ours(s.rival))
    shown = [s for s in settings if is_ours(s.rival) and s.counts]
    shown += [s for name in names if (s := best(settings, name))]
    return sorted(shown, key=lambda s: s.step_us)


def workload_table(w: Workload, settings: Sequence[Setting], peaks: Peaks) -> str:
    rival = best(settings)
    rows = [
        (
            s.rival,
            str(s.n_threads),
            figure(s.step_us),
            spread(s),
            f"{w.batch / s.step_us * 1e6:,.0f}",
            figure(gflops(w, s)),
            share(gflops(w, s), s.n_threads, peaks),
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
                w.number,
                w.name,
                figure(ours.step_us) if ours else "-",
                figure(rival.step_us) if rival else "-",
                rival.rival if rival else "-",
                ratio(rival, ours),
                share(gflops(w, one), 1, peaks) if one else "-",
            )
        )
    head = "workload|network|cbp, µs a step|best rival, µs a step|which|times faster|of peak, one thread"
    return table(head.split("|"), rows)


def call_table(settings: Sequence[Setting], unit: str) -> str:
    """Return a table of calls whose FLOP are not counted."""
    rival = best(settings)
    rows = [
        (s.rival, str(s.n_threads), figure(s.step_us), spread(s), ratio(rival, s)) for s in to_show(settings)
    ]
    return table(["competitor", "threads", unit, "rounds", "speed"], rows)


def side_by_side(compared: Sequence[dict[str, Any]], first: str) -> str:
    """Return a table with a row for each case and a column for each competitor.

    The last column is how many times faster cbp is than the best rival.
    """
    names = list(dict.fromkeys(name for c in compared for name in c["times"]))
    rows = []
    for c in compared:
        times = c["times"]
        ours = min((t for name, t in times.items() if is_ours(name)), default=None)
        rival = min((t for name, t in times.items() if not is_ours(name)), default=None)
        rows.append([
            c["case"],
            *(figure(times[name]) if name in times else "-" for name in names),
            figure(rival / ours) if rival and ours else "-",
        ])  # fmt: skip
    return table([first, *names, "times faster"], rows)


def description(head: dict[str, Any], parts: Sequence[Part]) -> str:
    blas = sorted({library for part in parts for library in part.blas})
    ours = head["cbp"] or {}
    lines = [
        f"{head['cpu']}, {head['cpus']} CPUs, {head['caches']}",
        head["os"],
        ", ".join(f"{name} {number}" for name, number in head["versions"].items()),
        f"cbp: {ours.get('instruction set')}, compiler {ours.get('compiler')}, OpenMP {ours.get('OpenMP')}",
        f"BLAS of NumPy and SciPy: {'; '.join(blas) or 'unknown'}",
    ]
    for dtype, peaks in head["peak_gflops"].items():
        found = [f"{figure(g)} GFLOP/s on {n} thread{'s' * (n > 1)}" for n, g in peaks.items()]
        lines.append(f"Measured FMA peak, {dtype}: {', '.join(found) or 'not measured'}")
    lines.append(
        f"{head['date']}, medians of {head['rounds']} interleaved rounds, each competitor at its better "
        "thread count, without shuffling unless it is named"
    )
    if head.get("neighbour"):
        lines.append("Beside a process that streams 64 MB on one more CPU")
    return "\n".join(f"- {line}" for line in [*lines, *warnings(head, parts)])


def warnings(head: dict[str, Any], parts: Sequence[Part]) -> list[str]:
    """Return the reasons, if any, why these figures should not be published."""
    found = [line for part in parts for line in part.warnings]
    if head["cpus"] > 1 and any(len(peaks) == 1 for peaks in head["peak_gflops"].values()):
        found.append("**Not a quiet machine**: the probe of the peak was disturbed")
    if head["rounds"] < 7:
        found.append("**Fewer than 7 rounds**: a trial, not a result")
    if absent := sorted({name for part in parts for name in part.absent}):
        found.append(f"Not installed, skipped: {', '.join(absent)}")
    return list(dict.fromkeys(found))


def chapter(part: Part) -> str:
    notes = [f"- Failed: {line}" for line in part.failures]
    notes += [f"- Left out: {line}" for line in part.left_out]
    return "\n\n".join(text for text in [f"## {part.title}", "\n".join(notes), *part.text] if text)


def document(head: dict[str, Any], parts: Sequence[Part], chart: str = "") -> str:
    notes = (
        "*Speed* and *times faster* are beside the best rival's, which is 1. *Of peak* is the share of the "
        "peak that as many threads reached in the probe.\n*Peak MB* is the resident memory of the whole "
        "process, data included. `bench/README.md` tells how all this is measured."
    )
    picture = [f"![Times faster than each rival]({chart})"] if chart else []
    return "\n\n".join(["# Benchmarks", description(head, parts), notes, *picture, *map(chapter, parts)])
