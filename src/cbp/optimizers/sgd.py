"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from cbp.optimizers.base import Optimizer
from cbp.optimizers.rates import Schedule


@dataclass(frozen=True, slots=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent, with or without momentum.

    With the gradient D at θ, a step is v = μ v + D, θ = θ − η v, or, with Nesterov's momentum,
    θ = θ − η (D + μ v). A velocity v smaller than 64 times the smallest normal number of the dtype, 7.5e-37
    in float32, becomes 0.

    Parameters
    ----------
    learning_rate : float, schedule or function, default 0.1
        η, at least 0: a number, one of `cbp.schedules`, or a function that takes the number of the step, from
        0 on, and returns the rate of that step. Steps are counted from the beginning of `fit`, and further in
        `partial_fit`.
    momentum : float, default 0.0
        μ, from 0 to less than 1.
    nesterov : bool, default False
        Whether to use Nesterov's momentum (Sutskever et al., 2013, in the form of Bengio et al., 2013).
    clip_norm : float, optional
        The most that the Euclidean norm of D, over all parameters, may be, above 0: a longer D is scaled down
        to it (Pascanu et al., 2013). D includes the penalty. Default: no limit.
    clip_value : float, optional
        The most that the magnitude of an element of D may be, above 0; applied before `clip_norm`. Default:
        no limit.
    accumulate : int, default 1
        Minibatches whose gradients are summed before each step, at least 1. The step is that of one minibatch
        of all their examples, and is computed as one: its memory is bounded all the same.

    Raises
    ------
    TypeError, ValueError
        If a value is not a number, is negative or not finite, or momentum is 1 or more; if nesterov is asked
        for without momentum, which it would not change.

    Examples
    --------
    >>> import cbp
    >>> cbp.SGD(0.05, momentum=0.9)
    SGD(learning_rate=0.05, momentum=0.9, nesterov=False)
    """

    kernel: ClassVar[str] = "sgd"

    learning_rate: float | Schedule | Callable[[int], float] = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    _: KW_ONLY
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1

    @property
    def moments(self) -> tuple[str, ...]:
        """The velocity, where there is a momentum."""
        return ("velocity",) if self.momentum > 0 else ()

    def __post_init__(self) -> None:
        Optimizer.__post_init__(self)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs a momentum above 0, got momentum=0.0")
