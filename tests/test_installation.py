"""Installations that lack something: what they say, and that `cbp info` tells it too."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cbp
from cbp import kernels
from cbp.machine import installation

HERE = Path(cbp.__file__).parent
TRAIN = "import cbp; cbp.Network([2, 2], dtype='float64').fit([[0, 1]], [1], epochs=1)"


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, to be imported instead of the one installed."""
    made = tmp_path / "copy" / "cbp"
    shutil.copytree(HERE, made, ignore=shutil.ignore_patterns("__pycache__"))
    for libraries in HERE.parent.glob("cython_backprop.libs"):  # of a repaired wheel
        shutil.copytree(libraries, made.parent / libraries.name)
    return made


def compiled(folder, pattern):
    """Compiled modules whose names match; there is one at least."""
    found = [path for path in folder.iterdir() if re.fullmatch(pattern + r"\.(.*\.)?(so|pyd)", path.name)]
    assert found
    return found


def remove(folder, pattern):
    for path in compiled(folder, pattern):
        path.unlink()


def run(path, *arguments, **env):
    """Run Python with a path of its own before those of packages."""
    own = {name: value for name, value in os.environ.items() if name != "CBP_ISA"}
    env = own | {"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"} | env
    return subprocess.run(
        [sys.executable, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def error_of(path, code=TRAIN, **env):
    """The one line that an error of the code says."""
    done = run(path, "-c", code, **env)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def facts_of(path, **env):
    """What `cbp info` prints, and `cbp.show_versions()` too."""
    done = run(path, "-m", "cbp", "info", **env)
    assert (done.returncode, done.stderr) == (0, "")
    assert run(path, "-c", "import cbp; cbp.show_versions()", **env).stdout == done.stdout
    return dict(re.split("  +", line, maxsplit=1) for line in done.stdout.splitlines())


def pretend_level(folder, level):
    """Have the copy find a processor of that level."""
    remove(folder / "kernels", "cpu")
    (folder / "kernels" / "cpu.py").write_text(f"def level():\n    return {level}\n")


def pretend_built(folder, *isas):
    """Have the copy find kernels for these sets of instructions, which it must not load."""
    (one, *_) = compiled(folder / "kernels", r"f32_\w+")
    ending = one.name.partition(".")[2]
    remove(folder / "kernels", r"f(32|64)_\w+")
    for isa in isas:
        for precision in ("f32", "f64"):
            (folder / "kernels" / f"{precision}_{isa.replace('-', '_')}.{ending}").touch()


# --- the kernels -----------------------------------------------------------------------------------------


def test_kernels_that_are_missing(copy):
    remove(copy / "kernels", r"f(32|64)_\w+")
    what = f"the installation of cbp in {copy} is not complete. Install it anew: pip install"
    assert what in error_of(copy.parent)
    facts = facts_of(copy.parent)
    assert facts["instruction set"].startswith("none: cbp.kernels.f32_* is missing: ")
    assert list(facts) == ["cbp", "instruction set", "NumPy", "Python", "GIL", "platform"]
    done = run(copy.parent, "-m", "cbp", "train", "--quiet")
    assert done.returncode == 2
    assert done.stderr.startswith("cbp: error: cbp.kernels.f32_* is missing")
    assert done.stderr.count("\n") == 1


def test_kernels_of_one_precision_that_are_missing(copy):
    remove(copy / "kernels", r"f64_\w+")
    assert re.search(r"ImportError: cbp\.kernels\.f64_\w+ is missing: ", error_of(copy.parent))
    assert run(copy.parent, "-c", TRAIN.replace("64", "32")).returncode == 0


@pytest.mark.parametrize("code", ["sys.frozen = True", "cbp.machine.installation.FROZEN = True"])
def test_kernels_that_a_freezer_left_out(copy, code):
    remove(copy / "kernels", r"f(32|64)_\w+")
    prepare = f"import sys\n{(code.partition(' ')[0] == 'sys.frozen' and code) or ''}\nimport cbp\n{code}\n"
    error = error_of(copy.parent, prepare + TRAIN)
    assert "was frozen without all of cbp" in error
    assert "--collect-all cbp" in error
    assert "--include-package=cbp" in error


def test_a_processor_that_is_too_old(copy):
    pretend_level(copy, 1)
    pretend_built(copy, "x86-64-v2", "x86-64-v3", "x86-64-v4")
    what = "wheels of cbp need an x86-64-v2 processor (SSE4.2), which this one is not: build it with "
    what += "CBP_BUILD_ISAS=baseline"
    assert error_of(copy.parent) == f"ImportError: {what}"
    assert facts_of(copy.parent)["instruction set"] == f"none: {what}"


@pytest.mark.parametrize(
    ("level", "processor"), [(2, "this processor has x86-64-v2"), (0, "this is another processor")]
)
def test_kernels_for_other_processors(copy, level, processor):
    pretend_level(copy, level)
    pretend_built(copy, "x86-64-v3", "x86-64-v4")
    what = f"built for x86-64-v4, x86-64-v3 alone, and {processor}: install a wheel"
    assert what in error_of(copy.parent)
    assert what in facts_of(copy.parent)["instruction set"]


def test_an_instruction_set_that_was_not_built(copy):
    pretend_level(copy, 3)
    pretend_built(copy, "x86-64-v3", "x86-64-v4")
    what = "CBP_ISA='x86-64-v2' was not built into this installation, which has x86-64-v4, x86-64-v3: "
    assert what in error_of(copy.parent, CBP_ISA="x86-64-v2")
    facts = facts_of(copy.parent, CBP_ISA="x86-64-v2")
    assert what + "choose one of those that run here (x86-64-v3)" in facts["instruction set"]


def test_an_instruction_set_that_the_processor_lacks(copy):
    pretend_level(copy, 3)
    pretend_built(copy, "x86-64-v3", "x86-64-v4")
    what = "CBP_ISA='x86-64-v4' is more than this machine has (this processor has x86-64-v3); "
    what += "available: x86-64-v3"
    assert error_of(copy.parent, CBP_ISA="x86-64-v4") == f"ImportError: {what}"
    assert facts_of(copy.parent, CBP_ISA="x86-64-v4")["instruction set"] == f"none: {what}"


def test_an_instruction_set_that_nobody_knows():
    with pytest.raises(ImportError, match="CBP_ISA must be one of x86-64-v4, .*, got 'avx2'"):
        kernels.choose("avx2")


@pytest.mark.parametrize(
    ("level", "built", "chosen"),
    [
        (4, ["x86-64-v2", "x86-64-v3", "x86-64-v4"], "x86-64-v4"),
        (3, ["x86-64-v2", "x86-64-v3", "x86-64-v4"], "x86-64-v3"),
        (3, ["wide", "x86-64-v2"], "x86-64-v2"),
        (3, ["wide", "plain"], "wide"),
        (1, ["baseline"], "baseline"),
        (0, ["baseline", "plain"], "baseline"),
    ],
)
def test_the_best_is_chosen(copy, level, built, chosen):
    pretend_level(copy, level)
    pretend_built(copy, *built)
    assert run(copy.parent, "-c", "from cbp import kernels; print(kernels.isa())").stdout == chosen + "\n"


def test_freezers_see_all_kernels():
    names = kernels.seen_by_freezers.__code__.co_names
    imported = {name.rpartition(".")[2] for name in names if name.startswith("cbp.kernels.")}
    assert imported == {
        f"{precision}_{isa.replace('-', '_')}"
        for isa in kernels.LEVELS
        for precision in kernels.PRECISIONS.values()
    }


# --- the modules that everything needs -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["_core", "kernels.cpu"])
def test_modules_that_are_missing(copy, name):
    folder = copy / "kernels" if "." in name else copy
    remove(folder, name.rpartition(".")[2])
    error = error_of(copy.parent)
    assert error.startswith(f"ImportError: cbp.{name} is missing: the installation of cbp in {copy} is not ")


def test_modules_for_another_python(copy):
    (core,) = compiled(copy, "_core")
    core.rename(copy / "_core.cpython-399-x86_64-linux-gnu.so")
    error = error_of(copy.parent)
    assert "installed for another Python (_core.cpython-399-x86_64-linux-gnu.so; this one loads" in error


@pytest.mark.parametrize("name", ["cython_backprop-0.1.0-cp311-cp311-linux_x86_64.whl", "program.pyz"])
def test_archives_on_the_path(copy, tmp_path, name):
    archive = tmp_path / name
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("__main__.py", "import cbp")
        for path in copy.rglob("*"):
            file.write(path, path.relative_to(copy.parent))
    what = f"ImportError: cbp was imported from {archive}, and Python cannot load compiled modules out of an "
    assert error_of(archive).startswith(what)
    done = run(tmp_path, str(archive))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(what)
    assert "unpack it into a folder" in done.stderr


def test_what_is_no_archive(tmp_path):
    assert installation.archive_of(str(tmp_path)) is None
    assert installation.archive_of(str(tmp_path / "missing" / "folder")) is None
    file = tmp_path / "archive"
    file.touch()
    assert installation.archive_of(str(file / "cbp")) == str(file)


def test_numpy_that_is_missing(copy, tmp_path):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("raise ModuleNotFoundError('none', name='numpy')")
    path = f"{tmp_path}{os.pathsep}{copy.parent}"
    # Python 3.15 adds what else might have been meant.
    assert error_of(path, "import cbp").startswith("ModuleNotFoundError: none")


def test_digits_that_are_missing(copy):
    (copy / "data" / "digits.npz").unlink()
    load = "cbp.datasets.load_digits()"
    error = error_of(copy.parent, f"import cbp; {load}")
    assert error.startswith("FileNotFoundError: cbp/data/digits.npz is missing: the installation of cbp in ")
    error = error_of(copy.parent, f"import cbp; cbp.machine.installation.FROZEN = True; {load}")
    assert "--collect-data cbp" in error
    assert "--include-package-data=cbp" in error
