"""What every competitor is to the harness."""

from __future__ import annotations

from typing import Any, ClassVar


class Rival:
    """One competitor, built in a process of its own, with the data of a case in memory.

    `result` comes first, and is compared with the reference; then `reset` and `run` alternate, and only `run`
    is timed. Packages are imported when a rival is built, never before.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    threaded: ClassVar[bool] = True  # else it is run with one thread only
    warm_up: ClassVar[bool] = True  # before every round, by a tenth of it; else before the first one only

    def __init__(self, case: Any, n_threads: int | None) -> None:
        """n_threads None: whatever the library does by default."""
        raise NotImplementedError

    def result(self) -> Any:
        raise NotImplementedError

    def reset(self) -> None:
        """So that every round does the same work."""

    def run(self, n: int) -> Any:
        """The work, n times over; returns when it is done."""
        raise NotImplementedError

    def tune(self) -> None:
        """Choose the faster of several ways; called once, while no one else runs."""

    @staticmethod
    def environment(n_threads: int | None) -> dict[str, str]:
        """Variables to set before the process starts, beside the thread counts that the harness sets."""
        return {}

    @classmethod
    def unable(cls, case: Any) -> str:
        """Why it cannot do a case; empty if it can."""
        return ""
