"""The optimisers' steps in NumPy, a row each. All work in place, on a vector and its moments."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def kept(moment: Array, floor: float) -> None:
    """Set what is smaller than `floor` to 0; the kernels' is 64 times the smallest normal number."""
    moment[np.abs(moment) < floor] = 0


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
    """v = mu v + D; theta -= eta v, or eta (D + mu v) after Nesterov.

    A velocity below `floor` becomes 0; the kernels' is 64 times the smallest normal number of their dtype.
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
    """Step t = 1, 2, … of Adam (Kingma and Ba, 2015, algorithm 1).

    An m below `floor` becomes 0, and a v is at least that; see `sgd_step`.
    """
    m[:] = beta1 * m + (1 - beta1) * D
    kept(m, floor)
    v[:] = beta2 * v + (1 - beta2) * D**2
    np.maximum(v, floor, out=v)
    theta -= learning_rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)


# By name: the step, and the moments that it takes.
STEPS: dict[str, tuple[Callable[..., None], int]] = {
    "sgd": (lambda theta, D, t, v, **rule: sgd_step(theta, D, v, **rule), 1),
    "adam": (lambda theta, D, t, m, v, **rule: adam_step(theta, D, m, v, t, **rule), 2),
}


def step(optimizer: str, theta: Array, D: Array, moments: Sequence[Array], t: int, **rule: Any) -> None:
    """Step t = 1, 2, … of an optimiser with its hyper-parameters, in place. SGD has one moment alone."""
    if optimizer not in STEPS:
        raise ValueError(f"the optimizer must be one of {', '.join(STEPS)}, got {optimizer!r}")
    function, n_moments = STEPS[optimizer]
    function(theta, D, t, *moments[:n_moments], **rule)
