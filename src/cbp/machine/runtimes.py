"""The OpenMP runtimes in this process: there are several if several packages bring one."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")  # make a runtime bind threads


def loaded() -> list[str]:
    """Return the paths of the runtimes that are loaded.

    Raises
    ------
    OSError
        If the system does not say.
    """
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        return sorted(set(re.findall(r" (/.*/lib(?:gomp|omp|iomp5)[^/\s]*)$", maps.read(), re.M)))


@contextmanager
def released() -> Iterator[None]:
    """For a while, give the calling thread the processors that it had before a runtime bound it.

    A runtime that is loaded meanwhile counts these processors. Otherwise it would count only the place to
    which the other runtime has bound the thread, and bind all its own threads to that place.
    """
    bound_to = None
    if hasattr(os, "sched_setaffinity") and any(os.environ.get(name) for name in BINDING):
        with suppress(OSError):  # refused by a sandbox
            mask = os.sched_getaffinity(0)
            whole = before_binding(mask)
            if os.sched_getaffinity(0) != whole:  # LLVM's runtime may bind it only in before_binding
                os.sched_setaffinity(0, whole)
            if mask != whole:
                bound_to = mask
    try:
        yield
    finally:
        # If no runtime had bound the thread before, the one just loaded may have, and its binding stays.
        if bound_to is not None:
            os.sched_setaffinity(0, bound_to)


def before_binding(mask: set[int]) -> set[int]:
    """Return the processors of all places of the runtime that bound a thread to this mask; else the mask."""
    if len(mask) == os.cpu_count():
        return mask
    for places in map(places_of, loaded()):
        if mask in places:
            return set().union(*places)
    return mask


def places_of(path: str) -> list[set[int]]:
    """Return the places of a loaded runtime, found by its file; an empty list where it does not say."""
    import ctypes  # takes long, and few processes bind threads

    try:
        runtime = ctypes.CDLL(path)
        sizes = [runtime.omp_get_place_num_procs(i) for i in range(runtime.omp_get_num_places())]
        places = [(ctypes.c_int * size)() for size in sizes]
        for i, place in enumerate(places):
            runtime.omp_get_place_proc_ids(i, place)
    except (OSError, AttributeError):  # the file was replaced since, or is older than OpenMP 4.5
        return []
    return [set(place) for place in places]
