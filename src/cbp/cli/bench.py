"""``cbp bench``: prints how fast this machine trains."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cbp.cli.outputs import check_writable
from cbp.cli.report import counted, put, say
from cbp.files.whole import write_whole
from cbp.machine.versions import describe, package_version, processor

if TYPE_CHECKING:
    from cbp.benchmark import Report, Setting

__all__ = ["bench"]

HEAD = ("network, batch", "threads", "µs a step", "examples/s", "GFLOP/s", "of peak")
WIDTHS = (25, 7, 10, 13, 8, 8)  # in characters: 76 with the spaces between


def bench(args: argparse.Namespace) -> int:
    """Measure, print a table, and write what was asked for; return the exit status."""
    from cbp import benchmark

    if args.json is not None:
        check_writable(args.json)
    facts = describe(args.dtype)
    say("machine", processor())
    isa = facts["instruction set"].split()[0]
    say("cbp", f"{package_version()}, {isa}, {args.dtype}; {facts['compiler']}")
    say("time", f"about {args.seconds:.3g} s: medians of {benchmark.ROUNDS} interleaved rounds")
    report = benchmark.measure(args.dtype, args.threads, args.seconds)
    peaks = (f"{peak:,.3g} GFLOP/s on {counted(n, 'thread')}" for n, peak in report.peaks.items())
    say("peak", ", ".join(peaks))
    put("")
    for row in (HEAD, *(cells(setting, report.peaks) for setting in report.settings)):
        put(aligned(row))
    if args.json is not None:
        write(report, args.json, {"processor": processor(), "dtype": args.dtype, **facts})
    return 0


def cells(setting: Setting, peaks: dict[int, float]) -> tuple[str, ...]:
    """Return the cells of the row for a setting."""
    return (
        setting.workload.name,
        str(setting.n_threads),
        figure(setting.step_us),
        f"{setting.examples_per_second:,.0f}",
        figure(setting.gflops),
        f"{setting.gflops / peaks[setting.n_threads]:.1%}",
    )


def figure(x: float) -> str:
    """Return a number as text with three significant digits, or, from 100 on, rounded to a whole number."""
    return f"{x:,.0f}" if x >= 100 else f"{x:#.3g}"


def aligned(row: Sequence[str]) -> str:
    """Return a row as a line: the first cell is aligned to the left, the others to the right."""
    first, *rest = (f"{cell:>{width}}" for cell, width in zip(row, WIDTHS, strict=True))
    return " ".join([f"{first.strip():<{WIDTHS[0]}}", *rest])


def write(report: Report, path: Path, facts: dict[str, str]) -> None:
    """Write the figures as JSON."""
    record = {
        **facts,
        "peak_gflops": {str(n): peak for n, peak in report.peaks.items()},
        "results": [setting.as_dict(report.peaks[setting.n_threads]) for setting in report.settings],
    }
    write_whole(path, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
