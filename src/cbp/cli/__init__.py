"""The command line, ``cbp`` or ``python -m cbp``: what can be typed, and how it ends.

Exit status: 0 when all went well; 2 after an error, which is one line on stderr; 130 after Ctrl-C; 141 when
whoever read the output closed the pipe.
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

# What a user can cause. Anything else is a fault of this program, and shows where.
ERRORS = (OSError, ValueError, TypeError, ArithmeticError, ImportError, MemoryError)

BROKEN_PIPE = 128 + 13  # as a shell reports a program that SIGPIPE ended


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
    if sys.stdout is None:  # closed from the start
        return status
    try:
        sys.stdout.flush()
    except OSError as error:
        # Otherwise the interpreter would try again at its end, and complain in its own words.
        discard_stdout()
        status = status or failure(error)
    return status


def run(argv: Sequence[str] | None) -> int:
    """Run one command, and turn whatever ends it into an exit status."""
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
    """Report what went wrong, and return the exit status."""
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    complain(error)
    return 2


def discard_stdout() -> None:
    """Let the rest of the output go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
