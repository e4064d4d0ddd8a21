"""How long one loss and gradient take, called from Python."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import command
import harness
import report
from check import distance, gradient, in_double, loss
from command import Options
from harness import Judge
from report import Part
from rivals import in_cbp, in_jax, in_numpy, in_torch
from rivals.base import Rival
from workloads import Parameters, Workload, one_hot

TITLE = "One loss and gradient"
CASE = Workload("2", (24, 8, 2), batch=200, n=200, hidden="tanh", output="identity", loss="squared_error",
                dtype="float64")  # fmt: skip
Found = tuple[float, Parameters]  # the loss, and (D_W, D_b) of each layer


class Gradient(Rival):
    """A rival whose `once` is timed; its result stays in the library's own kind of array."""

    def __init__(self, w: Workload, n_threads: int | None) -> None:
        self.w = w
        self.X, self.Y = w.data()
        self.build(w.parameters(), n_threads)

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        raise NotImplementedError

    def once(self) -> Any:
        raise NotImplementedError

    def run(self, n: int) -> None:
        once = self.once
        for _ in range(n):
            once()


class Cbp(Gradient):
    name, package = "cbp", "cbp"

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        self.net = in_cbp.network(self.w, parameters, n_threads)

    def once(self) -> Any:
        return self.net.gradient(self.X, self.Y)

    def result(self) -> Found:
        D = self.once()
        return D.loss, list(zip(D.weights, D.biases, strict=True))


class NumPy(Gradient):
    name, package = "NumPy", "numpy"

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        self.net = in_numpy.Net(self.w)
        self.net.load(parameters)
        self.scale = 1 / self.w.n

    def once(self) -> float:
        net = self.net
        net.forward(self.X)
        net.backward(self.X, self.Y, self.scale)  # delta(L) is (a - y) / m afterwards
        off = net.delta[-1].ravel()
        return float(off @ off) * self.w.n / 2

    def result(self) -> Found:
        return self.once(), self.net.gradients


class PyTorch(Gradient):
    name, package = "PyTorch", "torch"

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        import torch

        if n_threads:
            torch.set_num_threads(n_threads)
        self.grad = torch.autograd.grad
        self.x, self.y = torch.from_numpy(self.X), torch.from_numpy(self.Y)
        self.flat = in_torch.tensors(parameters, requires_grad=True)
        self.logits, self.loss = in_torch.forward(self.w), in_torch.loss(self.w)

    def once(self) -> Any:
        J = self.loss(self.logits(self.flat, self.x), self.y)
        return J, self.grad(J, self.flat)

    def result(self) -> Found:
        J, D = self.once()
        arrays = [d.numpy() for d in D]
        return float(J.detach()), [(W.T, b) for W, b in zip(arrays[::2], arrays[1::2], strict=True)]


class Jax(Gradient):
    name, package = "JAX", "jax"
    environment = staticmethod(in_jax.environment)

    def build(self, parameters: Parameters, n_threads: int | None) -> None:
        import jax

        self.jax, put = jax, jax.numpy.asarray
        self.x, self.y = put(self.X), put(one_hot(self.w, self.Y, self.w.dtype))
        self.p = [(put(W), put(b)) for W, b in parameters]
        self.compiled = jax.jit(jax.value_and_grad(in_jax.loss(self.w)))

    def once(self) -> Any:
        return self.jax.block_until_ready(self.compiled(self.p, self.x, self.y))

    def result(self) -> Found:
        J, D = self.once()
        return float(J), [(np.array(W), np.array(b)) for W, b in D]


class ScikitLearn(Gradient):
    name, package = "scikit-learn", "sklearn"

    @classmethod
    def unable(cls, case: Any) -> str:
        return "cannot: it has no public function for the gradient"


RIVALS = (Cbp, NumPy, PyTorch, Jax, ScikitLearn)


def judge(w: Workload) -> Judge:
    X, Y = w.data()
    hot = one_hot(w, Y, "f8")
    J, D = loss(w, w.parameters(), X, hot), gradient(w, in_double(w.parameters()), X, hot)

    def compare(found: Found) -> tuple[dict[str, float], str]:
        off = abs(found[0] - J) / abs(J)
        astray = distance(found[1], D)
        tolerance = 1e-10 if w.dtype == "float64" else 1e-4
        right = off < tolerance and astray < tolerance
        wrong = "" if right else f"wrong result: loss off by {off:.1e}, gradient by {astray:.1e}"
        return {"loss": off, "gradient": astray}, wrong

    return compare


def run(options: Options) -> Part:
    rivals, absent = options.rivals(RIVALS)
    part = Part("gradient", TITLE, absent=absent)
    for dtype in options.dtypes:
        w = replace(CASE, dtype=dtype)
        case = f"24-8-2 tanh, {w.n} examples, {dtype}"
        settings = harness.run([w], rivals, lambda w=w: [judge(w)], options.timing)[0]  # type: ignore[misc]
        part.text += [f"### {case}", report.call_table(settings, "µs a call")]
        part.compare(case, "µs a call", settings)
        part.record.append({"case": case, "settings": [harness.as_dict(s) for s in settings]})
    return part


if __name__ == "__main__":
    command.start(__file__)
