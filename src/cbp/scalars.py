"""Checks of single values: counts, quantities and flags."""

import math
import numbers
import operator
from collections.abc import Callable
from typing import Any

import numpy as np


def kind(value: Any) -> str:
    """Return the name of the value's type, for messages where the value itself may be long."""
    return type(value).__name__


def count(
    value: Any,
    argument: str,
    least: int,
    *,
    wanted: str = "a whole number",
    got: Callable[[Any], str] = repr,
) -> int:
    """Return a whole number of at least `least`; `wanted` and `got` make words for the TypeError."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{argument} must be {wanted}, got {got(value)}") from None
    if number < least:
        raise ValueError(f"{argument} must be at least {least}, got {number}")
    return number


def count_or_none(value: Any, argument: str) -> int | None:
    """Return a whole number of at least 1, or None."""
    if value is None:
        return None
    return count(value, argument, 1, wanted="a whole number or None", got=kind)


def non_negative(
    value: Any, argument: str, *, below: float = math.inf, got: Callable[[Any], str] = repr
) -> float:
    """Return a finite number of at least 0 and less than `below`; `got` makes a word for the TypeError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{argument} must be a number, got {got(value)}")
    limit = "finite" if below == math.inf else f"less than {below:g}"
    try:
        number = float(value)
    except OverflowError:  # the message leaves out its digits, which would fill the screen
        raise ValueError(
            f"{argument} must be at least 0 and {limit}, got {kind(value)} that no float holds"
        ) from None
    if not (0 <= number < below and math.isfinite(number)):
        raise ValueError(f"{argument} must be at least 0 and {limit}, got {value!r}")
    return number


def flag(value: Any, argument: str) -> bool:
    """Return the value as a bool, if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{argument} must be True or False, got {kind(value)}")
    return bool(value)


def real(value: Any, argument: str, *, least: float, below: float = math.inf, above: bool = False) -> float:
    """Return a finite number less than `below`, and at least `least`, or above it if `above`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{argument} must be a number, got {kind(value)}")
    number = float(value)
    if not (least < number < below if above else least <= number < below) or not math.isfinite(number):
        limit = "finite" if below == math.inf else f"less than {below:g}"
        raise ValueError(
            f"{argument} must be {'above' if above else 'at least'} {least:g} and {limit}, got {value!r}"
        )
    return number


def check_precision(
    value: Any, argument: str, dtype: np.dtype[Any], *, below_1: bool = False, may_be_0: bool = True
) -> None:
    """Refuse a number that becomes 0 or infinite in a network's dtype, or 1 where it must be less."""
    number = float(value)
    with np.errstate(over="ignore", under="ignore"):
        taken = dtype.type(number)
    if np.isfinite(taken) and (taken > 0 or value == 0) and not (below_1 and taken == 1):
        return
    limits = np.finfo(dtype)
    least = f"{'0 or ' if may_be_0 else ''}from {limits.smallest_subnormal:.2g}"
    most = str(np.nextafter(dtype.type(1), dtype.type(0))) if below_1 else f"{limits.max:.2g}"
    got = repr(number) if number else f"{kind(value)} that a float takes for 0"
    raise ValueError(f"{argument} must be {least} to {most} in {dtype}, got {got}, which is {taken:g} there")
