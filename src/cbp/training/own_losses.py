"""Losses of one's own: objects that compute a loss and its derivative in NumPy, for a whole batch at once.

The kernels do all the rest. They take the derivatives for the factors of an inner product with the outputs,
whose gradient is the chain rule, and the object's losses for those of the examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from cbp import _core
from cbp.examples.arrays import Examples
from cbp.examples.conversion import Array, convert
from cbp.examples.targets import one_hot
from cbp.functions import OwnLoss, loss_in_words
from cbp.scalars import kind

PART = 1 << 24  # bytes of examples that are predicted at a time; Ctrl-C takes effect in between


def measured(engine: _core.Engine, examples: Examples, n_threads: int) -> Examples:
    """Return the examples with the losses and derivatives that a loss of the user's gives for their outputs.

    With another loss, return the examples as they are.
    """
    if examples.own_loss is None:
        return examples
    m, a = examples.m, np.empty((examples.m, engine.n_out), examples.dtype)
    step = max(1, PART // (engine.n_in * examples.dtype.itemsize))
    for start in range(0, m, step):
        part = convert(examples.X[start : start + step], examples.dtype)
        out = [None] * (engine.n_layers - 1) + [a[start : start + step]]
        fault = engine.forward(part, len(part), out, n_threads)
        if fault is not None:
            raise examples.refusal("X_NOT_FINITE", start + fault[0], fault[1])
    losses, errors = evaluate(examples.own_loss, a, targets(examples, slice(None), engine.n_out))
    return replace(examples, Y=errors, labels=None, losses=losses)


def targets(examples: Examples, rows: Any, n_outputs: int) -> Array:
    """Return some rows of the targets, (n, s(L)), in the network's dtype; labels become rows with one 1."""
    if examples.labels is not None:
        return one_hot(examples.labels[rows], n_outputs, examples.dtype)
    assert examples.Y is not None
    return convert(examples.Y[rows], examples.dtype)


def evaluate(loss: OwnLoss | None, a: Array, y: Array) -> tuple[Array, Array]:
    """Return the loss of each example, float64, (n,), and dloss/da, (n, s(L)), both checked.

    Raises
    ------
    TypeError, ValueError
        If the object returns something else, or a derivative that is not finite.
    """
    assert loss is not None
    a.setflags(write=False)
    losses = result(loss, "loss", loss.loss(a, y), (len(a),), np.dtype(np.float64))
    errors = result(loss, "error", loss.error(a, y), a.shape, a.dtype)
    # A sum is quick, and not finite if a derivative is not; it may also overflow.
    if not math.isfinite(errors.sum()) and not np.isfinite(errors).all():
        row, column = np.unravel_index(int((~np.isfinite(errors)).argmax()), errors.shape)
        raise FloatingPointError(
            f"{loss_in_words(loss)}.error must be finite, got {errors[row, column]} for the output "
            f"{a[row, column]:g} and the target {y[row, column]:g}"
        )
    return losses, errors


def result(loss: OwnLoss, method: str, value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return what a method of the loss has returned as an array, C-contiguous and of the dtype."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{loss_in_words(loss)}.{method} must return numbers, got {kind(value)}")
    if array.shape != shape:
        raise ValueError(
            f"{loss_in_words(loss)}.{method} must return an array of shape {shape}, got {array.shape}"
        )
    if array.dtype == dtype and array.flags.c_contiguous:
        return array
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype)


def run_through(
    run: _core.Pass,
    examples: Examples,
    n_threads: int,
    *,
    order: Array | None,
    outputs: Array,
    check: bool,
    tick: Callable[[int], object],
    base: int = 0,
) -> None:
    """Do as `passes.run_through`, a minibatch at a time: its outputs, the user's loss, the step.

    `base` is the number of the first example.
    """
    errors, losses = np.zeros_like(outputs), np.zeros(examples.m)
    X = convert(examples.X, examples.dtype)
    stop = base + examples.m
    run.bind(X, errors, None, examples.weights, order, stop, losses=losses, check=check, base=base)
    while not run.finished:
        first, step = run.position, run.step
        batch = slice(first - base, min(first - base + run.batch, examples.m))
        rows = batch if order is None else order[batch]
        run.outputs_ahead(outputs, n_threads)
        refuse_fault(run, examples)
        a, y = outputs[rows], targets(examples, rows, outputs.shape[1])
        losses[rows], errors[rows] = evaluate(examples.own_loss, a, y)
        while run.step == step:  # a long minibatch has several rounds
            run.advance(1.0, n_threads)
            refuse_fault(run, examples)
        tick(run.position - first)


def refuse_fault(run: _core.Pass, examples: Examples) -> None:
    """Raise the error for a fault that the pass has found, if there is one."""
    if run.fault is None:
        return
    if run.fault[0] == "LOSS_NOT_FINITE":
        raise FloatingPointError(f"the loss is no longer finite at step {run.step + 1}")
    raise examples.refusal(*run.fault)
