"""The interface of every competitor, by which the harness uses it."""

from __future__ import annotations

from typing import Any, ClassVar


class Rival:
    """One competitor, built in a process of its own, with the data of a case in memory.

    `result` comes first, and is compared with the reference; then `reset` and `run` alternate, and only `run`
    is timed. Packages are imported when a rival is built, never before.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    threaded: ClassVar[bool] = True  # if not, it is run with one thread only
    warm_up: ClassVar[bool] = True  # before every round, by a tenth of it; if not, before the first one only

    def __init__(self, case: Any, n_threads: int | None) -> None:
        """Build the rival; with `n_threads` None, the library uses its default number of threads."""
        raise NotImplementedError

    def result(self) -> Any:
        raise NotImplementedError

    def reset(self) -> None:
        """Return to the initial state, so that every round does the same work."""

    def run(self, n: int) -> Any:
        """Do the work n times over; return when it is done."""
        raise NotImplementedError

    def tune(self) -> None:
        """Choose the faster of several ways; called once, while no one else runs."""

    @staticmethod
    def environment(n_threads: int | None) -> dict[str, str]:
        """Return variables to set for the process, besides the thread counts that the harness sets."""
        return {}

    @classmethod
    def unable(cls, case: Any) -> str:
        """Return why it cannot do a case, or "" if it can."""
        return ""
