"""What explains the rest: the elementwise functions, how fast and how right, and the three products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import command
import harness
import machine
import report
from command import Options
from harness import Judge, Setting
from report import Part, figure
from rivals.base import Rival
from rivals.in_jax import environment
from ulp import FUNCTIONS, accuracy, exactly
from workloads import Array

TITLE = "Functions and products"
SHORT, LONG = 512, 1536  # elements: input and output stay in an L1 of 32 kB, in f64 too
PRODUCTS = {
    "aW": "a W: forward",
    "dW": "δ Wᵀ: recursion",
    "ad": "aᵀ δ: accumulation",
}
SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Call:
    """A call that is timed, and its size."""

    what: str
    n: int
    dtype: str
    units: int = 1

    @property
    def name(self) -> str:
        return f"{self.what} of {self.n}, {self.dtype}"


@dataclass(frozen=True)
class Function(Call):
    """One call for n elements."""

    def x(self) -> Array:
        return np.linspace(-5, 5, self.n).astype(self.dtype)


@dataclass(frozen=True)
class Product(Call):
    """One product of square matrices; the left one is transposed in "ad", the right one in "dW"."""

    def operands(self) -> tuple[Array, Array]:
        """Return matrices of ones, like those of cbp's probe: the values do not change the time."""
        A, B = np.ones((2, self.n, self.n), self.dtype)
        return A, B

    def expected(self) -> Array:
        A, B = (M.astype("f8") for M in self.operands())
        return np.asarray({"aW": A @ B, "dW": A @ B.T, "ad": A.T @ B}[self.what])


Case = Function | Product


def numpy_call(case: Case) -> tuple[Callable[[], Any], Array]:
    """Return a call without arguments, and the array where it puts its result."""
    if isinstance(case, Product):
        A, B = case.operands()
        A, B = (A.T if case.what == "ad" else A), (B.T if case.what == "dW" else B)
        C = np.empty((case.n, case.n), case.dtype)
        return lambda: np.dot(A, B, out=C), C
    x, one = case.x(), np.dtype(case.dtype).type(1)
    y = np.empty_like(x)

    def sigmoid() -> None:
        np.negative(x, out=y)
        np.exp(y, out=y)
        np.add(y, one, out=y)
        np.reciprocal(y, out=y)

    calls = {"exp": lambda: np.exp(x, out=y), "tanh": lambda: np.tanh(x, out=y), "sigmoid": sigmoid}
    return calls[case.what], y


def torch_call(case: Case) -> tuple[Callable[[], Any], Array]:
    import torch

    if isinstance(case, Product):
        A, B = map(torch.from_numpy, case.operands())
        A, B = (A.T if case.what == "ad" else A), (B.T if case.what == "dW" else B)
        C = np.empty((case.n, case.n), case.dtype)
        to = torch.from_numpy(C)
        return lambda: torch.mm(A, B, out=to), C
    x = torch.from_numpy(case.x())
    y = np.empty(case.n, case.dtype)
    to, f = torch.from_numpy(y), getattr(torch, case.what)
    return lambda: f(x, out=to), y


class Calls(Rival):
    """A rival whose `call`, without arguments, fills `out`."""

    call: Callable[[], Any]
    out: Array

    def result(self) -> Array:
        self.call()
        return np.array(self.out)

    def run(self, n: int) -> None:
        call = self.call
        for _ in range(n):
            call()


class Cbp(Calls):
    """Calls probes of cbp, which repeat the work inside compiled code, on one thread."""

    name, package, threaded = "cbp", "cbp", False

    def __init__(self, case: Case, n_threads: int | None) -> None:
        from cbp import _probes, kernels

        self.repeat: Callable[[int], Any]
        table = kernels.table(case.dtype)
        self.out = np.empty(case.n if isinstance(case, Function) else (case.n, case.n), case.dtype)
        if isinstance(case, Function):
            x, f = case.x(), _probes.FUNCTIONS[case.what]
            self.repeat = lambda n: _probes.elementwise(table, x.itemsize, f, self.out, x, n)
        else:
            # cbp packs W^T too, so that the recursion has the same kind of product as the forward pass.
            kind = _probes.PRODUCTS["accumulation" if case.what == "ad" else "forward"]
            self.repeat = lambda n: self.out.fill(_probes.product(table, kind, case.n, n))

    def result(self) -> Array:
        self.repeat(1)
        return np.array(self.out)

    def run(self, n: int) -> None:
        self.repeat(n)


class NumPy(Calls):
    name, package = "NumPy", "numpy"

    def __init__(self, case: Case, n_threads: int | None) -> None:
        self.call, self.out = numpy_call(case)


class PyTorch(Calls):
    name, package = "PyTorch", "torch"

    def __init__(self, case: Case, n_threads: int | None) -> None:
        import torch

        torch.set_num_threads(n_threads or harness.n_cpus())
        self.call, self.out = torch_call(case)


