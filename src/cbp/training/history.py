"""The record of a training run: one :class:`Epoch` a pass over the data, together a :class:`History`."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, overload

from cbp.figures import first_to_last, format_losses, format_seconds, spans_decades
from cbp.files.whole import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Epoch", "History"]

# A longer history prints its first and last rows only: together with the header and the row of dots they
# fit an ordinary terminal.
ROWS_SHOWN = 25
ROWS_AT_EACH_END = 10

CSV_HEADER = ("epoch", "loss", "validation_loss", "seconds", "examples_per_second")


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


class History(Sequence[Epoch]):
    """The epochs of one training run, in order: a sequence that can be printed as a table and plotted.

    Parameters
    ----------
    epochs : iterable of Epoch, default ()
        The epochs to start with.

    Examples
    --------
    >>> history = History()
    >>> history.append(Epoch(1, 0.75, 0.875, 0.5, 2000.0))
    >>> history.append(Epoch(2, 0.25, 0.375, 0.25, 4000.0))
    >>> print(history)
    epoch    loss  validation loss  seconds  examples/s
        1  0.7500           0.8750    0.500       2,000
        2  0.2500           0.3750    0.250       4,000
    >>> history
    History(2 epochs, loss 0.75 -> 0.25, validation loss 0.875 -> 0.375, 0.75 s)
    >>> history[-1].loss
    0.25
    >>> history.losses
    [0.75, 0.25]

    Notes
    -----
    A history may be read in any thread while `fit` appends to it in another: each call reads the epochs that
    were complete when it began. To read several things of the same epochs, take ``history[:]``, a copy that
    does not grow.
    """

    def __init__(self, epochs: Iterable[Epoch] = ()) -> None:
        self._epochs = list(epochs)

    def append(self, epoch: Epoch) -> None:
        """Add the record of one more epoch at the end."""
        # No other change is ever made to a history. Other threads see it completely or not at all.
        self._epochs.append(epoch)

    def _complete(self) -> tuple[Epoch, ...]:
        """Return the epochs so far. A method calls this once, since more may be added while it runs."""
        return tuple(self._epochs)

    def __getstate__(self) -> dict[str, Any]:
        """Return what `copy` and `pickle` keep."""
        return {**vars(self), "_epochs": list(self._epochs)}

    def __iter__(self) -> Iterator[Epoch]:
        return iter(self._complete())

    def __len__(self) -> int:
        return len(self._epochs)

    @overload
    def __getitem__(self, index: int) -> Epoch: ...
    @overload
    def __getitem__(self, index: slice) -> History: ...
    def __getitem__(self, index: int | slice) -> Epoch | History:
        if isinstance(index, slice):
            return History(self._epochs[index])
        return self._epochs[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return other is self or self._complete() == other._complete()

    @property
    def losses(self) -> list[float]:
        """The training loss of each epoch, a list of ``len(self)`` floats."""
        return [epoch.loss for epoch in self]

    @property
    def validation_losses(self) -> list[float]:
        """The validation loss of each epoch, a list of floats.

        It is empty if no epoch was validated. If only some were, the values of the others are NaN, so that
        the list is as long as :attr:`losses`.
        """
        epochs = self._complete()
        if not any_validated(epochs):
            return []
        return [math.nan if epoch.validation_loss is None else epoch.validation_loss for epoch in epochs]

    @property
    def seconds(self) -> float:
        """The time of all epochs together, in seconds."""
        return math.fsum(epoch.seconds for epoch in self)

    def __repr__(self) -> str:
        epochs = self._complete()
        facts = [f"{len(epochs)} epoch" if len(epochs) == 1 else f"{len(epochs)} epochs"]
        if epochs:
            facts.append("loss " + first_to_last([epoch.loss for epoch in epochs]))
            validated = [epoch.validation_loss for epoch in epochs if epoch.validation_loss is not None]
            if validated:
                facts.append("validation loss " + first_to_last(validated))
            seconds = math.fsum(epoch.seconds for epoch in epochs)
            facts.append(f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:,.0f} s")
        return f"History({', '.join(facts)})"

    def __str__(self) -> str:
        rows = table(self._complete())
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
        )

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        header, *body = table(self._complete())
        lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in header) + "</tr>"]
        lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body]
        return "<table>\n" + "\n".join(lines) + "\n</table>"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the loss, and the validation loss where there is one, against the epoch.

        The loss axis is logarithmic where the losses are positive and span a factor of ten or more.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw. By default ``matplotlib.pyplot`` makes a new figure, which a notebook shows at
            once; elsewhere call ``matplotlib.pyplot.show()``, or ``.figure.savefig(path)`` of the result.

        Returns
        -------
        matplotlib.axes.Axes
            The axes drawn on.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        try:
            from matplotlib.ticker import MaxNLocator

            if ax is None:
                from matplotlib import pyplot

                ax = pyplot.subplots()[1]
        except ImportError as error:
            raise ImportError("History.plot needs matplotlib: pip install 'cython-backprop[plot]'") from error

        epochs = self._complete()
        curves = {"loss": [(epoch.number, epoch.loss) for epoch in epochs]}
        if any_validated(epochs):
            # Epochs without validation are left out, so that the line continues across the gap.
            curves["validation loss"] = [
                (epoch.number, epoch.validation_loss) for epoch in epochs if epoch.validation_loss is not None
            ]
        for label, points in curves.items():
            # Short curves have markers, because a line through a single point is invisible.
            marker = "o" if len(points) <= ROWS_SHOWN else ""
            numbers, losses = [number for number, _ in points], [loss for _, loss in points]
            ax.plot(numbers, losses, label=label, marker=marker, markersize=3)

        if spans_decades([loss for points in curves.values() for _, loss in points]):
            ax.set_yscale("log")
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss")
        if len(curves) > 1:
            ax.legend()
        return ax

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the epochs to a CSV file, every number in full precision.

        The header is ``epoch,loss,validation_loss,seconds,examples_per_second``; a missing validation loss is
        an empty field. A file of that name is replaced, and kept as it was if writing fails.

        Parameters
        ----------
        path : str or path-like
            The file to write.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        writer.writerows(astuple(epoch) for epoch in self)
        write_whole(path, text.getvalue().encode())


def any_validated(epochs: Iterable[Epoch]) -> bool:
    """Return whether any epoch has a validation loss."""
    return any(epoch.validation_loss is not None for epoch in epochs)


def table(epochs: Sequence[Epoch]) -> list[list[str]]:
    """Return the header and the rows to show, as text."""
    shortened = len(epochs) > ROWS_SHOWN
    shown = [*epochs[:ROWS_AT_EACH_END], *epochs[-ROWS_AT_EACH_END:]] if shortened else epochs

    columns = [
        ["epoch", *(str(epoch.number) for epoch in shown)],
        ["loss", *format_losses([epoch.loss for epoch in shown])],
    ]
    if any_validated(epochs):
        columns.append(["validation loss", *format_losses([epoch.validation_loss for epoch in shown])])
    columns.append(["seconds", *format_seconds([epoch.seconds for epoch in shown])])
    columns.append(["examples/s", *(f"{epoch.examples_per_second:,.0f}" for epoch in shown)])

    rows = [list(row) for row in zip(*columns, strict=True)]
    if shortened:
        rows.insert(1 + ROWS_AT_EACH_END, ["..."] * len(columns))
    return rows
