"""What files that answer a question, such as training.py, share: options, and running as a program."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast

import burden
import harness
import machine
import report
from harness import Timing
from rivals.base import Rival

Dtype = Literal["float32", "float64"]


@dataclass(frozen=True)
class Options:
    timing: Timing = field(default_factory=Timing)
    dtypes: tuple[Dtype, ...] = ("float32", "float64")
    workloads: tuple[str, ...] = ()  # empty: all
    competitors: tuple[str, ...] = ()  # empty: all

    def rivals(self, known: Sequence[type[Rival]]) -> tuple[list[type[Rival]], list[str]]:
        """Return the rivals asked for that are installed, and the names of those that are not."""
        wanted = [
            r for r in known if not self.competitors or r.name.lower().split(",")[0] in self.competitors
        ]
        return harness.present(wanted)


def names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(","))


def parser(question: str) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=question)
    found.add_argument("--workloads", type=names, default=(), metavar="A,B", help="all unless given")
    found.add_argument("--competitors", type=names, default=(), metavar="A,B", help="all unless given")
    found.add_argument("--rounds", type=int, default=7, help="at least 7 for figures to publish")
    found.add_argument("--seconds", type=float, default=0.1, help="how long a round lasts at least")
    found.add_argument("--neighbour", action="store_true",
                       help="keep to all CPUs but the last, on which a process streams 64 MB")  # fmt: skip
    found.add_argument("--dtype", choices=("float32", "float64"), help="both, where that is a question")
    return found


def options(given: argparse.Namespace) -> Options:
    if given.rounds < 1:
        raise SystemExit("--rounds: at least 1")
    dtypes = (cast(Dtype, given.dtype),) if given.dtype else Options.dtypes
    return Options(Timing(given.rounds, given.seconds), dtypes, given.workloads, given.competitors)


def write(
    head: dict[str, Any],
    parts: Sequence[report.Part],
    markdown: Path | None,
    json_to: Path | None,
    chart: str = "",
) -> str:
    text = report.document(head, parts, chart)
    if markdown:
        markdown.write_text(text + "\n")
    if json_to:
        json_to.write_text(harness.json_text(head | {"parts": [part.as_dict() for part in parts]}))
    return text


def main(file: str, argv: Sequence[str] | None = None) -> int:
    """Answer the question of a file, which is imported by its name, so that workers can find its classes."""
    question = import_module(Path(file).stem)
    known = parser(str(question.__doc__))
    known.add_argument("--json", type=Path, metavar="FILE", help="every round of every setting")
    known.add_argument("--markdown", type=Path, metavar="FILE", help="the report that is also printed")
    given = known.parse_args(argv)
    chosen = options(given)
    with burden.neighbour(given.neighbour):
        head = machine.describe(chosen.timing, given.neighbour)
        part = question.run(chosen)
    print(write(head, [part], given.markdown, given.json))
    return int(part.failed)


def start(file: str) -> None:
    sys.exit(main(file))
