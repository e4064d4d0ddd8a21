"""The base class of all optimisers, which checks and returns hyper-parameters, and the optimiser state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cbp.optimizers import rates
from cbp.optimizers.rates import Schedule
from cbp.scalars import check_precision, count, flag, kind, non_negative

# Hyper-parameters that must be at least 0 and less than 1.
SHARES = ("momentum", "beta1", "beta2", "decay")
FLAGS = ("nesterov", "centered")
# What every optimiser has besides, with the values that stand for nothing.
LIMITS = ("clip_norm", "clip_value")
COMMON: dict[str, Any] = {"clip_norm": None, "clip_value": None, "accumulate": 1}


class Optimizer:
    """A frozen dataclass with slots, whose fields have the names of the kernel's hyper-parameters.

    The ranges of hyper-parameters are checked when an optimiser is made. When training starts, it is also
    checked what they become in the network's dtype.
    """

    __slots__: tuple[str, ...] = ()

    kernel: ClassVar[str]  # the name of the optimiser in the kernels
    learning_rate: float | Schedule | Callable[[int], float]
    clip_norm: float | None
    clip_value: float | None
    accumulate: int

    @property
    def moments(self) -> tuple[str, ...]:
        """The names of the optimiser's moments, the vectors of its state, in the kernel's order."""
        raise NotImplementedError

    def rule(self) -> dict[str, Any]:
        """Return the hyper-parameters by name, as the kernels and the reference take them."""
        rule = {name: getattr(self, name) for name in self.__slots__ if name not in COMMON}
        return rule | {name: getattr(self, name) for name in LIMITS if getattr(self, name) is not None}

    @property
    def clips(self) -> bool:
        """Whether the gradient is limited."""
        return any(getattr(self, name) is not None for name in LIMITS)

    def __getattr__(self, name: str) -> Any:
        # Optimisers in pickles of earlier versions lack what came later.
        if name in COMMON:
            return COMMON[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        shown = [name for name in self.__slots__ if getattr(self, name) != COMMON.get(name, ...)]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def __post_init__(self) -> None:
        for name, value in self.rule().items():
            if name in FLAGS:
                flag(value, name)
                continue
            if name == "learning_rate":
                rates.learning_rate(value)
                continue
            number = non_negative(value, name, got=kind, **({"below": 1} if name in SHARES else {}))
            if name in ("epsilon", *LIMITS) and number == 0:
                raise ValueError(f"{name} must be above 0, got 0")
        count(self.accumulate, "accumulate", least=1)

    def check_precision(self, dtype: np.dtype[Any]) -> None:
        """Refuse numbers that become 0, 1 or infinite in this dtype."""
        for name, value in {**self.rule(), "learning_rate": rates.largest(self.learning_rate)}.items():
            if name not in FLAGS and value is not None:
                may_be_0 = name not in ("epsilon", *LIMITS)
                check_precision(value, name, dtype, below_1=name in SHARES, may_be_0=may_be_0)


@dataclass
class OptimizerState:
    """An optimiser with its number of steps and its moments by name, in the layout of the parameters."""

    optimizer: Optimizer
    updates: int = 0
    moments: Mapping[str, NDArray[Any]] = field(default_factory=dict)
