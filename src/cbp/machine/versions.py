"""Facts about this installation: versions, instruction set, threads, and the machine's measured peak."""

import os
import platform
import re
import sys
import time

import numpy as np

from cbp import _core, kernels
from cbp.machine import cgroups, runtimes, threads


def package_version() -> str:
    """Return cbp's own version."""
    # Imported here, because it takes long and few programs ask.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cython-backprop")
    except PackageNotFoundError:  # imported from somewhere that was not installed
        return "unknown"


def openmp_runtime() -> str:
    """Return the file names of the OpenMP runtimes that this process has loaded, if the system tells."""
    try:
        return ", ".join(sorted(os.path.basename(path) for path in runtimes.loaded())) or "none"
    except OSError:
        return "unknown"


def processor() -> str:
    """Return the processor's name, if the system tells; else its architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="surrogateescape") as facts:
            found = re.search(r"^model name\s*: *(.+)$", facts.read(), re.M)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def gil() -> str:
    """Return whether Python's global interpreter lock is on; in a free-threaded build, also why."""
    import sysconfig  # takes 0.6 ms, which `import cbp` can do without

    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "on"
    # By getattr, since Python 3.12 lacks the function.
    enabled = getattr(sys, "_is_gil_enabled")()  # noqa: B009
    return "on (PYTHON_GIL sets it, or a module needs it)" if enabled else "off"


def describe(dtype: str = "float32") -> dict[str, str]:
    """Return facts by name, in the order in which `show_versions` prints them."""
    return {
        "cbp": package_version(),
        **describe_kernels(dtype),
        "NumPy": np.__version__,
        "Python": platform.python_version(),
        "GIL": gil(),
        "platform": platform.platform(),
    }


def describe_kernels(dtype: str) -> dict[str, str]:
    """Return facts about the kernels in use, or why no kernels can be used."""
    try:
        table = kernels.table(dtype)
    except ImportError as error:
        return {"instruction set": f"none: {error}"}
    facts = _core.describe(table)
    cgroups.current_quota(afresh=True)
    n_threads, reason = threads.count(None, table)
    if reason == "OpenMP" and n_threads == threads.omp_num_threads():
        reason = "OMP_NUM_THREADS"
    if not facts["openmp"]:
        n_threads, reason = 1, "a build without OpenMP"
    processors = f"{threads.processors(table)} of {os.cpu_count()} processors usable"
    openmp = f"{facts['openmp']} ({openmp_runtime()})" if facts["openmp"] else "none: serial"
    chosen = "CBP_ISA" if os.environ.get("CBP_ISA") else "the best this processor has"
    runnable = ", ".join(kernels.available())
    return {
        "instruction set": f"{kernels.isa()} ({chosen}; built and runnable: {runnable})",
        "threads": f"{n_threads} (by {reason}; {processors})",
        "compiler": facts["compiler"],
        "OpenMP": openmp,
    }


def show_versions() -> None:
    """Print what a bug report needs: versions, instruction set, threads and why, compiler, OpenMP.

    Examples
    --------
    >>> import cbp
    >>> cbp.show_versions()  # doctest: +ELLIPSIS
    cbp              ...
    instruction set  ...
    """
    facts = describe()
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:{width}}  {value}")


def peak_gflops(dtype: str = "float32", n_threads: int = 1, seconds: float = 0.1) -> float:
    """Measure the machine's peak of fused multiply-adds.

    Parameters
    ----------
    dtype : {"float32", "float64"}, default "float32"
    n_threads : int, default 1
    seconds : float, default 0.1
        About how long to measure.

    Returns
    -------
    float
        10⁹ operations a second, where a fused multiply-add counts as two: the best of several runs.
    """
    table = kernels.table(dtype)
    turns, best = 500_000, 0.0
    end = time.perf_counter() + seconds
    while True:
        started = time.perf_counter()
        operations = _core.burn(table, n_threads, turns)
        elapsed = time.perf_counter() - started
        best = max(best, operations / elapsed / 1e9)
        if started > end:
            return best
        if elapsed < seconds / 20:
            turns *= 2
