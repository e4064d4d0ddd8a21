"""How many threads a call may use, and why."""

import math
import os
from functools import cache
from typing import Any

from cbp import _core, kernels

MOST_THREADS = 1024  # OpenMP ends the process where it cannot make the threads it is asked for

_process_wide: int | None = None
_forked = False


def _note_fork() -> None:
    # A child of fork has none of its parent's OpenMP threads, and libgomp waits for them for ever.
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def check_count(n: int | None, name: str = "n_threads") -> int | None:
    """Refuse what is neither None nor a whole number of at least 1."""
    if n is None:
        return None
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"{name} must be a whole number or None, got {type(n).__name__}")
    if n.__index__() < 1:
        raise ValueError(f"{name} must be at least 1, got {n}")
    return n.__index__()


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
    _process_wide = check_count(n, "n")


def get_num_threads() -> int:
    """Return the number of threads that a call would use at most.

    What `set_num_threads` set; else what OpenMP gives (so ``OMP_NUM_THREADS`` and threadpoolctl count),
    lowered to the processors that this process may run on and to the CPU quota of its cgroup, unless
    ``OMP_NUM_THREADS`` is set. Small jobs use fewer. Results have the same bits for any number.
    """
    return count(None)[0]


def count(n_threads: int | None, table: Any = None) -> tuple[int, str]:
    """The number of threads for a network with this `n_threads`, and the reason."""
    if _forked:
        return 1, "in a child of fork, where OpenMP's threads are missing"
    if n_threads is not None:
        return min(n_threads, MOST_THREADS), "n_threads"
    if _process_wide is not None:
        return min(_process_wide, MOST_THREADS), "cbp.set_num_threads"
    limits = [(min(MOST_THREADS, _core.most_threads(table or kernels.table("float32"))), "OpenMP")]
    if os.environ.get("OMP_NUM_THREADS"):
        return limits[0][0], "OMP_NUM_THREADS"
    if hasattr(os, "sched_getaffinity"):
        limits.append((len(os.sched_getaffinity(0)), "affinity"))
    limits.append((quota(), "the cgroup's CPU quota"))
    return min(limits)


@cache
def quota(root: str = "/sys/fs/cgroup", self_cgroup: str = "/proc/self/cgroup") -> int:
    """Processors' worth of time that this process's cgroups allow, rounded up; a large number without."""
    from pathlib import Path  # costs as much as half of the package

    allowed = math.inf
    try:
        paths = [line.split(":", 2)[2].strip("/\n") for line in Path(self_cgroup).read_text().splitlines()]
    except (OSError, IndexError):
        return 1 << 30
    for path in paths:
        for folder in (Path(root, path), *Path(root, path).parents):
            if not folder.is_relative_to(root):
                break
            try:  # cgroup v2: "max 100000" or "50000 100000"
                limit, period = Path(folder, "cpu.max").read_text().split()
                allowed = min(allowed, int(limit) / int(period) if limit != "max" else math.inf)
            except (OSError, ValueError, ZeroDivisionError):
                continue
    return max(1, math.ceil(allowed)) if allowed < math.inf else 1 << 30
