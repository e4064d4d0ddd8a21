"""What an optimiser takes for a learning rate: a number, a schedule, or a function of the step."""

from __future__ import annotations

from typing import Any

import numpy as np

from cbp import scalars
from cbp.examples.conversion import Array, short

# Fields of schedules by what they must be: numbers of at least 0, or above 0; whole numbers of at least 1.
NUMBERS = ("gamma", "power", "eta_min", "min_lr", "threshold", "div_factor", "final_div_factor")
COUNTS = ("step_size", "total_iters", "T_max", "T_0", "T_mult", "total_steps")


class Schedule:
    """A learning rate for each step.

    A schedule is a frozen dataclass with slots, whose first field is its first or largest rate. Those of cbp
    are in `cbp.schedules`; one of your own has the method `at`.
    """

    __slots__: tuple[str, ...] = ()

    def rates(self, n_steps: int) -> Array:
        """Return the rates of n_steps steps, or of n_steps epochs where t counts epochs, float64."""
        return self.at(np.arange(scalars.count(n_steps, "n_steps", least=0)), max(n_steps, 1))

    def at(self, t: Array, whole: int | None) -> Array:
        """Return the rates of steps t, int64, (n,), in order; `whole` is the training's length or None."""
        raise NotImplementedError

    @property
    def unit(self) -> str:
        """What t counts: "step" or "epoch"."""
        return str(getattr(self, "per", "step"))

    @property
    def largest(self) -> float:
        """The rate that the first field sets."""
        return float(getattr(self, self.__slots__[0]))

    def length(self, name: str, whole: int | None) -> int:
        """Return the field called `name`, or the length of the training if it is None.

        Raises
        ------
        ValueError
            If neither is known.
        """
        given = getattr(self, name)
        if given is None and whole is None:
            raise ValueError(
                f"{name} of {type(self).__name__} must be given where the length of the training is not "
                f"known: for partial_fit, and for fit_batches without steps_per_epoch"
            )
        return int(given or whole or 1)

    def __post_init__(self) -> None:
        first = self.__slots__[0]
        scalars.non_negative(getattr(self, first), first)
        for name in NUMBERS:
            if name in self.__slots__:
                scalars.real(getattr(self, name), name, least=0, above=name.endswith("factor"))
        for name in COUNTS:
            if getattr(self, name, None) is not None:
                scalars.count(getattr(self, name), name, least=1)
        if self.unit not in ("step", "epoch"):
            raise ValueError(f"per must be 'step' or 'epoch', got {short(self.unit)}")


def learning_rate(value: Any) -> None:
    """Refuse what is neither a number of at least 0, nor a schedule, nor a function."""
    if isinstance(value, type):
        hint = f"call it: {value.__name__}(...)"
        raise TypeError(f"learning_rate must be a number, a schedule or a function, got a class; {hint}")
    if not isinstance(value, Schedule) and not callable(value):
        scalars.non_negative(value, "learning_rate", got=scalars.kind)


def largest(value: Any) -> Any:
    """Return the number that tells how large the rates are; None for a function."""
    if isinstance(value, Schedule):
        return value.largest
    return None if callable(value) else value
