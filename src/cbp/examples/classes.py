"""The class of each example, where its targets name one, and weights of classes as weights of examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbp.examples import arrays
from cbp.examples.arrays import Examples
from cbp.examples.conversion import Array, numeric, short
from cbp.functions import Named
from cbp.scalars import kind, non_negative

Numbers = NDArray[np.integer[Any]]


def classes_of(examples: Examples) -> Numbers | None:
    """Return the class of each example: its label, its target of 0 or 1, or where its row has its 1.

    Return None if the targets of an example do not name a class.
    """
    if examples.labels is not None:
        return examples.labels
    Y = examples.Y
    if Y is None or not names_a_class(Y).all():
        return None
    return np.asarray(Y[:, 0] if Y.shape[1] == 1 else Y.argmax(axis=1), np.int64)


def names_a_class(Y: Array) -> NDArray[np.bool_]:
    """Return which rows of targets, (m, s(L)), are 0 or 1 for one output, or have a single 1 and else 0."""
    found = ((Y == 0) | (Y == 1)).all(axis=1)
    return np.asarray(found if Y.shape[1] == 1 else found & ((Y == 1).sum(axis=1) == 1))


def weighted(
    examples: Examples, class_weight: Any, sample_weight: Any, n_outputs: int, output: Named
) -> Examples:
    """Return the examples with weights: those of their classes times the given ones.

    Parameters
    ----------
    examples : Examples
    class_weight : mapping, "balanced" or None
    sample_weight : array-like or None
        As the caller gave it, checked already: the product is computed in double precision, then rounded.
    n_outputs : int
    output : Named
        Activation of the outputs.

    Raises
    ------
    TypeError, ValueError
        If the class_weight is of the wrong kind or out of its range, if the targets do not name classes, or
        if the products are not weights as `arrays.weights` checks them.
    """
    if class_weight is None:
        return examples
    n_classes = max(2, n_outputs)
    by_class = None if is_balanced(class_weight) else of_mapping(class_weight, n_classes)
    classes = classes_of(examples) if n_outputs > 1 or output == "sigmoid" else None
    if classes is None:
        forms = wanted(examples, output)
        raise ValueError(f"class_weight needs {examples.name_Y} to name the class of each example: {forms}")
    given = np.ones(examples.m)
    if sample_weight is not None:
        given = numeric(sample_weight, "sample_weight").astype(np.float64)
        given = given if examples.numbers is None else given[examples.numbers]
    by_class = balanced(classes, given, n_classes) if by_class is None else by_class
    name = "class_weight" if sample_weight is None else "sample_weight times class_weight"
    with np.errstate(over="ignore"):  # `arrays.weights` refuses infinity
        products = given * by_class[classes]
    found = arrays.weights(products, examples.m, examples.dtype, name, examples.numbers)
    return replace(examples, weights=found)


def wanted(examples: Examples, output: Named) -> str:
    """Return which targets name classes, and the first that does not, in words."""
    Y = examples.Y
    if Y is None or (Y.shape[1] == 1 and output != "sigmoid"):
        return f"a single output has classes if it is 'sigmoid', got {output!r}"
    row = int(names_a_class(Y).argmin())
    if Y.shape[1] == 1:
        forms, got = "0 or 1", short(Y[row, 0].item())
    else:
        forms, got = "labels of shape (m,), or rows with a single 1 and else 0", short(Y[row].tolist())
    return f"{forms}, got {got} in row {row if examples.numbers is None else int(examples.numbers[row])}"


def is_balanced(value: Any) -> bool:
    """Whether the class weights are to be computed from the numbers of examples."""
    return isinstance(value, str) and value == "balanced"


def refuse_balanced(value: Any, method: str) -> None:
    """Refuse class weights that are to be computed, in a method that is given a part of the examples."""
    if is_balanced(value):
        raise ValueError(
            f"class_weight='balanced' needs all examples, and {method} may be given a part: give a mapping "
            f"from class to m / (number of classes * number of examples of the class), counted over all"
        )


def balanced(classes: Numbers, given: Array, n_classes: int) -> Array:
    """Return weights by which each class has the same share of the sum of the weights, which stays.

    Without given weights that is m / (number of classes present * number of examples of the class). A class
    is present if it has weight.
    """
    totals = np.bincount(classes, given, n_classes)
    present = totals > 0
    by_class = np.ones(n_classes)
    by_class[present] = totals.sum() / (present.sum() * totals[present])
    return by_class


def of_mapping(value: Any, n_classes: int) -> Array:
    """Return the weight of each class, (n_classes,), where classes that are missing have 1."""
    if not isinstance(value, Mapping):
        hint = "; make one with dict(enumerate(...))" if hasattr(value, "__len__") else ""
        got = short(value) if isinstance(value, str) else f"{kind(value)}{hint}"
        raise TypeError(f"class_weight must be a mapping from class to weight, or 'balanced', got {got}")
    by_class = np.ones(n_classes)
    for key, weight in value.items():
        # Whole floats are classes too, as they are in Y, and so are False and True.
        if key not in range(n_classes):
            raise ValueError(
                f"class_weight must have classes from 0 to {n_classes - 1} as keys, got {short(key)}"
            )
        by_class[int(key)] = non_negative(weight, f"class_weight[{short(key)}]")
    return by_class
