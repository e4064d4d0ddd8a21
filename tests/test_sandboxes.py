"""The promise: where the system refuses what cbp asks it for, cbp does without, and the bits are the same."""

import os
import platform
import subprocess
import sys

import pytest

# Numbers of system calls, by architecture: Linux, include/uapi/asm-generic/unistd.h and
# arch/x86/entry/syscalls/syscall_64.tbl.
CALLS = {
    "x86_64": {"sched_setaffinity": 203, "sched_getaffinity": 204, "clone": 56, "clone3": 435},
    "aarch64": {"sched_setaffinity": 122, "sched_getaffinity": 123, "clone": 220, "clone3": 435},
}.get(platform.machine(), {})

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not CALLS, reason="for Linux, on machines whose system calls are known here"
)

# A filter in classic BPF. It loads the number of the call; those refused jump to the end, which returns an
# error.
REFUSE = """
import ctypes, errno, struct

def refuse(numbers, error):
    libc = ctypes.CDLL(None, use_errno=True)
    load, equal, give = 0x20, 0x15, 0x06
    lines = [(load, 0, 0, 0)]
    lines += [(equal, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    lines += [(give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x00050000 | error)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
        raise SystemExit("77")
"""

TRAIN = """
import hashlib, sys
import numpy as np
import cbp

rng = np.random.default_rng(0)
X, y = rng.normal(size=(2000, 200)).astype("f4"), rng.integers(0, 10, size=2000)
net = cbp.Network([200, 200, 10], rng=0, n_threads={n_threads})
{before}
net.fit(X, y, epochs=2, batch_size=500)
outputs = net.predict(X)
print(hashlib.sha256(net.parameters.tobytes() + outputs.tobytes()).hexdigest())
"""


def run(code, may_end=None, **env):
    """Run Python in a process of its own, and return what it printed.

    Skips where the system has no filters, and where the OpenMP runtime ends the process with such a message.
    """
    # NumPy's own threads, which OpenBLAS makes when it is loaded, are not tested.
    env = {"OPENBLAS_NUM_THREADS": "1"} | env
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | env, timeout=60, check=False
    )
    if done.stderr.strip() == "77":
        pytest.skip("this system has no seccomp filters")
    if may_end and done.returncode < 0 and done.stderr.startswith(may_end):
        pytest.skip("this OpenMP runtime ends the process")  # LLVM's, which no wheel for Linux has
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refusing(names, error):
    """Code that has these system calls fail from now on."""
    return REFUSE + f"\nrefuse({[CALLS[name] for name in names]}, errno.{error})\n"


def train(first="", n_threads=2, before=""):
    return first + TRAIN.format(n_threads=n_threads, before=before)


@pytest.fixture(scope="module")
def expected():
    return run(train(n_threads=1))


# EPERM as by Docker, ENOSYS as by a filter made for older kernels: then glibc goes from clone3 to clone.
@pytest.mark.parametrize("error", ["EPERM", "EAGAIN", "ENOSYS"])
@pytest.mark.parametrize("n_threads", [2, 5])
def test_threads_refused(expected, error, n_threads):
    refuse = refusing(["clone", "clone3"], error)
    ask = "import _thread\ntry:\n    _thread.start_new_thread(print, ())\nexcept RuntimeError:\n    pass\n"
    ask += "else:\n    raise SystemExit('a thread was made')\n"
    assert run(train(refuse + ask, n_threads)) == expected


def test_threads_refused_to_a_process_that_has_its_team(expected):
    first = "net.predict(X)\n"
    assert run(train(n_threads=2, before=first + refusing(["clone", "clone3"], "EPERM"))) == expected


def test_threads_refused_after_fork(expected):
    fork = "import os\npid = os.fork()\nif pid:\n    os._exit(os.waitpid(pid, 0)[1] != 0)\n"
    code = train(before="net.predict(X)\n" + fork + refusing(["clone", "clone3"], "EPERM"))
    # Python warns of a fork beside OpenMP's threads.
    assert run(code, PYTHONWARNINGS="ignore::DeprecationWarning") == expected


@pytest.mark.unsanitized  # the sanitizer of addresses asks for the affinity, and ends the process
@pytest.mark.parametrize("error", ["EPERM", "ENOSYS"])
@pytest.mark.parametrize("binding", ["false", "true"])
@pytest.mark.parametrize("when", ["before import", "after import"])
def test_affinity_refused(expected, error, binding, when):
    refuse = refusing(["sched_getaffinity"], error)
    first, before = (refuse, "") if when == "before import" else ("", refuse)
    code = train(first, n_threads=None, before=before) + "cbp.show_versions()\n"
    found = run(code, may_end="OMP: Error", OMP_PROC_BIND=binding)
    assert found.startswith(expected)
    assert f"; {os.cpu_count()} of {os.cpu_count()} processors usable)" in found


def test_facts_of_the_system_refused(expected):
    hide = """
import builtins, io
real = io.open
def hidden(path, *args, **options):
    if str(path).startswith(("/proc", "/sys")):
        raise PermissionError(1, "Operation not permitted", str(path))
    return real(path, *args, **options)
builtins.open = io.open = hidden
"""
    found = run(train(hide, n_threads=None) + "cbp.show_versions()\n", OMP_PROC_BIND="true")
    assert found.startswith(expected)
    assert "(unknown)" in found or "none: serial" in found
