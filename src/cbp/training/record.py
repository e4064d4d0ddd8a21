"""What is recorded of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ALWAYS = ("number", "loss", "validation_loss", "seconds", "examples_per_second")  # what repr shows


@dataclass(frozen=True, slots=True, repr=False)
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
    metrics : mapping of str to float, default {}
        The metrics that `fit` was asked for, by name: ``"accuracy"`` of the training examples, from the
        outputs before each update, and ``"validation_accuracy"`` of the validation data after the epoch.
    learning_rate : float, optional
        That of the epoch's last step.

    Examples
    --------
    >>> Epoch(number=1, loss=0.5, validation_loss=None, seconds=0.25, examples_per_second=4000.0)
    Epoch(number=1, loss=0.5, validation_loss=None, seconds=0.25, examples_per_second=4000.0)
    >>> Epoch(1, 0.5, None, 0.25, 4000.0, metrics={"accuracy": 0.75})["accuracy"]
    0.75
    """

    number: int
    loss: float
    validation_loss: float | None
    seconds: float
    examples_per_second: float
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    learning_rate: float | None = None

    def __getitem__(self, name: str) -> float:
        """Return a recorded value by its name: a loss or a metric."""
        if name in self.metrics:
            return self.metrics[name]
        if name in ("loss", "validation_loss") and (value := getattr(self, name)) is not None:
            return float(value)
        raise KeyError(f"{name!r} is not recorded; there are {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the recorded losses and metrics."""
        losses = ("loss",) if self.validation_loss is None else ("loss", "validation_loss")
        return (*losses, *self.metrics)

    def __repr__(self) -> str:
        shown = [name for name in self.__slots__ if getattr(self, name) not in (None, {}) or name in ALWAYS]
        return f"Epoch({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"
