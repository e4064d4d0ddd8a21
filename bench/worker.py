"""One competitor in one process: trains when asked over its pipe, and sleeps on the pipe otherwise."""

from __future__ import annotations

import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

from rivals import RIVALS


def memory(field: str) -> float:
    """MB from /proc/self/status (not getrusage, which a child inherits from whoever started it)."""
    try:
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024
    except OSError:
        return float("nan")


def blas() -> list[str]:
    """The BLAS libraries loaded, and which kernel each runs."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return [
        f"{lib['internal_api']} {lib['version']}, {lib.get('architecture', 'unknown')} kernel"
        for lib in threadpool_info()
        if lib["user_api"] == "blas"
    ]


def settle() -> None:
    """Wait until no thread of this process spins any more, for a second at most."""
    for _ in range(50):
        cpu = time.process_time()
        time.sleep(0.02)
        if time.process_time() - cpu < 0.001:
            return


def main() -> None:
    replies, requests = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
    os.dup2(2, 1)  # what a library prints must not end up among the replies

    def reply(message: Any) -> None:
        pickle.dump(message, replies)
        replies.flush()

    name, w, n_threads = pickle.load(requests)
    rival_class = next(r for r in RIVALS if r.name == name)
    __import__(rival_class.package)
    imported = memory("VmRSS")
    rival = rival_class(w, *w.data(), n_threads)
    initial = w.parameters()
    rival.load(initial)
    rival.train(1)
    ready = {"parameters": rival.parameters(), "blas": blas(), "rss_imported_mb": imported}
    settle()
    idle, rounds, asleep_since = 0.0, 0, time.process_time()
    reply(ready)
    while epochs := pickle.load(requests):
        idle += time.process_time() - asleep_since  # of every thread: did any spin while others ran?
        rounds += 1
        if rounds == 1:
            rival.tune()
        rival.load(initial)  # every round does the same work
        rival.train(max(1, epochs // 10))  # others have had the caches
        rival.load(initial)
        cpu, start = time.process_time(), time.perf_counter()
        rival.train(epochs)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        settle()
        asleep_since = time.process_time()
        reply((seconds, cpu))
    reply({"peak_rss_mb": memory("VmHWM"), "idle_cpu_ms": idle / max(1, rounds) * 1e3})


if __name__ == "__main__":
    main()
