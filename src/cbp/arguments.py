"""Checks of arguments other than example arrays. Most return the checked value, converted."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cbp.examples.conversion import short
from cbp.functions import (
    ACTIVATIONS,
    HIDDEN,
    LOSSES,
    OUTPUT,
    Named,
    OwnLoss,
    default_loss,
    has_number,
    is_own,
    name_of,
    named,
)
from cbp.optimizers.base import Optimizer
from cbp.scalars import check_precision, count, non_negative, real

# What to use instead of a method that needs classes, where the outputs are numbers.
INSTEAD = {
    "predict_labels": "where its outputs stand for classes, use predict(X).argmax(axis=1)",
    "accuracy": "use r2 or loss for numbers, or class labels of shape (m,) for Y",
}


def sizes(values: Any) -> tuple[int, ...]:
    """Return s(1), …, s(L), checked."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(
            f"sizes must be a sequence of whole numbers, got {short(values)}; for example [64, 32, 10]"
        )
    found = tuple(count(value, f"sizes[{i}]", least=1) for i, value in enumerate(values))
    if len(found) < 2:
        raise ValueError(
            f"sizes must have at least two entries, the numbers of inputs and of outputs, got {list(found)}"
        )
    return found


def hidden(value: Any, n_hidden: int) -> tuple[Named, ...]:
    """Return the activations of the hidden layers, one for each."""
    if isinstance(value, str) or has_number(value):
        return (named(value, HIDDEN, ACTIVATIONS, "hidden"),) * n_hidden
    if not hasattr(value, "__iter__"):
        raise TypeError(f"hidden must be a name or one for each hidden layer, got {short(value)}")
    names = tuple(named(entry, HIDDEN, ACTIVATIONS, f"hidden[{i}]") for i, entry in enumerate(value))
    if len(names) != n_hidden:
        layers = f"{n_hidden or 'no'} hidden layer{'' if n_hidden == 1 else 's'}"
        raise ValueError(
            f"hidden must be one name, or one for each hidden layer: the network has {layers}, "
            f"got {len(names)} name{'' if len(names) == 1 else 's'}, {short(list(names))}"
        )
    return names


def output(value: Any, n_outputs: int) -> Named:
    """Return the activation of the outputs, checked."""
    found = named(value, OUTPUT, ACTIVATIONS, "output")
    if found == "softmax" and n_outputs == 1:
        raise ValueError(
            "output must not be 'softmax' for one unit, which would always give 1; "
            "use output='sigmoid' for two classes, 'identity' for numbers"
        )
    return found


def loss(value: Any, output: Named) -> Named | OwnLoss:
    """Return the loss, checked; by default the one that matches the output."""
    if value is None:
        return default_loss(output)
    if is_own(value):
        return value
    if not isinstance(value, (str, tuple, list)):
        hint = f"; call it: {value.__name__}()" if isinstance(value, type) else ""
        raise TypeError(
            f"loss must be a name, or an object with methods loss(a, y) and error(a, y), got "
            f"{short(value)}{hint}"
        )
    found = named(value, tuple(LOSSES), LOSSES, "loss")
    name, on, fits = name_of(found), name_of(output), LOSSES[name_of(found)].outputs
    if on not in fits:
        outputs = " or ".join(map(repr, fits)) if len(fits) < 3 else f"one of {', '.join(map(repr, fits))}"
        raise ValueError(
            f"loss {name!r} needs output {outputs}, got {on!r}; loss='squared_error' fits every output"
        )
    return found


def penalty(value: Any, name: str, n_layers: int) -> float | tuple[float, ...]:
    """Return one number for all layers of weights, or a tuple of one for each if they are not all equal."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return non_negative(value, name)
    found = tuple(non_negative(each, f"{name}[{i}]") for i, each in enumerate(value))
    if len(found) != n_layers:
        raise ValueError(
            f"{name} must be one number, or one for each of {n_layers} layers of weights, got {len(found)}"
        )
    return found[0] if len(set(found)) == 1 else found


def dropout(value: Any, n_layers: int) -> float | tuple[float, ...]:
    """Return one share for all hidden layers, or a tuple, of one for the inputs and one for each of them."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return non_negative(value, "dropout", below=1)
    found = tuple(non_negative(each, f"dropout[{i}]", below=1) for i, each in enumerate(value))
    if len(found) != n_layers:
        raise ValueError(
            f"dropout must be one number for all hidden layers, or {n_layers}, for the inputs and for each "
            f"hidden layer, got {len(found)}"
        )
    return found


def dtype(value: Any) -> np.dtype[Any]:
    """Return float32 or float64, in native byte order."""
    try:
        found: np.dtype[Any] = np.dtype(value)
    except TypeError:
        raise TypeError(f"dtype must be float32 or float64, got {short(value)}") from None
    if value is None or found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be float32 or float64, got {short(value)}")
    return np.dtype(found.type)  # NumPy's own object: most arrays have the same, so comparing is fast


