"""Optimisers whose steps are divided by the size of past gradients: RMSprop and Adagrad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from cbp.optimizers.base import Optimizer
from cbp.optimizers.rates import Schedule


@dataclass(frozen=True, slots=True, repr=False)
class RMSprop(Optimizer):
    """RMSprop (T. Tieleman and G. Hinton, 2012, lecture 6.5), in PyTorch's form.

    With the gradient D, a step is v = d v + (1 − d) D², θ = θ − η D / (√v + ε). If centered (A. Graves, 2013,
    arXiv:1308.0850), v − g² takes the place of v under the root, with g = d g + (1 − d) D. With momentum, a
    step is b = μ b + D / (√v + ε), θ = θ − η b. v is at least 64 times the smallest normal number of the
    dtype, 7.5e-37 in float32; a g or b smaller than that becomes 0.

    Parameters
    ----------
    learning_rate : float, default 0.01
        η, at least 0.
    decay : float, default 0.99
        d, from 0 to less than 1.
    epsilon : float, default 1e-8
        ε, above 0.
    momentum : float, default 0.0
        μ, from 0 to less than 1.
    centered : bool, default False
        Whether to divide by the standard deviation of the gradient instead of its root mean square.
    clip_norm, clip_value, accumulate
        As for every optimiser: see `SGD`.

    Raises
    ------
    TypeError, ValueError
        If a value is not a number, is not finite or is out of its range.

    Examples
    --------
    >>> import cbp
    >>> cbp.RMSprop(1e-3, momentum=0.9)
    RMSprop(learning_rate=0.001, decay=0.99, epsilon=1e-08, momentum=0.9, centered=False)
    """

    kernel: ClassVar[str] = "rmsprop"

    learning_rate: float | Schedule | Callable[[int], float] = 0.01
    decay: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    _: KW_ONLY
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1

    @property
    def moments(self) -> tuple[str, ...]:
        """The mean of D²; if centered, the mean of D; with momentum, the velocity b."""
        mean = ("mean",) if self.centered else ()
        return ("square", *mean, "velocity") if self.momentum > 0 else ("square", *mean)


@dataclass(frozen=True, slots=True, repr=False)
class Adagrad(Optimizer):
    """Adagrad (J. Duchi, E. Hazan and Y. Singer, 2011), in PyTorch's form.

    With the gradient D, a step is s = s + D², θ = θ − η D / (√s + ε).

    Parameters
    ----------
    learning_rate : float, default 0.01
        η, at least 0.
    epsilon : float, default 1e-10
        ε, above 0.
    clip_norm, clip_value, accumulate
        As for every optimiser: see `SGD`.

    Raises
    ------
    TypeError, ValueError
        If a value is not a number, is not finite or is out of its range.

    Examples
    --------
    >>> import cbp
    >>> cbp.Adagrad(0.1)
    Adagrad(learning_rate=0.1, epsilon=1e-10)
    """

    kernel: ClassVar[str] = "adagrad"

    learning_rate: float | Schedule | Callable[[int], float] = 0.01
    epsilon: float = 1e-10
    _: KW_ONLY
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1

    @property
    def moments(self) -> tuple[str, ...]:
        """The sum of D²."""
        return ("square",)
