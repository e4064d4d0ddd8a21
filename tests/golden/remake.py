"""Writes bits.toml: the hashes of the golden trainings, as the installed package has them.

    python tests/golden/remake.py       (installed with CBP_BUILD_ISAS="x86-64-v2 x86-64-v3 wide plain")

It builds nothing. The hashes of an instruction set that is not installed, or cannot run here, stay as they
are. What has changed is printed: the message of the commit says why.
"""

import json
import os
import platform
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from design import case_of, completed, name_of

from cbp import kernels

FOLDER = Path(__file__).parent
BITS = FOLDER / "bits.toml"
# Instruction sets with the bits of another: vectors are as wide, and multiply-adds fused or not as there.
MACHINE = platform.machine().lower()
SAME_BITS = {
    "wide": "x86-64-v4",
    "baseline": "x86-64-v2" if MACHINE in ("x86_64", "amd64") else f"baseline-{MACHINE}",
}
HEAD = """\
# Hashes of what the golden trainings give, by case (design.py) and, where they differ, by instruction set:
# which is the list of what depends on it. They change only in a commit that says why;
# `python tests/golden/remake.py` writes them.
#
# What bits depend on, beside the instruction set's lanes and whether it fuses multiply-adds:
# - C library: nothing. The kernels have exponentials, logarithms and powers of their own, and call no
#   function of libm; square roots are an instruction.
# - Compiler: nothing. None may reorder or fuse (-ffp-contract=off); GCC 12 and clang 14 give the same bits.
# - NumPy: nothing; 2.0.0 and 2.4.6 give the same bits. Data, first weights and shuffles are exact arithmetic.
"""
Hashes = dict[str, dict[str, str]]  # case: what came out: its hash


def measured(isa: str, names: Iterable[str]) -> Hashes:
    """What the trainings give with an instruction set, which a process chooses once."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / "trainings.py")],
        # So many threads are used whatever the quota is.
        env=os.environ | {"CBP_ISA": isa, "OMP_NUM_THREADS": "2"},
        input=json.dumps(list(names)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def owner(isa: str) -> str:
    """The instruction set in the file whose bits it has."""
    return SAME_BITS.get(isa, isa)


def read() -> dict[str, Hashes]:
    """The hashes on file, by instruction set."""
    content = tomllib.loads(BITS.read_text(encoding="utf-8")) if BITS.exists() else {}
    return {
        isa: {
            name: {what: of_isa(found, isa) for what, found in case.items()}
            for name, case in content["trainings"].items()
        }
        for isa in content.get("instruction_sets", [])
    }


def of_isa(found: str | dict[str, str], isa: str) -> str:
    """A hash that all instruction sets have, or the one of a group with this one in it."""
    if isinstance(found, str):
        return found
    return next(value for isas, value in found.items() if isa in isas.split())


def write(bits: dict[str, Hashes], names: Iterable[str]) -> None:
    isas = sorted(bits)
    lines = [HEAD, f"instruction_sets = {json.dumps(isas)}", ""]
    for name in names:
        lines.append(f'[trainings."{name}"]')
        for what in bits[isas[0]][name]:
            groups: dict[str, list[str]] = {}
            for isa in isas:
                groups.setdefault(bits[isa][name][what], []).append(isa)
            if len(groups) == 1:
                lines.append(f'{what} = "{next(iter(groups))}"')
            else:
                lines += [f'{what}."{" ".join(group)}" = "{value}"' for value, group in groups.items()]
        lines.append("")
    BITS.write_text("\n".join(lines), encoding="utf-8")


def differences(before: Hashes, after: Hashes) -> list[str]:
    """Each case in both whose hashes differ, and in what."""
    changed = {
        name: [what for what in after[name] if after[name][what] != before[name].get(what)]
        for name in sorted(before.keys() & after.keys())
    }
    return [f"{name}: {', '.join(results)}" for name, results in changed.items() if results]


def main() -> None:
    bits = read()
    kept = [case for name in next(iter(bits.values()), {}) if (case := case_of(name)) is not None]
    names = [name_of(case) for case in completed(kept)]
    here = kernels.available()
    for isa in sorted(set(bits) - set(map(owner, here))):
        print(f"{isa}: not installed or not runnable here; its hashes stay")
        if set(names) - set(bits[isa]):
            raise SystemExit("... but there are cases that are new: install it too")
    found = {isa: measured(isa, names) for isa in here}
    for isa, hashes in found.items():
        if hashes != found.get(owner(isa), hashes):
            raise SystemExit(f"{isa} no longer has the bits of {owner(isa)}: see SAME_BITS")
        before = bits.get(owner(isa), {})
        changed = differences(before, hashes)
        new = len(set(names) - set(before))
        print(f"{isa}: {len(changed)} of {len(names)} cases have changed, {new} are new")
        print(*(f"    {line}\n" for line in changed), sep="", end="")
    bits |= {owner(isa): hashes for isa, hashes in found.items()}
    write(bits, names)


if __name__ == "__main__":
    main()
