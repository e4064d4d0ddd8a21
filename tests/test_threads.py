"""How many threads are used, and why; what happens after fork."""

import errno
import os
import subprocess
import sys
import sysconfig

import numpy as np
import pytest

import cbp
from cbp import kernels
from cbp.machine import cgroups, threads, versions
from cbp.machine.cgroups import UNLIMITED

SERIAL = versions.describe()["OpenMP"].startswith("none")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@pytest.fixture(autouse=True)
def _default_count():
    yield
    cbp.set_num_threads(None)


@pytest.fixture
def machine(monkeypatch):
    """A function that sets what the machine allows: by OpenMP, by affinity, by quota."""

    def allows(openmp=64, affinity=64, quota=UNLIMITED, default=0, limit=1 << 30, places=()):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(threads._core, "most_threads", lambda capsule: openmp)
        monkeypatch.setattr(threads._core, "default_threads", lambda capsule: default)
        monkeypatch.setattr(threads._core, "team_limit", lambda capsule: limit)
        monkeypatch.setattr(threads._core, "places", lambda capsule: list(map(frozenset, places)))
        mask = set(range(affinity)) if isinstance(affinity, int) else affinity
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: mask, raising=False)
        monkeypatch.setattr(cgroups, "quota", lambda *paths: quota)
        threads.bound.cache_clear()
        cgroups.current_quota(afresh=True)

    yield allows
    monkeypatch.undo()
    threads.bound.cache_clear()
    cgroups.current_quota(afresh=True)


def run(code, timeout=60, **environment):
    """What a fresh Python prints; None unsets a variable."""
    known = {**os.environ, **environment}
    known = {name: value for name, value in known.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", code], env=known, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- the count -------------------------------------------------------------------------------------------


def test_set_num_threads(machine):
    machine(openmp=5)
    assert cbp.get_num_threads() == 5
    cbp.set_num_threads(3)
    assert cbp.get_num_threads() == 3
    assert threads.count(None) == (3, "cbp.set_num_threads")
    cbp.set_num_threads(1000)  # may exceed the processors
    assert cbp.get_num_threads() == 1000
    cbp.set_num_threads(None)
    assert cbp.get_num_threads() == 5


def test_a_networks_own_count_comes_first():
    cbp.set_num_threads(3)
    assert threads.count(7) == (7, "n_threads")
    net = cbp.Network([2, 2], n_threads=2)
    assert net._thread_count() == 2
    net.n_threads = None
    assert net._thread_count() == 3


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (-2, ValueError, "must be at least 1, got -2"),
        (1.0, TypeError, "must be a whole number or None, got float"),
        ("2", TypeError, "must be a whole number or None, got str"),
        (True, TypeError, "must be a whole number or None, got bool"),
    ],
)
def test_counts_that_are_none(value, error, message):
    cbp.set_num_threads(2)
    with pytest.raises(error, match=f"^n {message}"):
        cbp.set_num_threads(value)
    assert cbp.get_num_threads() == 2
    net = cbp.Network([2, 2], n_threads=2)
    with pytest.raises(error, match=f"^n_threads {message}"):
        net.n_threads = value
    assert net.n_threads == 2


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"openmp": 4}, (4, "OpenMP")),
        ({"affinity": 3}, (3, "affinity")),
        ({"quota": 2}, (2, "the cgroup's CPU quota")),
        ({"openmp": 8, "affinity": 6, "quota": 7}, (6, "affinity")),
        ({"openmp": 4, "affinity": 4, "quota": 4}, (4, "OpenMP")),
        ({"openmp": 5000, "affinity": 2000}, (1024, "OpenMP")),
        ({"openmp": -420778941, "affinity": 4}, (4, "affinity")),  # of LLVM 14, where a variable is no number
        ({"openmp": 0, "affinity": 4}, (4, "affinity")),
        # What OpenMP counted when it was loaded says nothing about now.
        ({"openmp": 1, "default": 1, "affinity": 4}, (4, "affinity")),
        ({"openmp": 1, "default": 4, "affinity": 4}, (1, "OpenMP")),
        ({"openmp": 4, "default": 4, "affinity": 2}, (2, "affinity")),
        ({"openmp": 2, "default": 2, "affinity": 8, "quota": 3}, (3, "the cgroup's CPU quota")),
        # OpenMP uses all places for a thread that it has bound; one put elsewhere since is to stay there.
        ({"affinity": {5}, "places": [{5}, {6}, {7}]}, (3, "affinity")),
        ({"affinity": {6}, "places": [{5}, {6}, {7}]}, (3, "affinity")),
        ({"affinity": {0, 1}, "places": [{0, 1}, {2, 3}, {4}]}, (5, "affinity")),
        ({"affinity": {0, 1}, "places": [{0, 1}, {1, 2}]}, (3, "affinity")),
        ({"affinity": {5, 6}, "places": [{5}, {6}, {7}]}, (2, "affinity")),
        ({"affinity": {8}, "places": [{5}, {6}, {7}]}, (1, "affinity")),
        ({"affinity": {5}, "places": [{5}, {6}, {7}], "quota": 2}, (2, "the cgroup's CPU quota")),
        ({"openmp": 8, "limit": 3}, (3, "OpenMP's limit of a team")),
        ({"affinity": 3, "limit": 3}, (3, "affinity")),
    ],
)
def test_the_lowest_limit_counts(machine, limits, expected):
    machine(**limits)
    assert threads.count(None) == expected


