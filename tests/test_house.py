"""The promise: the house has no circles: kernels and modules use what stands below them alone."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "cbp"
KERNELS = PACKAGE / "kernels"
MOST_LINES = 300
# Longer, and why.
LONGER = {"network": "what users call, of which three quarters are docstrings"}
# The rooms of the Python side, the lowest first: a module may import those of lower rooms, and of its own
# without a circle.
ROOMS = {
    "what needs nothing": "examples examples.conversion figures files files.metadata files.whole flops "
    "machine machine.cgroups machine.forks machine.installation machine.runtimes printing rng scalars",
    "the algorithm in NumPy": "reference reference.functions reference.noise reference.updates",
    "rows: activations, losses, optimisers": "functions optimizers optimizers.adam optimizers.base "
    "optimizers.kin optimizers.rates optimizers.scaled optimizers.sgd schedules schedules.cycles "
    "schedules.decays schedules.plateau",
    "the machine": "kernels machine.threads machine.versions",
    "what users give": "arguments examples.arrays examples.classes examples.faults examples.frames "
    "examples.split examples.targets",
    "what a network is, and where it lies": "architecture files.checkpoint files.npz initialization layers "
    "layout",
    "what is measured": "metrics scores",
    "training": "training training.checkpoints training.curves training.ends training.epochs "
    "training.history training.hooks training.measures training.own_losses "
    "training.passes training.plain training.progress training.rates training.record "
    "training.runs training.saving training.state training.steps training.stopping training.stream "
    "training.table",
    "a network": "copies derivatives network pictures range_test resuming structure",
    "the package": "__init__ benchmark datasets",
    "tables": "tabular tabular.choices tabular.examples tabular.forms tabular.inputs tabular.readers "
    "tabular.targets",
    "the command line": "__main__ cli cli.arguments cli.bench cli.commands cli.data cli.outputs cli.recipe "
    "cli.report cli.trainer cli.values",
}

pytestmark = pytest.mark.skipif(not KERNELS.is_dir(), reason="for a checkout, which has the sources")


def kernel_files():
    """The text of each file that backprop.pyx includes, in that order: the lowest first."""
    names = re.findall(r'^include "(\w+)\.pxi"$', (KERNELS / "backprop.pyx").read_text(), re.M)
    return {name: (KERNELS / f"{name}.pxi").read_text(encoding="utf-8") for name in names}


def code_of(text):
    """The text without comments and docstrings."""
    return re.sub(r'""".*?"""|#[^\n]*', "", text, flags=re.S)


def defined_in(text):
    """Functions, constants of enums and arrays that a file defines."""
    code = code_of(text)
    functions = re.findall(r"^cdef [\w* ]*?(\w+)\((?=[^*])", code, re.M)
    constants = re.findall(r"^    ([A-Z][A-Z_0-9]*) =", code, re.M)
    return {*functions, *constants, *re.findall(r"^cdef \w+\[\d+\] (\w+)$", code, re.M)}


def uses(files):
    """What each file uses of others: {file: {other file: names}}."""
    owner = {name: file for file, text in files.items() for name in defined_in(text)}
    found = {}
    for file, text in files.items():
        found[file] = {}
        # A struct's field, or a local variable, may have the name of a function.
        for name in set(re.findall(r"(?<![.\w])[A-Za-z_]\w*", code_of(text))) & set(owner):
            if owner[name] != file and not re.search(rf"^    cdef [\w* ]+\b{name}\b", code_of(text), re.M):
                found[file].setdefault(owner[name], set()).add(name)
    return found


def head_of(text):
    """The comment at the head of a file: its idea, and the words after "Needs:" and "Gives:"."""
    lines = text[: text.index("\n\n")].split("\n")
    words = " ".join(line.removeprefix("#").strip() for line in lines)
    needs, gives = re.search(r"Needs: ([^.]*)\.", words), re.search(r"Gives: ([^.]*)\.", words)
    return lines[0], *(set(found[1].split(", ")) if found else set() for found in (needs, gives))


def kernel_faults(files):
    """What is wrong with the kernels' files, in words."""
    ranks, found = list(files), []
    used = uses(files)
    for file, text in files.items():
        idea, needs, gives = head_of(text)
        if not re.fullmatch(r"# [A-Z].*[.:]", idea):
            found.append(f"{file} does not open with its idea in a line")
        if text.count("\n") > MOST_LINES:
            found.append(f"{file} has {text.count(chr(10))} lines")
        for other, names in used[file].items():
            if ranks.index(other) > ranks.index(file):
                found.append(f"{file} uses {', '.join(sorted(names))} of {other}, which stands above it")
        if needs != set(used[file]):
            found.append(f"{file} needs {', '.join(sorted(used[file]))}, and says {', '.join(sorted(needs))}")
        given = set().union(*(others.get(file, set()) for others in used.values()))
        if gives != given:
            found.append(f"{file} gives {', '.join(sorted(given))}, and says {', '.join(sorted(gives))}")
    return found


def test_kernels_use_what_stands_below_them_alone():
    assert kernel_faults(kernel_files()) == []


def test_a_planted_call_upwards_is_found():
    files = kernel_files()
    files["layouts"] += "\n\ncdef void planted() noexcept nogil:\n    finish_all(NULL, NULL)\n"
    (upwards, needs, *_) = kernel_faults(files)
    assert upwards == "layouts uses finish_all of finish, which stands above it"
    assert needs.startswith("layouts needs finish, and says")


def test_structs_are_in_one_place():
    assert not [file for file, text in kernel_files().items() if re.search(r"^cdef struct", text, re.M)]
    assert len(re.findall(r"^cdef struct", (KERNELS / "types.pxd").read_text(), re.M)) > 10


# --- modules ---------------------------------------------------------------------------------------------


def module_files():
    """The text of each Python module, by its name in the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if not name.startswith(("_pyinstaller", "data.")):
            found[name.removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


def imports_of(text, modules):
    """The modules of the package that a text imports, wherever it does; compiled ones are no modules here."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "cbp":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                is_name = name.removeprefix("cbp.") not in modules and not alias.name.startswith("_")
                found.add(node.module if is_name else name)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {"__init__" if name == "cbp" else name.removeprefix("cbp.") for name in found} & set(modules)


def module_faults(files):
    """What is wrong with the modules, in words."""
    rooms = {name: rank for rank, names in enumerate(ROOMS.values()) for name in names.split()}
    found = [f"{name} is in no room" for name in files if name not in rooms]
    found += [f"there is no {name}" for name in rooms if name not in files]
    graph = {name: imports_of(text, files) - {name} for name, text in files.items()}
    for name, text in files.items():
        found += [
            f"{name} imports {other}, which stands above it"
            for other in sorted(graph[name])
            if rooms.get(other, 0) > rooms.get(name, 0)
        ]
        first = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
        if not first.endswith((".", ":")):
            found.append(f"{name} does not open with its idea in a line")
        if text.count("\n") > MOST_LINES and name not in LONGER:
            found.append(f"{name} has {text.count(chr(10))} lines")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"a circle: {' -> '.join(error.args[1])}")
    return found


def test_modules_import_what_stands_below_them_alone():
    assert module_faults(module_files()) == []


def test_a_planted_import_upwards_and_a_circle_are_found():
    files = module_files()
    files["scalars"] += "\n\ndef planted():\n    from cbp.network import Network\n"
    upwards, circle = module_faults(files)
    assert upwards == "scalars imports network, which stands above it"
    assert circle.startswith("a circle: ")
    assert {"scalars", "network"} <= set(re.findall(r"\w+", circle))
