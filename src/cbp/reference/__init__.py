"""The whole algorithm in NumPy: the specification of the kernels, with which tests compare their results.

It is written to be read, and computes in double precision. Notation: `weights[l]` is W, of shape (s(l),
s(l+1)), where s(l) is the number of units of layer l; `biases[l]` is b, of shape (s(l+1),), and the list is
empty if the network has no biases; `activations[l]` names the activation g of layer l + 1, and its last entry
that of the output.

Source: D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
1986.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cbp.reference.functions import Array, Named, activate, losses, output_delta, times_derivative
from cbp.reference.noise import Noise
from cbp.reference.updates import adam_step, averaged, limited, sgd_step, step

__all__ = [
    "Array",
    "Noise",
    "Training",
    "activate",
    "adam_step",
    "forward",
    "gradient",
    "losses",
    "one_hot",
    "output_delta",
    "sgd_step",
    "step",
    "times_derivative",
]


def one_hot(Y: NDArray[np.integer], n: int) -> Array:
    """Return integer labels as rows of the n × n unit matrix."""
    return np.asarray(np.eye(n)[Y])


def forward(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[Named],
    X: Array,
    noise: Noise | None = None,
) -> tuple[list[Array], list[Array]]:
    """Return [z(2), …, z(L)] and [a(1), …, a(L)], the inputs and outputs of the activations.

    With noise, a(l) is what the next layer gets.
    """
    zs: list[Array] = []
    a = [X if noise is None else noise.inputs(X)]
    layers = zip(weights, biases or [np.zeros(1)] * len(weights), activations, strict=True)
    for layer, (W, b, g) in enumerate(layers):
        if noise is not None:
            a[-1] = a[-1] * noise.factors(layer, len(W))
        zs.append(a[-1] @ W + b)
        a.append(activate(g, zs[-1]))
    return zs, a


def gradient(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[Named],
    loss: Named,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    l2: float | Sequence[float] = 0.0,
    l1: float | Sequence[float] = 0.0,
    sample_weight: ArrayLike | None = None,
    whole: float | None = None,
    noise: Noise | None = None,
) -> tuple[float, list[Array], list[Array], Array]:
    """Return the cost J, its gradients [D_W(1), …] and [D_b(1), …], and dJ/dX, by backpropagation.

    ``whole``, if given, is the m of the penalties: the weight of all examples that these are a part of.
    ``noise``, if given, is what is random in the step; dJ/dX is then not defined.

    Examples
    --------
    With one unit and one example, z = 2, so that the loss is (2 - 1)^2 / 2, and every gradient is 1.

    >>> J, D_W, D_b, D_X = gradient(
    ...     [np.ones((2, 1))], [np.zeros(1)], ["identity"], "squared_error", [[1, 1]], [[1]]
    ... )
    >>> J, D_W[0].tolist(), D_b[0].tolist(), D_X.tolist()
    (0.5, [[1.0], [1.0]], [1.0], [[1.0, 1.0]])
    """
    inputs = np.asarray(X, dtype=np.float64)
    targets = np.asarray(Y)
    n_outputs = weights[-1].shape[1]
    if targets.ndim == 1 and n_outputs > 1:
        targets = one_hot(targets.astype(np.int64), n_outputs)
    targets = targets.reshape(len(inputs), -1).astype(np.float64)
    w = np.ones(len(inputs)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    m = w.sum()

    zs, a = forward(weights, biases, activations, inputs, noise)
    part = 1 if whole is None else m / whole
    ridge, lasso = (np.broadcast_to(value, len(weights)) * part for value in (l2, l1))
    penalty = sum(
        r / 2 * (W**2).sum() + s * np.abs(W).sum() for r, s, W in zip(ridge, lasso, weights, strict=True)
    )
    J = (w @ losses(activations[-1], loss, zs[-1], targets) + penalty) / m

    delta = output_delta(activations[-1], loss, zs[-1], a[-1], targets) * w[:, None]
    D_W: list[Array] = []
    D_b: list[Array] = []
    for layer in range(len(weights) - 1, -1, -1):
        W = weights[layer]
        D_W.insert(0, (a[layer].T @ delta + ridge[layer] * W + lasso[layer] * np.sign(W)) / m)
        D_b[:0] = [delta.sum(axis=0) / m] if biases else []
        delta = delta @ W.T
        if layer > 0:
            g, z = activations[layer - 1], zs[layer - 1]
            delta = times_derivative(g, delta, z, activate(g, z))
            if noise is not None:
                delta = delta * noise.factors(layer, len(W))
    return float(J), D_W, D_b, delta / m


class Training:
    """A training in progress: copies of the parameters given, and the moments of the optimiser.

    Examples
    --------
    The inputs are 0, so only the bias is trained. Each step takes it half of the way to a target: from 0 to
    1, then to 2.5.

    >>> run = Training([np.zeros((1, 1))], [np.zeros(1)], ["identity"], "squared_error")
    >>> run.epoch([[0], [0]], [[2], [4]], 1, "sgd", {"learning_rate": 0.5}), run.parameters.tolist()
    (3.25, [0.0, 2.5])
    """

    def __init__(
        self,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike],
        activations: Sequence[Named],
        loss: Named,
        *,
        l2: float | Sequence[float] = 0.0,
        l1: float | Sequence[float] = 0.0,
    ) -> None:
        self.weights = [np.array(W, dtype=np.float64) for W in weights]
        self.biases = [np.array(b, dtype=np.float64) for b in biases]
        self.activations, self.loss, self.l2, self.l1 = activations, loss, l2, l1
        self.averages = [theta.copy() for theta in self._layers]  # moving, of the parameters
        self.moments = [[np.zeros_like(theta) for _ in range(3)] for theta in self._layers]
        self.t = 0  # number of updates so far

    @property
    def _layers(self) -> list[Array]:
        return [*self.weights, *self.biases]

    @property
    def parameters(self) -> Array:
        """The parameters W(1), b(1), W(2), … as one vector."""
        layers = zip_longest(self.weights, self.biases, fillvalue=np.zeros(0))
        return np.concatenate([part.ravel() for layer in layers for part in layer])

    def epoch(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        batch_size: int | None,
        optimizer: str,
        rule: Mapping[str, Any],
        *,
        order: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        whole: float | None = None,
        seed: int = 0,
        dropout: Sequence[float] = (),
        input_noise: float = 0.0,
        ema: float = 0.0,
    ) -> float:
        """Take a step for each minibatch; return the weighted mean of J, computed before each step.

        A minibatch whose sample weights are all 0 is skipped. If ``batch_size`` is None, all examples are one
        batch. ``order``, if given, is the order of the examples; ``whole`` is as for `gradient`. ``seed``,
        ``dropout`` and ``input_noise`` are as for `Noise`; ``ema`` is the decay rate of ``averages``.
        """
        X, Y = np.asarray(X), np.asarray(Y)
        w = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        rows = np.arange(len(X)) if order is None else np.asarray(order)
        total, size = 0.0, batch_size or len(X)
        numbers = {name: value for name, value in rule.items() if not name.startswith("clip_")}
        for start in range(0, len(X), size):
            batch = rows[start : start + size]
            if not w[batch].any():
                continue
            noise = None
            if dropout or input_noise:
                shares = dropout or [0.0] * len(self.weights)
                noise = Noise(seed, self.t, range(start, start + len(batch)), shares, input_noise)
            J, D_W, D_b, _ = gradient(
                *(self.weights, self.biases, self.activations, self.loss, X[batch], Y[batch]),
                l2=self.l2,
                l1=self.l1,
                sample_weight=w[batch],
                whole=whole,
                noise=noise,
            )
            total += J * float(w[batch].sum())
            self.t += 1
            D_W_b = limited([*D_W, *D_b], rule.get("clip_norm"), rule.get("clip_value"))
            for theta, D, moments in zip(self._layers, D_W_b, self.moments, strict=True):
                exempt = {"weight_decay": 0.0} if "weight_decay" in rule and theta.ndim == 1 else {}
                step(optimizer, theta, D, moments, self.t, **{**numbers, **exempt})
            for average, theta in zip(self.averages, self._layers, strict=True):
                averaged(average, theta, self.t, ema)
        return total / float(w.sum())
