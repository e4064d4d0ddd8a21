"""How much processor time this process's control groups (Linux cgroups) allow."""

import math
import os
import time
from collections.abc import Callable, Iterator

UNLIMITED = 1 << 30

MOUNT = "/sys/fs/cgroup"
SELF_CGROUP = "/proc/self/cgroup"
LOOK_AGAIN = 0.1  # seconds between readings: one takes some tens of microseconds, as long as a small training

# In version 1, each controller has its own tree. That of the CPU is mounted under one or several of these.
CPU_TREES = ("cpu", "cpu,cpuacct", "cpuacct,cpu")


_latest = (UNLIMITED, -math.inf)  # the quota, and when it was read


def current_quota(*, afresh: bool = False) -> int:
    """Return the quota. It is read again after LOOK_AGAIN seconds, since containers are resized."""
    global _latest
    limit, read_at = _latest
    now = time.monotonic()
    if afresh or now - read_at > LOOK_AGAIN:
        limit = quota(MOUNT, SELF_CGROUP)
        _latest = limit, now
    return limit


def quota(root: str = MOUNT, self_cgroup: str = SELF_CGROUP) -> int:
    """Return the CPU time that is allowed, in processors, rounded up; UNLIMITED if there is no limit.

    Source: cgroups(7) of the Linux manual; Documentation/admin-guide/cgroup-v2.rst (cpu.max) and
    Documentation/scheduler/sched-bwc.rst (cpu.cfs_quota_us) of Linux.
    """
    try:
        lines = read(self_cgroup).splitlines()
    except OSError:
        return UNLIMITED
    allowed = min((limit for line in lines for limit in limits(root, line)), default=math.inf)
    return max(1, math.ceil(allowed)) if allowed < math.inf else UNLIMITED


def limits(root: str, line: str) -> Iterator[float]:
    """Yield the limits of the group of a line "number:controllers:path", and of the groups above it."""
    _, controllers, path = [*line.split(":", 2), "", ""][:3]
    if not path:
        return
    if not controllers:
        yield from limits_upwards(root, path, version_2)
    elif "cpu" in controllers.split(","):
        for tree in CPU_TREES:
            yield from limits_upwards(os.path.join(root, tree), path, version_1)


def limits_upwards(mount: str, path: str, limit_of: Callable[[str], float]) -> Iterator[float]:
    """Yield the limits of a group and of those above it; a container may see only that of the mount."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts:  # a group that the mount does not show
        parts = []
    for depth in range(len(parts), -1, -1):
        try:
            yield limit_of(os.path.join(mount, *parts[:depth]))
        except (OSError, ValueError, ZeroDivisionError):  # a group without the files, or with other contents
            continue


def version_2(folder: str) -> float:
    """Return quota / period from cpu.max, which holds, for example, "max 100000" or "50000 100000"."""
    limit, period = read(os.path.join(folder, "cpu.max")).split()
    return math.inf if limit == "max" else int(limit) / int(period)


def version_1(folder: str) -> float:
    """Return quota / period, each of which has a file; a negative quota means no limit."""
    limit = int(read(os.path.join(folder, "cpu.cfs_quota_us")))
    return math.inf if limit < 0 else limit / int(read(os.path.join(folder, "cpu.cfs_period_us")))


def read(path: str) -> str:
    """Return a file's text; the names in it may have any bytes."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
