"""The command line, ``cbp`` or ``python -m cbp``: runs a command and returns the exit status.

Exit status: 0 when all went well; 2 after an error, which is printed as one line on stderr; 130 after Ctrl-C;
141 when the program that read the output closed the pipe.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from cbp.cli.arguments import build_parser
from cbp.cli.commands import INTERRUPTED
from cbp.cli.report import complain, note

__all__ = ["main"]

# Errors that a user can cause: one line reports them. Any other exception is a bug, and prints its traceback.
ERRORS = (OSError, ValueError, TypeError, ArithmeticError, ImportError, MemoryError)

BROKEN_PIPE = 128 + 13  # the exit status that a shell reports for a program ended by SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        The exit status.
    """
    status = run(argv)
    if sys.stdout is None:  # it was closed before the program started
        return status
    try:
        sys.stdout.flush()
    except OSError as error:
        # Otherwise the interpreter would flush again when it exits, and print a message of its own.
        discard_stdout()
        status = status or failure(error)
    return status


def run(argv: Sequence[str] | None) -> int:
    """Run one command, and return the exit status for its result or for the exception that ended it."""
    parser = build_parser()
    try:
        args = parser.parse_args(argv)
        if args.run is None:
            parser.print_help()
            return 0
        return int(args.run(args))
    except SystemExit as stop:  # how argparse ends after --help or a wrong argument
        return int(stop.code or 0)
    except KeyboardInterrupt:
        note("interrupted")
        return INTERRUPTED
    except ERRORS as error:
        return failure(error)


def failure(error: BaseException) -> int:
    """Print an error, except for a closed pipe, and return the exit status for it."""
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    complain(error)
    return 2


def discard_stdout() -> None:
    """Redirect stdout to the null device, so that the rest of the output is discarded."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
