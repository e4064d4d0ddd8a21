"""The competitors, one class each: the same network, the same steps, each in its own best manner.

A rival is built in a process of its own with the data in memory; `load` sets the parameters, `train` runs
whole epochs and returns when they are done. The loss itself is computed only where it comes with the
gradient (PyTorch) or always (scikit-learn, cbp). Packages are imported when a rival is built, never before.
"""

from __future__ import annotations

import time
import warnings
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from workloads import Array, Parameters, Workload


class Rival:
    name: ClassVar[str]
    package: ClassVar[str]

    def __init__(self, w: Workload, X: Array, Y: np.ndarray, n_threads: int) -> None:
        raise NotImplementedError

    def load(self, parameters: Parameters) -> None:
        raise NotImplementedError

    def train(self, epochs: int) -> None:
        raise NotImplementedError

    def parameters(self) -> Parameters:
        raise NotImplementedError

    def tune(self) -> None:
        """Choose the faster of several ways; called once, while no one else runs."""

    @staticmethod
    def environment(n_threads: int) -> dict[str, str]:
        """Variables to set before the process starts, beside the thread counts that the harness sets."""
        return {}


def supports(w: Workload) -> bool:
    return (w.hidden, w.loss, w.optimizer) == ("sigmoid", "cross_entropy", "sgd")


class Cbp(Rival):
    name, package = "cbp", "cbp"

    def __init__(self, w: Workload, X: Array, Y: np.ndarray, n_threads: int) -> None:
        import cbp

        self.w, self.X, self.Y = w, X, Y
        self.net = cbp.Network(
            list(w.sizes), hidden=w.hidden, output=w.output, dtype=w.dtype, n_threads=n_threads, rng=0
        )
        self.optimizer = cbp.SGD(w.learning_rate)

    def load(self, parameters: Parameters) -> None:
        for layer, (W, b) in enumerate(parameters):
            self.net.weights[layer][...] = W
            self.net.biases[layer][...] = b

    def train(self, epochs: int) -> None:
        self.net.fit(self.X, self.Y, epochs=epochs, batch_size=self.w.batch, optimizer=self.optimizer,
                     shuffle=False, progress=False)  # fmt: skip

    def parameters(self) -> Parameters:
        return [(W.copy(), b.copy()) for W, b in zip(self.net.weights, self.net.biases, strict=True)]


class NumPy(Rival):
    """By hand: every product by BLAS into a buffer that exists, everything else in place."""

    name, package = "NumPy", "numpy"

    def __init__(self, w: Workload, X: Array, Y: np.ndarray, n_threads: int) -> None:
        self.w, self.X = w, X
        self.Y = np.eye(w.sizes[-1], dtype=w.dtype)[Y] if w.output == "softmax" else Y
        self.a = [np.empty((w.batch, s), w.dtype) for s in w.sizes]
        self.slope = [np.empty_like(a) for a in self.a]
        self.delta = [np.empty_like(a) for a in self.a]
        self.D_W = [np.empty(shape, w.dtype) for shape in pairwise(w.sizes)]
        self.D_b = [np.empty(s, w.dtype) for s in w.sizes[1:]]
        self.row = np.empty((w.batch, 1), w.dtype)
        self.rate = np.dtype(w.dtype).type(w.learning_rate / w.batch)
        self.one = np.dtype(w.dtype).type(1)

    def load(self, parameters: Parameters) -> None:
        self.W = [W.copy() for W, _ in parameters]
        self.b = [b.copy() for _, b in parameters]

    def train(self, epochs: int) -> None:
        w, X, Y = self.w, self.X, self.Y
        with np.errstate(over="ignore"):  # exp(-z) of a very negative z is inf, and 1 / (1 + inf) is right
            for _ in range(epochs):
                for i in range(0, w.n, w.batch):
                    self.step(X[i : i + w.batch], Y[i : i + w.batch])

    def step(self, x: Array, y: Array) -> None:
        W, b, delta, one = self.W, self.b, self.delta, self.one
        a = [x, *self.a[1:]]
        last = len(W)
        for k in range(last):
            z = np.dot(a[k], W[k], out=a[k + 1])
            z += b[k]
            if k + 1 < last or self.w.output == "sigmoid":  # 1 / (1 + exp(-z))
                np.negative(z, out=z)
                np.exp(z, out=z)
                z += one
                np.reciprocal(z, out=z)
            else:  # softmax
                z -= np.max(z, axis=1, keepdims=True, out=self.row)
                np.exp(z, out=z)
                z /= np.sum(z, axis=1, keepdims=True, out=self.row)
        # delta carries learning rate / m from the start, so that a gradient needs no pass of its own for it
        np.subtract(a[last], y, out=delta[last])
        delta[last] *= self.rate
        for k in range(last - 1, -1, -1):
            np.dot(a[k].T, delta[k + 1], out=self.D_W[k])
            np.sum(delta[k + 1], axis=0, out=self.D_b[k])
            if k:
                np.dot(delta[k + 1], W[k].T, out=delta[k])
                np.subtract(one, a[k], out=self.slope[k])
                self.slope[k] *= a[k]
                delta[k] *= self.slope[k]
            W[k] -= self.D_W[k]
            b[k] -= self.D_b[k]

    def parameters(self) -> Parameters:
        return list(zip(self.W, self.b, strict=True))


