"""How fast is a training step beside other libraries? `python bench/training.py --help`."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import harness
import machine
import report
from rivals import RIVALS, supports
from workloads import GRID


def names(text: str) -> list[str]:
    return [name.strip().lower() for name in text.split(",")]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    known = {
        "workloads": list(dict.fromkeys(w.number for w in GRID)),
        "competitors": [r.name for r in RIVALS],
    }
    parser = argparse.ArgumentParser(description="How fast is a training step beside other libraries?")
    for option, values in known.items():
        parser.add_argument(f"--{option}", type=names, metavar="A,B",
                            help=f"of {', '.join(values)}; all unless given")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=7, help="at least 7 for figures to publish")
    parser.add_argument("--seconds", type=float, default=0.1, help="how long a round lasts at least")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every round of every setting")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the report that is also printed")
    options = parser.parse_args(argv)
    for option, values in known.items():
        for name in getattr(options, option) or ():
            if name not in map(str.lower, values):
                parser.error(f"--{option}: {name!r} is none of {', '.join(values)}")
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    wanted = [r for r in RIVALS if not options.competitors or r.name.lower() in options.competitors]
    rivals, absent = harness.present(wanted)
    grid = [
        replace(w, dtype=options.dtype)
        for w in GRID
        if supports(w) and (not options.workloads or w.number in options.workloads)
    ]
    if absent:
        say(f"not installed, skipped: {', '.join(absent)}")
    head = machine.describe(options.dtype) | {
        "date": datetime.date.today().isoformat(),
        "rounds": options.rounds,
        "dtype": options.dtype,
        "absent": absent,
    }
    results = [(w, harness.run_workload(w, rivals, options.rounds, options.seconds, say)) for w in grid]
    text = report.markdown(head, results)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")
    if options.json:
        record = head | {
            "workloads": [
                asdict(w) | {"name": w.name, "settings": [harness.as_dict(s) for s in settings]}
                for w, settings in results
            ]
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return int(any(s.failure for _, settings in results for s in settings))


if __name__ == "__main__":
    sys.exit(main())
