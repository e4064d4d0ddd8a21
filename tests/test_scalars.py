"""Checks of single numbers: what passes, and what is said of what does not."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import cbp
from cbp import scalars


@pytest.mark.parametrize("value", [0, 1, np.int8(3), np.uint64(2**64 - 1), 2**70])
def test_counts(value):
    found = scalars.count(value, "n", 0)
    assert (found, type(found)) == (int(value), int)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (1, ValueError, "n must be at least 2, got 1"),
        (-5, ValueError, "n must be at least 2, got -5"),
        (True, TypeError, "n must be a whole number, got True"),
        (2.0, TypeError, "n must be a whole number, got 2.0"),
        ("2", TypeError, "n must be a whole number, got '2'"),
        (None, TypeError, "n must be a whole number, got None"),
        (np.zeros(2, int), TypeError, r"n must be a whole number, got array\(\[0, 0\]\)"),
    ],
)
def test_counts_that_are_none(value, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        scalars.count(value, "n", 2)


def test_counts_or_none():
    assert scalars.count_or_none(None, "n") is None
    assert scalars.count_or_none(np.int32(4), "n") == 4
    with pytest.raises(ValueError, match="^n must be at least 1, got 0$"):
        scalars.count_or_none(0, "n")
    with pytest.raises(TypeError, match="^n must be a whole number or None, got ndarray$"):
        scalars.count_or_none(np.ones(2, int), "n")


@pytest.mark.parametrize("value", [0, 0.0, 1e308, Fraction(1, 3), np.float32(0.5), np.int64(2), 10**300])
def test_numbers(value):
    found = scalars.non_negative(value, "x")
    assert (found, type(found)) == (float(value), float)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-1e-300, ValueError, "x must be at least 0 and finite, got -1e-300"),
        (math.inf, ValueError, "x must be at least 0 and finite, got inf"),
        (math.nan, ValueError, "x must be at least 0 and finite, got nan"),
        (10**400, ValueError, "x must be at least 0 and finite, got int that no float holds"),
        pytest.param(
            -(10**5000),  # more digits than Python prints
            ValueError,
            "x must be at least 0 and finite, got int that no float holds",
            id="huge",
        ),
        (Fraction(10**400), ValueError, "x must be at least 0 and finite, got Fraction that no float holds"),
        (True, TypeError, "x must be a number, got True"),
        ("1", TypeError, "x must be a number, got '1'"),
        (Decimal(1), TypeError, r"x must be a number, got Decimal\('1'\)"),
        (1j, TypeError, "x must be a number, got 1j"),
    ],
)
def test_numbers_that_are_none(value, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        scalars.non_negative(value, "x")


@pytest.mark.parametrize("value", [1, 1.5, math.inf, 1 - Fraction(1, 10**30)])
def test_numbers_below_a_limit(value):
    assert scalars.non_negative(np.nextafter(1, 0), "x", below=1) < 1
    with pytest.raises(ValueError, match="^x must be at least 0 and less than 1, got "):
        scalars.non_negative(value, "x", below=1)  # as a float, which is how it is used


def test_a_penalty_that_no_float_holds():
    with pytest.raises(ValueError, match="^l2 must be at least 0 and finite, got int that no float holds$"):
        cbp.Network([2, 2], l2=10**400)


def test_an_epsilon_that_is_zero_as_a_float():
    with pytest.raises(ValueError, match="^epsilon must be above 0, got 0$"):
        cbp.Adam(epsilon=Fraction(1, 10**400))
