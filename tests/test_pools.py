"""The promise: a pool's workers use all their threads, to the same bits, whatever their parent has done."""

import json
import multiprocessing
import os
import re
import subprocess
import sys

import pytest

from cbp.machine import versions

pytestmark = pytest.mark.skipif(
    versions.describe()["OpenMP"].startswith("none"), reason="without OpenMP there is one thread"
)

# For workers and for their parent: a training on all threads, or on more than there are processors.
WORK = """
import hashlib, multiprocessing, os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import cbp
from cbp import _core
from cbp.machine import threads

PROCESS = os.getpid()  # that has imported this
MANY = (os.cpu_count() or 1) + 3

def train(n_threads):
    made = []
    def new_pass(*arguments, **options):
        made.append(original(*arguments, **options))
        return made[-1]
    original, _core.Pass = _core.Pass, new_pass
    net = cbp.Network([20, 64, 5], rng=0, n_threads=n_threads)
    X = np.random.default_rng(0).normal(size=(4096, 20)).astype("f4")
    net.fit(X, np.arange(4096) % 5, epochs=1, batch_size=None)
    _core.Pass = original
    return max(run.team for run in made), net.parameters.tobytes() + net.predict(X).tobytes()

def work(n_threads):
    if hasattr(signal, "alarm"):
        signal.alarm(100)  # the end of a worker that waits for ever
    told = threads.count(n_threads)[0]
    team, results = train(n_threads)
    for _ in range(40):
        if team == min(told, 64):  # a minibatch has no more parts
            break
        time.sleep(0.25)  # where others have the processors, training goes on with one thread for up to 3 s
        team, _ = train(n_threads)
    if hasattr(signal, "alarm"):
        signal.alarm(0)
    inherited = "trains_at_import" if "trains_at_import" in sys.modules else "work"
    return told, team, hashlib.sha256(results).hexdigest(), inherited if PROCESS != os.getpid() else "-"
"""

MAIN = """
import ctypes, json
from work import *

def pool(context, **options):
    with context.Pool(2, **options) as workers:
        return workers.map_async(work, TODO, chunksize=1).get(150)

def executor(context, call=work):
    with ProcessPoolExecutor(2, mp_context=context) as workers:
        return list(workers.map(call, TODO, timeout=150))

def pool_of_worker(n_threads):
    own = work(n_threads)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(sys.argv[1])) as workers:
        inner = workers.submit(work, n_threads).result(timeout=120)
    assert inner[:3] == own[:3]
    return own

def loky():
    import joblib
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=cbp.get_num_threads()):
        return joblib.Parallel()(joblib.delayed(work)(n) for n in TODO)

def team_of_another_library():
    from cbp.machine import runtimes
    ended = []
    body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda data: ended.append(1))
    work(1)  # which loads the runtime, and makes no team
    ctypes.CDLL(runtimes.loaded()[0]).GOMP_parallel(body, None, 3, 0)
    assert len(ended) == 3

TODO = [None, MANY, None, MANY]

if __name__ == "__main__":
    method, preload, *todo = sys.argv[1:]
    context = multiprocessing.get_context(method)
    if preload != "-":
        context.set_forkserver_preload([preload])
    calls = {
        "a pool": lambda: pool(context),
        "another library, then a pool": lambda: (team_of_another_library(), pool(context))[1],
        "training, then a pool": lambda: (work(None), pool(context))[1],
        "an executor": lambda: executor(context),
        "a worker a task": lambda: pool(context, maxtasksperchild=1),
        "a pool in a pool": lambda: executor(context, pool_of_worker),
        "loky": loky,
    }
    found = {name: calls[name]() for name in todo}
    print(json.dumps([[work(n) for n in TODO], found]))
"""

TRAINS_AT_IMPORT = """
import work
work.work(None)
work.work(work.MANY)
"""

ALL = ["a pool", "another library, then a pool", "training, then a pool", "an executor", "a worker a task"]
# What the parent has done matters to a child of fork alone.
ROWS = {
    "spawn": ("spawn", "-", ["a pool", "an executor"]),
    "fork": ("fork", "-", [*ALL, "a pool in a pool"]),
    "forkserver": ("forkserver", "-", ["a pool", "training, then a pool"]),
    "forkserver that has imported cbp": ("forkserver", "work", ["a pool", "an executor"]),
    "forkserver that has trained": ("forkserver", "trains_at_import", ["a pool", "a pool in a pool"]),
    "loky": ("spawn", "-", ["loky"]),
}


@pytest.mark.parametrize("row", ROWS)
def test_workers_use_their_threads(row, tmp_path):
    method, preload, todo = ROWS[row]
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"the system has no {method}")
    if "loky" in todo:
        pytest.importorskip("joblib")
    if not os.path.exists("/proc/self/maps"):  # by which the runtime is found
        todo = [name for name in todo if "another library" not in name]
    for name, text in {"work": WORK, "trains_at_import": TRAINS_AT_IMPORT, "main": MAIN}.items():
        (tmp_path / f"{name}.py").write_text(text)
    clean = {name: value for name, value in os.environ.items() if not re.match("OMP_|GOMP_|KMP_", name)}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "main.py"), method, preload, *todo],
        env={**clean, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    own, found = json.loads(done.stdout)
    assert len({bits for _, _, bits, _ in own}) == 1
    for name, workers in found.items():
        for (told, team, bits, inherited), (expected, _, same_bits, _) in zip(workers, own, strict=True):
            assert (told, team, bits) == (expected, min(expected, 64), same_bits), name
            assert preload in ("-", inherited), name
