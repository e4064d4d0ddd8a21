"""The state of a `Training` between two steps: how it is taken, and how another training begins with it."""

from __future__ import annotations

import copy
import time
from typing import Any

from cbp.training.state import TrainingState


def state_of(training: Any) -> TrainingState | None:
    """Return all that the training depends on; None inside a minibatch, and after a failure."""
    if training.failed:
        return None
    if training.taken is not None and not training.under_way and not training.epochs_done:
        taken: TrainingState = training.taken
        return taken
    parameters, state, place = training.parameters, None, training.place
    if training.under_way or (training.ema and training.epochs_done):
        found = training.steps.place()
        if found is not None:
            parameters, state, place = found if training.under_way else (*found[:2], None)
    else:
        parameters, state = training.parameters.copy(), training.steps.at_rest()
    if state is None:
        return None
    return TrainingState(
        parameters,
        state,
        place=place,
        batch=training.batch,
        epochs=training.epochs_before + training.epochs_done,
        seed=training.seed,
        plateau=training.rates.plateau.state if training.rates and training.rates.plateau else None,
        seconds=time.perf_counter() - training.started if place is not None else 0.0,
        outputs=None if place is None or training.outputs is None else training.outputs.copy(),
        order=None if training.order is None else training.order.copy(),
        generator=None if training.shuffler is None else copy.deepcopy(training.shuffler.bit_generator.state),
    )


def take_up(training: Any, state: TrainingState) -> None:
    """Begin with the saved state of another training.

    Raises
    ------
    ValueError
        If that training had other numbers of parameters, examples or examples a minibatch.
    """
    m = training.examples.m if training.order is not None else None
    mine = (len(training.parameters), training.batch, m)
    its = (len(state.parameters), state.batch, None if state.order is None else len(state.order))
    if mine != its:
        words = "parameters, batch and shuffled examples"
        raise ValueError(f"the training state is of {its} {words}, this training of {mine}")
    with training.lock:
        training.parameters[:] = state.parameters
        training.engine.note_write()
        if training.shuffler is not None and state.generator is not None:
            training.shuffler.bit_generator.state = copy.deepcopy(state.generator)
    training.order = None if state.order is None else state.order.copy()
    training.place, training.epochs_before, training.seed = state.place, state.epochs, state.seed
    training.taken = state
    training.first_step = state.epochs * training.n_steps + (state.place[1] if state.place else 0)
    if training.outputs is not None and state.outputs is not None:
        training.outputs[:] = state.outputs
