"""A network as people see it: a table of its layers, and for notebooks a drawing of its units too."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from itertools import pairwise

from cbp import printing
from cbp.architecture import Architecture
from cbp.functions import in_words, loss_in_words, name_of

WIDTH = 80  # characters of a line
# The drawing, in its own units, which are pixels where there is room.
MOST_COLUMNS, COLUMNS_AT_EACH_END = 12, 5  # more layers have dots between those at the ends
MOST_UNITS, UNITS_AT_EACH_END = 8, 4  # likewise units of a layer
LEAST_GAP, MOST_GAP, ALL_GAPS = 64, 120, 480  # from column to column, and of all columns if they are few
STEP = 18  # from unit to unit
MARGIN_X, MARGIN_Y = 36, 8  # at the left and the right, for half of a label, and at the top
LABEL, LINE = 22, 13  # from the lowest unit to the first line of the label, and from it to the second

Point = tuple[int, int]


def layers_table(what: Architecture) -> list[list[str]]:
    """Return the header, and a row for each layer that is shown: number, units, activation, W, parameters."""
    sizes, names = what.sizes, ["inputs", *(in_words(g) for g in what.activations)]
    rows = [["layer", "units", "activation", "weights", "parameters"]]
    for i in printing.ends(range(len(sizes))):
        row = [f"{i + 1}", f"{sizes[i]:,}", names[i]]
        if i == 0:
            rows.append([*row, "", ""])
        else:
            n_in, n_out = sizes[i - 1], sizes[i]
            rows.append([*row, f"{n_in} x {n_out}", f"{(n_in + what.bias) * n_out:,}"])
    return printing.with_dots(rows, len(sizes))


def facts(what: Architecture) -> list[str]:
    """Return what the table does not say: loss, penalties, dtype and the memory of the parameters."""
    found = [f"loss {loss_in_words(what.loss)}"]
    for name in ("l2", "l1", "dropout", "input_noise"):
        value = getattr(what, name)
        if isinstance(value, tuple):
            texts = [f"{each:g}" for each in value]
            shown = printing.ends(texts)
            dots = ["..."] if len(shown) < len(texts) else []
            at = printing.ROWS_AT_EACH_END
            found.append(f"{name} by layer {' '.join([*shown[:at], *dots, *shown[at:]])}")
        elif value:
            found.append(f"{name} {value:g}")
    found += [] if what.bias else ["no biases"]
    return [*found, what.dtype.name, f"{what.n_parameters * what.dtype.itemsize:,} bytes of parameters"]


def summary(what: Architecture) -> str:
    """Return the table of layers and the facts as lines of at most 80 characters."""
    rows = [*layers_table(what), ["total", "", "", "", f"{what.n_parameters:,}"]]
    return "\n".join([printing.as_text(rows), *textwrap.wrap(", ".join(facts(what)), WIDTH)])


def notebook(what: Architecture) -> str:
    """Return the drawing, the table of layers and the facts as HTML."""
    rows = [*layers_table(what), ["total", "", "", "", f"{what.n_parameters:,}"]]
    table = printing.as_html([[html.escape(cell) for cell in row] for row in rows])
    return f"<div>\n{drawing(what)}\n{table}\n<p>{html.escape(', '.join(facts(what)))}</p>\n</div>"


def drawing(what: Architecture) -> str:
    """Return an SVG of the layers: a column of dots for each, with lines from all to all of the next."""
    places = placed(len(what.sizes))
    middle = MARGIN_Y + max(extent(what.sizes[layer]) for _, layer in places if layer is not None) // 2
    columns = [[] if layer is None else column(x, middle, what.sizes[layer]) for x, layer in places]
    lines = "".join(edges(left, right) for left, right in pairwise(columns))
    small = [dot for x, layer in places for dot in left_out(x, middle, what.sizes, layer)]
    below = 2 * middle - MARGIN_Y + LABEL
    labels = "".join(label(what, x, below, layer) for x, layer in places if layer is not None)
    words = f"network of {len(what.sizes)} layers, from {what.sizes[0]} inputs to {what.sizes[-1]} outputs"
    width, height = places[-1][0] + MARGIN_X, below + LINE + 5
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'style="max-width:100%;height:auto" role="img" aria-label="{words}" fill="none" '
        f'stroke="currentColor" stroke-linecap="round">\n'
        f'<path d="{lines}" stroke-width=".5" stroke-opacity=".5"/>\n'
        f'<path d="{dots([dot for points in columns for dot in points])}" stroke-width="9"/>\n'
        f'<path d="{dots(small)}" stroke-width="2.5"/>\n'
        f'<g fill="currentColor" stroke="none" font-family="sans-serif" font-size="10" '
        f'text-anchor="middle">{labels}</g>\n</svg>'
    )


def placed(n: int) -> list[tuple[int, int | None]]:
    """Return where the columns of n layers are, and the layer of each; None stands for those left out."""
    shown: list[int | None] = [*range(n)]
    if n > MOST_COLUMNS:
        shown = [*range(COLUMNS_AT_EACH_END), None, *range(n - COLUMNS_AT_EACH_END, n)]
    gap = max(LEAST_GAP, min(MOST_GAP, ALL_GAPS // (len(shown) - 1)))
    return [(MARGIN_X + gap * i, layer) for i, layer in enumerate(shown)]


def extent(n: int) -> int:
    """Return the height of a column of n units, from the first dot's middle to the last one's."""
    return STEP * (n - 1 if n <= MOST_UNITS else MOST_UNITS)


def column(x: int, middle: int, n: int) -> list[Point]:
    """Return the places of the dots of n units. One place is left free if not all units have a dot."""
    spots = range(n) if n <= MOST_UNITS else [i for i in range(MOST_UNITS + 1) if i != UNITS_AT_EACH_END]
    return [(x, middle - extent(n) // 2 + STEP * i) for i in spots]


def left_out(x: int, middle: int, sizes: Sequence[int], layer: int | None) -> list[Point]:
    """Return the small dots that stand for units of a layer, or if it is None for layers."""
    if layer is None:
        return [(x + d, middle) for d in (-6, 0, 6)]
    return [(x, middle + d) for d in (-5, 0, 5)] if sizes[layer] > MOST_UNITS else []


def dots(points: Sequence[Point]) -> str:
    """Return the path of dots: lines of length 0, with round ends."""
    return "".join(f"M{x} {y}h0" for x, y in points)


def edges(left: Sequence[Point], right: Sequence[Point]) -> str:
    """Return the path of lines from all of the left to all of the right.

    It passes each dot of the right once for two of the left, coming from one and going to the other, which
    takes half as many characters as a line for each edge.
    """
    found = []
    for i in range(0, len(left), 2) if right else ():
        pair = left[i : i + 2]
        way = [pair[0], *(dot for j, to in enumerate(right) for dot in (to, pair[(j + 1) % len(pair)]))]
        found.append("M" + " ".join(f"{x} {y}" for x, y in way))
    return "".join(found)


def label(what: Architecture, x: int, y: int, layer: int) -> str:
    """Return the label under a column: the number of units, and the name of the activation."""
    name = name_of(what.activations[layer - 1]) if layer > 0 else "inputs"
    lines = ((y, f"{what.sizes[layer]:,}"), (y + LINE, name))
    return "".join(f'<text x="{x}" y="{at}">{html.escape(text)}</text>' for at, text in lines)
