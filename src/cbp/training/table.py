"""The table that a history prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cbp.figures import format_losses, format_seconds
from cbp.printing import ends, with_dots

if TYPE_CHECKING:
    from cbp.training.record import Epoch


def any_validated(epochs: Iterable[Epoch]) -> bool:
    """Return whether any epoch has a validation loss."""
    return any(epoch.validation_loss is not None for epoch in epochs)


def metric_names(epochs: Iterable[Epoch]) -> list[str]:
    """Return the names of the metrics that any epoch has, in their order."""
    return list(dict.fromkeys(name for epoch in epochs for name in epoch.metrics))


def table(epochs: Sequence[Epoch]) -> list[list[str]]:
    """Return the header and the rows to show, as text."""
    shown = ends(epochs)
    columns = [
        ["epoch", *(str(epoch.number) for epoch in shown)],
        ["loss", *format_losses([epoch.loss for epoch in shown])],
    ]
    if any_validated(epochs):
        columns.append(["validation loss", *format_losses([epoch.validation_loss for epoch in shown])])
    for name in metric_names(epochs):
        values = [epoch.metrics.get(name) for epoch in shown]
        columns.append([name.replace("_", " "), *format_losses(values)])
    columns.append(["seconds", *format_seconds([epoch.seconds for epoch in shown])])
    columns.append(["examples/s", *(f"{epoch.examples_per_second:,.0f}" for epoch in shown)])

    return with_dots([list(row) for row in zip(*columns, strict=True)], len(epochs))
