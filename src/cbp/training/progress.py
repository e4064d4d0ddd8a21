"""The progress of a long training: a tqdm bar, or plain lines where tqdm is not installed.

The training loop calls :meth:`Progress.advance` between slices of at most 50 ms. Everything is written to
stderr and never to stdout, which belongs to the program that trains.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

if TYPE_CHECKING:
    from cbp.training.history import Epoch

__all__ = ["Progress"]

SECONDS_BETWEEN_REDRAWS = 0.1
SECONDS_BETWEEN_LINES = 1.0
# Lines inside an epoch say little that is new, so a log gets one in ten of them.
SECONDS_BETWEEN_LINES_OF_ONE_EPOCH = 10.0
LINE_WIDTH = 79


class Progress:
    """Shows the progress of one training run; a context manager.

    Parameters
    ----------
    enabled : bool or None
        True shows it from the start, wherever stderr leads. False never does. None shows it after ``delay``
        seconds, where stderr is a terminal or the program runs in a notebook.
    epochs : int
        Number of epochs, 0 or more.
    examples : int
        Number of training examples in an epoch, 0 or more.
    delay : float, default 2.0
        Seconds to wait where ``enabled`` is None: short runs stay silent.
    stream : text stream, optional
        Where to write; by default ``sys.stderr``. A stream that is missing, closed or broken silences the
        progress, and never disturbs the training.

    Notes
    -----
    Plain lines come at most once a second, and a last one at the end; each fits 80 columns.

    Examples
    --------
    >>> import io
    >>> from cbp.training.history import Epoch
    >>> stream = io.StringIO()
    >>> with Progress(True, epochs=1, examples=8, stream=stream) as progress:
    ...     progress.advance(4)
    ...     progress.advance(4)
    ...     progress.finish_epoch(Epoch(1, 0.25, None, 0.5, 16.0))
    >>> "epoch 1/1" in stream.getvalue()
    True
    """

    def __init__(
        self,
        enabled: bool | None,
        *,
        epochs: int,
        examples: int,
        delay: float = 2.0,
        stream: TextIO | None = None,
    ) -> None:
        # sys.stderr is None in a program without a console.
        self._stream: TextIO | None = sys.stderr if stream is None else stream
        self._run = Run(epochs, examples)
        self._display: Display | None = None
        shown = is_watched(self._stream) if enabled is None else enabled
        # When to draw next, by time.monotonic(): `advance` compares nothing else.
        self._due = math.inf
        if shown and self._stream is not None and epochs * examples > 0:
            self._due = self._run.started + (delay if enabled is None else 0.0)

    def __enter__(self) -> Self:
        self.advance(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Closed after an exception too, so that a traceback starts on a line of its own.
        self.close()

    def advance(self, n_examples: int) -> None:
        """Note that training went through ``n_examples`` more examples; mostly, this only reads the clock."""
        self._run.done += n_examples
        if time.monotonic() >= self._due:
            self._draw()

    def finish_epoch(self, epoch: Epoch) -> None:
        """Note the end of an epoch, and the losses to show."""
        self._run.epoch = epoch
        # Examples that were skipped, in a batch without weight, count as done.
        self._run.done = epoch.number * self._run.examples
        if time.monotonic() >= self._due:
            self._draw()

    def close(self) -> None:
        """Show the last state and end the line; further calls do nothing."""
        self._due = math.inf
        display, self._display = self._display, None
        if display is not None:
            with contextlib.suppress(OSError, ValueError):
                display.close()

    def _draw(self) -> None:
        try:
            if self._display is None:
                assert self._stream is not None
                self._display = choose_display(self._run, self._stream)
            self._due = time.monotonic() + self._display.draw()
        except (OSError, ValueError):
            # The terminal is gone or the pipe is closed. Training goes on.
            self.close()


class Run:
    """How far a training run has come."""

    def __init__(self, epochs: int, examples: int) -> None:
        self.epochs = epochs
        self.examples = examples
        self.done = 0  # examples, over all epochs
        self.epoch: Epoch | None = None  # the last one that ended
        self.started = time.monotonic()

    def position(self) -> str:
        """Return the epoch of the last example seen, as in ``epoch 3/10``."""
        number = max(1, math.ceil(self.done / self.examples))
        return f"epoch {min(number, self.epochs)}/{self.epochs}"


class Display(Protocol):
    """A way to show a run."""

    def draw(self) -> float:
        """Show the present state; return the seconds until it should be shown again."""

    def close(self) -> None:
        """Show the last state and end the line."""


class Bar:
    """One tqdm bar over the examples of all epochs."""

    def __init__(self, tqdm: Any, run: Run, stream: TextIO) -> None:
        self._run = run
        # In a file every redraw remains, so there is only one a second.
        self._interval = SECONDS_BETWEEN_REDRAWS if is_watched(stream) else SECONDS_BETWEEN_LINES
        # tqdm's monitor thread redraws bars that are updated too seldom. This bar does not need it, and such
        # a thread may hold a lock when the program forks or is interrupted.
        unmonitored = type("Bar", (tqdm,), {"monitor_interval": 0})
        self._bar = unmonitored(
            total=run.epochs * run.examples,
            desc=run.position(),
            file=stream,
            unit=" examples",
            unit_scale=True,
            dynamic_ncols=True,
            # It is updated only when a redraw is due.
            mininterval=0,
            miniters=0,
            # None: inside another bar, as of a search over networks, this one disappears at its end.
            leave=None,
            # A delay keeps tqdm from showing a first bar before `draw` has set its state.
            delay=1e-9,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}, {rate_noinv_fmt}{postfix}",
        )
        if not self._bar.disable:
            # The clock runs from the start of training, not from the moment that the bar appeared.
            self._bar.start_t -= time.monotonic() - run.started
            self._bar.last_print_t = self._bar.start_t

    def draw(self) -> float:
        """Redraw the bar."""
        self._describe()
        self._bar.update(self._run.done - self._bar.n)
        return self._interval

    def close(self) -> None:
        """Close the bar. tqdm redraws it for the last time, and leaves it on the screen."""
        try:
            self._describe()
            self._bar.n = self._run.done
        finally:
            self._bar.close()

    def _describe(self) -> None:
        self._bar.set_description_str(self._run.position(), refresh=False)
        epoch = self._run.epoch
        if epoch is not None:
            self._bar.set_postfix_str(", ".join(losses_of(epoch)), refresh=False)


class Lines:
    """Plain lines, as in ``epoch 12/100  loss 0.1234  validation 0.145  52,000 examples/s``."""

    def __init__(self, run: Run, stream: TextIO) -> None:
        self._run = run
        self._stream = stream
        self._written_at = run.started
        self._written_epoch: Epoch | None = None

    def draw(self) -> float:
        """Write a line if there is something new to say and the last one is old enough."""
        age = time.monotonic() - self._written_at
        if self._run.epoch is not self._written_epoch:
            if age >= SECONDS_BETWEEN_LINES:
                self._write_epoch()
        elif age >= SECONDS_BETWEEN_LINES_OF_ONE_EPOCH:
            self._write_part_of_epoch()
        return SECONDS_BETWEEN_REDRAWS

    def close(self) -> None:
        """Write the line of the last epoch, if it has not been written."""
        if self._run.epoch is not self._written_epoch:
            self._write_epoch()

    def _write_epoch(self) -> None:
        epoch = self._run.epoch
        assert epoch is not None
        self._written_epoch = epoch
        self._write(
            f"epoch {epoch.number}/{self._run.epochs}",
            *losses_of(epoch),
            f"{epoch.examples_per_second:,.0f} examples/s",
        )

    def _write_part_of_epoch(self) -> None:
        run = self._run
        finished = run.epoch.number if run.epoch is not None else 0
        share = min(1.0, run.done / run.examples - finished)
        speed = run.done / (time.monotonic() - run.started)
        self._write(run.position(), f"{share:.0%}", f"{speed:,.0f} examples/s")

    def _write(self, *facts: str) -> None:
        line = facts[0]
        for fact in facts[1:]:
            if len(line) + 2 + len(fact) <= LINE_WIDTH:
                line += "  " + fact
        self._written_at = time.monotonic()
        self._stream.write(line + "\n")
        self._stream.flush()


def losses_of(epoch: Epoch) -> list[str]:
    """Return the losses and metrics of an epoch, named."""
    losses = [f"loss {epoch.loss:.4g}"]
    if epoch.validation_loss is not None:
        losses.append(f"validation {epoch.validation_loss:.4g}")
    return losses + [f"{name.replace('_', ' ')} {value:.4g}" for name, value in epoch.metrics.items()]


def choose_display(run: Run, stream: TextIO) -> Display:
    """Return a tqdm bar where tqdm is installed, else plain lines."""
    if not has_width(stream):
        return Lines(run, stream)
    try:
        # Imported only now, since that takes longer than many training runs.
        tqdm = importlib.import_module("tqdm.auto").tqdm
    except ImportError:
        return Lines(run, stream)
    return Bar(tqdm, run, stream)


def has_width(stream: TextIO) -> bool:
    """Return False for a terminal that reports 0 columns, as in some containers: tqdm shows nothing there."""
    try:
        return os.get_terminal_size(stream.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):
        return True  # Not a terminal: any width will do.


def is_watched(stream: TextIO | None) -> bool:
    """Return whether a user sees the output: the stream is a terminal, or this is a notebook."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if stream is not None and stream.isatty():
            return True
    return is_notebook()


def is_notebook() -> bool:
    """Return whether this is the IPython kernel of a notebook; nothing is imported to find out."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    # A kernel's shell has this attribute, a terminal's has not.
    return get_ipython is not None and hasattr(get_ipython(), "kernel")
