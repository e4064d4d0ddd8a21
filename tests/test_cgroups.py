"""The processor time that control groups allow, read from mocked trees of both versions."""

import os

import pytest

from cbp.machine import cgroups
from cbp.machine.cgroups import UNLIMITED, current_quota, quota


@pytest.fixture
def found(tmp_path):
    """A function that makes the files of a tree, and of /proc/self/cgroup, and returns the quota."""

    def found(files, groups):
        root, own = tmp_path / "cgroup", tmp_path / "self"
        root.mkdir()
        own.write_bytes(groups if isinstance(groups, bytes) else groups.encode())
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return quota(str(root), str(own))

    return found


@pytest.mark.parametrize(
    ("limits", "group", "expected"),
    [
        ({}, "0::/a/b\n", UNLIMITED),
        ({"": "max 100000\n"}, "0::/\n", UNLIMITED),
        ({"": "200000 100000\n"}, "0::/\n", 2),
        ({"a": "120000 100000\n"}, "0::/a\n", 2),  # rounded up
        ({"a": "100000 100000\n"}, "0::/a\n", 1),
        ({"a": "50000 100000\n"}, "0::/a\n", 1),
        ({"a": "1000 100000\n"}, "0::/a\n", 1),  # at least one
        ({"a": "max 100000\n", "a/b": "300000 100000\n"}, "0::/a/b\n", 3),
        ({"a": "300000 100000\n", "a/b": "max 100000\n"}, "0::/a/b\n", 3),  # that of a group above
        ({"a": "300000 100000\n", "a/b": "900000 100000\n"}, "0::/a/b\n", 3),
        ({"a": "100000 50000\n"}, "0::/a/b/c\n", 2),  # groups without the file
        ({"other": "100000 100000\n"}, "0::/a\n", UNLIMITED),
        ({"a": "nonsense\n"}, "0::/a\n", UNLIMITED),
        ({"a": "100000 0\n"}, "0::/a\n", UNLIMITED),
        ({"a": ""}, "0::/a\n", UNLIMITED),
        ({"a": "200000 100000\n"}, "12:cpu,cpuacct:/elsewhere\n0::/a\n", 2),
        ({"": "200000 100000\n"}, "0::/../x\n", 2),
        ({"": "200000 100000\n"}, "0::/\N{PILE OF POO}:b\n", 2),
        ({"": "200000 100000\n"}, b"0::/\xff\n", 2),
        ({"": "200000 100000\n"}, "", UNLIMITED),
        ({"": "200000 100000\n"}, "no cgroups\n", UNLIMITED),
    ],
)
def test_version_2(found, tmp_path, limits, group, expected):
    (tmp_path / "cpu.max").write_text("100000 100000\n")  # above the root: not a limit
    assert (
        found({f"{folder}/cpu.max".lstrip("/"): text for folder, text in limits.items()}, group) == expected
    )


@pytest.mark.parametrize("tree", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
@pytest.mark.parametrize(
    ("limits", "path", "expected"),
    [
        ({}, "/a/b", UNLIMITED),
        ({"": "-1"}, "/", UNLIMITED),
        ({"": "200000"}, "/", 2),
        ({"": "200000"}, "/docker/0123", 2),  # in a container: the group's own files are those of the mount
        ({"a": "50000"}, "/a", 1),  # half a processor
        ({"a": "150000"}, "/a", 2),  # rounded up
        ({"": "-1", "a": "300000", "a/b": "-1"}, "/a/b", 3),  # that of a group above
        ({"a": "300000", "a/b": "900000"}, "/a/b", 3),
        ({"other": "100000"}, "/a", UNLIMITED),
        ({"a": "nonsense"}, "/a", UNLIMITED),
        ({"": "200000"}, "/../x", 2),
    ],
)
def test_version_1(found, tree, controllers, limits, path, expected):
    files = {}
    for folder, limit in limits.items():
        files[f"{tree}/{folder}/cpu.cfs_quota_us"] = f"{limit}\n"
        files[f"{tree}/{folder}/cpu.cfs_period_us"] = "100000\n"
    files["memory/cpu.cfs_quota_us"] = files["memory/cpu.cfs_period_us"] = "1000\n"  # no tree of the cpu's
    groups = f"11:memory:/a\n4:cpuset:/\n3:{controllers}:{path}\n1:name=systemd:/\n0::/\n"
    assert found(files, groups) == expected


def test_version_1_with_other_periods(found):
    files = {"cpu/a/cpu.cfs_quota_us": "40000\n", "cpu/a/cpu.cfs_period_us": "10000\n"}
    assert found(files, "3:cpu:/a\n") == 4


@pytest.mark.parametrize("period", ["", "0\n", None])
def test_version_1_without_a_period(found, period):
    files = {"cpu/a/cpu.cfs_quota_us": "40000\n"} | ({"cpu/a/cpu.cfs_period_us": period} if period else {})
    assert found(files, "3:cpu:/a\n") == UNLIMITED


def test_the_lower_of_both_versions_counts(found):
    files = {"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}
    files |= {"cpu.max": "200000 100000\n"}
    assert found(files, "3:cpu:/\n0::/\n") == 2


def test_without_cgroups(tmp_path):
    assert quota(str(tmp_path), str(tmp_path / "missing")) == UNLIMITED


def test_here():
    assert quota() >= 1


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A function that writes a limit into the tree that `current_quota` reads; and the clock, one time."""
    now = [1000.0]
    (tmp_path / "self").write_text("0::/\n")
    monkeypatch.setattr(cgroups, "MOUNT", str(tmp_path))
    monkeypatch.setattr(cgroups, "SELF_CGROUP", str(tmp_path / "self"))
    monkeypatch.setattr(cgroups, "_latest", (UNLIMITED, -1e9))
    monkeypatch.setattr(cgroups.time, "monotonic", lambda: now[0])
    return (tmp_path / "cpu.max").write_text, now


def test_a_change_is_seen_after_a_moment(tree):
    limit, now = tree
    limit("300000 100000")
    assert current_quota() == 3
    limit("100000 100000")
    now[0] += 0.09
    assert current_quota() == 3
    now[0] += 0.02
    assert current_quota() == 1
    limit("max 100000")
    now[0] += 0.11
    assert current_quota() == UNLIMITED


def test_a_change_is_seen_at_once_by_who_asks_for_that(tree):
    limit, _ = tree
    limit("300000 100000")
    assert current_quota() == 3
    limit("200000 100000")
    assert current_quota(afresh=True) == 2
    assert current_quota() == 2  # and it is remembered


def test_files_are_not_read_with_every_call(tree, monkeypatch):
    limit, now = tree
    limit("200000 100000")
    read, reads = cgroups.read, []
    monkeypatch.setattr(cgroups, "read", lambda path: reads.append(os.path.basename(path)) or read(path))
    for _ in range(1000):
        now[0] += 0.001
        assert current_quota() == 2
    assert 9 <= reads.count("cpu.max") <= 11


def test_a_group_that_vanishes_limits_nothing(tree, tmp_path):
    limit, _ = tree
    limit("200000 100000")
    assert current_quota(afresh=True) == 2
    (tmp_path / "cpu.max").unlink()
    assert current_quota(afresh=True) == UNLIMITED