class Jax(Rival):
    name, package = "JAX", "jax"
    environment = staticmethod(environment)

    @classmethod
    def unable(cls, case: Case) -> str:
        return "cannot: its call takes ten times as long as its work" if isinstance(case, Function) else ""

    def __init__(self, case: Product, n_threads: int | None) -> None:
        import jax

        f = {"aW": lambda A, B: A @ B, "dW": lambda A, B: A @ B.T, "ad": lambda A, B: A.T @ B}[case.what]
        self.compiled, self.given = jax.jit(f), tuple(map(jax.numpy.asarray, case.operands()))

    def result(self) -> Array:
        return np.array(self.compiled(*self.given))

    def run(self, n: int) -> None:
        for _ in range(n):
            self.compiled(*self.given).block_until_ready()


RIVALS = (Cbp, NumPy, PyTorch, Jax)


def judge(case: Case) -> Judge:
    expected = exactly(case.what, case.x()) if isinstance(case, Function) else case.expected()
    tolerance = 1e-3 if case.dtype == "float32" else 1e-9

    def compare(found: Array) -> tuple[dict[str, float], str]:
        off = float(np.max(abs(found - expected)) / np.max(abs(expected)))
        return {"result": off}, "" if off < tolerance else f"wrong result: off by {off:.1e}"

    return compare


def per_element(short: Setting, long: Setting) -> float:
    """Return ns per element, from the times of two lengths: the cost of a call cancels in the difference."""
    return (long.step_us - short.step_us) / (LONG - SHORT) * 1e3


def elementwise(options: Options, part: Part) -> None:
    rivals, _ = options.rivals(RIVALS)
    rows: list[list[str]] = []
    for dtype in options.dtypes:
        cases = [Function(what, n, dtype) for what in FUNCTIONS for n in (SHORT, LONG)]
        found = harness.run(cases, rivals, lambda cases=cases: [judge(c) for c in cases], options.timing, [1])  # type: ignore[misc]
        for what, short, long in zip(FUNCTIONS, found[::2], found[1::2], strict=True):
            times = {
                a.rival: per_element(a, b) for a, b in zip(short, long, strict=True) if a.counts and b.counts
            }
            for s in long:
                reason = f"{s.rival}'s time of an element: {s.failure.removeprefix(report.CANNOT)}"
                if s.failure and reason not in part.left_out:
                    part.left_out.append(reason)
            rows.append(
                [f"{what}, {dtype}", *(figure(times[r.name]) if r.name in times else "-" for r in rivals)]
            )
            part.record.append({"case": f"ns an element of {what}, {dtype}", "ns": times})
            # The difference can be negative if other programs used the CPU.
            positive = {name: t / 1e3 for name, t in times.items() if t > 0}
            part.compared.append({"case": f"{what}, {dtype}", "unit": "µs an element", "times": positive})
    part.text += [
        "### Time of an element, ns, from L1, one thread",
        f"The difference between calls for {LONG} and {SHORT} elements, without what a call costs. "
        "sigmoid is four calls in NumPy.",
        report.table(["function", *(r.name for r in rivals)], rows),
    ]


def products(options: Options, part: Part) -> None:
    rivals, _ = options.rivals(RIVALS)
    for dtype in options.dtypes:
        cases = [Product(what, n, dtype) for what in PRODUCTS for n in SIZES]
        found = harness.run(cases, rivals, lambda cases=cases: [judge(c) for c in cases], options.timing, [1])  # type: ignore[misc]
        for what, title in PRODUCTS.items():
            of = [(c, settings) for c, settings in zip(cases, found, strict=True) if c.what == what]
            shown = [r.name for r in rivals if any(report.best(s, r.name) for _, s in of)]
            rows = [[str(c.n), *(speed(c, report.best(s, name)) for name in shown)] for c, s in of]
            part.text += [
                f"### {title}, {dtype}, GFLOP/s on one thread and share of peak",
                report.table(["n", *shown], rows),
            ]
            for c, settings in of:
                part.compare(f"product {c.name}", "µs a call", settings)
                part.record.append({"case": c.name, "settings": [harness.as_dict(s) for s in settings]})


def speed(c: Product, s: Setting | None) -> str:
    if s is None:
        return "-"
    gflops = 2 * c.n**3 / s.step_us / 1e3
    return f"{figure(gflops)} ({report.share(gflops, s.n_threads, machine.peaks(c.dtype))})"


def run(options: Options) -> Part:
    part = Part("functions", TITLE, absent=options.rivals(RIVALS)[1])
    elementwise(options, part)
    accuracy(options.dtypes, part)
    products(options, part)
    return part


if __name__ == "__main__":
    command.start(__file__)
