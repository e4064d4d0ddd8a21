"""The description of a network: its shapes, functions and numbers, in one record.

The code that builds, shows, saves or copies a network reads this record.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from cbp import arguments, layout
from cbp.examples.conversion import Array
from cbp.functions import (
    ACTIVATIONS,
    LOSSES,
    Named,
    OwnLoss,
    check_number,
    is_own,
    loss_in_words,
    name_of,
    with_number,
)
from cbp.scalars import flag, non_negative

# Entries that `to_dict` leaves out where they have these values.
OPTIONAL = {"l1": 0.0, "bias": True, "dropout": 0.0, "input_noise": 0.0}


class LostLoss:
    """Stands for a loss of the user's in a network from a file, which holds no code."""

    def __init__(self, name: str) -> None:
        self.name = name

    def loss(self, a: Array, y: Array) -> Array:
        """Refuse."""
        raise RuntimeError(
            f"the network was saved with the loss {self.name}, which its file does not hold: "
            f"give it as cbp.load(path, loss=...), or cbp.resume(..., loss=...)"
        )

    error = loss


class Architecture(
    namedtuple(
        "Architecture",
        ("sizes", "hidden", "output", "loss", "l2", "dtype", "l1", "bias", "dropout", "input_noise"),
    )
):
    """The shapes, functions and numbers of a network, checked. Equal records make equal networks.

    Parameters
    ----------
    sizes : sequence of int
        s(1) … s(L).
    hidden : Named or sequence of Named
        Activations of the hidden layers, or one for all: names, or names with numbers.
    output : Named
        Activation of the outputs.
    loss : Named or OwnLoss, optional
        Default: the first of `functions.LOSSES` that fits the output.
    l2, l1 : float or sequence of float
        λ of Σ W² / 2 and of Σ |W|: one for all layers of weights, or one for each.
    dtype : dtype-like
    bias : bool
        Whether layers have biases.
    dropout : float or sequence of float
        Share of the units that training drops: one for all hidden layers, or one for the inputs and one for
        each hidden layer.
    input_noise : float
        Standard deviation of the noise that training adds to the inputs.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of its range.
    """

    __slots__ = ()

    sizes: tuple[int, ...]
    hidden: tuple[Named, ...]
    output: Named
    loss: Named | OwnLoss
    l2: float | tuple[float, ...]
    dtype: np.dtype[Any]
    l1: float | tuple[float, ...]
    bias: bool
    dropout: float | tuple[float, ...]
    input_noise: float

    def __new__(  # noqa: D102
        cls,
        sizes: Any,
        *,
        hidden: Any = "sigmoid",
        output: Any = "softmax",
        loss: Any = None,
        l2: Any = 0.0,
        dtype: Any = "float32",
        l1: Any = 0.0,
        bias: Any = True,
        dropout: Any = 0.0,
        input_noise: Any = 0.0,
    ) -> Self:
        found = arguments.sizes(sizes)
        inner, g = arguments.hidden(hidden, len(found) - 2), arguments.output(output, found[-1])
        named, precision = arguments.loss(loss, g), arguments.dtype(dtype)
        for each in (*inner, g):
            check_number(each, ACTIVATIONS, precision)
        if isinstance(named, (str, tuple)):
            check_number(named, LOSSES, precision)
        n = len(found) - 1
        ridge, lasso = arguments.penalty(l2, "l2", n), arguments.penalty(l1, "l1", n)
        drop = arguments.dropout(dropout, n)
        noise = non_negative(input_noise, "input_noise")
        return super().__new__(
            cls, found, inner, g, named, ridge, precision, lasso, flag(bias, "bias"), drop, noise
        )

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments from which `copy` and `pickle` make an equal record."""
        values = self._asdict()
        return (values.pop("sizes"),), values

    def changed(self, **values: Any) -> Architecture:
        """Return a copy with some values changed, and all values checked again."""
        return Architecture(**{**self._asdict(), **values})

    @property
    def activations(self) -> tuple[Named, ...]:
        """The activations, one for each layer of weights: those of the hidden layers, then the output's."""
        return (*self.hidden, self.output)

    @property
    def n_parameters(self) -> int:
        """The number of weights and biases; ValueError if there are more than memory can address."""
        return layout.n_parameters(self.sizes, self.dtype, self.bias)

    @property
    def smooth(self) -> bool:
        """Whether J is smooth, since neither an activation, nor the loss, nor the penalty has a kink."""
        rows = [ACTIVATIONS[name_of(g)] for g in self.activations]
        smooth = not isinstance(self.loss, (str, tuple)) or LOSSES[name_of(self.loss)].smooth
        return smooth and all(row.smooth for row in rows) and not self.l1

    @property
    def penalties(self) -> Array:
        """l1 and l2 of each layer of weights: float64, (2, L - 1)."""
        n = len(self.sizes) - 1
        return np.array([value if isinstance(value, tuple) else [value] * n for value in (self.l1, self.l2)])

    @property
    def dropped(self) -> tuple[float, ...]:
        """The shares of the inputs of each layer of weights that training drops; empty if it drops none."""
        if not isinstance(self.dropout, tuple):
            return (0.0, *[self.dropout] * len(self.hidden)) if self.dropout else ()
        return self.dropout if any(self.dropout) else ()

    @property
    def is_random(self) -> bool:
        """Whether training draws random numbers besides the order of the examples."""
        return bool(self.dropped) or self.input_noise > 0

    @property
    def for_kernels(self) -> tuple[tuple[tuple[str, float], ...], tuple[str, float]]:
        """The activations and the loss, each as (name, number), with 0 for a name that has no number."""
        # The gradient of the inner product with a user's dloss/da is that of the user's loss.
        loss = ("inner_product", 0.0)
        if isinstance(self.loss, (str, tuple)):
            loss = with_number(self.loss, LOSSES)
        return tuple(with_number(g, ACTIVATIONS) for g in self.activations), loss

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments that make an equal record, as values that JSON can hold."""
        values = {**self._asdict(), "dtype": self.dtype.name}
        if is_own(self.loss):
            values["loss"] = {"own": loss_in_words(self.loss)}
        # Earlier versions of cbp do not know the optional entries.
        return {
            name: value for name, value in values.items() if name not in OPTIONAL or value != OPTIONAL[name]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Architecture:
        """Make a record from what `to_dict` returned, even after JSON has turned its tuples into lists.

        Raises
        ------
        TypeError, ValueError
            If a value is missing, unknown or out of range.
        """
        if missing := [name for name in cls._fields if name not in values and name not in OPTIONAL]:
            raise ValueError(f"there is no {missing[0]}")
        if unknown := [name for name in values if name not in cls._fields]:
            raise ValueError(f"{unknown[0]!r} is unknown; there are {', '.join(cls._fields)}")
        if isinstance(values["loss"], Mapping):
            values = {**values, "loss": LostLoss(str(values["loss"]["own"]))}
        return cls(**values)

    def __str__(self) -> str:
        """Return the arguments as a user would write them."""
        alike = len(set(self.hidden)) == 1
        parts = [str(list(self.sizes))]
        parts += [f"hidden={(self.hidden[0] if alike else list(self.hidden))!r}"] if self.hidden else []
        parts += [
            f"output={self.output!r}",
            f"loss={loss_in_words(self.loss) if is_own(self.loss) else repr(self.loss)}",
        ]
        numbers = ("l2", "l1", "dropout", "input_noise")
        for name, value in ((name, getattr(self, name)) for name in numbers):
            parts += [f"{name}={list(value) if isinstance(value, tuple) else f'{value:g}'}"] if value else []
        parts += [] if self.bias else ["bias=False"]
        parts += [f"dtype={self.dtype.name!r}"]
        return ", ".join(parts)
