"""How setup.py builds: that a build which must have OpenMP fails without it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
pytestmark = [
    pytest.mark.skipif(not (TOP / "setup.py").exists(), reason="the sources are not here"),
    pytest.mark.skipif(sys.platform == "win32", reason="the compiler is wrapped by a shell script"),
]


@pytest.fixture
def without_openmp(tmp_path):
    """A compiler that knows no -fopenmp."""
    pytest.importorskip("setuptools")
    pytest.importorskip("Cython")
    compiler = shutil.which("cc") or pytest.skip("there is no compiler")
    wrapper = tmp_path / "cc"
    wrapper.write_text(
        "#!/bin/sh\n"
        'for word; do case "$word" in -fopenmp) echo "wrapped: no OpenMP" >&2; exit 1 ;; esac; done\n'
        f'exec "{compiler}" "$@"\n'
    )
    wrapper.chmod(0o755)
    return wrapper


def build(folder, **variables):
    """Run setup.py, which leaves nothing in the tree."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CBP_")}
    command = [sys.executable, "setup.py", "build_ext"]
    command += ["--build-temp", str(folder / "temp"), "--build-lib", str(folder / "lib")]
    return subprocess.run(
        command, cwd=TOP, env=clean | variables, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_a_build_that_requires_openmp_fails_without_it(tmp_path, without_openmp):
    done = build(tmp_path, CC=str(without_openmp), CBP_OPENMP="require")
    assert done.returncode == 1
    assert "wrapped: no OpenMP" in done.stderr
    assert "CBP_OPENMP=require, but neither -fopenmp nor -Xpreprocessor -fopenmp with -lomp" in done.stderr
    assert not list(tmp_path.rglob("*.c"))


def test_openmp_is_asked_for_by_known_words(tmp_path):
    pytest.importorskip("setuptools")
    pytest.importorskip("Cython")
    done = build(tmp_path, CBP_OPENMP="yes")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("CBP_OPENMP must be 0, 1 or require, got yes")
