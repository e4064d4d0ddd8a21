"""The compiled kernels, one module for each precision and instruction set, and the choice among them.

The instruction set is chosen once: the best that the processor can run, or the one that ``CBP_ISA`` names.
"""

import importlib
import importlib.util
import os
import threading
from functools import cache
from typing import Any

import cbp.kernels.cpu as cpu  # if this form of import fails, the error names the module
from cbp.machine import installation, runtimes

# The instruction sets, the best first, each with the x86-64 level that it needs.
LEVELS = {"x86-64-v4": 4, "x86-64-v3": 3, "x86-64-v2": 2, "baseline": 0, "wide": 3, "plain": 0}
ODD = {"wide", "plain"}  # for tests: chosen only on request, or if there are no others
LEAST_LEVEL = 2  # the lowest that wheels for x86-64 have kernels for
PRECISIONS = {"float32": "f32", "float64": "f64"}

# A child of fork would inherit the lock of a module that another thread is importing, and nothing would
# unlock it there. So fork waits until the import is done.
_loading = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release
    )


def _module(isa: str, dtype: str) -> str:
    return f"cbp.kernels.{PRECISIONS[dtype]}_{isa.replace('-', '_')}"


def seen_by_freezers() -> None:
    """Name the modules. Nothing calls this.

    PyInstaller, Nuitka and the like include the modules that import statements name, even in code that never
    runs. They cannot follow `table`, which computes the name.
    """
    import cbp.kernels.f32_baseline
    import cbp.kernels.f32_plain
    import cbp.kernels.f32_wide
    import cbp.kernels.f32_x86_64_v2
    import cbp.kernels.f32_x86_64_v3
    import cbp.kernels.f32_x86_64_v4
    import cbp.kernels.f64_baseline
    import cbp.kernels.f64_plain
    import cbp.kernels.f64_wide
    import cbp.kernels.f64_x86_64_v2
    import cbp.kernels.f64_x86_64_v3
    import cbp.kernels.f64_x86_64_v4  # noqa: F401


def built() -> list[str]:
    """Return the instruction sets that this installation has kernels for, the best first."""
    return [isa for isa in LEVELS if importlib.util.find_spec(_module(isa, "float32")) is not None]


def available() -> list[str]:
    """Return the instruction sets that are built and that this processor can run, the best first."""
    level = cpu.level()
    return [isa for isa in built() if level >= LEVELS[isa]]


def choose(wanted: str | None) -> str:
    """Return the instruction set to use: the best, or the one wanted.

    Raises
    ------
    ImportError
        If the one wanted is unknown, not built, or more than this processor has; if no kernels are there, or
        none that this processor can run.
    """
    found = available()
    if wanted and wanted in found:
        return wanted
    usable = [isa for isa in found if isa not in ODD] or found
    if usable and not wanted:
        return usable[0]
    raise ImportError(refusal(wanted, built(), found, cpu.level()))


def refusal(wanted: str | None, present: list[str], runnable: list[str], level: int) -> str:
    """Return why no instruction set, or not the wanted one, can be used, and what to do."""
    if not present:
        return installation.missing(_module("*", "float32"))
    if wanted and wanted not in LEVELS:
        return f"CBP_ISA must be one of {', '.join(LEVELS)}, got {wanted!r}"
    has = f"this processor has x86-64-v{level}" if level else "this is another processor"
    usable = ", ".join(runnable) or "none"
    if wanted and wanted not in present:
        return (
            f"CBP_ISA={wanted!r} was not built into this installation, which has {', '.join(present)}: "
            f"choose one of those that run here ({usable}), or build with CBP_BUILD_ISAS"
        )
    if wanted:
        return f"CBP_ISA={wanted!r} is more than this machine has ({has}); available: {usable}"
    if 0 < level < LEAST_LEVEL:
        return (
            "wheels of cbp need an x86-64-v2 processor (SSE4.2), which this one is not: build it with "
            "CBP_BUILD_ISAS=baseline"
        )
    return (
        f"this installation of cbp was built for {', '.join(present)} alone, and {has}: install a wheel from "
        "the package index, or build with another CBP_BUILD_ISAS"
    )


@cache
def isa() -> str:
    """Return the instruction set in use, which is chosen at the first call."""
    return choose(os.environ.get("CBP_ISA"))


@cache
def table(dtype: str) -> Any:
    """Return the capsule of C functions for float32 or float64; the first call loads the module.

    Raises
    ------
    ImportError
        If there are no kernels to use: see `choose`.
    """
    return table_of(isa(), dtype)


def table_of(isa: str, dtype: str) -> Any:
    """Return the capsule of C functions for one of the `available` instruction sets."""
    name = _module(isa, dtype)
    with _loading, runtimes.released():  # the first module loads the OpenMP runtime, too
        try:
            return importlib.import_module(name).capsule
        except ModuleNotFoundError as error:
            raise ImportError(installation.missing(name), name=name) from error
