"""What can slow training down: busy processes, a neighbour, a quota of CPU time, fork, denormal weights."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rivals import in_cbp, in_jax, in_numpy, in_sklearn, in_torch
from rivals.training import Trainer
from workloads import Workload

PATIENCE = 10  # seconds until a child of fork counts as hanging
SPIN = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000): pass
"""


STREAM = """
import os, sys
import numpy as np
os.sched_setaffinity(0, {int(sys.argv[1])})
parent, x = os.getppid(), np.ones(8 << 20)
while os.getppid() == parent:
    np.add(x, 1, out=x)
"""


@contextmanager
def neighbour(wanted: bool) -> Iterator[None]:
    """Run a process that streams 64 MB on the last CPU, and keep this process to the others."""
    if not wanted:
        yield
        return
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise SystemExit("--neighbour: needs two CPUs")
    streaming = subprocess.Popen([sys.executable, "-c", STREAM, str(cpus[-1])])
    os.sched_setaffinity(0, cpus[:-1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)
        streaming.kill()
        streaming.wait()


@contextmanager
def busy(n: int) -> Iterator[None]:
    """Run n processes that do nothing but compute. They end by themselves if this process is killed."""
    spinning = [subprocess.Popen([sys.executable, "-S", "-E", "-c", SPIN]) for _ in range(n)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


@contextmanager
def quota(share: float) -> Iterator[tuple[list[str], str]]:
    """Make a cgroup with `share` of one CPU; yield the command that starts a process in it, or why not."""
    period = 100_000
    files = {"cpu.max": f"{int(share * period)} {period}"}  # cgroups version 2
    of_v1 = {"cpu.cfs_period_us": str(period), "cpu.cfs_quota_us": str(int(share * period))}
    reasons = []
    for root, settings in (("/sys/fs/cgroup", files), ("/sys/fs/cgroup/cpu", of_v1)):
        group = Path(root, f"cbp-bench-{os.getpid()}")
        if not Path(root, "cgroup.procs").exists():
            reasons.append(f"{root} is none")
            continue
        try:
            group.mkdir()
            for file, value in settings.items():
                group.joinpath(file).write_text(value)
        except OSError as error:
            reasons.append(f"{error.strerror}: {error.filename}")
            if group.exists():
                group.rmdir()
            continue
        try:
            yield ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group)], ""
        finally:
            group.rmdir()
        return
    yield [], f"no cgroup can be made ({'; '.join(reasons)})"


class Forked(Trainer):
    """Trains in a child of fork; its time includes that of fork itself."""

    def run(self, n: int) -> None:
        ear, mouth = os.pipe()
        child = os.fork()
        if not child:
            try:
                super().run(n)
                os.write(mouth, b"done")
            finally:
                os._exit(0)
        os.close(mouth)
        heard = select.select([ear], [], [], PATIENCE)[0] and os.read(ear, 4)
        os.close(ear)
        if not heard:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if heard != b"done":
            raise TimeoutError(f"the child hung for {PATIENCE} s" if heard == [] else "the child failed")


class Still(Trainer):
    """Trains with a learning rate of 0, so that weights stay as they are: ±1e-40 for workload "denormal"."""

    def __init__(self, w: Workload, n_threads: int | None) -> None:
        super().__init__(w, n_threads)
        if w.number == "denormal":
            self.initial = [
                (np.copysign(np.full_like(W, 1e-40), W), np.full_like(b, 1e-40)) for W, b in self.initial
            ]


class NumPyByRate(in_numpy.NumPy):
    """Multiplies D by the learning rate, and not delta, which a rate of 0 would make 0."""

    def build(self, n_threads: int | None) -> None:
        super().build(n_threads)
        self.scale = self.real(1 / self.w.batch)

    def sgd(self) -> None:
        self.net.D *= self.real(self.w.learning_rate)
        super().sgd()


class ForkedCbp(Forked, in_cbp.Cbp):
    pass


class ForkedNumPy(Forked, in_numpy.NumPy):
    pass


class ForkedPyTorch(Forked, in_torch.PyTorch):
    pass


class ForkedJax(Forked, in_jax.Jax):
    pass


class ForkedScikitLearn(Forked, in_sklearn.ScikitLearn):
    pass


class StillCbp(Still, in_cbp.Cbp):
    pass


class StillNumPy(Still, NumPyByRate):
    pass


class StillPyTorch(Still, in_torch.PyTorch):
    pass


class StillJax(Still, in_jax.Jax):
    pass


class StillScikitLearn(Still, in_sklearn.ScikitLearn):
    pass


FORKED = (ForkedCbp, ForkedNumPy, ForkedPyTorch, ForkedJax, ForkedScikitLearn)
STILL = (StillCbp, StillNumPy, StillPyTorch, StillJax, StillScikitLearn)
