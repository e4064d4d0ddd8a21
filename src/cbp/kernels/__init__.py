"""The compiled kernels, one module a precision and instruction set, and the choice among them.

The choice is made once: the best that the processor can run, or what ``CBP_ISA`` names.
"""

import importlib
import importlib.util
import os
import threading
from functools import cache
from typing import Any

from cbp import runtimes
from cbp.kernels import cpu

# From the best to the plainest, with the x86-64 level each needs. The last two are never chosen unasked.
LEVELS = {"x86-64-v4": 4, "x86-64-v3": 3, "x86-64-v2": 2, "baseline": 0, "wide": 3, "plain": 0}
PRECISIONS = {"float32": "f32", "float64": "f64"}

# A child of fork inherits the lock of a module that another thread was importing, and nobody unlocks it
# there. So fork waits until that is done.
_loading = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release
    )


def _module(isa: str, dtype: str) -> str:
    return f"cbp.kernels.{PRECISIONS[dtype]}_{isa.replace('-', '_')}"


def available() -> list[str]:
    """Instruction sets that are both built and runnable here, the best first."""
    level = cpu.level()
    return [
        isa
        for isa, needed in LEVELS.items()
        if level >= needed and importlib.util.find_spec(_module(isa, "float32")) is not None
    ]


def choose(wanted: str | None) -> str:
    """The instruction set to use: the best, or the one wanted.

    Raises
    ------
    ImportError
        If the one wanted is unknown, not built, or more than this processor has.
    """
    found = available()
    if wanted and wanted not in found:
        raise ImportError(
            f"CBP_ISA={wanted!r} is not available on this machine; available: {', '.join(found) or 'none'}"
        )
    usable = [isa for isa in found if isa not in ("wide", "plain")] or found
    if not usable:
        raise ImportError("cbp needs an x86-64-v2 processor (SSE4.2), which this one is not")
    return wanted or usable[0]


@cache
def isa() -> str:
    """The instruction set in use, chosen when it is first asked for."""
    return choose(os.environ.get("CBP_ISA"))


@cache
def table(dtype: str) -> Any:
    """The capsule of C functions for float32 or float64; the module is loaded with its first use."""
    with _loading, runtimes.released():  # the first module brings OpenMP
        return importlib.import_module(_module(isa(), dtype)).capsule
