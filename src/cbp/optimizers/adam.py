"""The optimiser Adam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from cbp.optimizers import rates
from cbp.optimizers.base import Optimizer
from cbp.optimizers.rates import Schedule
from cbp.scalars import check_precision


@dataclass(frozen=True, slots=True, repr=False)
class Adam(Optimizer):
    """Adam (D. P. Kingma and J. Ba, 2015, arXiv:1412.6980, algorithm 1).

    With the gradient D, step t is m = β₁ m + (1 − β₁) D, v = β₂ v + (1 − β₂) D², θ = θ − η m̂ / (√v̂ + ε),
    where m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ). An m smaller than 64 times the smallest normal number of
    the dtype, 7.5e-37 in float32, becomes 0, and v is at least as large as that number. So moments that decay
    do not become subnormal numbers.

    Parameters
    ----------
    learning_rate : float, default 1e-3
        η, at least 0.
    beta1, beta2 : float, default 0.9 and 0.999
        Decay rates of the moments m and v, from 0 to less than 1.
    epsilon : float, default 1e-8
        ε, above 0: keeps the step finite where the gradient has always been 0. In float32 an ε below 1e-16
        makes little difference, because v, and so √v̂, has a least value.
    clip_norm, clip_value, accumulate
        As for every optimiser: see `SGD`.

    Raises
    ------
    TypeError, ValueError
        If a value is not a number, is not finite or is out of its range.

    Examples
    --------
    >>> import cbp
    >>> cbp.Adam(3e-3)
    Adam(learning_rate=0.003, beta1=0.9, beta2=0.999, epsilon=1e-08)
    """

    kernel: ClassVar[str] = "adam"

    learning_rate: float | Schedule | Callable[[int], float] = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    _: KW_ONLY
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1

    @property
    def moments(self) -> tuple[str, ...]:
        """The means of D and of D²."""
        return ("mean", "square")

    def check_precision(self, dtype: np.dtype[Any]) -> None:
        """Refuse numbers that become 0, 1 or infinite in this dtype."""
        Optimizer.check_precision(self, dtype)
        check_first_rate(self, self.beta1, dtype)


def check_first_rate(optimizer: Optimizer, beta1: float, dtype: np.dtype[Any]) -> None:
    """Refuse a learning rate that the bias correction of the first step, the largest, makes 0 or infinite."""
    if largest := rates.largest(optimizer.learning_rate):
        first = float(largest) / (1 - float(beta1))
        check_precision(first, "learning_rate / (1 - beta1)", dtype)
