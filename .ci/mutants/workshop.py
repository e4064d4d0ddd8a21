"""A workshop puts a mistake into a copy of the project, builds it, and tests it in its own environment."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from operators import Mutant

__all__ = ["Outcome", "Workshop"]

MODULES = f"*{sysconfig.get_config_var('EXT_SUFFIX')}"
# Files of tests that find most mistakes in compiled code, and are quick.
KERNEL_TESTS = [
    "test_golden.py",
    "test_products.py",
    "test_packing.py",
    "test_updates.py",
    "test_gradient.py",
    "test_training.py",
    "test_conjunctions.py",
    "test_bits.py",
    "test_outside_steps.py",
    "test_rows_of_activations.py",
]
LONGEST = 900  # seconds of a run of the suite: a mistake can make a loop endless


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: "killed", "survived", "same" (same compiled code) or "broken" (no build)."""

    result: str
    by: str = ""  # the first test that failed
    seconds: float = 0.0


class Workshop:
    """Judges one mutant at a time, in a folder of its own."""

    def __init__(self, project: Path, folder: Path, wheel: Path, isa: str) -> None:
        self.tree, self.environment, self.built = folder / "tree", folder / "venv", folder / "built"
        self.isa = isa
        shutil.rmtree(folder, ignore_errors=True)
        files = subprocess.check_output(["git", "ls-files", "-z"], cwd=project, text=True).split("\0")
        for name in filter(None, files):
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project / name, self.tree / name)
        self.make_environment(wheel)
        log = self.build(folder / "first")
        if log is not None:
            raise RuntimeError(log)
        self.first = folder / "first"
        self.put_modules(self.first)
        self.times: dict[str, float] = {}

    def make_environment(self, wheel: Path) -> None:
        """Make an environment with the wheel, which takes all other packages from that of this process."""
        venv.create(self.environment, symlinks=True)
        self.python = self.environment / "bin" / "python"
        site = subprocess.check_output(
            [self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
        command = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.python),
            "install",
            "-q",
            "--no-deps",
            str(wheel),
        ]
        subprocess.run(command, check=True)
        # Written after pip has run, which would otherwise find the outer packages, and cbp, installed.
        Path(site, "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.package = Path(site, "cbp")

    def build(self, to: Path) -> str | None:
        """Compile everything for one instruction set; return the log if that fails."""
        command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(to)]
        command += ["--build-temp", str(to.with_name("temp"))]
        env = os.environ | {"CBP_BUILD_ISAS": self.isa}
        done = subprocess.run(command, cwd=self.tree, env=env, capture_output=True, text=True)
        return done.stdout + done.stderr if done.returncode else None

    def put_modules(self, built: Path) -> bool:
        """Install compiled modules; return whether any of them differs from the one before."""
        other = False
        for module in built.rglob(MODULES):
            target = self.package / module.relative_to(built / "cbp")
            if not target.exists() or not filecmp.cmp(module, target, shallow=False):
                shutil.copy(module, target)
                other = True
        return other

    def test(self, tests: list[str]) -> tuple[bool, str]:
        """Run test files in order until one fails; return whether none did, and which did."""
        record = self.tree.with_name("record.xml")
        record.unlink(missing_ok=True)
        command = [str(self.python), "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
        command += [f"--junitxml={record}", *(f"tests/{name}" for name in tests)]
        try:
            done = subprocess.run(command, cwd=self.tree, capture_output=True, text=True, timeout=LONGEST)
        except subprocess.TimeoutExpired:
            return False, f"more than {LONGEST} s"
        self.note_times(record)
        if done.returncode == 0:
            return True, ""
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
        return False, failed[1] if failed else f"the end of the process, {done.returncode}"

    def note_times(self, record: Path) -> None:
        """Remember how long each file of tests takes."""
        if not record.exists():
            return
        times: dict[str, float] = {}
        for case in ElementTree.parse(record).iter("testcase"):
            name = case.get("classname", "").split(".")[1:2]
            for stem in name:
                times[stem + ".py"] = times.get(stem + ".py", 0) + float(case.get("time", 0))
        for name, seconds in times.items():
            self.times.setdefault(name, seconds)

    def order(self, path: str, recent: list[str]) -> list[str]:
        """Return all files of tests, sorted so that those likely to find the mistake come first.

        KERNEL_TESTS come first for compiled sources; then those that name the source in their own name, or
        have killed a mutant recently; then those that name it in their text.
        """
        stem = Path(path).stem.strip("_")
        kernel = "kernels/" in path or path.endswith((".pyx", ".pxi", ".h"))

        def rank(name: str) -> tuple[int, float]:
            text = (self.tree / "tests" / name).read_text()
            if kernel and name in KERNEL_TESTS:
                return 0, KERNEL_TESTS.index(name)
            if stem in name or name in recent:
                return 1, self.times.get(name, 0)
            return 2 if re.search(rf"\b{stem}\b", text) else 3, self.times.get(name, 0)

        names = [test.name for test in (self.tree / "tests").glob("test_*.py")]
        return sorted(names, key=rank)

    def judge(self, mutant: Mutant, recent: list[str]) -> Outcome:
        """Put a mutant in, see what becomes of it, and take it out again."""
        start = time.monotonic()
        source = self.tree / mutant.path
        text = source.read_text()
        source.write_text(text[: mutant.start] + mutant.new + text[mutant.stop :])
        installed = self.package / Path(mutant.path).relative_to("src/cbp")
        compiled = source.suffix != ".py"
        try:
            if compiled:
                shutil.rmtree(self.built, ignore_errors=True)
                if self.build(self.built) is not None:
                    return Outcome("broken")
                if not self.put_modules(self.built):
                    return Outcome("same")
            else:
                try:
                    if bytecode(source.read_text()) == bytecode(text):
                        return Outcome("same")
                except SyntaxError:
                    return Outcome("broken")
                shutil.copy(source, installed)
            passed, by = self.test(self.order(mutant.path, recent))
            return Outcome("survived" if passed else "killed", by, time.monotonic() - start)
        finally:
            source.write_text(text)
            if compiled:
                self.put_modules(self.first)
            else:
                installed.write_text(text)


def bytecode(text: str) -> bytes:
    """Return the bytecode of a source, serialised."""
    import marshal

    return marshal.dumps(compile(text, "source", "exec", optimize=0))