def optimizer(value: Any, dtype: np.dtype[Any]) -> Optimizer | None:
    """Return the optimiser, checked for a network of this dtype, or None."""
    if value is None:
        return None
    if not isinstance(value, Optimizer):
        is_class = isinstance(value, type) and issubclass(value, Optimizer)
        hint = f"; call it: cbp.{value.__name__}()" if is_class else ""
        raise TypeError(
            f"optimizer must be one of cbp's, such as cbp.SGD(...) or cbp.Adam(...), or None, "
            f"got {short(value)}{hint}"
        )
    value.check_precision(dtype)
    return value


def missing(value: Any, output: Named, loss: Named | OwnLoss) -> bool:
    """Return whether targets that are NaN are missing, and not faults."""
    if not isinstance(value, str) or value not in ("raise", "ignore"):
        raise ValueError(f"missing must be 'raise' or 'ignore', got {short(value)}")
    if value == "ignore" and output == "softmax":
        raise ValueError("missing='ignore' is for outputs other than softmax, whose targets belong together")
    if value == "ignore" and is_own(loss):
        raise ValueError("missing='ignore' is for losses of cbp, not for one of your own")
    return value == "ignore"


def l2_per(value: Any) -> str:
    """Return "training_set" or "batch"."""
    if value not in ("training_set", "batch"):
        raise ValueError(f"l2_per must be 'training_set' or 'batch', got {short(value)}")
    return str(value)


def ema(value: Any, dtype: np.dtype[Any]) -> float:
    """Return the decay rate of the moving average, 0 for None."""
    if value is None:
        return 0.0
    found = real(value, "ema", least=0, below=1, above=True)
    check_precision(found, "ema", dtype, below_1=True, may_be_0=False)
    return found


def seconds(value: Any) -> float:
    """Return the most seconds of a training, infinity for None."""
    return math.inf if value is None else real(value, "max_seconds", least=0, above=True)


def callbacks(value: Any, argument: str) -> tuple[Callable[..., object], ...]:
    """Return the functions to call after each epoch or step."""
    if not hasattr(value, "__iter__"):
        hint = "; for one callable write [callable]" if callable(value) else ""
        raise TypeError(f"{argument} must be an iterable of callables, got {type(value).__name__}{hint}")
    found = tuple(value)
    for i, callback in enumerate(found):
        if not callable(callback):
            raise TypeError(f"{argument}[{i}] must be callable, got {type(callback).__name__}")
    return found


def validation_data(value: Any) -> tuple[Any, Any, Any]:
    """Return X, Y and the weights, where None stands for no weights."""
    if not isinstance(value, (tuple, list)) or len(value) not in (2, 3):
        entries = f" of length {len(value)}" if isinstance(value, (tuple, list)) else ""
        raise TypeError(
            f"validation_data must be (X, Y) or (X, Y, sample_weight), got {type(value).__name__}{entries}"
        )
    return value[0], value[1], value[2] if len(value) == 3 else None


def batch(value: Any, number: int) -> tuple[Any, Any, Any]:
    """Return X, Y and the weights of a batch, where None stands for no weights."""
    if not isinstance(value, (tuple, list)) or len(value) not in (2, 3):
        entries = f" of length {len(value)}" if isinstance(value, (tuple, list)) else ""
        raise TypeError(
            f"batches must give (X, Y) or (X, Y, sample_weight), got {type(value).__name__}{entries} "
            f"as batch {number}"
        )
    return value[0], value[1], value[2] if len(value) == 3 else None


def batches(value: Any) -> Any:
    """Return the iterable of batches."""
    if not hasattr(value, "__iter__"):
        hint = "; call it" if callable(value) else ""
        raise TypeError(f"batches must be an iterable of (X, Y), got {type(value).__name__}{hint}")
    return value


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an array that the kernels cannot write their result to."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
    if isinstance(out, np.ma.MaskedArray):
        raise TypeError("out must be an ndarray without a mask, got a MaskedArray")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"out must have shape {shape} and dtype {dtype}, got {out.shape} and {out.dtype}")
    needs = {
        "C-contiguous": out.flags.c_contiguous,
        "aligned": out.flags.aligned,
        "writable": out.flags.writeable,
    }
    if not all(needs.values()):
        lacks = " or ".join(need for need, met in needs.items() if not met)
        raise ValueError(f"out must be C-contiguous, aligned and writable, got an array that is not {lacks}")


def check_classifies(output: Named, method: str) -> None:
    """Refuse outputs that are numbers rather than classes."""
    if output not in ("sigmoid", "softmax"):
        raise ValueError(
            f"{method} needs an output of 'sigmoid' or 'softmax', this network's is {output!r}; "
            f"{INSTEAD[method]}"
        )
