"""The steps of the optimisers in NumPy. Each updates an array of parameters and its moments in place."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def kept(moment: Array, floor: float) -> None:
    """Set elements of a moment that are smaller in magnitude than `floor` to 0."""
    moment[np.abs(moment) < floor] = 0


def limited(D: Sequence[Array], clip_norm: float | None, clip_value: float | None) -> list[Array]:
    """Return a gradient with elements limited to ± clip_value, and then shortened to the norm clip_norm.

    The norm is that of all arrays together (Pascanu, Mikolov and Bengio, 2013).
    """
    if clip_value is not None:
        D = [np.clip(part, -clip_value, clip_value) for part in D]
    norm = np.sqrt(sum(float((part**2).sum()) for part in D))
    scale = clip_norm / norm if clip_norm is not None and norm > clip_norm else 1.0
    return [part * scale for part in D]


def averaged(average: Array, theta: Array, t: int, ema: float) -> None:
    """Take step t = 1, 2, … of a moving average of the parameters, in place."""
    d = min(ema, (1 + t) / (10 + t))
    average += (1 - d) * (theta - average)


def sgd_step(
    theta: Array,
    D: Array,
    velocity: Array,
    *,
    learning_rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    floor: float = 0.0,
) -> None:
    """Take a step of SGD: v = mu v + D; theta -= eta v, or, with Nesterov's momentum, eta (D + mu v).

    A velocity smaller than `floor` becomes 0. The floor of the kernels is 64 times the smallest normal number
    of their dtype.
    """
    velocity[:] = momentum * velocity + D
    kept(velocity, floor)
    theta -= learning_rate * (D + momentum * velocity if nesterov else velocity)


def adam_step(
    theta: Array,
    D: Array,
    m: Array,
    v: Array,
    t: int,
    *,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    floor: float = 0.0,
) -> None:
    """Take step t = 1, 2, … of Adam (Kingma and Ba, 2015, algorithm 1).

    An m smaller than `floor` becomes 0, and v is at least `floor`; see `sgd_step`.
    """
    m[:] = beta1 * m + (1 - beta1) * D
    kept(m, floor)
    v[:] = beta2 * v + (1 - beta2) * D**2
    np.maximum(v, floor, out=v)
    theta -= learning_rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)


def adamw_step(
    theta: Array, D: Array, m: Array, v: Array, t: int, *, weight_decay: float, **rule: Any
) -> None:
    """Take step t of AdamW (Loshchilov and Hutter, 2019): theta *= 1 - eta w, then the step of Adam.

    w is the weight decay, which callers set to 0 for biases.
    """
    theta *= 1 - rule["learning_rate"] * weight_decay
    adam_step(theta, D, m, v, t, **rule)


def rmsprop_step(
    theta: Array,
    D: Array,
    square: Array,
    *others: Array,
    learning_rate: float,
    decay: float,
    epsilon: float,
    momentum: float = 0.0,
    centered: bool = False,
    floor: float = 0.0,
) -> None:
    """Take a step of RMSprop: v = d v + (1 - d) D^2; theta -= eta D / (sqrt(v) + eps).

    If centered, v - g^2 takes the place of v in the step, with g = d g + (1 - d) D. With momentum,
    theta -= eta b, where b = mu b + D / (sqrt(v) + eps). `others` are g, used if centered, and b, which comes
    last, used with momentum.
    """
    square[:] = np.maximum(decay * square + (1 - decay) * D**2, floor)
    spread = square
    if centered:
        mean = others[0]
        mean[:] = decay * mean + (1 - decay) * D
        kept(mean, floor)
        spread = np.maximum(square - mean**2, floor)
    u = D / (np.sqrt(spread) + epsilon)
    if momentum > 0:
        velocity = others[-1]
        velocity[:] = momentum * velocity + u
        kept(velocity, floor)
        u = velocity
    theta -= learning_rate * u


def adagrad_step(
    theta: Array, D: Array, square: Array, *, learning_rate: float, epsilon: float, floor: float = 0.0
) -> None:
    """Take a step of Adagrad: s = s + D^2; theta -= eta D / (sqrt(s) + eps).

    `floor` is not used, because s never decays.
    """
    square += D**2
    theta -= learning_rate * D / (np.sqrt(square) + epsilon)


def nadam_step(
    theta: Array,
    D: Array,
    m: Array,
    v: Array,
    t: int,
    *,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    momentum_decay: float,
    floor: float = 0.0,
) -> None:
    """Take step t = 1, 2, … of Nadam (Dozat, 2016), with mu_i = b1 (1 - 0.96^(i d) / 2)."""
    mu = beta1 * (1 - 0.96 ** (np.arange(1, t + 2) * momentum_decay) / 2)
    product = np.prod(mu[:-1])
    m[:] = beta1 * m + (1 - beta1) * D
    kept(m, floor)
    v[:] = np.maximum(beta2 * v + (1 - beta2) * D**2, floor)
    ahead = (1 - mu[-2]) / (1 - product) * D + mu[-1] / (1 - product * mu[-1]) * m
    theta -= learning_rate * ahead / (np.sqrt(v / (1 - beta2**t)) + epsilon)


# For each optimiser: its step, whether the step needs its number t, and how many moments it has at most.
STEPS: dict[str, tuple[Callable[..., None], bool, int]] = {
    "sgd": (sgd_step, False, 1),
    "adam": (adam_step, True, 2),
    "adamw": (adamw_step, True, 2),
    "rmsprop": (rmsprop_step, False, 3),
    "adagrad": (adagrad_step, False, 1),
    "nadam": (nadam_step, True, 2),
}


def step(optimizer: str, theta: Array, D: Array, moments: Sequence[Array], t: int, **rule: Any) -> None:
    """Take step t = 1, 2, … of an optimiser with the hyper-parameters `rule`, in place."""
    if optimizer not in STEPS:
        raise ValueError(f"the optimizer must be one of {', '.join(STEPS)}, got {optimizer!r}")
    function, by_time, n_moments = STEPS[optimizer]
    function(theta, D, *moments[:n_moments], *([t] if by_time else []), **rule)
