"""Draws the chart of a record: `python bench/chart.py RESULTS.json RESULTS.png`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from report import is_ours

COLOURS = {  # Okabe and Ito's, which the colour-blind can tell apart
    "NumPy": "#0072B2",
    "PyTorch": "#D55E00",
    "JAX": "#009E73",
    "scikit-learn": "#E69F00",
    "FANN": "#CC79A7",
}
LEAST, MOST = 0.1, 2000.0  # times faster; a ratio outside this range is drawn at its edge


def ratios(compared: list[dict[str, Any]]) -> list[tuple[str, dict[str, float]]]:
    """Return how many times faster cbp is than each rival in each case; leave out cases without both."""
    found = []
    for c in compared:
        ours = [t for name, t in c["times"].items() if is_ours(name) and t]
        rivals = {name: t / min(ours) for name, t in c["times"].items() if ours and t and not is_ours(name)}
        if rivals:
            found.append((c["case"].removesuffix(", float32"), rivals))
    return found


def groups(record: dict[str, Any]) -> list[tuple[str, list[tuple[str, dict[str, float]]]]]:
    """Return the cases of each part: only those in float32 if there are others, and without products."""
    found = []
    for part in record["parts"]:
        kept = [c for c in part["compared"] if not c["case"].startswith("product")]
        single = [c for c in kept if "float64" not in c["case"]]
        if shown := ratios(single or kept):
            found.append((part["title"], shown))
    return found


def draw(source: Path, picture: Path) -> None:
    from matplotlib.figure import Figure
    from PIL import Image  # which matplotlib brings

    record = json.loads(source.read_text())
    shown = groups(record)
    lines = sum(len(cases) + 1.6 for _, cases in shown)
    figure = Figure(figsize=(9, 1.4 + 0.2 * lines), layout="constrained")
    axes = figure.subplots()
    y, ticks, labels = 0.0, [], []
    for title, cases in shown:
        y += 0.6
        axes.text(LEAST * 1.05, y, title, fontsize=9, fontweight="bold", va="center")
        y += 1
        for case, rivals in cases:
            at = {name: min(max(r, LEAST), MOST) for name, r in rivals.items()}
            axes.plot([min(at.values()), max(at.values())], [y, y], color="#cccccc", linewidth=1, zorder=1)
            for name, x in at.items():
                axes.scatter(x, y, s=22, color=COLOURS.get(name, "#000000"), zorder=2)
            ticks.append(y)
            labels.append(case)
            y += 1
    axes.axvline(1, color="#000000", linewidth=0.8, zorder=0)
    axes.axvspan(LEAST, 1, color="#f4f4f4", zorder=-1)
    axes.set(xscale="log", xlim=(LEAST, MOST), ylim=(y, -0.5))
    axes.set_yticks(ticks, labels, fontsize=7)
    decades = [0.1, 1, 10, 100, 1000]
    axes.set_xticks(decades, ["cbp 10× slower", "as fast", "10× faster", "100×", "1000×"], fontsize=8)
    axes.tick_params(axis="x", top=True, labeltop=True)
    axes.grid(axis="x", which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    present = {name for _, cases in shown for _, rivals in cases for name in rivals}
    for name in (name for name in COLOURS if name in present):
        axes.scatter([], [], s=22, color=COLOURS[name], label=name)
    figure.legend(loc="outside lower center", ncols=len(COLOURS), fontsize=8, frameon=False)
    figure.suptitle("How many times faster cbp is than each library", fontsize=11)
    figure.savefig(picture, dpi=100)
    with Image.open(picture) as image:  # with a palette the file is a third as large
        small = image.convert("RGB").quantize(64)
    small.save(picture, optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
