"""JAX: the whole epoch in one jitted scan with donated parameters; the better of two ways to unroll it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rivals.training import Trainer
from workloads import Parameters, Workload, one_hot

# A step of more FLOP is not unrolled: the loop around it costs next to nothing, and compiling takes seconds.
UNROLLED_FLOP = 2e7


def environment(n_threads: int | None) -> dict[str, str]:
    one = {"NPROC": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
    return {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1", **(one if n_threads == 1 else {})}


def forward(w: Workload) -> Callable[[Any, Any], Any]:
    """Return the function that computes z(L) from [(W, b), ...] and a batch."""
    import jax
    import jax.numpy as jnp

    g = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu}[w.hidden]

    def logits(parameters: Any, a: Any) -> Any:
        for W, b in parameters[:-1]:
            a = g(a @ W + b)
        W, b = parameters[-1]
        return a @ W + b

    return logits


def loss(w: Workload) -> Callable[[Any, Any, Any], Any]:
    """Return the function that computes J from parameters, a batch and its targets, one-hot."""
    import jax
    import jax.numpy as jnp

    logits = forward(w)

    def cost(parameters: Any, x: Any, y: Any) -> Any:
        z = logits(parameters, x)
        if w.output == "softmax":
            return -(jax.nn.log_softmax(z) * y).sum(axis=1).mean()
        if w.output == "identity":
            return ((z - y) ** 2).sum(axis=1).mean() / 2
        return (jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))).sum(axis=1).mean()

    return cost


def update(w: Workload) -> Callable[..., Any]:
    """Return the function from (parameters, D, m, v, t) to the next (parameters, m, v).

    Moments that the optimiser does not need are passed through.
    """
    import jax
    import jax.numpy as jnp

    eta, each = w.learning_rate, jax.tree.map

    def sgd(p: Any, D: Any, m: Any, v: Any, t: Any) -> Any:
        return each(lambda p, d: p - eta * d, p, D), m, v

    def momentum(p: Any, D: Any, m: Any, v: Any, t: Any) -> Any:
        m = each(lambda m, d: 0.9 * m + d, m, D)
        return each(lambda p, m: p - eta * m, p, m), m, v

    def adam(p: Any, D: Any, m: Any, v: Any, t: Any) -> Any:
        m = each(lambda m, d: 0.9 * m + 0.1 * d, m, D)
        v = each(lambda v, d: 0.999 * v + 0.001 * d * d, v, D)
        rate, spread = eta / (1 - 0.9**t), 1 / (1 - 0.999**t)
        return each(lambda p, m, v: p - rate * m / (jnp.sqrt(v * spread) + 1e-8), p, m, v), m, v

    return {"sgd": sgd, "momentum": momentum, "adam": adam}[w.optimizer]


class Jax(Trainer):
    name, package = "JAX", "jax"
    environment = staticmethod(environment)

    def build(self, n_threads: int | None) -> None:
        import jax
        import jax.numpy as jnp

        w = self.w
        self.jax, self.jnp = jax, jnp
        self.x = jnp.asarray(self.X.reshape(w.steps, w.batch, -1))
        self.y = jnp.asarray(one_hot(w, self.Y, w.dtype).reshape(w.steps, w.batch, -1))
        gradient, step_by = jax.grad(loss(w)), update(w)

        def step(state: Any, batch: Any) -> tuple[Any, None]:
            p, m, v, t = state
            t = t + 1
            return (*step_by(p, gradient(p, *batch), m, v, t), t), None

        def epoch(unroll: int, shuffle: bool) -> Any:
            def train(state: Any, X: Any, Y: Any, key: Any) -> Any:
                if not shuffle:
                    return jax.lax.scan(step, state, (X, Y), unroll=unroll)[0]
                flat_X, flat_Y = X.reshape(w.n, -1), Y.reshape(w.n, -1)

                def gather(state: Any, rows: Any) -> tuple[Any, None]:
                    return step(state, (flat_X[rows], flat_Y[rows]))

                order = jax.random.permutation(key, w.n).reshape(w.steps, w.batch)
                return jax.lax.scan(gather, state, order, unroll=unroll)[0]

            return jax.jit(train, donate_argnums=0)

        unrolls = (1, 4) if w.flop * w.batch < UNROLLED_FLOP else (1,)
        self.ways = {s: [epoch(unroll, s) for unroll in unrolls] for s in {False, w.shuffle}}
        self.way = 0
        self.keys = iter(range(10**9))

    def result(self) -> Parameters:
        found = super().result()
        for way in reversed(range(len(self.ways[False]))):
            self.way = way
            self.train(1)  # compiles, while other processes start too
        return found

    def tune(self) -> None:
        self.way = min(range(len(self.ways[False])), key=self.seconds)

    def seconds(self, way: int) -> float:
        """Return the least time of one to five epochs; none is started after half a second."""
        self.way = way
        self.load(self.initial)
        times: list[float] = []
        while len(times) < 5 and sum(times) < 0.5:
            start = time.perf_counter()
            self.train(1)
            times.append(time.perf_counter() - start)
        return min(times)

    def load(self, parameters: Parameters) -> None:
        self.p = [(self.jnp.array(W), self.jnp.array(b)) for W, b in parameters]
        m, v = (self.jax.tree.map(self.jnp.zeros_like, self.p) for _ in range(2))
        self.state = (self.p, m, v, self.jnp.zeros((), self.w.dtype))

    def train(self, epochs: int) -> None:
        epoch = self.ways[self.shuffle][self.way]
        key = self.jax.random.PRNGKey(0)
        for _ in range(epochs):
            if self.shuffle:
                key = self.jax.random.PRNGKey(next(self.keys))
            self.state = epoch(self.state, self.x, self.y, key)
        self.jax.block_until_ready(self.state)

    def parameters(self) -> Parameters:
        return [(np.array(W), np.array(b)) for W, b in self.state[0]]
