"""How many threads a call may use, and why."""

import os
from typing import Any

from cbp import _core, kernels
from cbp.cgroups import quota
from cbp.scalars import count_or_none

MOST_THREADS = 1024  # OpenMP ends the process where it cannot make the threads it is asked for

_process_wide: int | None = None

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_core.note_fork)


def set_num_threads(n: int | None) -> None:
    """Set the number of threads of all networks of this process that have no `n_threads` of their own.

    Parameters
    ----------
    n : int or None
        At least 1; may exceed the number of processors, though no more than 1024 are used. None goes back to
        the default: see `get_num_threads`.

    Raises
    ------
    TypeError, ValueError
        If n is no whole number, or less than 1.

    Examples
    --------
    >>> import cbp
    >>> cbp.set_num_threads(1)
    >>> cbp.get_num_threads()
    1
    >>> cbp.set_num_threads(None)
    """
    global _process_wide
    _process_wide = count_or_none(n, "n")


def get_num_threads() -> int:
    """Return the number of threads that a call would use at most.

    What `set_num_threads` set; else what OpenMP gives (so ``OMP_NUM_THREADS`` and threadpoolctl count),
    lowered to the processors that this process may run on and to the CPU quota of its cgroup, unless
    ``OMP_NUM_THREADS`` is set. Small jobs use fewer. Results have the same bits for any number.
    """
    return count(None)[0]


def count(n_threads: int | None, table: Any = None) -> tuple[int, str]:
    """The number of threads for a network with this `n_threads`, and what decided it.

    Called with every fit and prediction, and therefore quick; nothing but the quota is remembered.
    """
    if n_threads is not None:
        return min(n_threads, MOST_THREADS), "n_threads"
    if _process_wide is not None:
        return min(_process_wide, MOST_THREADS), "cbp.set_num_threads"
    allowed = _core.most_threads(table or kernels.table("float32"))
    if allowed == 1:
        return 1, "OpenMP"
    if allowed > MOST_THREADS:
        allowed = MOST_THREADS
    usable, reason = machine()
    if allowed <= usable:
        return allowed, "OpenMP"
    # To look for a variable that is not there takes as long as all else, so that comes last.
    if os.environ.get("OMP_NUM_THREADS"):
        return allowed, "OMP_NUM_THREADS"
    return usable, reason


def machine() -> tuple[int, str]:
    """The number of processors that this process may use, and what decided it."""
    limit = quota()
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
        if usable <= limit:
            return usable, "affinity"
    return limit, "the cgroup's CPU quota"
