"""Small mistakes that a source can have: a wrong token, argument or term."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

__all__ = ["Mutant", "mutants_of"]


@dataclass(frozen=True)
class Mutant:
    """A mistake: the text of a file from ``start`` to ``stop`` is replaced by ``new``."""

    path: str  # from the top of the project
    kind: str
    start: int
    stop: int
    new: str
    line: int
    before: str  # the line as it is, and as the mistake has it
    after: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies the mutant even after its line has moved."""
        return self.path, self.before, self.after

    def __str__(self) -> str:
        return f"{self.path}:{self.line} ({self.kind})\n  - {self.before}\n  + {self.after}"


Change = Callable[[re.Match[str], Random], str]


def swapped(table: dict[str, str]) -> Change:
    """Return a change that replaces the match's first group by the entry of a table."""
    return lambda match, rng: table[match[1]]


def other_number(match: re.Match[str], rng: Random) -> str:
    """Return a whole number plus or minus 1, or another number plus a thousandth of it."""
    number = match[0].replace("_", "")
    if number.isdigit():
        return str(max(0, int(number) + rng.choice((-1, 1)))) if number != "0" else "1"
    return repr(float(number) * 1.001)


def argument_swap(match: re.Match[str], rng: Random) -> str:
    return f"{match[2]}, {match[1]}"


COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
SIGNS = {"+": "-", "-": "+", "*": "+", "/": "*", "//": "%", "%": "//", "<<": ">>", ">>": "<<"}
LOGIC = {"and": "or", "or": "and", "&&": "||", "||": "&&"}
AUGMENTED = {"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "//=": "+=", "|=": "&="}
LIMITS = {
    "min": "max",
    "max": "min",
    "at_least": "at_most",
    "at_most": "at_least",
    "any": "all",
    "all": "any",
}
WORDS = {"True": "False", "False": "True", "break": "continue", "continue": "break"}
TERM = r"[\w.]+(?:\[[^][]*\])?"


def pattern(words: dict[str, str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


# Binary operators have a space on either side, which casts, pointers and slices do not.
OPERATORS: dict[str, tuple[str, Change]] = {
    "comparison": (rf"(?<=\S )({pattern(COMPARISONS)})(?= \S)", swapped(COMPARISONS)),
    "sign": (rf"(?<=\S )({pattern(SIGNS)})(?= \S)", swapped(SIGNS)),
    "minus": (r"(?<=[(,=] )-(?=[\w(])|(?<=[(\[])-(?=[\w(])|(?<=return )-(?=[\w(])", lambda match, rng: ""),
    "logic": (rf"(?<= )({pattern(LOGIC)})(?=\s)", swapped(LOGIC)),
    "negation": (r"\bis (not )?(?=None)", lambda match, rng: "is " if match[1] else "is not "),
    "no negation": (r"\bnot (?=[\w(])|(?<=[ (])!(?=[\w(])", lambda match, rng: ""),
    "augmented": (rf"(?<= )({pattern(AUGMENTED)})(?= )", swapped(AUGMENTED)),
    "limit": (rf"\b({pattern(LIMITS)})(?=\()", swapped(LIMITS)),
    "word": (rf"\b({pattern(WORDS)})\b", swapped(WORDS)),
    "number": (r"(?<![\w.])\d[\d_]*(?:\.\d+)?(?:e-?\d+)?(?![\w.])", other_number),
    "index": (r"(?<=[\w\])])\[([a-z]\w*)\]", lambda match, rng: f"[{match[1]} {rng.choice('+-')} 1]"),
    "arguments": (rf"(?:(?<=[\w(,] )|(?<=\w\())({TERM}), ({TERM})(?=[,)])", argument_swap),
    "term": (rf" [-+*/] {TERM}(?=[]),;:\n]| [-+])", lambda match, rng: ""),
}
STATEMENT = r"(?m)^( +)([\w.]+\(.*\)|[\w.]+[.\[][^=\n]* [-+*/]?= .*|\w+ [-+*/]= .*)$"

NOT_CODE = {
    "python": r"(?s)\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|#[^\n]*",
    "c": r"(?s)/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])'",
}
# Lines of declarations, imports, messages and the like, which are not changed.
NOT_HERE = re.compile(
    r"\s*(?:import|from|cimport|__all__|class|@|ctypedef|cdef extern|#|CHECK|const |raise|[rf]?\")"
    r"|.*\bdef .*\bself\b"
)


def blanked(text: str, language: str, also: list[tuple[int, int]]) -> str:
    """Return the text with everything that is not code replaced by as many underscores."""
    spans = [match.span() for match in re.finditer(NOT_CODE[language], text)] + also
    characters = list(text)
    for start, stop in spans:
        for i in range(start, stop):
            if characters[i] != "\n":
                characters[i] = "_"
    return "".join(characters)


def annotations(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the annotations of a Python source start and stop."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    data = text.encode()

    def at(line: int, column: int) -> int:
        return len(data[: starts[line - 1] + column].decode())

    for node in ast.walk(ast.parse(text)):
        for name in ("annotation", "returns"):
            if (found := getattr(node, name, None)) is not None:
                yield at(found.lineno, found.col_offset), at(found.end_lineno, found.end_col_offset)


def mutants_of(root: Path, path: str, rng: Random) -> dict[str, list[Mutant]]:
    """Return all mistakes that can be put into a file, by kind."""
    text = (root / path).read_text()
    language = "c" if path.endswith(".h") else "python"
    code = blanked(text, language, list(annotations(text)) if path.endswith(".py") else [])
    found: dict[str, list[Mutant]] = {}
    operators = dict(OPERATORS)
    if language == "python":
        operators["statement"] = (STATEMENT, lambda match, rng: f"{match[1]}pass")
    for kind, (expression, change) in operators.items():
        for match in re.finditer(expression, code):
            mutant = made(path, text, kind, match, change, rng)
            if mutant is not None:
                found.setdefault(kind, []).append(mutant)
    return found


def made(path: str, text: str, kind: str, match: re.Match[str], change: Change, rng: Random) -> Mutant | None:
    """Return the mistake at a match, or None if there is none to make."""
    start, stop = match.span()
    line_start = text.rfind("\n", 0, start) + 1
    line_stop = text.find("\n", stop)
    before = text[line_start:line_stop]
    if NOT_HERE.match(before) or "\n" in before:
        return None
    if kind == "statement" and unbalanced(match[0]):
        return None
    new = change(match, rng)
    if new == text[start:stop]:
        return None
    after = text[line_start:start] + new + text[stop:line_stop]
    return Mutant(path, kind, start, stop, new, text.count("\n", 0, start) + 1, before.strip(), after.strip())


def unbalanced(code: str) -> bool:
    return any(code.count(a) != code.count(b) for a, b in ("()", "[]", "{}"))
