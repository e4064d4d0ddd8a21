"""How long an example takes beside FANN, a library for C programs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median

import command
import harness
import report
from check import Reference
from command import Options
from harness import Worker
from report import Part, figure
from rivals.in_cbp import Cbp
from workloads import Workload

TITLE = "Beside FANN"
CASES = (
    ((2, 4, 1), 4_000),
    ((8, 16, 1), 4_000),
    ((64, 32, 10), 1_600),
    ((784, 30, 10), 800),
    ((784, 128, 10), 400),
)
Times = list[float]  # ns an example


def build(folder: str) -> tuple[Path | None, str]:
    """Return the compiled program, or why there is none."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        return None, "no C compiler"
    program, source = Path(folder, "fann"), Path(__file__).with_name("fann.c")
    done = subprocess.run(
        [compiler, "-O2", str(source), "-o", str(program), "-lfann", "-lm"], capture_output=True, text=True
    )
    if done.returncode:
        return (
            None,
            f"FANN is not installed (libfann-dev), or does not compile: {done.stderr.splitlines()[0]}",
        )
    return program, ""


def by_fann(program: Path, sizes: tuple[int, ...], n: int, batch: bool, seconds: float) -> tuple[float, str]:
    """Return FANN's ns an example, and what is wrong, if anything."""
    command = [str(program), "-".join(map(str, sizes)), str(n), str(int(batch)), str(seconds)]
    done = subprocess.run(
        command, env=harness.clean_environment(1), capture_output=True, text=True, check=True
    )
    ns, first, last = map(float, done.stdout.split())
    return ns, "" if last < first else f"it does not learn: mean squared error {first:g}, then {last:g}"


def workload(sizes: tuple[int, ...], n: int, batch: bool) -> Workload:
    """Return a workload with sigmoid outputs, whose training takes the same products as FANN's."""
    return Workload("fann", sizes, batch=n if batch else 1, n=n, output="sigmoid")


def race(w: Workload, program: Path | None, options: Options, part: Part) -> tuple[Times, Times]:
    """Run interleaved rounds of cbp and FANN with one thread each; return the times of both."""
    ours: Times = []
    theirs: Times = []
    worker = Worker(Cbp, [w], 1)
    with harness.closing([worker]):
        worker.attempt(lambda: worker.check([Reference(w).judge]))
        if worker.going():
            worker.attempt(lambda: worker.calibrate(0, options.timing.seconds))
        for _ in range(options.timing.rounds):
            if worker.going():
                worker.attempt(lambda: worker.round(0))
            if program:
                ns, wrong = by_fann(program, w.sizes, w.n, w.batch > 1, options.timing.seconds)
                theirs.append(ns)
                if wrong and (line := f"FANN on {w.name}: {wrong}") not in part.failures:
                    part.failures.append(line)
    s = worker.settings[0]
    if s.failure:
        part.failures.append(f"cbp on {w.name}: {s.failure}")
    ours += [us * 1e3 / w.batch for us in s.rounds_us]
    return ours, theirs


def run(options: Options) -> Part:
    """Answer the question in float32, FANN's precision, and with one thread, as FANN has no more."""
    part = Part("fann", TITLE)
    with tempfile.TemporaryDirectory() as folder:
        program, reason = build(folder)
        if reason:
            part.left_out.append(f"FANN: {reason}")
        for batch in (False, True):
            rows = []
            for sizes, n in CASES:
                w = workload(sizes, n, batch)
                harness.say(f"{w.name}: beside FANN")
                ours, theirs = race(w, program, options, part)
                times = {name: median(t) for name, t in (("cbp", ours), ("FANN", theirs)) if t}
                ratio = figure(times["FANN"] / times["cbp"]) if len(times) == 2 else "-"
                rows.append(
                    [w.name, *(figure(times[k]) if k in times else "-" for k in ("cbp", "FANN")), ratio]
                )
                case = f"{w.name}, an example"
                part.compared.append(
                    {"case": case, "unit": "µs", "times": {k: t / 1e3 for k, t in times.items()}}
                )
                part.record.append({"case": case, "ns": {"cbp": ours, "FANN": theirs}})
            how = "An update after all examples" if batch else "An update an example"
            part.text += [
                f"### {how}",
                report.table(["network", "cbp, ns an example", "FANN", "times faster"], rows),
            ]
    return part


if __name__ == "__main__":
    command.start(__file__)
