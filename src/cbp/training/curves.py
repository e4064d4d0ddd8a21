"""Pictures of a history: with matplotlib, and as an SVG for notebooks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cbp.figures import spans_decades
from cbp.printing import ROWS_SHOWN
from cbp.training.table import any_validated, metric_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cbp.training.record import Epoch

Curves = Mapping[str, Sequence[tuple[int, float]]]
WIDTH, HEIGHT, MARGIN = 360, 120, 6  # of the SVG, in pixels


def losses(epochs: Sequence[Epoch]) -> dict[str, list[tuple[int, float]]]:
    """Return the curves of the losses. Epochs without validation are left out, so that lines continue."""
    curves = {"loss": [(epoch.number, epoch.loss) for epoch in epochs]}
    if any_validated(epochs):
        curves["validation loss"] = [
            (epoch.number, epoch.validation_loss) for epoch in epochs if epoch.validation_loss is not None
        ]
    return curves


def metrics(epochs: Sequence[Epoch]) -> dict[str, list[tuple[int, float]]]:
    """Return the curves of the metrics."""
    return {
        name.replace("_", " "): [(e.number, e.metrics[name]) for e in epochs if name in e.metrics]
        for name in metric_names(epochs)
    }


def rates(epochs: Sequence[Epoch]) -> dict[str, list[tuple[int, float]]]:
    """Return the curve of the learning rate, if it changes."""
    found = [(epoch.number, epoch.learning_rate) for epoch in epochs if epoch.learning_rate is not None]
    return {"learning rate": found} if len({rate for _, rate in found}) > 1 else {}


def plot(epochs: Sequence[Epoch], best: Epoch | None, ax: Axes | None) -> Axes:
    """Draw a history. See `History.plot`."""
    panels = [losses(epochs), metrics(epochs), rates(epochs)]
    try:
        from matplotlib.ticker import MaxNLocator

        if ax is None:
            from matplotlib import pyplot

            shown = [curves for curves in panels if curves]
            sizes: dict[str, Any] = {"height_ratios": [2, *[1] * (len(shown) - 1)]}
            size = (6.4, 4.8 + 1.2 * (len(shown) - 1))
            how: dict[str, Any] = {"sharex": True, "squeeze": False, "gridspec_kw": sizes, "figsize": size}
            axes = list(pyplot.subplots(len(shown), layout="constrained", **how)[1][:, 0])
        else:
            shown, axes = panels[:1], [ax]
    except ImportError as error:
        raise ImportError("History.plot needs matplotlib: pip install 'cython-backprop[plot]'") from error
    for curves, panel in zip(shown, axes, strict=True):
        draw(panel, curves, "loss" if curves is panels[0] else "metric")
        if curves is not panels[1] and spans_decades([y for points in curves.values() for _, y in points]):
            panel.set_yscale("log")
    if best is not None:
        mark(axes[0], panels[0], best)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    if ax is not None and panels[1]:
        beside = ax.twinx()
        draw(beside, panels[1], "metric", first_color=2)
        beside.legend(loc="center right")
    first: Axes = axes[0]
    return first


def draw(ax: Axes, curves: Curves, label: str, first_color: int = 0) -> None:
    """Draw curves into axes. A validation metric is dashed, in the colour of the same training metric."""
    colors: dict[str, str] = {}
    for name, points in curves.items():
        base = name.removeprefix("validation ") if label == "metric" else name
        style: dict[str, Any] = {
            "color": colors.setdefault(base, f"C{first_color + len(colors)}"),
            "linestyle": "-" if base == name else "--",
            # Short curves have markers, because a line through a single point is invisible.
            "marker": "o" if len(points) <= ROWS_SHOWN else "",
            "markersize": 3,
        }
        ax.plot([n for n, _ in points], [y for _, y in points], label=name, **style)
    ax.set_ylabel(label if len(curves) > 1 else next(iter(curves)))
    if len(curves) > 1:
        ax.legend()


def mark(ax: Axes, curves: Curves, best: Epoch) -> None:
    """Mark the best epoch on the curves of the losses."""
    marked = [y for points in curves.values() for n, y in points if n == best.number]
    style: dict[str, Any] = {"facecolors": "none", "edgecolors": "black", "zorder": 3, "s": 40}
    ax.scatter([best.number] * len(marked), marked, label=f"best: epoch {best.number}", **style)
    ax.legend()


def svg(epochs: Sequence[Epoch]) -> str:
    """Return a small picture of the losses, in the colour of the text around it, or "" without a curve."""
    curves = losses(epochs)
    values = [y for points in curves.values() for _, y in points if math.isfinite(y)]
    if len(epochs) < 2 or not values:
        return ""
    log = spans_decades(values)
    scale: Any = math.log if log else float
    low, high = scale(min(values)), scale(max(values))
    first, last = epochs[0].number, epochs[-1].number
    lines = []
    for name, points in curves.items():
        places = [
            f"{MARGIN + (n - first) / max(last - first, 1) * (WIDTH - 2 * MARGIN):.1f},"
            f"{MARGIN + (high - scale(y)) / ((high - low) or 1) * (HEIGHT - 2 * MARGIN):.1f}"
            for n, y in points
            if math.isfinite(y)
        ]
        dashes = "" if name == "loss" else ' stroke-dasharray="5 3"'
        lines.append(
            f'<polyline points="{" ".join(places)}" fill="none" stroke="currentColor"{dashes}>'
            f"<title>{name}</title></polyline>"
        )
    words = f"loss{', dashed: validation loss' if len(curves) > 1 else ''}{' (logarithmic)' if log else ''}"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{words}" xmlns="http://www.w3.org/2000/svg">\n'
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" fill="none" stroke="currentColor" '
        f'stroke-opacity="0.3"/>\n' + "\n".join(lines) + f"\n</svg>\n<div>{words}</div>\n"
    )
