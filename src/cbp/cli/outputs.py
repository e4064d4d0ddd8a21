"""The files that training writes; whether they can be written is checked before training starts."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cbp
from cbp.cli.report import complain
from cbp.files.whole import name_path, write_whole
from cbp.tabular import Preprocessor
from cbp.training.history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Outputs", "check_writable"]


@dataclass(frozen=True)
class Outputs:
    """The files that the user has asked for.

    Parameters
    ----------
    save, plot, history : Path or None
        Where to write the network, the drawing and the table of losses; None for what is not asked for.
    """

    save: Path | None
    plot: Path | None
    history: Path | None

    def check(self, data: Path | None) -> None:
        """Raise what writing would raise, and ValueError if a file is the data file or is named twice."""
        taken = [] if data is None else [data]
        for path in (self.save, self.plot, self.history):
            if path is not None:
                check_writable(path, taken)
                taken.append(path)
        if self.save is not None and self.save.exists() and not self.save.is_file():
            raise ValueError(f"{self.save} is a device or a pipe, where a model cannot be saved")
        if self.plot is not None:
            check_drawable(self.plot)

    def write(self, net: cbp.Network, table: Preprocessor) -> bool:
        """Write all files, the others too if one fails; return whether all were written."""
        written = True
        if self.save is not None:
            net.metadata["table"] = table.to_dict()
            written &= succeeds(net.save, self.save)
        if self.history is not None:
            written &= succeeds(net.history.to_csv, self.history)
        if self.plot is not None:
            written &= succeeds(draw, net.history, self.plot)
        return written


def succeeds(write: Callable[..., object], *arguments: object) -> bool:
    """Call a function that writes a file, and return True; if it fails, report the error and return False."""
    try:
        write(*arguments)
    except (OSError, ValueError) as error:
        complain(error)
        return False
    return True


def check_writable(path: Path, taken: Sequence[Path] = ()) -> None:
    """Raise OSError if a file cannot be written, and ValueError if it is one of the files in ``taken``."""
    real = Path(os.path.realpath(path))
    if any(real == Path(os.path.realpath(other)) for other in taken):
        raise ValueError(f"{path} is named twice, and would be overwritten")
    if not real.exists():
        try:  # only an attempt tells whether a file can be made
            real.open("xb").close()
        except OSError as error:
            name_path(error, path)
            raise
        real.unlink()
    elif real.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # The new file is written into the same folder and then replaces the old one, so the folder must be
    # writable too.
    elif not os.access(real, os.W_OK) or (real.is_file() and not os.access(real.parent, os.W_OK)):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def check_drawable(path: Path) -> None:
    """Raise ImportError without matplotlib, and ValueError for a suffix that it does not know."""
    known = new_figure().canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise ValueError(f"{path}: the name must end in one of .{', .'.join(sorted(known))}")


def draw(history: History, path: Path) -> None:
    """Draw the losses to a file."""
    figure = new_figure()
    history.plot(figure.subplots())
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:].lower())
    write_whole(path, content.getvalue())


def new_figure() -> Figure:
    """Return an empty figure that needs no screen."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("--plot needs matplotlib: pip install 'cython-backprop[plot]'") from error
    return Figure(layout="constrained")
