"""The package as installed: its contents, what importing it costs, and whether its documents are true."""

import doctest
import importlib
import importlib.metadata
import re
import subprocess
import sys
import sysconfig
import tomllib
import zlib
from pathlib import Path

import pytest

import cbp

HERE = Path(cbp.__file__).parent
TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text(encoding="utf-8")
# What compiled modules end with: of this Python alone, or of all later ones too.
SUFFIX = next(
    suffix
    for suffix in (sysconfig.get_config_var("EXT_SUFFIX"), ".abi3.so", ".pyd")
    if (HERE / f"_core{suffix}").exists()
)
DISTRIBUTION = importlib.metadata.distribution("cython-backprop")


def run(code, folder):
    """Run Python in a process of its own, and return the words that it printed."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_the_installed_package_is_tested():
    assert HERE.parent.resolve() in {
        Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")
    }


def test_exported_names():
    assert cbp.__all__ == [
        "SGD",
        "Adagrad",
        "Adam",
        "AdamW",
        "EarlyStopping",
        "Epoch",
        "Every",
        "Gradient",
        "History",
        "ModelFileError",
        "Nadam",
        "Network",
        "RMSprop",
        "RangeTest",
        "Step",
        "__version__",
        "datasets",
        "find_learning_rate",
        "get_num_threads",
        "load",
        "resume",
        "schedules",
        "set_num_threads",
        "show_versions",
    ]
    for name in cbp.__all__:
        assert getattr(cbp, name) is not None
    with pytest.raises(AttributeError, match="module 'cbp' has no attribute 'Netwrok'"):
        cbp.Netwrok  # noqa: B018


def test_one_version_everywhere():
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cbp.__version__ == DISTRIBUTION.version == project["version"]
    assert f"\n## [{project['version']}] " in (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in (TOP / "CITATION.cff").read_text(encoding="utf-8")


def test_import_brings_numpy_and_nothing_that_takes_long(tmp_path):
    code = "import sys, numpy; before = {*sys.modules}; import cbp; print(*{*sys.modules} - before)"
    brought = {*run(code, tmp_path)}
    # What Cython keeps its shared types in, under names of its own.
    others = {name for name in brought if not re.match(r"_cython_\d|cython_runtime$", name)}
    assert {name.partition(".")[0] for name in others} - {"cbp", "numpy"} <= sys.stdlib_module_names
    # Each costs as much as half of the package, or more.
    assert not others & {"email", "importlib.metadata", "numpy.random", "pathlib", "tempfile", "zipfile"}


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has the GIL")
def test_free_threaded_python_stays_so(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHON_GIL", raising=False)
    code = """import sys, cbp
for dtype in ("float32", "float64"):
    cbp.Network([2, 2], dtype=dtype).predict([[0, 1]])
print(sys._is_gil_enabled())"""
    assert run(code, tmp_path) == ["False"]


def test_import_from_anywhere_prints_nothing(tmp_path):
    assert run("import cbp; from cbp import *", tmp_path) == []


def test_types_are_there_for_all_compiled_modules():
    assert (HERE / "py.typed").read_text() == ""
    assert (HERE / "_core.pyi").is_file()
    assert (HERE / "_probes.pyi").is_file()
    assert (HERE / "kernels" / "cpu.pyi").is_file()
    # Those of the kernels proper have nothing but a capsule.
    compiled = {path.name.removesuffix(SUFFIX) for path in HERE.rglob(f"*{SUFFIX}")}
    assert {name for name in compiled if not re.match("f(32|64)_", name)} == {"_core", "_probes", "cpu"}


def test_the_wheel_has_no_sources_of_what_is_compiled():
    known = {"py.typed", "digits.npz", "table.pxd"}
    files = [
        file for file in DISTRIBUTION.files if file.parts[0] == "cbp" and "__pycache__" not in file.parts
    ]
    assert len(files) > 30
    assert [file for file in files if file.suffix not in (".py", ".pyi", ".so", ".pyd")] == [
        file for file in files if file.name in known
    ]


def test_the_package_is_small():
    files = [path for path in HERE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    if any(b".debug_info" in path.read_bytes() for path in HERE.rglob(f"*{SUFFIX}")):
        pytest.skip("built with debugging symbols")
    # As in a wheel; the compilers differ by several per cent.
    assert sum(len(zlib.compress(path.read_bytes())) for path in files) < 1e6


def test_licences_come_with_it():
    licences = [file.read_text() for file in DISTRIBUTION.files if "licenses" in file.parts]
    assert any("Redistribution and use in source and binary forms" in text for text in licences)
    assert any("CC BY 4.0" in text for text in licences)
    # Of what repaired wheels carry.
    assert any("GCC RUNTIME LIBRARY EXCEPTION" in text for text in licences)
    assert any("LLVM Exceptions" in text for text in licences)


@pytest.mark.parametrize(
    "name",
    sorted(
        ".".join(path.relative_to(HERE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in HERE.rglob("*.py")
        if ">>> " in path.read_text(encoding="utf-8")
    ),
)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


def test_examples_in_the_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.S | re.M)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(block, names)
    assert re.search(r"^9[6-9]\.\d% of the test digits", capsys.readouterr().out, re.M)
    assert names["D"].loss < 0.01


def test_the_readme_knows_the_names():
    for dotted in re.findall(r"`(cbp(?:\.\w+)+)\b", README):
        thing = cbp
        for name in dotted.split(".")[1:]:
            thing = getattr(thing, name)
    for name in re.findall(r"`\.(\w+)`", README.partition("## Names")[2].partition("\n## ")[0]):
        assert hasattr(cbp.Network, name) or name == "plot", name


def test_the_readme_reads_well_where_its_neighbours_are_not():
    """A package index shows it without the files beside it, where relative links lead nowhere."""
    links = re.findall(r"\]\(([^)]*)\)", README)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_the_readme_starts_with_its_two_commands():
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.S | re.M)
    assert [block.strip().split(" && ")[-1] for block in blocks[:2]] == [
        ".venv/bin/cbp train",
        ".venv/bin/pytest",
    ]
