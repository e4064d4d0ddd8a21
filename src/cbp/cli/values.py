"""Readers of command-line values, which report what was expected if a text is wrong."""

from __future__ import annotations

import argparse
import contextlib
import math


def whole(text: str) -> int:
    """Read a whole number from 0 up."""
    with contextlib.suppress(ValueError):
        if int(text) >= 0:
            return int(text)
    raise argparse.ArgumentTypeError(f"a whole number from 0 up is needed, not {text!r}")


def positive(text: str) -> int:
    """Read a whole number from 1 up."""
    with contextlib.suppress(ValueError):
        if int(text) >= 1:
            return int(text)
    raise argparse.ArgumentTypeError(f"a whole number from 1 up is needed, not {text!r}")


def real(text: str) -> float:
    """Read a finite number from 0 up."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"a number from 0 up is needed, not {text!r}")


def positive_real(text: str) -> float:
    """Read a finite number above 0."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"a number above 0 is needed, not {text!r}")


def fraction(text: str) -> float:
    """Read a number from 0 to below 1."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"a number from 0 to below 1 is needed, not {text!r}")


def layer_sizes(text: str) -> list[int]:
    """Read the sizes of hidden layers, separated by commas; "none" means that there are none."""
    if text.strip().lower() in ("", "none"):
        return []
    return [positive(size) for size in text.split(",")]


def character(text: str) -> str:
    """Read a single character, which may be given by its name, such as "tab"."""
    found = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";"}.get(text, text)
    if len(found) != 1:
        raise argparse.ArgumentTypeError(f'a single character is needed, or "tab" or "space", not {text!r}')
    return found


def names(text: str) -> list[str]:
    """Read names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
