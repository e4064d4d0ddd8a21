"""The OpenMP runtimes that packages bring, found in this process and asked for their places."""

import os
import sys

import pytest

from cbp import kernels
from cbp.machine import runtimes, versions

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell what is loaded"),
    pytest.mark.skipif(versions.describe()["OpenMP"].startswith("none"), reason="a build without OpenMP"),
]


def test_ours_is_loaded():
    kernels.table("float32")
    found = runtimes.loaded()
    assert found == sorted(set(found))
    assert all(os.path.isfile(path) for path in found)
    assert versions.openmp_runtime() == ", ".join(sorted(map(os.path.basename, found)))


def test_maps_of_a_process(monkeypatch, tmp_path):
    maps = tmp_path / "maps"
    maps.write_text(
        "7f00-7f01 r-xp 00000000 fe:01 123                        /usr/lib/libgomp.so.1.0.0\n"
        "7f01-7f02 r--p 00000000 fe:01 123                        /usr/lib/libgomp.so.1.0.0\n"
        "7f02-7f03 r--p 00000000 fe:01 124   /a b/torch.libs/libgomp-a34b3233.so.1\n"
        "7f03-7f04 r--p 00000000 fe:01 125   /x/libiomp5.so\n"
        "7f04-7f05 r--p 00000000 fe:01 126   /x/libomp.so.5\n"
        "7f05-7f06 r--p 00000000 fe:01 127   /x/libomp/notes.txt\n"
        "7f06-7f07 r--p 00000000 fe:01 128   /x/mylibgomp.so\n"
        "7f07-7f08 rw-p 00000000 00:00 0     [heap]\n"
    )
    original = open
    monkeypatch.setattr("builtins.open", lambda path, **options: original(maps, **options))
    assert runtimes.loaded() == [
        "/a b/torch.libs/libgomp-a34b3233.so.1",
        "/usr/lib/libgomp.so.1.0.0",
        "/x/libiomp5.so",
        "/x/libomp.so.5",
    ]


def test_the_places_of_a_file_that_is_not_a_runtime(tmp_path):
    path = tmp_path / "libgomp.so"
    path.write_text("nothing")
    assert runtimes.places_of(str(path)) == []
    assert runtimes.places_of(str(tmp_path / "missing.so")) == []
    assert runtimes.places_of("libc.so.6") == []


@pytest.mark.parametrize(
    ("mask", "whole"),
    [
        ({1}, {1, 2, 3}),
        ({2, 3}, {1, 2, 3}),
        ({5}, {4, 5}),
        ({1, 2}, {1, 2}),
        ({6}, {6}),
        (set(range(8)), set(range(8))),
    ],
)
def test_the_processors_before_binding(monkeypatch, mask, whole):
    places = {"a": [], "b": [{1}, {2, 3}], "c": [{4}, {5}], "d": [set(range(8))]}
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(runtimes, "loaded", lambda: list(places))
    monkeypatch.setattr(runtimes, "places_of", places.__getitem__)
    assert runtimes.before_binding(mask) == whole


@pytest.fixture
def bound(monkeypatch):
    """The mask of the calling thread, a list, as a simulated system has it; {1} of {0, 1, 2}."""
    mask = [{1}]
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(mask[0]))
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, to: mask.append(set(mask.pop() and to)))
    monkeypatch.setattr(runtimes, "before_binding", lambda mask: {0, 1, 2})
    for name in runtimes.BINDING:
        monkeypatch.delenv(name, raising=False)
    return mask


@pytest.mark.parametrize("name", runtimes.BINDING)
def test_a_bound_thread_is_released_and_bound_again(bound, monkeypatch, name):
    monkeypatch.setenv(name, "x")
    seen = []

    def load():
        seen.extend(bound)
        raise ImportError

    with pytest.raises(ImportError), runtimes.released():
        load()
    assert seen == [{0, 1, 2}]
    assert bound == [{1}]


def test_a_thread_is_left_alone_without_a_variable(bound):
    with runtimes.released():
        assert bound == [{1}]


def test_a_thread_that_the_loaded_runtime_binds_stays_bound(bound, monkeypatch):
    monkeypatch.setenv("OMP_PROC_BIND", "true")
    bound[0] = {0, 1, 2}
    with runtimes.released():
        bound[0] = {0}
    assert bound == [{0}]


@pytest.mark.parametrize("refused", ["sched_getaffinity", "sched_setaffinity"])
def test_a_sandbox_that_refuses(bound, monkeypatch, refused):
    def refuse(*arguments):
        raise PermissionError

    monkeypatch.setenv("OMP_PROC_BIND", "true")
    monkeypatch.setattr(os, refused, refuse)
    with runtimes.released():
        assert bound == [{1}]
    assert bound == [{1}]
