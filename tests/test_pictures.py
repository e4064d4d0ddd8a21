"""The promise: a network can be looked at, in a terminal and in a notebook, however large it is."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cbp
from cbp import pictures
from cbp.architecture import Architecture

SHAPES = [
    [1, 1],
    [2, 4, 1],
    [784, 128, 10],
    [7, 8, 9, 10],
    [3] * 12,
    [3] * 13,
    [9] * 25,
    [9] * 26,
    [10_000] * 20,
    [100_000_000, 1],
    [1] * 200,
]


def described(sizes, **options):
    """An architecture: a network of these sizes might not fit the memory."""
    return Architecture(sizes, output="sigmoid", **options)


def cells(line):
    return [cell for cell in re.split(r"  +", line.strip()) if cell]


@pytest.mark.parametrize("bias", [True, False])
def test_the_table_has_the_shapes_of_the_parameters(bias):
    net = cbp.Network([5, 1000, 3, 2], hidden=["relu", ("elu", 0.5)], bias=bias, rng=0)
    lines = net.summary().split("\n")
    assert cells(lines[0]) == ["layer", "units", "activation", "weights", "parameters"]
    assert cells(lines[1]) == ["1", "5", "inputs"]
    for layer, name in enumerate(("relu", "elu(0.5)", "softmax")):
        n_in, n_out = net.weights[layer].shape
        n = net.weights[layer].size + (net.biases[layer].size if bias else 0)
        assert cells(lines[layer + 2]) == [f"{layer + 2}", f"{n_out:,}", name, f"{n_in} x {n_out}", f"{n:,}"]
    assert cells(lines[5]) == ["total", f"{net.parameters.size:,}"]
    assert lines[6].endswith(f"{net.parameters.nbytes:,} bytes of parameters")
    assert ("no biases" in lines[6]) == (not bias)
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "loss cross_entropy, float32, "),
        ({"dtype": "float64"}, "loss cross_entropy, float64, "),
        ({"loss": ("huber", 0.25), "output": "identity"}, "loss huber(0.25), float32, "),
        ({"l2": 0.1, "l1": 1e-5}, "loss cross_entropy, l2 0.1, l1 1e-05, float32, "),
        ({"l2": [0.1, 0], "l1": [2, 2]}, "loss cross_entropy, l2 by layer 0.1 0, l1 2, float32, "),
    ],
)
def test_what_follows_the_table(options, words):
    assert f"\n{words}" in cbp.Network([2, 3, 2], **options).summary()


def test_penalties_are_those_of_the_moment():
    net = cbp.Network([2, 2])
    net.l2 = 0.5
    assert "l2 0.5" in net.summary()
    assert "l2 0.5" in net._repr_html_()


@given(
    sizes=st.lists(st.integers(1, 10**6), min_size=2, max_size=40),
    l2=st.floats(0, 1e30),
    by_layer=st.booleans(),
    name=st.sampled_from(["gelu", ("leaky_relu", 0.0123456789)]),
)
def test_lines_have_at_most_80_characters(sizes, l2, by_layer, name):
    penalty = [l2 * i for i in range(len(sizes) - 1)] if by_layer else l2
    text = pictures.summary(described(sizes, l2=penalty, l1=penalty, hidden=name))
    assert text.isascii()
    for line in text.split("\n"):
        assert len(line) <= 80
        assert line == line.rstrip()


def test_long_networks_are_shortened():
    what = described([*range(1, 31)])
    lines = pictures.summary(what).split("\n")
    assert [cells(line)[0] for line in lines[1:23]] == [
        *map(str, range(1, 11)), "...", *map(str, range(21, 31)), "total"
    ]  # fmt: skip
    assert len(pictures.summary(described([9] * 25)).split("\n")) == 25 + 3  # these all fit
    what = described([2] * 40, l2=[*range(39)])
    numbers = [*range(10), "...", *range(29, 39)]
    assert f"l2 by layer {' '.join(map(str, numbers))}," in " ".join(pictures.summary(what).split("\n"))


def points_of(path):
    """The strokes of a path: lists of points."""
    strokes = [re.findall(r"-?\d+", stroke) for stroke in path.replace("h0", "").split("M")[1:]]
    return [[(int(x), int(y)) for x, y in zip(stroke[::2], stroke[1::2], strict=True)] for stroke in strokes]


def drawn(sizes):
    """The size, the edges, the dots by columns, the small dots and the labels of a drawing."""
    svg = ElementTree.fromstring(pictures.drawing(described(sizes)))
    space = "{http://www.w3.org/2000/svg}"
    lines, dots, small = [points_of(path.get("d")) for path in svg.findall(f"{space}path")]
    edges = [tuple(sorted(pair)) for stroke in lines for pair in pairwise(stroke)]
    columns = {}
    for [(x, y)] in dots:
        columns.setdefault(x, []).append((x, y))
    labels = [text.text for text in svg.iter(f"{space}text")]
    box = [float(value) for value in svg.get("viewBox").split()]
    return box, edges, columns, [stroke[0] for stroke in small], labels


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_the_drawing(sizes):
    box, edges, columns, small, labels = drawn(sizes)
    n = len(sizes)
    shown = [*range(n)] if n <= 12 else [*range(5), *range(n - 5, n)]
    assert [len(points) for points in columns.values()] == [min(sizes[layer], 8) for layer in shown]
    many = sum(sizes[layer] > 8 for layer in shown)
    assert len(small) == 3 * (many + (n > 12))
    assert labels[::2] == [f"{sizes[layer]:,}" for layer in shown]
    assert labels[1::2] == ["inputs", *["sigmoid"] * (len(shown) - 1)]
    # Each pair of dots of neighbouring layers is connected, and nothing else.
    at = [*columns.values()]
    expected = {
        (a, b) for i in range(len(at) - 1) if shown[i] + 1 == shown[i + 1] for a in at[i] for b in at[i + 1]
    }
    assert set(edges) == expected
    # No two dots touch, and all is within the frame.
    everything = [point for points in at for point in points] + small
    assert len(set(everything)) == len(everything)
    for points in at:
        assert np.diff([y for _, y in points]).min(initial=100) >= 16
    places = np.array(everything)
    assert (places >= 5).all()
    assert (places[:, 0] <= box[2] - 5).all()
    assert (places[:, 1] <= box[3] - 40).all()


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_what_a_notebook_shows(sizes):
    what = described(sizes, l2=[*range(len(sizes) - 1)])
    html = pictures.notebook(what)
    assert len(html) < 10_000
    found = ElementTree.fromstring(html)  # is well-formed
    rows = [[cell.text or "" for cell in row] for row in found.iter("tr")]
    lines = pictures.summary(what).split("\n")
    assert [[cell for cell in row if cell] for row in rows] == [cells(line) for line in lines[: len(rows)]]
    assert found.find("p").text == " ".join(lines[len(rows) :])
    # It takes the colour of the text around it, needs nothing from elsewhere, and has no names to clash.
    assert set(re.findall(r'(?:stroke|fill)="(\w+)"', html)) == {"none", "currentColor"}
    assert not re.search(r"\b(id|class|href|src|onload)=|<script|<style|url\(", html)


def test_cells_are_escaped(monkeypatch):
    monkeypatch.setattr(pictures, "in_words", lambda named: "<b>&")
    monkeypatch.setattr(pictures, "name_of", lambda named: "<i>&")
    html = pictures.notebook(described([2, 2]))
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;b&gt;&amp;" in html
    assert "&lt;i&gt;&amp;" in html


def test_it_is_imported_when_asked_for():
    code = """import sys, cbp
net = cbp.Network([2, 2])
print({"cbp.pictures", "html", "textwrap"} & {*sys.modules} - before)
net.summary()
print("cbp.pictures" in sys.modules)"""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, numpy; before = {*sys.modules}\n" + code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split("\n")[:2] == ["set()", "True"]


def test_the_network_shows_both():
    net = cbp.Network([2, 4, 1], output="sigmoid")
    assert net.summary() == pictures.summary(net._architecture)
    assert net._repr_html_() == pictures.notebook(net._architecture)
