"""Whether the tests notice small mistakes: puts them into the sources, one at a time, and runs the suite.

python .ci/mutants/run.py WHEEL [--count N] [--seed S] [--only TEXT] [--jobs J]

Mutants are drawn by a seed from the kernels, the border, training, examples and files, at least one a file
where the count allows it. A mutant that compiles to the same code is none. reasons.txt holds those that
survive for a reason, which was looked for: they change no result, or nobody can tell. All others that survive
are printed at the end; a test that kills them is missing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from queue import Empty, Queue
from random import Random

from operators import Mutant, mutants_of
from workshop import Outcome, Workshop

PROJECT = Path(__file__).resolve().parents[2]
# Sources that are tested in other ways: output for people, measurements, and the reference.
LEFT_OUT = (
    "cli/",
    "tabular/",
    "_pyinstaller/",
    "benchmark.py",
    "flops.py",
    "probes",
    "progress.py",
    "reference/",
    "singles.pxi",
    "versions.py",
)
SUFFIXES = (".py", ".pyx", ".pxi", ".h")
SHARE_OF_KERNELS = 0.5


def sources() -> list[str]:
    """Return the sources to put mistakes into."""
    names = subprocess.check_output(["git", "ls-files", "src/cbp"], cwd=PROJECT, text=True).split()
    return [name for name in names if name.endswith(SUFFIXES) and not any(part in name for part in LEFT_OUT)]


def draw(names: list[str], count: int, seed: int) -> list[Mutant]:
    """Return as many mutants as asked for, and some to replace those that turn out to be none.

    The files come in turn, those of the kernels as often as all others together. Within a file, one kind of
    mistake is as likely as another.
    """
    rng = Random(seed)
    found = {name: kinds for name in names if (kinds := mutants_of(PROJECT, name, rng))}
    kernels = [name for name in found if "/kernels/" in name]
    others = [name for name in found if "/kernels/" not in name]
    drawn: list[Mutant] = []
    turns: dict[bool, list[str]] = {True: [], False: []}
    while len(drawn) < 3 * count and any(found.values()):
        is_kernel = bool(kernels) and (not others or rng.random() < SHARE_OF_KERNELS)
        group = kernels if is_kernel else others
        turn = turns[is_kernel]
        if not turn:
            turn.extend(rng.sample(group, len(group)))
        kinds = found[turn.pop()]
        if not kinds:
            continue
        kind = rng.choice(sorted(kinds))
        drawn.append(kinds[kind].pop(rng.randrange(len(kinds[kind]))))
        if not kinds[kind]:
            del kinds[kind]
    return drawn


def known() -> dict[tuple[str, str, str], str]:
    """Return the reasons for survivors: blocks of the path, the line before and after, and the reason."""
    blocks = Path(__file__).with_name("reasons.txt").read_text().split("\n\n")
    lines = [block.strip().splitlines() for block in blocks if not block.startswith("#") and block.strip()]
    return {(path, before[2:], after[2:]): " ".join(why) for path, before, after, *why in lines}


class Trial:
    """Mutants that one or more workshops judge, and what has become of them."""

    def __init__(self, mutants: list[Mutant], count: int, reasons: dict[tuple[str, str, str], str]) -> None:
        self.waiting: Queue[Mutant] = Queue()
        for mutant in mutants:
            self.waiting.put(mutant)
        self.count, self.reasons = count, reasons
        self.found: list[tuple[Mutant, Outcome]] = []
        self.recent: list[str] = []
        self.lock = threading.Lock()

    def work(self, workshop: Workshop) -> None:
        """Judge mutants until enough are judged."""
        while len(self.judged) < self.count:
            try:
                mutant = self.waiting.get_nowait()
            except Empty:
                return
            outcome = (
                Outcome("reason") if mutant.key in self.reasons else workshop.judge(mutant, self.recent[-3:])
            )
            with self.lock:
                self.found.append((mutant, outcome))
                if outcome.by.startswith("tests/"):
                    self.recent.append(outcome.by.split("::")[0].removeprefix("tests/"))
                print(
                    f"{len(self.judged):4} {outcome.result} {outcome.seconds:.0f} s {outcome.by}\n{mutant}",
                    flush=True,
                )

    @property
    def judged(self) -> list[tuple[Mutant, Outcome]]:
        """The mutants that count, killed or survived, and their outcomes."""
        return [
            (mutant, outcome) for mutant, outcome in self.found if outcome.result in ("killed", "survived")
        ]

    def report(self) -> str:
        """Return which mutants survived, and how many were killed."""
        results = Counter(outcome.result for _, outcome in self.found)
        survivors = [str(mutant) for mutant, outcome in self.found if outcome.result == "survived"]
        killed = results["killed"]
        share = killed / max(1, len(self.judged))
        lines = [*survivors, f"{killed} of {len(self.judged)} mutants were killed: {share:.1%}"]
        lines.append(
            f"left out: {results['same']} compile to the same code, {results['broken']} not at all, "
        )
        lines[-1] += f"{results['reason']} survive for a known reason"
        return "\n".join(lines)


def main() -> int:
    """Draw mutants, judge them and say how many were killed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path, help="of the project as it is, for the instruction set")
    parser.add_argument("--count", type=int, default=100, help="mutants to judge")
    parser.add_argument("--seed", type=int, default=1, help="decides which")
    parser.add_argument("--only", default="", help="sources whose path has this in it")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--isa", default="x86-64-v3", help="the instruction set to build")
    parser.add_argument("--least", type=float, default=0.0, help="per cent to kill; fewer are an error")
    parser.add_argument("--list", action="store_true", help="print what is drawn, and do nothing")
    parser.add_argument("--record", type=Path, help="a JSON file for the outcomes")
    options = parser.parse_args()
    mutants = draw([name for name in sources() if options.only in name], options.count, options.seed)
    if options.list:
        print("\n".join(map(str, mutants[: options.count])))
        return 0
    start = time.monotonic()
    trial = Trial(mutants, options.count, known())
    with tempfile.TemporaryDirectory() as folder:
        workshops = [
            Workshop(PROJECT, Path(folder, str(job)), options.wheel.resolve(), options.isa)
            for job in range(options.jobs)
        ]
        threads = [threading.Thread(target=first_tested, args=(trial, workshop)) for workshop in workshops]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(trial.report())
    print(f"{(time.monotonic() - start) / 60:.0f} minutes")
    if options.record:
        outcomes = [{"mutant": vars(mutant), "outcome": vars(outcome)} for mutant, outcome in trial.found]
        options.record.write_text(json.dumps(outcomes, indent=1))
    killed = sum(outcome.result == "killed" for _, outcome in trial.judged)
    return int(not trial.judged or killed < options.least / 100 * len(trial.judged))


def first_tested(trial: Trial, workshop: Workshop) -> None:
    """Judge mutants once the suite has passed without one, which also tells how long its files take."""
    passed, by = workshop.test([""])
    if not passed:
        print(f"without a mutant, the suite fails: {by}")
        return
    trial.work(workshop)


if __name__ == "__main__":
    sys.exit(main())
