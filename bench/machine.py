"""Describes what the figures were measured on: the head of every report."""

from __future__ import annotations

import datetime
import functools
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness import Timing, clean_environment, n_cpus, thread_counts

PACKAGES = ("cython-backprop", "numpy", "scipy", "torch", "jax", "jaxlib", "scikit-learn")


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    pairs = (line.partition(":") for line in lines)
    info = {key.strip(): value.strip() for key, _, value in pairs}
    model = info.get("model name", platform.processor())
    if "cpu family" in info:
        model += f" (family {info['cpu family']}, model {info['model']})"
    return model


def caches() -> str:
    """Return the sizes of the L1d, L2 and L3 caches of the first CPU."""
    found = []
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (cache.joinpath(f).read_text().strip() for f in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found)


def os_name() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.system()} {platform.release()}"
    except OSError:
        return platform.platform()


def versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def in_cbp(code: str, n_threads: int) -> Any:
    """Return the value of an expression in a new process that imports cbp; None without cbp."""
    if not find_spec("cbp"):
        return None
    command = [sys.executable, "-c", f"import cbp, cbp.machine.versions, json; print(json.dumps({code}))"]
    done = subprocess.run(
        command, env=clean_environment(n_threads), stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


@functools.cache
def peaks(dtype: str) -> dict[int, float]:
    """Measure the FMA peak in GFLOP/s for one thread and for all: the best of five probes each.

    If all threads are slower than one, other programs have disturbed the probe, and the figure is left out.
    """
    found: dict[int, float] = {}
    for n in thread_counts():
        probe = f"max(cbp.machine.versions.peak_gflops(dtype={dtype!r}, n_threads={n}) for _ in range(5))"
        if (peak := in_cbp(probe, n)) and peak > found.get(1, 0):
            found[n] = float(peak)
    return found


def describe(timing: Timing, neighbour: bool = False) -> dict[str, Any]:
    return {
        "cpu": cpu_model(),
        "cpus": n_cpus(),
        "caches": caches(),
        "os": os_name(),
        "versions": versions(),
        "cbp": in_cbp("cbp.machine.versions.describe()", n_cpus()),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "peak_gflops": {dtype: peaks(dtype) for dtype in ("float32", "float64")},
        "date": datetime.date.today().isoformat(),
        "rounds": timing.rounds,
        "neighbour": neighbour,
    }
