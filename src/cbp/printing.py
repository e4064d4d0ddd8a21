"""Tables as text and as HTML, long ones shortened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

# A longer table shows its first and last rows only: together with the header and the row of dots they fit an
# ordinary terminal.
ROWS_SHOWN = 25
ROWS_AT_EACH_END = 10

Entry = TypeVar("Entry")


def ends(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return all entries or, if they are more than a table shows, the first and the last."""
    if len(entries) <= ROWS_SHOWN:
        return entries
    return [*entries[:ROWS_AT_EACH_END], *entries[-ROWS_AT_EACH_END:]]


def with_dots(rows: list[list[str]], n: int) -> list[list[str]]:
    """Return a header and the rows for the `ends` of n entries, with dots for those that are left out."""
    dots = [["..."] * len(rows[0])] if n > ROWS_SHOWN else []
    return [*rows[: 1 + ROWS_AT_EACH_END], *dots, *rows[1 + ROWS_AT_EACH_END :]]


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of equal length as lines with the columns aligned at the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_html(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, of which the first is the header, as a table of HTML; cells hold HTML already."""
    header, *body = rows
    lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in header) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body]
    return "<table>\n" + "\n".join(lines) + "\n</table>"
