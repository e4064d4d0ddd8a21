"""One competitor in one process: works when asked over its pipe, and waits on the pipe otherwise."""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from harness import Failure


def memory(field: str) -> float:
    """Return MB from /proc/self/status, not from getrusage, whose peak includes that of the parent."""
    try:
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024
    except OSError:
        return float("nan")


def blas() -> list[str]:
    """Return the BLAS libraries that are loaded, and which kernel each runs."""
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


class Bench:
    """The rivals of one class, one for each case, and the time they take."""

    def __init__(self, module: str, name: str, cases: list[Any], n_threads: int | None) -> None:
        rival = getattr(import_module(module), name)
        import_module(rival.package)
        self.imported = memory("VmRSS")
        self.rivals = [case and rival(case, n_threads) for case in cases]
        self.tuned = [False] * len(cases)
        self.idle, self.rounds = 0.0, 0

    def ready(self) -> dict[str, Any]:
        results = [rival and rival.result() for rival in self.rivals]
        return {"results": results, "blas": blas(), "rss_imported_mb": self.imported}

    def round(self, i: int, n: int) -> tuple[float, float, Any]:
        rival = self.rivals[i]
        if not self.tuned[i]:
            rival.tune()
        # Others have used the caches since. A round of one long unit needs no warming up.
        if not self.tuned[i] or (n > 1 and rival.warm_up):
            rival.reset()
            rival.run(max(1, n // 10))
        self.tuned[i] = True
        rival.reset()  # every round does the same work
        cpu, start = time.process_time(), time.perf_counter()
        returned = rival.run(n)
        return time.perf_counter() - start, time.process_time() - cpu, returned


def serve(hear: Callable[[], Any], reply: Callable[[Any], None]) -> None:
    bench = Bench(*hear())
    idle, rounds, ready = 0.0, 0, bench.ready()
    settle()
    asleep_since = time.process_time()
    reply(ready)
    while (asked := hear()) is not None:
        idle += time.process_time() - asleep_since  # CPU time of threads that spun while others ran
        rounds += 1
        try:
            answer: Any = bench.round(*asked)
        except Exception as error:
            answer = Failure(f"{type(error).__name__}: {error}")
        settle()
        asleep_since = time.process_time()
        reply(answer)
    reply({"peak_rss_mb": memory("VmHWM"), "idle_cpu_ms": idle / max(1, rounds) * 1e3})


def main() -> None:
    replies, requests = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
    os.dup2(2, 1)  # what a library prints must not end up among the replies

    def reply(message: Any) -> None:
        pickle.dump(message, replies)
        replies.flush()

    try:
        serve(lambda: pickle.load(requests), reply)
    except Exception as error:
        reply(Failure(f"{type(error).__name__}: {error}"))
        raise


if __name__ == "__main__":
    main()
