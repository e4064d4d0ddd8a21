"""That the lists of Pythons agree: the classifiers, noxfile.py, ci.yml, and what a release is built for."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
WORKFLOWS = TOP / ".github" / "workflows"
pytestmark = pytest.mark.skipif(not WORKFLOWS.exists(), reason="the workflows are not here")
SETTINGS = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
CIBUILDWHEEL = SETTINGS["tool"]["cibuildwheel"]


@pytest.fixture(scope="module")
def noxfile():
    return (TOP / "noxfile.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def jobs():
    """The rows of the matrices of ci.yml, as dicts."""
    text = (WORKFLOWS / "ci.yml").read_text(encoding="utf-8")
    rows = re.findall(r"^ +- \{ (.*) \}$", text, re.M)
    return [dict(re.findall(r'(\w+): "?([^",]+)"?', row)) for row in rows]


def listed(noxfile, name):
    """A list of noxfile.py."""
    return re.findall(r'"([^"]+)"', re.search(rf"^{name} = \[(.*)\]$", noxfile, re.M)[1])


@pytest.fixture(scope="module")
def whole():
    return runpy.run_path(str(TOP / ".ci" / "whole.py"))


def built():
    """The Pythons of the wheels, as 3.14 or 3.14t."""
    return [re.sub(r"^cp3(\d+t?)-\*$", r"3.\1", build) for build in CIBUILDWHEEL["build"]]


def test_classifiers_name_the_pythons_that_have_wheels():
    classifiers = SETTINGS["project"]["classifiers"]
    named = re.findall(r"^Programming Language :: Python :: (3\.\d+)$", "\n".join(classifiers), re.M)
    assert named == [python for python in built() if not python.endswith("t")]
    free = any("Free Threading" in c for c in classifiers)
    assert free == any(python.endswith("t") for python in built())
    assert SETTINGS["project"]["requires-python"] == f">={named[0]}"


def test_nox_runs_the_suite_on_the_pythons_that_have_wheels(noxfile):
    assert listed(noxfile, "PYTHONS") == [python for python in built() if not python.endswith("t")]
    assert {python for python in built() if python.endswith("t")} <= set(listed(noxfile, "FREE_THREADED"))


def test_ci_runs_the_suite_on_the_pythons_that_have_wheels(jobs):
    linux = [job["session"] for job in jobs if job.get("os") == "ubuntu-24.04"]
    sessions = {f"{'freethreaded' if python.endswith('t') else 'tests'}-{python}" for python in built()}
    assert set(linux) == sessions | {"minimum"}
    for job in jobs:
        name, _, python = job["session"].partition("-")
        assert not python or python == job["python"], name


def test_ci_runs_the_oldest_and_the_newest_python_on_each_machine_of_the_wheels(jobs):
    text = (WORKFLOWS / "wheels.yml").read_text(encoding="utf-8")
    block = re.search(r"^        os:\n((?: {10}[-#].*\n)+)", text, re.M)[1]
    machines = re.findall(r"^ +- (\S+)$", block, re.M)
    assert len(machines) == len(set(machines)) == 6
    with_gil = [python for python in built() if not python.endswith("t")]
    for machine in machines:
        pythons = {job["python"] for job in jobs if job.get("os") == machine}
        assert pythons >= {with_gil[0], with_gil[-1]}, machine


def test_ci_calls_sessions_that_exist(jobs, noxfile):
    sessions = set(re.findall(r"^@nox\.session.*\n(?:@.*\n)*def (\w+)", noxfile, re.M))
    assert len(jobs) > 20
    assert {re.split(r"[-(]", job["session"])[0] for job in jobs} <= sessions


def test_every_platform_requires_openmp():
    for platform in ("linux", "macos", "windows"):
        # As cibuildwheel does: a platform's own table replaces the common one.
        environment = CIBUILDWHEEL[platform].get("environment", CIBUILDWHEEL["environment"])
        assert environment["CBP_OPENMP"] == "require", platform
    assert not any("environment" in override for override in CIBUILDWHEEL["overrides"])


def release():
    """The names of a whole one."""
    version = SETTINGS["project"]["version"]
    platforms = ["manylinux_2_27_x86_64.manylinux_2_28_x86_64", "manylinux_2_28_aarch64"]
    platforms += [f"musllinux_1_2_{machine}" for machine in ("x86_64", "aarch64")]
    platforms += ["macosx_11_0_x86_64", "macosx_11_0_arm64", "win_amd64", "win_arm64"]
    tags = ["cp311-cp311", "cp312-cp312", "cp313-cp313", "cp314-cp314", "cp314-cp314t"]
    tags += ["cp315-cp315", "cp315-cp315t", "cp312-abi3"]
    names = [f"cython_backprop-{version}-{tag}-{platform}.whl" for tag in tags for platform in platforms]
    return [f"cython_backprop-{version}.tar.gz", *names]


def test_a_whole_release_is_whole(whole):
    assert whole["faults"](release(), SETTINGS) == []


def test_a_release_without_one_file_is_not_whole(whole):
    names = release()
    for name in names:
        (fault,) = whole["faults"](set(names) - {name}, SETTINGS)
        assert re.fullmatch(r"0 files are named .*, expected 1", fault), name


@pytest.mark.parametrize(
    "name",
    [
        "cython_backprop-9.9.9-cp313-cp313-win_amd64.whl",
        "cython_backprop-0.1.0-cp310-cp310-win_amd64.whl",
        "cython_backprop-0.1.0-cp313-cp313-linux_x86_64.whl",
    ],
)
def test_a_release_has_nothing_else(whole, name):
    assert whole["faults"]([*release(), name], SETTINGS) == [f"{name} belongs to no release"]
