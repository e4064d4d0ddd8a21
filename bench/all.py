"""Every question after the other, in one report under one description of the machine."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import burden
import command
import machine
from command import Options
from harness import say
from report import Part

QUESTIONS = ("training", "share", "accuracy", "tables", "gradient", "predict", "load", "memory", "imports",
             "functions", "fann", "scaling")  # fmt: skip


def answer(name: str, options: Options) -> Part:
    """Return the part of a question's file, or, so that the others are not lost, one that tells its error."""
    question = import_module(name)
    say(f"== {name}: {question.__doc__.splitlines()[0]}")
    started = time.perf_counter()
    try:
        part: Part = question.run(options)
    except Exception as error:
        traceback.print_exc()
        part = Part(name, question.TITLE, failures=[f"{type(error).__name__}: {error}"])
    say(f"== {name}: {(time.perf_counter() - started) / 60:.1f} minutes")
    return part


def main(argv: Sequence[str] | None = None) -> int:
    parser = command.parser(str(__doc__))
    parser.add_argument("--out", type=Path, default=Path(), help="where RESULTS.md, .json and .png go")
    parser.add_argument("--only", type=command.names, default=QUESTIONS, metavar="A,B",
                        help=f"of {', '.join(QUESTIONS)}; all unless given")  # fmt: skip
    given = parser.parse_args(argv)
    if unknown := set(given.only) - set(QUESTIONS):
        parser.error(f"--only: {', '.join(sorted(unknown))}: none of {', '.join(QUESTIONS)}")
    options = command.options(given)
    given.out.mkdir(parents=True, exist_ok=True)
    record, picture = given.out / "RESULTS.json", given.out / "RESULTS.png"
    parts: list[Part] = []
    with burden.neighbour(given.neighbour):
        head = machine.describe(options.timing, given.neighbour)
        for name in QUESTIONS:
            if name in given.only:
                parts.append(answer(name, options))
                command.write(head, parts, None, record)  # so far, in case a later one fails
    drawn = ""
    if find_spec("matplotlib"):
        import chart

        chart.draw(record, picture)
        drawn = picture.name
    else:
        say("matplotlib is not installed: no chart")
    command.write(head, parts, given.out / "RESULTS.md", record, drawn)
    return int(any(part.failed for part in parts))


if __name__ == "__main__":
    sys.exit(main())
