"""Did a competitor train the network that was asked for? Plain float64 NumPy, to be read, not timed."""

from __future__ import annotations

import numpy as np

from workloads import Array, Parameters, Workload


def one_hot(w: Workload, Y: np.ndarray) -> Array:
    return np.eye(w.sizes[-1])[Y] if w.output == "softmax" else Y.astype("f8")


def sigmoid(z: Array) -> Array:
    a: Array = 0.5 * (1 + np.tanh(0.5 * z))
    return a


def activations(w: Workload, parameters: Parameters, X: Array) -> list[Array]:
    """[a(1), ..., a(L-1), z(L)]."""
    a = [X.astype("f8")]
    for W, b in parameters[:-1]:
        a.append(sigmoid(a[-1] @ W + b))
    W, b = parameters[-1]
    return [*a, a[-1] @ W + b]


def loss(w: Workload, parameters: Parameters, X: Array, Y: Array) -> float:
    """Mean cross entropy from the logits; Y one-hot."""
    z = activations(w, [(W.astype("f8"), b.astype("f8")) for W, b in parameters], X)[-1]
    if w.output == "softmax":
        top = z.max(axis=1, keepdims=True)
        return float(np.mean(top[:, 0] + np.log(np.exp(z - top).sum(axis=1)) - (z * Y).sum(axis=1)))
    return float(np.mean((np.maximum(z, 0) - z * Y + np.log1p(np.exp(-np.abs(z)))).sum(axis=1)))


def reference_epoch(w: Workload, X: Array, Y: Array) -> Parameters:
    """The parameters after one epoch of plain SGD from the initial ones; Y one-hot."""
    parameters = [(W.astype("f8"), b.astype("f8")) for W, b in w.parameters()]
    for i in range(0, w.n, w.batch):
        a = activations(w, parameters, X[i : i + w.batch])
        if w.output == "softmax":
            p = np.exp(a[-1] - a[-1].max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
        else:
            p = sigmoid(a[-1])
        delta = (p - Y[i : i + w.batch]) * (w.learning_rate / w.batch)
        for layer in reversed(range(len(parameters))):
            W, b = parameters[layer]
            D_W, D_b = a[layer].T @ delta, delta.sum(axis=0)
            if layer:
                delta = (delta @ W.T) * a[layer] * (1 - a[layer])
            W -= D_W
            b -= D_b
    return parameters


class Reference:
    """What one epoch must lead to, and how near a competitor came."""

    def __init__(self, w: Workload) -> None:
        self.w = w
        self.X, Y = w.data()
        self.Y = one_hot(w, Y)
        self.initial = w.parameters()
        self.expected = reference_epoch(w, self.X, self.Y)
        self.loss = loss(w, self.expected, self.X, self.Y)

    def errors(self, parameters: Parameters) -> tuple[float, float]:
        """Relative error of the loss; largest error of a parameter beside the largest way one has moved."""
        found = loss(self.w, parameters, self.X, self.Y)
        moved = [abs(e - i).max() for old, new in zip(self.initial, self.expected, strict=True)
                 for i, e in zip(old, new, strict=True)]  # fmt: skip
        off = [abs(e - g).max() for got, new in zip(parameters, self.expected, strict=True)
               for g, e in zip(got, new, strict=True)]  # fmt: skip
        return abs(found - self.loss) / abs(self.loss), float(max(off) / max(moved))
