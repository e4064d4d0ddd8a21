"""The optimisers: hyper-parameters, and the state they keep; the steps are compiled (kernels/updates.pxi).

Numbers are checked for their ranges when an optimiser is made, and when training starts for what becomes of
them in the network's dtype.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cbp.scalars import check_precision, kind, non_negative


@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradient descent, with momentum if wished.

    v = μ v + D, θ = θ − η v; after Nesterov θ = θ − η (D + μ v), with the gradient D at θ. A velocity below
    64 times the smallest normal number of the dtype, 7.5e-37 in float32, becomes 0.

    Parameters
    ----------
    learning_rate : float, default 0.1
        η, at least 0.
    momentum : float, default 0.0
        μ, from 0 to less than 1.
    nesterov : bool, default False
        Look ahead along v (Sutskever et al., 2013, in the form of Bengio et al., 2013).

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

    learning_rate: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        non_negative(self.learning_rate, "learning_rate", got=kind)
        non_negative(self.momentum, "momentum", below=1, got=kind)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs a momentum above 0, got momentum=0.0")

    def rule(self) -> dict[str, Any]:
        """Hyper-parameters as the core takes them."""
        return {"learning_rate": self.learning_rate, "momentum": self.momentum, "nesterov": self.nesterov}

    def check_precision(self, dtype: np.dtype[Any]) -> None:
        """Refuse what a network of this dtype would take for another number."""
        check_precision(self.learning_rate, "learning_rate", dtype)
        check_precision(self.momentum, "momentum", dtype, below_1=True)


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam (D. P. Kingma and J. Ba, 2015, arXiv:1412.6980, algorithm 1).

    m = β₁ m + (1 − β₁) D, v = β₂ v + (1 − β₂) D², θ = θ − η m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ᵗ) and
    v̂ = v / (1 − β₂ᵗ) at step t. An m below 64 times the smallest normal number of the dtype, 7.5e-37 in
    float32, becomes 0, and a v is at least that: moments that decay do not end as subnormal numbers.

    Parameters
    ----------
    learning_rate : float, default 1e-3
        η, at least 0.
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the two moments, from 0 to less than 1.
    epsilon : float, default 1e-8
        ε, above 0: keeps the step finite where the gradient has always been 0. In float32 one below 1e-16
        makes little difference, as √v̂ has a floor.

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

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        non_negative(self.learning_rate, "learning_rate", got=kind)
        non_negative(self.beta1, "beta1", below=1, got=kind)
        non_negative(self.beta2, "beta2", below=1, got=kind)
        if non_negative(self.epsilon, "epsilon", got=kind) == 0:
            raise ValueError("epsilon must be above 0, got 0")

    def rule(self) -> dict[str, Any]:
        """Hyper-parameters as the core takes them."""
        return {
            "learning_rate": self.learning_rate,
            "beta1": self.beta1,
            "beta2": self.beta2,
            "epsilon": self.epsilon,
        }

    def check_precision(self, dtype: np.dtype[Any]) -> None:
        """Refuse what a network of this dtype would take for another number."""
        check_precision(self.learning_rate, "learning_rate", dtype)
        check_precision(self.beta1, "beta1", dtype, below_1=True)
        check_precision(self.beta2, "beta2", dtype, below_1=True)
        check_precision(self.epsilon, "epsilon", dtype, may_be_0=False)
        # The bias correction goes into the learning rate, of which the first step's is the largest.
        if self.learning_rate > 0:
            first = float(self.learning_rate) / (1 - float(self.beta1))
            check_precision(first, "learning_rate / (1 - beta1)", dtype)


Optimizer = SGD | Adam


@dataclass
class OptimizerState:
    """An optimiser, and what it has gathered: steps, and moments at rest as the parameters lie."""

    optimizer: Optimizer
    updates: int = 0
    moments: list[NDArray[Any]] = field(default_factory=list)
