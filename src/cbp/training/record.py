"""What is recorded of an epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training data did.

    Parameters
    ----------
    number : int
        Counted from 1 within one call of ``fit``.
    loss : float
        Mean over the examples of the minibatch cost J before each update, the λ term included.
    validation_loss : float or None
        Mean loss on the validation data after the epoch, without the λ term; None where there was none.
    seconds : float
        Time that the epoch took.
    examples_per_second : float
        Training examples divided by ``seconds``.

    Examples
    --------
    >>> Epoch(number=1, loss=0.5, validation_loss=None, seconds=0.25, examples_per_second=4000.0)
    Epoch(number=1, loss=0.5, validation_loss=None, seconds=0.25, examples_per_second=4000.0)
    """

    number: int
    loss: float
    validation_loss: float | None
    seconds: float
    examples_per_second: float
