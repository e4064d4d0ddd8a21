"""How many threads a call may use, and why.

The default is determined anew for each call, from these in order:

1. A number that the user chose: ``OMP_NUM_THREADS``, if it is a number; or a lower one that was set in the
   calling thread with `omp_set_num_threads`, as threadpoolctl and joblib do.
2. The number of processors that the calling thread may run on. If OpenMP binds threads to places, sets of
   processors (``OMP_PROC_BIND``, ``OMP_PLACES``, ``GOMP_CPU_AFFINITY``, ``KMP_AFFINITY``), it has bound the
   calling thread too, to one of its places: then the processors of all places count. An affinity mask that is
   not one of the places was set later, and its processors count. A process that a bound thread has started
   may run on that thread's place only.
   (`runtimes` is for a thread that another package's runtime has bound before ours was loaded.)
3. The CPU quota of the process's control groups, if that is lower.

A team is never larger than OpenMP allows by ``OMP_THREAD_LIMIT``, ``OMP_DYNAMIC``, and, within the parallel
regions of other code, ``OMP_MAX_ACTIVE_LEVELS``.
"""

import os
import re
from functools import cache
from typing import Any

from cbp import _core, kernels
from cbp.machine import cgroups
from cbp.scalars import count_or_none

MOST_THREADS = 1024  # OpenMP ends the process where it cannot make the threads it is asked for

# OMP_NUM_THREADS as GCC's and LLVM's runtime both accept it: a number, or one a level of nested regions.
LIST_OF_NUMBERS = re.compile(r"\s*\+?0*([1-9][0-9]{0,8})\s*(,\s*\+?0*[1-9][0-9]*\s*)*")

_process_wide: int | None = None

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_core.note_fork)


def set_num_threads(n: int | None) -> None:
    """Set the number of threads of all networks of this process that have no `n_threads` of their own.

    Parameters
    ----------
    n : int or None
        At least 1. It may exceed the number of processors, but no more than 1024 threads are used. None goes
        back to the default: see `get_num_threads`.

    Raises
    ------
    TypeError, ValueError
        If n is not a whole number, or is less than 1.

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

    It is the number that `set_num_threads` set; else ``OMP_NUM_THREADS``, or what threadpoolctl or joblib
    set; else the number of processors that this process may run on, or the CPU quota of its cgroup if that is
    lower. Affinity and quota count as they are at the time of a call. ``OMP_THREAD_LIMIT`` and
    ``OMP_DYNAMIC`` limit all of these. Small jobs use fewer threads. Results have the same bits for any
    number.
    """
    cgroups.current_quota(afresh=True)
    return count(None)[0]


def count(n_threads: int | None, table: Any = None) -> tuple[int, str]:
    """Return the number of threads for a network with this `n_threads`, and what decided it.

    It is quick, since every fit and prediction calls it.
    """
    table = table or kernels.table("float32")
    if n_threads is not None:
        number, reason = min(n_threads, MOST_THREADS), "n_threads"
    elif _process_wide is not None:
        number, reason = min(_process_wide, MOST_THREADS), "cbp.set_num_threads"
    else:
        number, reason = default(table)
    limit = _core.team_limit(table)
    return (number, reason) if number <= limit else (limit, "OpenMP's limit of a team")


def default(table: Any) -> tuple[int, str]:
    """Return the number where neither the network nor `set_num_threads` sets one, and what decided it."""
    allowed = _core.most_threads(table)
    if not 0 < allowed <= MOST_THREADS:
        allowed = MOST_THREADS
    usable, reason = machine(table)
    # To look up a variable that is not set takes as long as all the rest, so it comes last.
    if allowed == usable:
        return allowed, "OpenMP"
    # Whether OpenMP counted the processors, when it was loaded, and nobody set a number. A number that was
    # set, and that equals this count, cannot be told from it.
    followed = allowed == _core.default_threads(table)
    if allowed < usable and not followed:
        return allowed, "OpenMP"
    chosen = omp_num_threads()
    if chosen == allowed:
        return allowed, "OMP_NUM_THREADS"
    if followed or chosen is None or chosen <= usable:
        return usable, reason
    return min(allowed, chosen), "OMP_NUM_THREADS"


def omp_num_threads() -> int | None:
    """Return the number in ``OMP_NUM_THREADS``; None if it is not set, or OpenMP does not accept it."""
    numbers = LIST_OF_NUMBERS.fullmatch(os.environ.get("OMP_NUM_THREADS", ""))
    return int(numbers[1]) if numbers else None


def machine(table: Any) -> tuple[int, str]:
    """Return the number of threads that this process has processors for, and what decided it."""
    usable, reason = processors(table), "affinity"
    limit = cgroups.current_quota()
    if usable > limit:
        usable, reason = limit, "the cgroup's CPU quota"
    return min(usable, MOST_THREADS), reason


def processors(table: Any = None) -> int:
    """Return the number of processors that this process may run on; of all if affinity is not known."""
    if hasattr(os, "sched_getaffinity"):
        try:
            mask = os.sched_getaffinity(0)
        except OSError:  # refused by a sandbox
            return os.cpu_count() or 1
        places, all_places = bound(table or kernels.table("float32"))
        return len(all_places if mask in places else mask)
    return os.cpu_count() or 1


@cache
def bound(table: Any) -> tuple[set[frozenset[int]], frozenset[int]]:
    """Return the places that OpenMP binds threads to, which never change, and all their processors."""
    places = set(_core.places(table))
    return places, frozenset().union(*places)
