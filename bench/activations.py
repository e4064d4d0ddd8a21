"""How fast and how right the activations are: ns an element, and errors beside 60 digits.

python bench/activations.py [--points 2000] [--rounds 15]

Each is computed in place of 2,048 numbers from -4 to 4, which stay in an L1 cache, as is its derivative's
product with delta. PyTorch's are timed beside them where it is installed, on one thread, round by round.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import mpmath
import numpy as np

import report
from cbp import _probes, functions, kernels
from workloads import Array

N, CALLS = 2048, 200
mpmath.mp.dps = 60
SCALE, ALPHA = (
    mpmath.mpf("1.0507009873554804934193349852946"),
    mpmath.mpf("1.6732632423543772848170429916717"),
)


def normal(z: Any) -> Any:
    """Return the standard normal distribution function of z: 0 or 1 for large |z|, where mpmath fails."""
    return mpmath.erfc(-z / mpmath.sqrt(2)) / 2 if abs(z) < 60 else mpmath.mpf(z > 0)


EXACT: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "tanh": mpmath.tanh,
    "leaky_relu": lambda z: z if z > 0 else z / 64,
    "elu": lambda z: z if z > 0 else mpmath.expm1(z),
    "selu": lambda z: SCALE * (z if z > 0 else ALPHA * mpmath.expm1(z)),
    "softplus": lambda z: max(z, 0) + mpmath.log1p(mpmath.exp(-abs(z))),
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
    "gelu": lambda z: z * normal(z),
    "exp": mpmath.exp,
}
NUMBERS = {"leaky_relu": 1 / 64, "elu": 1.0}


def activate(name: str, z: Array) -> Array:
    """Return the activation of z that the kernel computes."""
    a, workspace = z.copy(), np.zeros(64, z.dtype)
    number = NUMBERS.get(name, 0.0)
    table = kernels.table(str(z.dtype))
    _probes.activate(table, z.itemsize, name, a, workspace, z.size, 1, z.size, number=number)
    return a


def points(dtype: str, n: int) -> Array:
    """Return points where results are neither 0 nor infinite, points around 0, and of every size and sign."""
    info, rng = np.finfo(dtype), np.random.default_rng(0)
    top, bottom = float(np.log(info.max)), float(np.log(info.smallest_subnormal)) - 2
    spread = np.ldexp(
        rng.uniform(1, 2, n) * rng.choice([-1, 1], n), rng.integers(info.minexp - info.nmant, info.maxexp, n)
    )
    even = [rng.uniform(bottom, top, n), rng.uniform(-2, 2, n), rng.uniform(-16, 8, n)]
    with np.errstate(over="ignore"):
        z = np.concatenate([*even, spread]).astype(dtype)
    z = z[np.isfinite(z)]
    return z[: len(z) // 16 * 16]


def ulp(name: str, dtype: str, n: int) -> float:
    """Return the largest error in units of the last place of the exact result."""
    z = points(dtype, n)
    worst = 0.0
    for given, found in zip(z, activate(name, z), strict=True):
        exact = EXACT[name](mpmath.mpf(float(given)))
        with np.errstate(over="ignore"):
            rounded = z.dtype.type(float(exact))
        if np.isinf(rounded):
            assert np.isinf(found), (name, given)
            continue
        unit = float(np.spacing(abs(rounded)))
        worst = max(worst, float(abs(mpmath.mpf(float(found)) - exact) / unit))
    return worst


def calls_of(name: str, dtype: str) -> dict[str, Callable[[], Any]]:
    """Return the calls that are timed, by name."""
    z = np.linspace(-4, 4, N).astype(dtype)
    a, workspace, delta = activate(name, z), np.zeros(64, dtype), np.ones(N, dtype)
    table, number = kernels.table(dtype), NUMBERS.get(name, 0.0)
    place = z.copy()

    def forward() -> None:
        place[:] = z
        _probes.activate(table, z.itemsize, name, place, workspace, N, 1, N, number=number)

    def backward() -> None:
        delta[:] = 1  # repeated products would make it subnormal
        _probes.times_derivative(table, z.itemsize, name, delta, z, a, number=number)

    found: dict[str, Callable[[], Any]] = {
        "g": forward,
        "g′": backward,
    }
    if find_spec("torch") and name != "exp":
        import torch

        torch.set_num_threads(1)
        f = getattr(torch, name, None) or getattr(torch.nn.functional, name)
        tensor = torch.from_numpy(z)
        found["PyTorch's g"] = lambda: f(tensor)
    return found


def nanoseconds(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the time of an element for each call, the median of interleaved rounds."""
    times: dict[str, list[float]] = {what: [] for what in calls}
    for _ in range(rounds):
        for what, call in calls.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                call()
            times[what].append((time.perf_counter() - started) / CALLS / N * 1e9)
    return {what: median(found) for what, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, default=2000, help="of each of four kinds")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    rows = []
    for name in functions.ACTIVATIONS:
        if name not in EXACT:
            continue
        for dtype in ("float32", "float64"):
            found = nanoseconds(calls_of(name, dtype), options.rounds)
            times = [f"{found[what]:.2f}" if what in found else "-" for what in ("g", "g′", "PyTorch's g")]
            rows.append([f"{name}, {dtype}", *times, f"{ulp(name, dtype, options.points):.2f}"])
    print(report.table(["activation", "g, ns", "g′, ns", "PyTorch's g, ns", "largest error, ULP"], rows))


if __name__ == "__main__":
    main()
