"""The tables of activations and losses: what Python needs to know of each.

A row has the formula; the kernels (kernels/activations.pxi, kernels/losses.pxi) and the reference compute it,
under the same names. Checks, help texts and tests read the names here.

A name may come with a number: ``("leaky_relu", 0.01)``, ``("huber", 1.0)``. The name alone has the default
number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np

from cbp.examples.conversion import short
from cbp.scalars import check_precision, real

# A name, or a name and its number where that is not the default.
Named = str | tuple[str, float]


class OwnLoss(Protocol):
    """A loss that a user computes, for a batch of n examples at once: any object with these two methods."""

    def loss(self, a: Any, y: Any) -> Any:
        """Return the loss of each example, (n,), for outputs a and targets y, (n, s(L)) each."""

    def error(self, a: Any, y: Any) -> Any:
        """Return dloss/da, (n, s(L))."""


class Number(NamedTuple):
    """The number that may come with a name: least <= number < below, or least < number < below if `above`."""

    word: str
    default: float
    least: float = 0.0
    below: float = math.inf
    above: bool = False


class Activation(NamedTuple):
    """a = g(z).

    Attributes
    ----------
    formula : str
    initial : {"glorot_uniform", "he_uniform", "lecun_uniform"}
        The scheme for the initial weights of a layer with this activation.
    smooth : bool
        Whether g has no kinks. Then finite differences of the fourth order are accurate.
    hidden : bool
        Whether hidden layers may have it too.
    number : Number, optional
        What may come with the name.
    """

    formula: str
    initial: str
    smooth: bool = True
    hidden: bool = True
    number: Number | None = None


class Loss(NamedTuple):
    """The loss of one output a and its target y. The loss of an example is the sum over its outputs.

    Attributes
    ----------
    formula : str
    outputs : tuple of str
        The activations of the outputs that it fits.
    least, most : float
        The limits of the targets. If `above`, a target must be greater than `least`.
    smooth : bool
        Whether the loss has no kinks.
    number : Number, optional
        What may come with the name.
    """

    formula: str
    outputs: tuple[str, ...]
    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    smooth: bool = True
    number: Number | None = None


ACTIVATIONS: Mapping[str, Activation] = {
    "sigmoid": Activation("1 / (1 + e^-z)", "glorot_uniform"),
    "tanh": Activation("tanh z", "glorot_uniform"),
    "relu": Activation("max(z, 0)", "he_uniform", smooth=False),
    "identity": Activation("z", "glorot_uniform"),
    "leaky_relu": Activation(
        "z, or slope z where z < 0", "he_uniform", smooth=False, number=Number("slope", 0.01)
    ),
    "elu": Activation(
        "z, or alpha (e^z - 1) where z < 0", "he_uniform", smooth=False, number=Number("alpha", 1.0)
    ),
    "selu": Activation("1.0507 z, or 1.7581 (e^z - 1) where z < 0", "lecun_uniform", smooth=False),
    "softplus": Activation("log(1 + e^z)", "he_uniform"),
    "silu": Activation("z / (1 + e^-z)", "he_uniform"),
    "gelu": Activation("z Phi(z), with the error function", "he_uniform"),
    "exp": Activation("e^z", "glorot_uniform", hidden=False),
    "softmax": Activation("e^z_j / sum_k e^z_k", "glorot_uniform", hidden=False),
}
HIDDEN = tuple(name for name, row in ACTIVATIONS.items() if row.hidden)
OUTPUT = tuple(ACTIVATIONS)
ELEMENTWISE = tuple(name for name in ACTIVATIONS if name != "softmax")

# The first loss that fits an output is the default for that output.
LOSSES: Mapping[str, Loss] = {
    "cross_entropy": Loss(
        "-y log a - (1 - y) log(1 - a); softmax: -y log a", ("sigmoid", "softmax"), least=0.0, most=1.0
    ),
    "poisson": Loss("a - y log a", ("exp",), least=0.0),
    "gamma": Loss("log a + y / a", ("exp",), least=0.0, above=True),
    "squared_error": Loss("(a - y)^2 / 2", OUTPUT),
    "absolute_error": Loss("|a - y|", ELEMENTWISE, smooth=False),
    "huber": Loss(
        "(a - y)^2 / 2, or delta (|a - y| - delta / 2) where |a - y| > delta",
        ELEMENTWISE,
        smooth=False,
        number=Number("delta", 1.0, above=True),
    ),
    "log_cosh": Loss("log cosh(a - y)", ELEMENTWISE),
    "quantile": Loss(
        "level (y - a), or (1 - level) (a - y) where a > y",
        ELEMENTWISE,
        smooth=False,
        number=Number("level", 0.5, above=True, below=1.0),
    ),
}


def default_loss(output: Named) -> str:
    """Return the loss for an output where the user named none."""
    return next(name for name, row in LOSSES.items() if name_of(output) in row.outputs)


def name_of(named: Named) -> str:
    """Return the name alone, without its number."""
    return named if isinstance(named, str) else named[0]


def is_own(loss: Any) -> TypeGuard[OwnLoss]:
    """Whether a loss is an object of the user's."""
    return not isinstance(loss, (str, tuple, list, type)) and all(
        callable(getattr(loss, method, None)) for method in ("loss", "error")
    )


def loss_in_words(loss: Named | OwnLoss) -> str:
    """Return a loss as text."""
    return in_words(loss) if isinstance(loss, (str, tuple)) else type(loss).__name__


def with_number(named: Named, table: Mapping[str, Activation] | Mapping[str, Loss]) -> tuple[str, float]:
    """Return the name and its number, as the kernels take them: 0 for a name without a number."""
    if not isinstance(named, str):
        return named
    number = table[named].number
    return named, 0.0 if number is None else number.default


def in_words(named: Named) -> str:
    """Return a name as text, with its number if it has one: leaky_relu(0.2)."""
    return named if isinstance(named, str) else f"{named[0]}({named[1]:g})"


def known(value: Any, names: tuple[str, ...], argument: str) -> str:
    """Return the value if it is one of the names; else raise an error that suggests the nearest name."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be one of {', '.join(map(repr, names))}, got {short(value)}")
    if value in names:
        return value
    import difflib  # for this message alone

    near = difflib.get_close_matches(value, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{argument} must be one of {', '.join(map(repr, names))}, got {value!r}{hint}")


def has_number(value: Any) -> bool:
    """Whether the value is a name with a number."""
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    return pair and isinstance(value[0], str) and not isinstance(value[1], (str, tuple, list))


def named(
    value: Any,
    names: tuple[str, ...],
    table: Mapping[str, Activation] | Mapping[str, Loss],
    argument: str,
) -> Named:
    """Return the value if it is one of the names; with its number, unless that is the default."""
    if not has_number(value):
        return known(value, names, argument)
    name = known(value[0], names, argument)
    number = table[name].number
    if number is None:
        raise ValueError(f"{argument} {name!r} has no number, got {short(value)}")
    what = f"{argument}: {number.word} of {name!r}"
    found = real(value[1], what, least=number.least, below=number.below, above=number.above)
    return name if found == number.default else (name, found)


def check_number(
    named: Named, table: Mapping[str, Activation] | Mapping[str, Loss], dtype: np.dtype[Any]
) -> None:
    """Refuse a number that becomes infinite in this dtype, or 0 or 1 where it must not be."""
    if isinstance(named, str):
        return
    number = table[named[0]].number
    if number is not None:
        below_1 = number.below == 1
        what = f"{number.word} of {named[0]!r}"
        check_precision(named[1], what, dtype, below_1=below_1, may_be_0=not number.above)