def test_openmps_limit_is_above_all(machine):
    machine(limit=2)
    assert threads.count(7) == (2, "OpenMP's limit of a team")
    cbp.set_num_threads(7)
    assert threads.count(None) == (2, "OpenMP's limit of a team")
    assert threads.count(1) == (1, "n_threads")


def test_systems_without_affinity(machine, monkeypatch):
    machine(openmp=4)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert threads.count(None) == (4, "OpenMP")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.count(None) == (1, "affinity")


@pytest.mark.parametrize("error", [PermissionError(errno.EPERM, ""), OSError(errno.ENOSYS, "")])
def test_sandboxes_that_refuse_to_tell_the_affinity(machine, monkeypatch, error):
    def refuse(pid):
        raise error

    machine(quota=5)
    monkeypatch.setattr(os, "sched_getaffinity", refuse, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert threads.processors() == 6
    assert threads.count(None) == (5, "the cgroup's CPU quota")
    assert len(cbp.Network([2, 2]).fit([[0, 1]], [1], epochs=1)) == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3), ("3,2", 3), (" 3 , 2 ", 3), ("+3", 3), ("010", 10), ("1024", 1024),
        (None, None), ("", None),
        ("0", None), ("-1", None), ("two", None), ("3x", None), ("3.5", None), ("0x3", None), ("3,", None),
        ("3,0", None), (",3", None), ("3 2", None), ("3;2", None), ("٣", None),
        ("3٣", None), ("1" * 5000, None),
    ],
)  # fmt: skip
def test_what_openmp_takes_for_a_number(machine, monkeypatch, text, number):
    machine(openmp=number or 9, affinity=2)
    if text is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads.omp_num_threads() == number
    assert threads.count(None) == ((number, "OMP_NUM_THREADS") if number else (2, "affinity"))


@pytest.mark.parametrize(
    ("openmp", "expected"),
    [
        (1, (1, "OpenMP")),
        (3, (3, "OMP_NUM_THREADS")),
        (4, (4, "OMP_NUM_THREADS")),
        (9, (4, "OMP_NUM_THREADS")),  # somebody asks for more than both allow
    ],
)
def test_what_is_set_besides_omp_num_threads(machine, monkeypatch, openmp, expected):
    machine(openmp=openmp, affinity=2)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads.count(None) == expected


def test_omp_num_threads_that_openmp_has_not_seen(machine, monkeypatch):
    machine(openmp=8, default=8, affinity=8, quota=2)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads.count(None) == (2, "the cgroup's CPU quota")


def test_omp_num_threads_overrides_the_machine(machine, monkeypatch):
    machine(openmp=9, affinity=2, quota=1)
    assert cbp.get_num_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    assert threads.count(None) == (9, "OMP_NUM_THREADS")


@pytest.mark.parametrize("n", [1, 3, 50])
def test_omp_num_threads_in_a_process(n):
    found = run("import cbp; print(cbp.get_num_threads())", OMP_NUM_THREADS=str(n))
    assert found == ("1" if SERIAL else str(n))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_affinity_in_a_process():
    code = "import os, cbp; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    code += "print(cbp.get_num_threads())"
    assert run(code, OMP_NUM_THREADS=None) == "1"


