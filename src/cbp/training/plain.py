"""Settings of a training as values that JSON can hold, and back."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np

from cbp.scalars import kind

# The modules whose dataclasses a file may name.
MODULES = (
    "optimizers.sgd",
    "optimizers.adam",
    "optimizers.kin",
    "optimizers.scaled",
    "schedules.decays",
    "schedules.cycles",
    "schedules.plateau",
    "training.stopping",
    "training.record",
    "training.checkpoints",
)


def to_plain(value: Any, what: str) -> Any:
    """Return a value as JSON holds it. `what` names it in the error.

    Raises
    ------
    TypeError
        If it holds a function, or anything else that a file cannot.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, (list, tuple)):
        return {"tuple": [to_plain(each, what) for each in value]}
    if isinstance(value, dict):
        return {"items": [[to_plain(key, what), to_plain(each, what)] for key, each in value.items()]}
    module = type(value).__module__.removeprefix("cbp.")
    if is_dataclass(value) and not isinstance(value, type) and module in MODULES:
        found = {each.name: to_plain(getattr(value, each.name), what) for each in fields(value)}
        return {"class": f"{module}.{type(value).__name__}", "fields": found}
    raise TypeError(f"{what} must be values that a file can hold, got {kind(value)}")


def from_plain(value: Any) -> Any:
    """Return what `to_plain` was given; sequences come back as tuples.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the value is not of `to_plain`.
    """
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.array(value["array"], dtype=value["dtype"])
    if "tuple" in value:
        return tuple(from_plain(each) for each in value["tuple"])
    if "items" in value:
        return {from_plain(key): from_plain(each) for key, each in value["items"]}
    module, _, name = value["class"].rpartition(".")
    if module not in MODULES:
        raise ValueError(f"{value['class']} is unknown")
    found: Any = getattr(import_module(f"cbp.{module}"), name)
    if not is_dataclass(found) or found.__module__ != f"cbp.{module}":
        raise ValueError(f"{value['class']} is unknown")
    make: Any = found
    return make(**{key: from_plain(each) for key, each in value["fields"].items()})
