"""The record of a training run: one :class:`Epoch` a pass over the data, together a :class:`History`."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from cbp.figures import first_to_last
from cbp.files.whole import write_whole
from cbp.printing import as_html, as_text
from cbp.training.record import Epoch
from cbp.training.table import any_validated, metric_names, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from cbp.examples.conversion import Array

__all__ = ["Epoch", "History"]

CSV_HEADER = ("epoch", "loss", "validation_loss", "seconds", "examples_per_second")


class History(Sequence[Epoch]):
    """The epochs of one training run, in order: a sequence that can be printed as a table and plotted.

    Parameters
    ----------
    epochs : iterable of Epoch, default ()
        The epochs to start with.
    validation_rows : ndarray of int64, optional
        The rows that were set aside.

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

    def __init__(self, epochs: Iterable[Epoch] = (), *, validation_rows: Array | None = None) -> None:
        self._epochs = list(epochs)
        self._stopped: str | None = None
        self._best: Epoch | None = None
        self._validation_rows = validation_rows

    @property
    def stopped(self) -> str | None:
        """Why training ended, or None while it goes on.

        "epochs" (it had all of them), "patience" (early stopping), "callback", "max_seconds", "interrupted"
        (by Ctrl-C), "not_finite" (a FloatingPointError), or "error" (any other).
        """
        return self._stopped

    @property
    def best(self) -> Epoch | None:
        """The best epoch: by early stopping, or else that of the least validation loss, else loss."""
        if self._best is not None:
            return self._best
        epochs = self._complete()
        validated = [epoch for epoch in epochs if epoch.validation_loss is not None]

        def loss(epoch: Epoch) -> float:
            found = epoch.loss if epoch.validation_loss is None else epoch.validation_loss
            return math.inf if math.isnan(found) else found

        return min(validated or epochs, key=loss, default=None)

    @property
    def validation_rows(self) -> Array | None:
        """The rows that ``validation_fraction`` of `fit` has set aside, in order; else None."""
        return self._validation_rows

    def append(self, epoch: Epoch) -> None:
        """Add the record of one more epoch at the end."""
        # No other change is made to the epochs. Other threads see it completely or not at all.
        self._epochs.append(epoch)

    def end(self, stopped: str, best: Epoch | None = None) -> None:
        """Note why training has ended, and which epoch early stopping found best."""
        self._stopped, self._best = stopped, best

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
            for name in metric_names(epochs):
                values = [epoch.metrics[name] for epoch in epochs if name in epoch.metrics]
                facts.append(f"{name.replace('_', ' ')} {first_to_last(values)}")
            seconds = math.fsum(epoch.seconds for epoch in epochs)
            facts.append(f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:,.0f} s")
        if self._stopped in ("patience", "max_seconds"):
            facts.append(f"stopped by {self._stopped}")
        return f"History({', '.join(facts)})"

    def __str__(self) -> str:
        return as_text(table(self._complete()))

    def _repr_html_(self) -> str:
        """Return the curves of the losses and the table, as a notebook shows them."""
        from cbp.training.curves import svg

        epochs = self._complete()
        return svg(epochs) + as_html(table(epochs))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the losses against the epoch, and below them the metrics, and a learning rate that changes.

        An axis is logarithmic where its values are positive and span a factor of ten or more. The best epoch
        is marked where early stopping found it, or there is a validation loss.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw the losses, with the metrics on an axis at the right. By default
            ``matplotlib.pyplot`` makes a new figure, which a notebook shows at once; elsewhere call
            ``matplotlib.pyplot.show()``, or ``.figure.savefig(path)`` of the result.

        Returns
        -------
        matplotlib.axes.Axes
            The axes of the losses.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from cbp.training.curves import plot

        epochs = self._complete()
        return plot(epochs, self.best if self._best or any_validated(epochs) else None, ax)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return a list for each column of the history; a value that an epoch lacks is None.

        The columns are epoch, loss, validation_loss, seconds, examples_per_second, the metrics, and
        learning_rate.

        Examples
        --------
        >>> history = History([Epoch(1, 0.75, None, 0.5, 2000.0, metrics={"accuracy": 0.5})])
        >>> history.to_dict()["accuracy"]
        [0.5]
        """
        epochs = self._complete()
        columns: dict[str, list[Any]] = {"epoch": [epoch.number for epoch in epochs]}
        columns |= {name: [getattr(epoch, name) for epoch in epochs] for name in CSV_HEADER[1:]}
        columns |= {name: [epoch.metrics.get(name) for epoch in epochs] for name in metric_names(epochs)}
        return columns | {"learning_rate": [epoch.learning_rate for epoch in epochs]}

    def to_frame(self) -> DataFrame:
        """Return the history as a pandas data frame: the columns of `to_dict`, the epochs as its index.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("History.to_frame needs pandas: pip install pandas") from error
        return pandas.DataFrame(self.to_dict()).set_index("epoch")

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the epochs to a CSV file, every number in full precision.

        The columns are those of `to_dict`, and a missing value is an empty field. A file of that name is
        replaced, and kept as it was if writing fails.

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
        columns = self.to_dict()
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        write_whole(path, text.getvalue().encode())