@pytest.mark.skipif(SERIAL, reason="without OpenMP there is nothing to limit")
def test_threadpoolctl_limits(monkeypatch):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # so that no other limit counts
    before = cbp.get_num_threads()
    for n in (1, 7):
        with threadpoolctl.threadpool_limits(n, user_api="openmp"):
            assert cbp.get_num_threads() == n
    assert cbp.get_num_threads() == before


@pytest.mark.skipif(SERIAL, reason="without OpenMP there is nothing to limit")
def test_threadpoolctl_limits_without_omp_num_threads(monkeypatch):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    net = cbp.Network([2, 2])
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert cbp.get_num_threads() == net._thread_count() == 1
    with threadpoolctl.threadpool_limits(1000, user_api="openmp"):  # more than the machine is good for
        assert threads.count(None) == threads.machine(kernels.table("float32"))


LOKY = """
import os
os.environ.pop("OMP_NUM_THREADS", None)
import joblib
import cbp

if __name__ == "__main__":
    for n in (1, 3):
        with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=n):
            print(*joblib.Parallel()(joblib.delayed(cbp.get_num_threads)() for _ in range(2)))
"""


@pytest.mark.skipif(SERIAL, reason="without OpenMP there is nothing to limit")
def test_joblib_limits_its_processes():
    pytest.importorskip("joblib")
    assert run(LOKY).split() == ["1", "1", "3", "3"]


def test_limits_are_looked_up_each_time(machine):
    for n in (5, 2, 7):
        machine(affinity=n)
        assert cbp.get_num_threads() == n
        machine(openmp=n)
        assert cbp.get_num_threads() == n


# --- what is told ----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="where file names are bytes")
def test_show_versions_beside_a_file_whose_name_is_no_text(tmp_path, capsys):
    name = os.path.join(os.fsencode(tmp_path), b"d\xe9j\xe0")
    mapped = np.memmap(os.fsdecode(name), "f4", "w+", shape=1)
    cbp.show_versions()
    del mapped
    assert f"NumPy            {np.__version__}\n" in capsys.readouterr().out


def test_show_versions(capsys, machine):
    machine(quota=2)
    facts = versions.describe()
    assert list(facts) == [
        "cbp", "instruction set", "threads", "compiler", "OpenMP", "NumPy", "Python", "GIL", "platform",
    ]  # fmt: skip
    assert facts["cbp"] == cbp.__version__
    assert facts["NumPy"] == np.__version__
    assert facts["Python"] == sys.version.split()[0]
    assert facts["GIL"] == "on" or FREE_THREADED
    counted = "1 (by a build without OpenMP; " if SERIAL else "2 (by the cgroup's CPU quota; "
    assert facts["threads"].startswith(counted)
    cbp.show_versions()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == list(facts)
    assert all(line.endswith(fact) for line, fact in zip(lines, facts.values(), strict=True))


@pytest.mark.skipif(not FREE_THREADED, reason="this Python has the GIL")
@pytest.mark.parametrize(
    ("setting", "expected"), [("0", "off"), ("1", "on (PYTHON_GIL sets it, or a module needs it)")]
)
def test_the_gil_is_told(setting, expected):
    code = "from cbp import versions; print(versions.describe()['GIL'])"
    command = [sys.executable, "-X", f"gil={setting}", "-c", code]
    assert subprocess.check_output(command, text=True).strip() == expected


@pytest.mark.skipif(SERIAL, reason="without OpenMP its variable decides nothing")
@pytest.mark.parametrize("affinity", [2, 8])
def test_omp_num_threads_is_told(machine, monkeypatch, affinity):
    machine(openmp=4, affinity=affinity)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert versions.describe()["threads"].startswith("4 (by OMP_NUM_THREADS; ")


# --- fork ------------------------------------------------------------------------------------------------

FORK = """
import os, signal, sys
import numpy as np
import cbp

rng = np.random.default_rng(0)
X, labels = rng.normal(size=(2000, 100)).astype("f4"), rng.integers(0, 10, size=2000)

def train(net):
    net.fit(X, labels, epochs=2, batch_size=200)
    return net.parameters.tobytes() + net.predict(X).tobytes()

train(cbp.Network([100, 200, 10], rng=0, n_threads=4))  # starts OpenMP's threads
net = cbp.Network([100, 200, 10], rng=1, n_threads=4)
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    signal.alarm(60)
    os.close(reader)
    with open(writer, "wb") as pipe:
        pipe.write(cbp.get_num_threads().to_bytes(1, "little") + train(net))
    os._exit(0)
os.close(writer)
expected = train(net)
with open(reader, "rb") as pipe:
    found = pipe.read()
assert os.waitpid(child, 0)[1] == 0
assert found[0] == cbp.get_num_threads()
print(found[1:] == expected)
"""


