"""What copies and pickles of a network, a `Structure`, keep."""

from __future__ import annotations

import copy
from typing import Any

from cbp.files import npz
from cbp.training.steps import at_rest

# The attributes that `Structure._build` makes. Copies make their own.
BUILT = frozenset((
    "_sizes", "_bias", "_dtype", "_penalties", "_parameters", "_weights", "_biases", "_table", "_engine",
    "_state", "_passes", "_locks", "_rests",
))  # fmt: skip


def state_of(network: Any, given: Any) -> Any:
    """Return the state to keep: parameters, and attributes other than those of `_build`.

    `given` is what `object` keeps, the attributes of subclasses among them. For a subclass with slots it is
    (attributes, slots), and so is the result.
    """
    attributes, slots = given if isinstance(given, tuple) else (given, None)
    # dict() makes a copy, since another thread that trains may add an attribute.
    state = {name: value for name, value in dict(attributes).items() if name not in BUILT}
    with network._rest_lock():
        state["parameters"] = network._parameters.copy()
        state["_state"] = at_rest(network._state)
        # Copies: after `copy.copy`, both networks would else draw from one stream, add to one history.
        state["_shuffler"] = copy.deepcopy(network._shuffler)
        state["history"] = copy.copy(network.history)
    return state if slots is None else (state, slots)


def restore(network: Any, state: Any) -> None:
    """Give a network that is being made a state that `state_of` has returned."""
    attributes, slots = state if isinstance(state, tuple) else (state, {})
    attributes = dict(attributes)
    parameters, optimizer_state = attributes.pop("parameters"), attributes.pop("_state")
    if "_architecture" not in attributes:
        attributes, optimizer_state = npz.of_earlier_version(attributes, optimizer_state)
    network.__dict__.update(attributes)
    for name, value in slots.items():
        setattr(network, name, value)
    network._build()
    network._parameters[:] = parameters
    network._state = optimizer_state
