"""Activations and losses in NumPy: tables with a row for each activation or loss, and its derivative."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# The name of a function, or its name and the value of its parameter, such as ("leaky_relu", 0.01).
Named = str | tuple[str, float]


class Activation(NamedTuple):
    """An activation: a = g(z), and g'(z) from z and a; `number` is the default of its parameter.

    `number` is 0 if g has no parameter.
    """

    g: Callable[[Array, float], Any]
    slope: Callable[[Array, Array, float], Any]
    number: float = 0.0


class Loss(NamedTuple):
    """A loss and its error dloss/da, from a and y; `number` is the default of its parameter.

    `outputs` are the output activations that the loss goes with; if empty, all elementwise ones.
    """

    loss: Callable[[Array, Array, float], Any]
    error: Callable[[Array, Array, float], Any]
    outputs: tuple[str, ...] = ()
    number: float = 0.0


class Pair(NamedTuple):
    """The loss and dloss/dz of an output activation and a loss that match.

    The loss is computed from z and not from a, so that it stays finite where a is rounded to 0, for example.
    """

    loss: Callable[[Array, Array], Any]
    delta: Callable[[Array, Array], Any]


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e^-z)."""
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1.0) / (1.0 + e)


def softmax(z: Array) -> Array:
    """Return e^z_j / sum_k e^z_k for each example, a row of z."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def softplus(z: Array) -> Array:
    """Return log(1 + e^z)."""
    return np.asarray(np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))))


def normal(z: Array) -> Array:
    """Return Phi(z), the distribution function of the standard normal distribution."""
    return np.asarray(np.vectorize(math.erfc, otypes=[float])(-z / math.sqrt(2)) / 2, dtype=z.dtype)


def normal_density(z: Array) -> Array:
    """Return phi(z), the density of the standard normal distribution."""
    return np.asarray(np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))


def expm1_below(z: Array) -> Array:
    """Return e^z - 1 where z is negative, else 0."""
    return np.asarray(np.expm1(np.minimum(z, 0)))


def log_cosh(e: Array) -> Array:
    """Return log cosh e.

    For small e it is log(1 + u^2 / (2 (1 + u))) with u = exp(-|e|) - 1, which keeps all digits.
    """
    size = np.abs(e)
    u = np.expm1(-np.minimum(size, 1))
    return np.asarray(
        np.where(size < 1, np.log1p(u**2 / (2 * (1 + u))), size + np.log1p(np.exp(-2 * size)) - math.log(2))
    )


# Klambauer et al., 2017.
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934, 1.6732632423543772848

ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda z, _: z, lambda z, a, _: np.ones_like(z)),
    "sigmoid": Activation(lambda z, _: sigmoid(z), lambda z, a, _: a * (1 - a)),
    "tanh": Activation(lambda z, _: np.tanh(z), lambda z, a, _: 1 - a**2),
    "relu": Activation(lambda z, _: np.maximum(z, 0), lambda z, a, _: (a > 0) * 1.0),
    "leaky_relu": Activation(
        lambda z, slope: np.where(z > 0, z, slope * z), lambda z, a, slope: np.where(z > 0, 1, slope), 0.01
    ),
    "elu": Activation(
        lambda z, alpha: np.where(z > 0, z, alpha * expm1_below(z)),
        lambda z, a, alpha: np.where(z > 0, 1, a + alpha),
        1.0,
    ),
    "selu": Activation(
        lambda z, _: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * expm1_below(z)),
        lambda z, a, _: np.where(z > 0, SELU_SCALE, a + SELU_SCALE * SELU_ALPHA),
    ),
    "softplus": Activation(lambda z, _: softplus(z), lambda z, a, _: sigmoid(z)),
    "silu": Activation(
        lambda z, _: z * sigmoid(z), lambda z, a, _: sigmoid(z) * (1 + z * sigmoid(-z))
    ),
    "gelu": Activation(
        lambda z, _: z * normal(z), lambda z, a, _: normal(z) + z * normal_density(z)
    ),
    "exp": Activation(lambda z, _: np.exp(z), lambda z, a, _: a),
}  # fmt: skip

ELEMENTWISE = tuple(ACTIVATIONS)
LOSSES: dict[str, Loss] = {
    "squared_error": Loss(lambda a, y, _: (a - y) ** 2 / 2, lambda a, y, _: a - y, (*ELEMENTWISE, "softmax")),
    "absolute_error": Loss(lambda a, y, _: np.abs(a - y), lambda a, y, _: np.sign(a - y)),
    "huber": Loss(
        lambda a, y, d: np.where(np.abs(a - y) <= d, (a - y) ** 2 / 2, d * (np.abs(a - y) - d / 2)),
        lambda a, y, d: np.clip(a - y, -d, d),
        number=1.0,
    ),
    "log_cosh": Loss(lambda a, y, _: log_cosh(a - y), lambda a, y, _: np.tanh(a - y)),
    "quantile": Loss(
        lambda a, y, level: np.maximum(level * (y - a), (level - 1) * (y - a)),
        lambda a, y, level: np.where(a < y, -level, np.where(a > y, 1 - level, 0)),
        number=0.5,
    ),
    # These two serve to compute derivatives of the outputs. The gradient of the first is the product of the
    # vector y and the Jacobian of a.
    "inner_product": Loss(lambda a, y, _: y * a, lambda a, y, _: y, (*ELEMENTWISE, "softmax")),
    "sum_of_outputs": Loss(lambda a, y, _: a, lambda a, y, _: np.ones_like(a)),
}  # fmt: skip


def softmax_cross_entropy(z: Array, y: Array) -> Array:
    """Return y_j (log sum_k e^z_k - z_j)."""
    below = z.max(axis=1, keepdims=True) - z
    return np.asarray(y * (below + np.log(np.exp(-below).sum(axis=1, keepdims=True))))


PAIRS: dict[tuple[str, str], Pair] = {
    ("sigmoid", "cross_entropy"): Pair(
        lambda z, y: np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))), lambda a, y: a - y
    ),
    ("softmax", "cross_entropy"): Pair(
        softmax_cross_entropy, lambda a, y: y.sum(axis=1, keepdims=True) * a - y
    ),
    ("exp", "poisson"): Pair(lambda z, y: np.exp(z) - y * z, lambda a, y: a - y),
    ("exp", "gamma"): Pair(lambda z, y: z + y * np.exp(-z), lambda a, y: 1 - y / a),
}


def split(named: Named) -> tuple[str, float | None]:
    """Return the name of a function, and the value of its parameter, or None if no value was given."""
    return (named, None) if isinstance(named, str) else named


def activation(named: Named) -> tuple[Activation, float]:
    """Return the table row of an elementwise activation, and the value of its parameter."""
    name, number = split(named)
    if name not in ACTIVATIONS:
        raise ValueError(f"the activation must be softmax or one of {', '.join(ACTIVATIONS)}, got {name!r}")
    row = ACTIVATIONS[name]
    return row, row.number if number is None else number


def loss_of(output: Named, named: Named) -> tuple[Loss, float]:
    """Return the table row of a loss that goes with the output, though not in PAIRS, and its parameter."""
    (name, number), on = split(named), split(output)[0]
    if name not in LOSSES or on not in (LOSSES[name].outputs or ELEMENTWISE):
        pairs = [loss for pair, loss in PAIRS if pair == on]
        fitting = [loss for loss, row in LOSSES.items() if on in (row.outputs or ELEMENTWISE)]
        raise ValueError(
            f"the loss for {output!r} must be one of {', '.join(sorted({*pairs, *fitting}))}, got {named!r}"
        )
    row = LOSSES[name]
    return row, row.number if number is None else number


def activate(named: Named, z: Array) -> Array:
    """Return a = g(z); each row of z is an example."""
    if named == "softmax":
        return softmax(z)
    row, number = activation(named)
    return np.asarray(row.g(z, number))


def times_derivative(named: Named, delta: Array, z: Array, a: Array) -> Array:
    """Return delta times g'(z), with a = g(z)."""
    if named == "softmax":  # its Jacobian is diag(a) - a a^T
        return np.asarray(a * (delta - (delta * a).sum(axis=1, keepdims=True)))
    row, number = activation(named)
    return np.asarray(delta * row.slope(z, a, number))


def losses(output: Named, loss: Named, z: Array, Y: Array) -> Array:
    """Return the loss of each example, from z(L)."""
    pair = PAIRS.get((split(output)[0], split(loss)[0]))
    if pair is not None:
        return np.asarray(pair.loss(z, Y).sum(axis=1))
    row, number = loss_of(output, loss)
    return np.asarray(row.loss(activate(output, z), Y, number).sum(axis=1))


def output_delta(output: Named, loss: Named, z: Array, a: Array, Y: Array) -> Array:
    """Return delta(L) = dloss/dz(L) of each example, with a = a(L)."""
    pair = PAIRS.get((split(output)[0], split(loss)[0]))
    if pair is not None:
        return np.asarray(pair.delta(a, Y))
    row, number = loss_of(output, loss)
    return times_derivative(output, row.error(a, Y, number), z, a)