FORK_BUSY = """
import os, signal, threading, time
import numpy as np
import cbp

rng = np.random.default_rng(0)
X, labels = rng.normal(size=(1000, 100)), rng.integers(0, 10, size=1000)

def train(n_threads, dtype="float32"):
    net = cbp.Network([100, 200, 10], rng=1, n_threads=n_threads, dtype=dtype)
    net.fit(X, labels, epochs=1, batch_size=500)
    return net.parameters.tobytes() + net.predict(X).tobytes()

def child_trains(deep):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        code = 1
        try:
            same = all(train(3, dtype) == train(1, dtype) for dtype in ("float64", "float32"))
            code = 0 if same and (not deep or child_trains(False)) else 2
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0

def keep_training():
    while not enough:
        train(2)

enough = False
busy = [threading.Thread(target=keep_training) for _ in range(2)]
for thread in busy:
    thread.start()
print(all(child_trains(deep) for deep in (False, True, True)))
enough = True
for thread in busy:
    thread.join()
"""


FORK_WHILE_LOADING = """
import importlib, os, signal, threading, time
import cbp

def import_module(name):
    started.set()
    time.sleep(0.5)
    module = original(name)
    loaded.append(name)
    return module

started, loaded, original = threading.Event(), [], importlib.import_module
importlib.import_module = import_module
thread = threading.Thread(target=cbp.kernels.table, args=["float32"])
thread.start()
started.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    n_loaded = len(loaded)
    cbp.kernels.table("float32")
    os._exit(17 if n_loaded == 1 else 1)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


# Threads get as much memory for their stacks as the process is allowed for its own: here more than there is.
NO_THREADS = """
import os, resource, signal, sys

if "again" not in sys.argv:
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 46, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], "again"])

import numpy as np
import cbp

net = cbp.Network([100, 200, 10], rng=1, n_threads=3)
child = os.fork()
if child == 0:
    signal.alarm(60)
    net.fit(np.eye(1000, 100), np.arange(1000) % 10, epochs=1, batch_size=500)
    os._exit(17)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


# A network so large that its parameters are copied by a team, too.
FORK_LARGE = """
import os, signal
import numpy as np
import cbp

X, Y = np.random.default_rng(0).normal(size=(64, 784)).astype("f4"), np.zeros(64)
net = cbp.Network([784, 1024, 1024, 1], output="identity", rng=0, n_threads=2)
net.fit(X, Y, epochs=1)
child = os.fork()
if child == 0:
    signal.alarm(60)
    net.partial_fit(X, Y)
    net.parameters[0] += 1
    net.partial_fit(X[:1], Y[:1])
    net.fit(X, Y, epochs=1)
    os._exit(17)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


FORK_WITHIN = """
import os, signal
import numpy as np
import cbp

X, labels = np.eye(6), np.arange(6) % 2
net = cbp.Network([6, 2], rng=0)

def train_in_a_child(epoch):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        net.fit(X, labels, epochs=1)
        os._exit(17)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

net.fit(X, labels, epochs=1, callbacks=[train_in_a_child])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_forked_within_a_fit_may_train_its_copy():
    assert run(FORK_WITHIN) == "17"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_of_fork_trains_a_large_network():
    assert run(FORK_LARGE, timeout=100) == "17"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_of_fork_trains_to_the_same_bits():
    assert run(FORK) == "True"


@pytest.mark.unsanitized  # whose allocator may be locked by another thread
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_children_train_that_are_forked_while_other_threads_train():
    assert run(FORK_BUSY, timeout=200) == "True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_fork_waits_for_a_module_that_another_thread_loads():
    assert run(FORK_WHILE_LOADING) == "17"


@pytest.mark.unsanitized
@pytest.mark.skipif(sys.platform != "linux", reason="where the limit of the stack is that of threads' too")
def test_a_child_that_can_make_no_thread_trains_on_one():
    import resource

    if resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        pytest.skip("the stack may not be that large")
    assert run(NO_THREADS, OPENBLAS_NUM_THREADS="1") == "17"
