"""Compiles the core without Python, for any machine, and compares its results with the reference's.

python .ci/portable/run.py FOLDER [--runner qemu-s390x] COMPILER [FLAG …]

Runs in an environment with the package and Cython; takes the headers of the Python that runs it.
"""

import argparse
import shutil
import subprocess
import sys
import sysconfig
from itertools import product
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / "src"
DIRECTIVES = "cdivision=True,boundscheck=False,wraparound=False,initializedcheck=False"
PRECISIONS: tuple[list[str], ...] = ([], ["-DCBP_DOUBLE=1"])
VECTOR_BYTES = (16, 0)
STUBS = """\
#include <stdio.h>
#include <stdlib.h>

#define STUB(name) void name(void) { puts("the core called " #name ", which driver.c lacks"); exit(1); }

"""


def run(*command: str | Path) -> None:
    """Run a command and show it; end with its error."""
    print("$", *command, flush=True)
    if code := subprocess.run(command).returncode:
        sys.exit(f"{command[0]} ended with {code}")


def headers(folder: Path) -> Path:
    """Copy Python's headers, with a pyconfig.h that any compiler of 64-bit machines can read.

    Debian's pyconfig.h includes a file for each machine, and has the one of this machine only.
    """
    include, multiarch = Path(sysconfig.get_path("include")), sysconfig.get_config_var("MULTIARCH")
    copy = folder / "include"
    shutil.copytree(include, copy, dirs_exist_ok=True)
    own = include.parent / str(multiarch) / include.name / "pyconfig.h"
    if own.exists():
        shutil.copyfile(own, copy / "pyconfig.h")
    return copy


def stubs(compiler: str, compiled: Path) -> str:
    """Return C code with a function for each function of Python that the driver lacks: it prints its name.

    Most of the core's C is never called here, but all of it is linked.
    """
    nm = subprocess.check_output([compiler, "-print-prog-name=nm"], text=True).strip()
    undefined = subprocess.check_output([nm, "-u", str(compiled)], text=True)
    names = {line.split()[-1] for line in undefined.splitlines() if line}
    return STUBS + "".join(f"STUB({name})\n" for name in sorted(names) if name.startswith(("Py", "_Py")))


def main() -> None:
    """Write, compile and run the driver for each precision, with vectors and without."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runner", nargs="?", help="what runs the other machine's programs")
    parser.add_argument("compiler")
    arguments, flags = parser.parse_known_args()
    folder, compiler = arguments.folder.resolve(), arguments.compiler
    folder.mkdir(parents=True, exist_ok=True)
    core, compiled, program = folder / "backprop.c", folder / "driver.o", folder / "driver"
    run(sys.executable, HERE / "vectors.py", folder / "vectors.h")
    cython = (sys.executable, "-m", "cython", "-3", "-X", DIRECTIVES, "-I", SOURCE)
    run(*cython, SOURCE / "cbp/kernels/backprop.pyx", "-o", core)
    found_in = [f"-I{SOURCE / 'cbp/kernels'}", f"-I{headers(folder)}", f"-I{folder}"]
    compile_args = ["-O3", "-fno-math-errno", "-ffp-contract=off", "-w", *flags, *found_in]
    for precision, vector_bytes in product(PRECISIONS, VECTOR_BYTES):
        macros = [f"-DVBYTES={vector_bytes}", *precision, f'-DKERNELS="{core}"']
        run(compiler, *compile_args, *macros, "-c", HERE / "driver.c", "-o", compiled)
        (folder / "stubs.c").write_text(stubs(compiler, compiled), encoding="ascii")
        run(compiler, *flags, compiled, folder / "stubs.c", "-o", program, "-static", "-lm")
        run(*filter(None, [arguments.runner]), program)


if __name__ == "__main__":
    main()
