"""Measures how accurate exp, sigmoid and tanh are: errors in units of the last place (ULP)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

import report
from report import Part
from workloads import Array

FUNCTIONS = ("exp", "sigmoid", "tanh")
GRIDS = {"exp": (-80.0, 80.0), "sigmoid": (-30.0, 30.0), "tanh": (-20.0, 20.0)}
WIDE = np.finfo(np.longdouble).nmant >= 63  # 11 bits more than float64 has


def exactly(what: str, x: Array) -> Any:
    """Return the function in long double. If that is no wider than double, it is enough for float32 only."""
    z = x.astype(np.longdouble)
    if what == "exp":
        return np.exp(z)
    return np.tanh(z) if what == "tanh" else 1 / (1 + np.exp(-z))


def grid(what: str, dtype: str) -> Array:
    """Return equally spaced points of the range, and small numbers of both signs, spaced by equal factors."""
    even = np.linspace(*GRIDS[what], 200_001)
    small = np.geomspace(1e-30, 1, 20_001)
    return np.concatenate([even, small, -small]).astype(dtype)


def ulp(what: str, x: Array, found: Array) -> tuple[float, float]:
    """Return the largest error in units of the last place of the exact value, and where it is."""
    exact = exactly(what, x)
    error = abs(found - exact) / np.spacing(exact.astype(x.dtype)).astype(np.longdouble)
    worst = int(np.argmax(error))
    return float(error[worst]), float(x[worst])


def computed_by(what: str, x: Array) -> dict[str, Array]:
    """Return the values that each installed library computes."""
    found = {}
    if find_spec("cbp"):
        from cbp import _probes, kernels

        found["cbp"] = np.empty_like(x)
        _probes.elementwise(kernels.table(str(x.dtype)), x.itemsize, _probes.FUNCTIONS[what], found["cbp"], x)
    one = x.dtype.type(1)
    with np.errstate(over="ignore"):
        found["NumPy"] = {"exp": np.exp, "tanh": np.tanh, "sigmoid": lambda x: one / (one + np.exp(-x))}[
            what
        ](x)
    if find_spec("torch"):
        import torch

        found["PyTorch"] = getattr(torch, what)(torch.from_numpy(x)).numpy()
    return found


def accuracy(dtypes: Sequence[str], part: Part) -> None:
    if not WIDE:
        part.left_out.append("ULP in float64: this platform's long double is no more than a double")
        dtypes = [dtype for dtype in dtypes if dtype == "float32"]
    rows = []
    worst: dict[str, tuple[float, float]] = {}
    for dtype in dtypes:
        for what in FUNCTIONS:
            x = grid(what, dtype)
            worst = {name: ulp(what, x, y) for name, y in computed_by(what, x).items()}
            rows.append([f"{what}, {dtype}", *(f"{e:.2f} at {at:.4g}" for e, at in worst.values())])
            part.record.append({"case": f"ULP of {what}, {dtype}", "worst": worst})
    low_high = ", ".join(f"{what} from {low:g} to {high:g}" for what, (low, high) in GRIDS.items())
    part.text += [
        "### Largest error, ULP",
        f"On {len(grid('exp', 'float64')):,} points ({low_high}, and small numbers) beside long double.",
        report.table(["function", *worst], rows),
    ]
