"""Freezes program.py by PyInstaller, into a file and a folder, and by Nuitka, and compares what it prints.

python .ci/frozen/check.py FOLDER [file] [folder] [nuitka]

The frozen programs run from an empty folder, without the caller's variables, and must load no file of the
Python that runs this. Needs cbp, PyInstaller, Nuitka and patchelf, and a Python with a shared library.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent.resolve()
PROGRAM = HERE / "program.py"
PYINSTALLER = ("-m", "PyInstaller", "--noconfirm", "--clean", "--log-level", "WARN", "--name", "program")
# NumPy is kept as bytecode: compiling it takes many minutes, and tests nothing of cbp.
NUITKA = ("-m", "nuitka", "--standalone", "--lto=no", "--jobs=2", "--assume-yes-for-downloads")
NUITKA += ("--include-package-data=cbp", "--noinclude-custom-mode=numpy:bytecode")


def run(*command: object, folder: Path) -> None:
    """Run Python in a folder, with the programs of its environment on the path."""
    programs = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    words = [sys.executable, *map(str, command)]
    subprocess.run(words, cwd=folder, check=True, env=os.environ | {"PATH": programs})


def by_pyinstaller(folder: Path, how: str) -> Path:
    """Freeze the program by PyInstaller, and return the path of the result."""
    run(*PYINSTALLER, how, PROGRAM, folder=folder)
    return folder / "dist" / "program" if how == "--onefile" else folder / "dist" / "program" / "program"


def by_nuitka(folder: Path) -> Path:
    """Freeze the program by Nuitka, and return the path of the result."""
    run(*NUITKA, PROGRAM, folder=folder)
    return folder / "program.dist" / "program.bin"


WAYS = {
    "file": lambda folder: by_pyinstaller(folder, "--onefile"),
    "folder": lambda folder: by_pyinstaller(folder, "--onedir"),
    "nuitka": by_nuitka,
}


def printed(*command: object, folder: Path) -> str:
    """Return what a program prints that is run without the variables of this environment."""
    env = {"HOME": str(folder), "TMPDIR": str(folder), "FILES": str(folder / "files")}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode or done.stderr:
        raise SystemExit(f"{command[0]} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def check(way: str, folder: Path, expected: str) -> None:
    """Freeze the program one way, move it elsewhere, run it, and compare what it prints."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "made").mkdir(parents=True)
    made = WAYS[way](folder / "made")
    program = shutil.copytree(made.parent, folder / "moved", symlinks=True) / made.name
    shutil.rmtree(folder / "made")
    found = printed(program, folder=folder)
    if found != expected:
        raise SystemExit(f"{way}: printed\n{found}\nexpected\n{expected}")
    files = (folder / "files").read_text().splitlines()
    if strangers := [file for file in files if is_strange(file, folder)]:
        raise SystemExit(f"{way}: loaded {strangers}")
    print(f"{way}: the same output, {len(files)} files loaded, none of this Python's", flush=True)


def is_strange(file: str, folder: Path) -> bool:
    """Whether a file that a program has loaded belongs to this Python, its packages or this tree."""
    prefixes = {str(HERE.parent.parent), sys.prefix, sys.base_prefix} - {"/usr"}
    return not file.startswith(str(folder)) and ("python" in file or file.startswith(tuple(prefixes)))


def main() -> None:
    """Check the ways that the command line names, or all."""
    folder, ways = Path(sys.argv[1]).resolve() / "frozen", sys.argv[2:] or list(WAYS)
    (folder / "unfrozen").mkdir(parents=True, exist_ok=True)
    expected = printed(sys.executable, PROGRAM, folder=folder / "unfrozen")
    print(expected)
    for way in ways:
        check(way, folder / way, expected)


if __name__ == "__main__":
    main()
