"""How long a prediction takes: of one example, and of many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

import command
import harness
import machine
import report
from check import outputs
from command import Options
from harness import Judge, Setting
from report import Part, figure
from rivals import in_cbp, in_jax, in_numpy, in_sklearn, in_torch
from rivals.base import Rival
from workloads import Array, Parameters, Workload

TITLE = "Predictions"
ONE = (
    *(Workload("one", (n, n), 1, 1, output="sigmoid") for n in (4, 8, 16, 32, 64)),
    Workload("one", (4, 16, 2), 1, 1, hidden="tanh", output="identity", loss="squared_error"),
    Workload("one", (80, 256, 256, 10), 1, 1, hidden="relu"),
)
MANY = Workload("many", (784, 256, 256, 10), 100_000, 100_000, hidden="relu")  # 314 MB of inputs in f32
# Examples that NumPy predicts at a time: a layer of all at once would not stay in the caches.
PART = 1_000


def name(w: Workload) -> str:
    return "-".join(map(str, w.sizes))


def examples(w: Workload) -> Array:
    """Return the inputs: at most PART different examples, then the same again, which take as much time."""
    row = np.random.default_rng(1).standard_normal((min(w.n, PART), w.sizes[0]), dtype=w.dtype)
    return np.ascontiguousarray(np.resize(row, (w.n, w.sizes[0])))


class Predictor(Rival):
    """A rival whose `once` predicts one example or many; data and results are the library's own arrays."""

    def __init__(self, w: Workload, n_threads: int | None) -> None:
        self.w, self.X = w, examples(w)
        self.build(w.parameters(), n_threads)

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        raise NotImplementedError

    def once(self) -> Any:
        raise NotImplementedError

    def result(self) -> Array:
        return np.array(self.once()).reshape(self.w.n, -1)[:PART]

    def run(self, n: int) -> None:
        once = self.once
        for _ in range(n):
            once()


class Cbp(Predictor):
    name, package = "cbp", "cbp"

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        self.net = in_cbp.network(self.w, parameters, n_threads)
        self.x = self.X[0] if self.w.n == 1 else self.X

    def once(self) -> Array:
        found: Array = self.net.predict(self.x)
        return found


class CbpOut(Cbp):
    name = "cbp, out="

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        super().build(parameters, n_threads)
        self.out = np.empty_like(super().once())

    def once(self) -> Array:
        found: Array = self.net.predict(self.x, out=self.out)
        return found


class NumPy(Predictor):
    """Computes into buffers made beforehand, and predicts many examples in parts."""

    name, package = "NumPy", "numpy"

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        batch = min(self.w.n, PART)
        self.net = in_numpy.Net(replace(self.w, batch=batch))
        self.net.load(parameters)
        self.parts = np.split(self.X, self.w.n // batch)
        self.out = np.empty((len(self.parts), batch, self.w.sizes[-1]), self.w.dtype)

    def once(self) -> Array:
        if len(self.parts) == 1:
            return self.net.forward(self.X)
        for part, out in zip(self.parts, self.out, strict=True):
            out[...] = self.net.forward(part)
        return self.out


class PyTorch(Predictor):
    name, package = "PyTorch", "torch"

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        import torch

        if n_threads:
            torch.set_num_threads(n_threads)
        self.torch, self.x = torch, torch.from_numpy(self.X)
        self.flat = in_torch.tensors(parameters, requires_grad=False)
        self.logits = in_torch.forward(self.w)
        softmax = torch.nn.Softmax(dim=1)
        self.g = {"softmax": softmax, "sigmoid": torch.sigmoid, "identity": lambda z: z}[self.w.output]

    def once(self) -> Any:
        return self.g(self.logits(self.flat, self.x))

    def run(self, n: int) -> None:
        with self.torch.inference_mode():
            super().run(n)


class Jax(Predictor):
    name, package = "JAX", "jax"
    environment = staticmethod(in_jax.environment)

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        import jax

        put = jax.numpy.asarray
        logits = in_jax.forward(self.w)
        g = {"softmax": jax.nn.softmax, "sigmoid": jax.nn.sigmoid, "identity": lambda z: z}[self.w.output]
        self.x, self.p = put(self.X), [(put(W), put(b)) for W, b in parameters]
        self.compiled = jax.jit(lambda p, x: g(logits(p, x)))

    def once(self) -> Any:
        return self.compiled(self.p, self.x).block_until_ready()


class ScikitLearn(Predictor):
    name, package = "scikit-learn", "sklearn"

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        few = replace(self.w, batch=200, n=200)  # enough to see every class
        self.net = in_sklearn.estimator(few, *few.data())
        in_sklearn.load(self.net, parameters)
        self.predict = getattr(self.net, "predict_proba", self.net.predict)

    def once(self) -> Any:
        return self.predict(self.X)


RIVALS = (Cbp, CbpOut, NumPy, PyTorch, Jax, ScikitLearn)


def judge(w: Workload) -> Judge:
    expected = outputs(w, w.parameters(), examples(w)[:PART])

    def compare(found: Array) -> tuple[dict[str, float], str]:
        off = float(abs(found - expected).max())
        return {"output": off}, "" if off < 1e-4 else f"wrong result: an output off by {off:.1e}"

    return compare


def many_table(w: Workload, settings: Sequence[Setting]) -> str:
    rival, peaks = report.best(settings), machine.peaks(w.dtype)
    rows = []
    for s in report.to_show(settings):
        gflops = w.n * 2 * sum(a * b for a, b in pairwise(w.sizes)) / s.step_us / 1e3
        share = report.share(gflops, s.n_threads, peaks)
        speeds = [s.step_us / 1e3, w.n / s.step_us, gflops]
        rows.append([s.rival, str(s.n_threads), *map(figure, speeds), share, report.ratio(rival, s),
                     f"{s.peak_rss_mb:,.0f}"])  # fmt: skip
    return report.table(
        ["competitor", "threads", "ms", "examples/µs", "GFLOP/s", "of peak", "speed", "peak MB"], rows
    )


def run(options: Options) -> Part:
    """Answer the question in float32, unless another dtype is asked for."""
    rivals, absent = options.rivals(RIVALS)
    part = Part("predict", TITLE, absent=absent)
    dtype = options.dtypes[0]
    for cases in (ONE, (MANY,)):
        nets = [
            replace(w, dtype=dtype) for w in cases if not options.workloads or w.number in options.workloads
        ]
        if not nets:
            continue
        found = harness.run(nets, rivals, lambda nets=nets: [judge(w) for w in nets], options.timing)  # type: ignore[misc]
        first = len(part.compared)
        for w, settings in zip(nets, found, strict=True):
            how = "one example" if w.n == 1 else f"{w.n:,} examples"
            part.compare(f"{name(w)}, {how}", "µs a call", settings)
            part.record.append(
                {"case": name(w), "n": w.n, "settings": [harness.as_dict(s) for s in settings]}
            )
        if cases is ONE:
            part.text += [
                f"### One example, {dtype}, µs a call",
                report.side_by_side(part.compared[first:], "network"),
            ]
        else:
            part.text += [
                f"### {name(nets[0])}, {MANY.n:,} examples at once, {dtype}",
                many_table(nets[0], found[0]),
            ]
    return part


if __name__ == "__main__":
    command.start(__file__)
