"""Checks whether a competitor trained the network that was asked for, by plain NumPy in float64."""

from __future__ import annotations

import numpy as np

from workloads import Array, Parameters, Workload, one_hot

LOSS_TOLERANCE = 1e-3
# scikit-learn adds epsilon to the square root before its bias correction (the second form of Kingma and Ba,
# section 2). This changes parameters by 5 % after 60 steps if units are nearly dead. A competitor that
# forgets a bias correction is wrong by far more.
PARAMETER_TOLERANCE = {"sgd": 1e-2, "momentum": 1e-2, "adam": 1e-1}


def activate(g: str, z: Array) -> Array:
    a: Array
    if g == "softmax":
        a = np.exp(z - z.max(axis=1, keepdims=True))
        a /= a.sum(axis=1, keepdims=True)
    elif g == "sigmoid":
        a = 0.5 * (1 + np.tanh(0.5 * z))
    else:
        a = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0), "identity": np.asarray}[g](z)
    return a


def slope(g: str, a: Array) -> Array:
    """Return g'(z), computed from a = g(z)."""
    s: Array = {"sigmoid": a * (1 - a), "tanh": 1 - a**2, "relu": (a > 0).astype(a.dtype)}[g]
    return s


def activations(w: Workload, parameters: Parameters, X: Array) -> list[Array]:
    """Return [a(1), ..., a(L-1), z(L)]."""
    a = [X.astype("f8")]
    for W, b in parameters[:-1]:
        a.append(activate(w.hidden, a[-1] @ W + b))
    W, b = parameters[-1]
    return [*a, a[-1] @ W + b]


def outputs(w: Workload, parameters: Parameters, X: Array) -> Array:
    return activate(w.output, activations(w, in_double(parameters), X)[-1])


def in_double(parameters: Parameters) -> Parameters:
    return [(W.astype("f8"), b.astype("f8")) for W, b in parameters]


def loss(w: Workload, parameters: Parameters, X: Array, Y: Array) -> float:
    """Return the mean loss, computed from the logits; Y is one-hot."""
    z = activations(w, in_double(parameters), X)[-1]
    if w.loss == "squared_error":
        return float(np.mean(((activate(w.output, z) - Y) ** 2).sum(axis=1) / 2))
    if w.output == "softmax":
        top = z.max(axis=1, keepdims=True)
        return float(np.mean(top[:, 0] + np.log(np.exp(z - top).sum(axis=1)) - (z * Y).sum(axis=1)))
    return float(np.mean((np.maximum(z, 0) - z * Y + np.log1p(np.exp(-np.abs(z)))).sum(axis=1)))


def gradient(w: Workload, parameters: Parameters, X: Array, Y: Array) -> Parameters:
    """Return (D_W, D_b) of each layer, for matching pairs of output and loss; Y is one-hot."""
    a = activations(w, parameters, X)
    delta = (activate(w.output, a[-1]) - Y) / len(X)
    D: Parameters = []
    for layer in reversed(range(len(parameters))):
        D.insert(0, (a[layer].T @ delta, delta.sum(axis=0)))
        if layer:
            delta = (delta @ parameters[layer][0].T) * slope(w.hidden, a[layer])
    return D


def update(w: Workload, p: Array, d: Array, m: Array, v: Array, t: int) -> None:
    """Take step t = 1, 2, ... of one array, in place; m and v are zero before the first."""
    if w.optimizer == "adam":  # Kingma and Ba, 2015, algorithm 1
        m[...] = 0.9 * m + 0.1 * d
        v[...] = 0.999 * v + 0.001 * d**2
        p -= w.learning_rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    else:
        m[...] = 0.9 * (w.optimizer == "momentum") * m + d
        p -= w.learning_rate * m


def reference(w: Workload, X: Array, Y: Array) -> Parameters:
    """Return the parameters to which the checked epochs take the initial ones; Y is one-hot."""
    parameters = in_double(w.parameters())
    m, v = ([(np.zeros_like(W), np.zeros_like(b)) for W, b in parameters] for _ in range(2))
    for t in range(w.checked_epochs * w.steps):
        i = t % w.steps * w.batch
        D = gradient(w, parameters, X[i : i + w.batch], Y[i : i + w.batch])
        for of_layer in zip(parameters, D, m, v, strict=True):
            for arrays in zip(*of_layer, strict=True):
                update(w, *arrays, t=t + 1)
    return parameters


def distance(found: Parameters, expected: Parameters, start: Parameters | None = None) -> float:
    """Return the largest ||found - expected|| / ||expected - start|| of all arrays; start is 0 by default."""
    pairs = zip([p for of in found for p in of], [p for of in expected for p in of], strict=True)
    zero = [p for of in start for p in of] if start else [0.0] * (2 * len(expected))
    return max(
        float(np.linalg.norm(f - e) / np.linalg.norm(e - s))
        for (f, e), s in zip(pairs, zero, strict=True)
    )  # fmt: skip


class Reference:
    """The result that the checked epochs must have, with which those of competitors are compared."""

    def __init__(self, w: Workload) -> None:
        self.w = w
        self.X, Y = w.data()
        self.Y = one_hot(w, Y, "f8")
        self.initial = w.parameters()
        self.expected = reference(w, self.X, self.Y)
        self.loss = loss(w, self.expected, self.X, self.Y)

    def judge(self, parameters: Parameters) -> tuple[dict[str, float], str]:
        """Return the relative errors of the loss and of the change of the parameters, and what is wrong."""
        found = loss(self.w, parameters, self.X, self.Y)
        off = abs(found - self.loss) / abs(self.loss)
        astray = distance(parameters, self.expected, self.initial)
        right = off < LOSS_TOLERANCE and astray < PARAMETER_TOLERANCE[self.w.optimizer]
        wrong = "" if right else f"wrong result: loss off by {off:.1e}, parameters by {astray:.1e}"
        return {"loss": off, "parameters": astray}, wrong
