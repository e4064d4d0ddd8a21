"""Variants of Adam: AdamW and Nadam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from cbp.optimizers.adam import check_first_rate
from cbp.optimizers.base import Optimizer
from cbp.optimizers.rates import Schedule


@dataclass(frozen=True, slots=True, repr=False)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (I. Loshchilov and F. Hutter, 2019, arXiv:1711.05101).

    Before each step of `Adam`, W = W (1 − η w) with the weight decay w; biases do not decay. Unlike the `l2`
    penalty, the decay does not change the gradient and the moments.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon : float, default 1e-3, 0.9, 0.999 and 1e-8
        As for `Adam`.
    weight_decay : float, default 0.01
        w, at least 0.
    clip_norm, clip_value, accumulate
        As for every optimiser: see `SGD`.

    Raises
    ------
    TypeError, ValueError
        If a value is not a number, is not finite or is out of its range.

    Examples
    --------
    >>> import cbp
    >>> cbp.AdamW(3e-3, weight_decay=0.1)
    AdamW(learning_rate=0.003, beta1=0.9, beta2=0.999, epsilon=1e-08, weight_decay=0.1)
    """

    kernel: ClassVar[str] = "adamw"

    learning_rate: float | Schedule | Callable[[int], float] = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01
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


@dataclass(frozen=True, slots=True, repr=False)
class Nadam(Optimizer):
    """Adam with Nesterov's momentum (T. Dozat, 2016), in PyTorch's form.

    m, v and v̂ are as in `Adam`. Step t is
    θ = θ − (η (1 − μₜ) / (1 − Pₜ) D + η μₜ₊₁ / (1 − Pₜ μₜ₊₁) m) / (√v̂ + ε), where D is the gradient,
    μₜ = β₁ (1 − 0.96^(t d) / 2) and Pₜ = μ₁ μ₂ … μₜ.

    Parameters
    ----------
    learning_rate : float, default 2e-3
        η, at least 0.
    beta1, beta2, epsilon : float, default 0.9, 0.999 and 1e-8
        As for `Adam`.
    momentum_decay : float, default 4e-3
        d, at least 0: how fast μₜ rises from β₁ / 2 to β₁.
    clip_norm, clip_value, accumulate
        As for every optimiser: see `SGD`.

    Raises
    ------
    TypeError, ValueError
        If a value is not a number, is not finite or is out of its range.

    Examples
    --------
    >>> import cbp
    >>> cbp.Nadam()
    Nadam(learning_rate=0.002, beta1=0.9, beta2=0.999, epsilon=1e-08, momentum_decay=0.004)
    """

    kernel: ClassVar[str] = "nadam"

    learning_rate: float | Schedule | Callable[[int], float] = 2e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    momentum_decay: float = 4e-3
    _: KW_ONLY
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1

    @property
    def moments(self) -> tuple[str, ...]:
        """The means of D and of D²."""
        return ("mean", "square")
