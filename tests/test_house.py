"""The promise: kernels call downwards only, and each of their files says what it needs and gives."""

import re
from pathlib import Path

import pytest

KERNELS = Path(__file__).parent.parent / "src" / "cbp" / "kernels"
MOST_LINES = 300

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