class PyTorch(Rival):
    """Eager, with autograd; by functions and one foreach update.

    On Zen 3 a step takes 90 to 110 us less than with nn.Module, optim.SGD (fused, foreach or neither) and
    zero_grad(set_to_none=True).
    """

    name, package = "PyTorch", "torch"

    def __init__(self, w: Workload, X: Array, Y: np.ndarray, n_threads: int) -> None:
        import torch

        torch.set_num_threads(n_threads)
        self.torch, self.w = torch, w
        self.X, self.Y = torch.from_numpy(X), torch.from_numpy(Y)
        F = torch.nn.functional
        self.loss = F.cross_entropy if w.output == "softmax" else F.binary_cross_entropy_with_logits

    def load(self, parameters: Parameters) -> None:
        tensor = self.torch.tensor
        self.flat = [tensor(p, requires_grad=True) for W, b in parameters for p in (W.T.copy(), b)]

    def train(self, epochs: int) -> None:
        torch, flat, batch = self.torch, self.flat, self.w.batch
        linear, sigmoid, grad = torch.nn.functional.linear, torch.sigmoid, torch.autograd.grad
        layers = list(zip(flat[::2], flat[1::2], strict=True))
        for _ in range(epochs):
            for x, y in zip(self.X.split(batch), self.Y.split(batch), strict=True):
                a = x
                for W, b in layers[:-1]:
                    a = sigmoid(linear(a, W, b))
                D = grad(self.loss(linear(a, *layers[-1]), y), flat)
                with torch.no_grad():
                    torch._foreach_add_(flat, D, alpha=-self.w.learning_rate)

    def parameters(self) -> Parameters:
        arrays = [p.detach().numpy().copy() for p in self.flat]
        return [(W.T, b) for W, b in zip(arrays[::2], arrays[1::2], strict=True)]


class Jax(Rival):
    """The whole epoch in one jitted scan with donated parameters; the better of two ways to unroll it."""

    name, package = "JAX", "jax"

    @staticmethod
    def environment(n_threads: int) -> dict[str, str]:
        one = {"NPROC": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
        return {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1", **(one if n_threads == 1 else {})}

    def __init__(self, w: Workload, X: Array, Y: np.ndarray, n_threads: int) -> None:
        import jax
        import jax.numpy as jnp

        self.jax, self.jnp, self.w = jax, jnp, w
        hot = np.eye(w.sizes[-1], dtype=w.dtype)[Y] if w.output == "softmax" else Y
        self.X = jnp.asarray(X.reshape(w.steps, w.batch, -1))
        self.Y = jnp.asarray(hot.reshape(w.steps, w.batch, -1))

        def loss(parameters: Any, x: Any, y: Any) -> Any:
            a = x
            for W, b in parameters[:-1]:
                a = jax.nn.sigmoid(a @ W + b)
            W, b = parameters[-1]
            z = a @ W + b
            if w.output == "softmax":
                return -(jax.nn.log_softmax(z) * y).sum(axis=1).mean()
            return (jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))).sum(axis=1).mean()

        def step(parameters: Any, batch: Any) -> tuple[Any, None]:
            D = jax.grad(loss)(parameters, *batch)
            return jax.tree.map(lambda p, d: p - w.learning_rate * d, parameters, D), None

        def epoch(unroll: int) -> Any:
            return jax.jit(lambda p, X, Y: jax.lax.scan(step, p, (X, Y), unroll=unroll)[0], donate_argnums=0)

        self.ways = [epoch(1), epoch(4)]
        self.epoch = self.ways[0]

    def tune(self) -> None:
        self.epoch = min(self.ways, key=self.seconds)

    def seconds(self, epoch: Any) -> float:
        self.epoch = epoch
        self.load(self.w.parameters())
        self.train(1)  # compiles
        times = []
        for _ in range(5):
            start = time.perf_counter()
            self.train(1)
            times.append(time.perf_counter() - start)
        return min(times)

    def load(self, parameters: Parameters) -> None:
        self.p = [(self.jnp.array(W), self.jnp.array(b)) for W, b in parameters]

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            self.p = self.epoch(self.p, self.X, self.Y)
        self.jax.block_until_ready(self.p)

    def parameters(self) -> Parameters:
        return [(np.array(W), np.array(b)) for W, b in self.p]


class ScikitLearn(Rival):
    """MLPClassifier.fit with warm_start: its own epochs and minibatches, checks of the data once a call."""

    name, package = "scikit-learn", "sklearn"

    def __init__(self, w: Workload, X: Array, Y: np.ndarray, n_threads: int) -> None:
        from sklearn.neural_network import MLPClassifier

        warnings.filterwarnings("ignore", module="sklearn")  # "not converged": as asked
        self.X, self.Y = X, Y if w.output == "softmax" else Y[:, 0].astype(int)
        self.net = MLPClassifier(
            w.sizes[1:-1], activation="logistic", solver="sgd", momentum=0.0, alpha=0.0, batch_size=w.batch,
            learning_rate_init=w.learning_rate, shuffle=False, warm_start=True, n_iter_no_change=10**9,
        )  # fmt: skip
        self.train(1)

    def load(self, parameters: Parameters) -> None:
        for layer, (W, b) in enumerate(parameters):
            self.net.coefs_[layer][...] = W
            self.net.intercepts_[layer][...] = b

    def train(self, epochs: int) -> None:
        self.net.set_params(max_iter=epochs).fit(self.X, self.Y)

    def parameters(self) -> Parameters:
        return list(zip(self.net.coefs_, self.net.intercepts_, strict=True))


RIVALS: tuple[type[Rival], ...] = (Cbp, NumPy, PyTorch, Jax, ScikitLearn)
