"""Losses and seconds as text, with as many digits as they need."""

from __future__ import annotations

import math
from collections.abc import Sequence


def first_to_last(losses: Sequence[float]) -> str:
    """Return the first and the last of some losses, or the only one, as short text."""
    ends = losses[:1] if len(losses) == 1 else [losses[0], losses[-1]]
    return " -> ".join(f"{loss:.4g}" for loss in ends)


def format_losses(losses: Sequence[float | None]) -> list[str]:
    """Format a column of losses to about four digits, with the decimal points aligned."""
    sizes = [abs(loss) for loss in losses if loss and math.isfinite(loss)]
    small_or_large = sizes and (min(sizes) < 1e-4 or max(sizes) >= 1e7)
    style = ".3e" if small_or_large else f".{decimals_for(sizes, digits=4)}f"
    return ["-" if loss is None else format(loss, style) for loss in losses]


def format_seconds(seconds: Sequence[float]) -> list[str]:
    """Format a column of times to about three digits, down to the microsecond."""
    decimals = min(6, decimals_for([time for time in seconds if 0 < time < math.inf], digits=3))
    return [f"{time:.{decimals}f}" for time in seconds]


def decimals_for(sizes: Sequence[float], digits: int) -> int:
    """Return how many decimals show the smallest of some positive numbers to ``digits`` digits."""
    if not sizes:
        return digits
    return max(0, digits - 1 - math.floor(math.log10(min(sizes))))


def spans_decades(losses: Sequence[float]) -> bool:
    """Return whether the losses suit a logarithmic axis: positive, and spanning a factor of 10 or more."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    return bool(finite) and min(finite) > 0 and max(finite) >= 10 * min(finite)
