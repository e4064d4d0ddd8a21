"""What a training step costs in counts that repeat to the last digit: instructions and cache misses.

    python counts.py --workloads large

Times mean little on a busy machine. valgrind's cachegrind counts, for a cache of 32 kB (8 ways) before one
of 512 kB (8 ways), with lines of 64 bytes, what the kernels alone do in a step on one thread: the
difference between passes of more and of fewer minibatches. valgrind knows no AVX-512, so x86-64-v3 is
counted.

Beside them are bounds from shapes. Instructions: one for each multiply-add of a vector. L1: for each of the
products of a step, rows of A are read once for each panel of B. L2: each operand of each product is read,
and each result written, once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path

import command
import harness
import report
from command import Options
from report import Part

TITLE = "Instructions and cache misses of a step"
LINE = 64  # bytes
VECTOR = 32
CACHES = ["--I1=32768,8,64", "--D1=32768,8,64", "--LL=524288,8,64"]
EVENTS = ("Ir", "D1mr", "D1mw", "DLmr", "DLmw")
KERNELS = "_7kernels_8backprop_"  # in the name of every function of theirs


@dataclass(frozen=True)
class Shape:
    kind: str  # as --workloads selects it
    sizes: tuple[int, ...]
    batch: int
    steps: int  # between which counts are averaged

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}, batch {self.batch}"

    def products(self) -> Iterator[tuple[int, int, int]]:
        """Rows, columns and depth of the products of a step."""
        for number, (n_in, n_out) in enumerate(pairwise(self.sizes)):
            yield self.batch, n_out, n_in  # forward
            yield n_in, n_out, self.batch  # accumulation
            if number > 0:
                yield self.batch, n_in, n_out  # recursion

    def bounds(self, itemsize: int) -> tuple[float, float, float]:
        """Least instructions, L1 and L2 misses, as the head of this file counts them."""
        lanes, line = VECTOR // itemsize, LINE // itemsize
        instructions = L1 = L2 = 0.0
        for M, N, K in self.products():
            instructions += M * K * ceil(N / lanes)
            L1 += M * K / line * ceil(N / (2 * lanes))
            L2 += (M * K + K * N + M * N) / line
        return instructions, L1, L2


SHAPES = (
    Shape("large", (700, 600, 500, 12), 512, 2),
    Shape("large", (90, 300, 300, 1), 128, 8),
    Shape("large", (784, 512, 512, 10), 128, 4),
    Shape("large", (784, 256, 256, 10), 256, 4),
    Shape("large", (256, 1024, 1024, 10), 1024, 1),
    Shape("middle", (784, 128, 10), 32, 32),
    Shape("middle", (784, 128, 10), 200, 8),
    Shape("middle", (28, 300, 300, 300, 300, 300, 1), 100, 4),
    Shape("middle", (10, 256, 256, 10), 128, 8),
    Shape("small", (10, 64, 64, 10), 128, 32),
    Shape("small", (64, 32, 10), 32, 200),
    Shape("small", (8, 16, 1), 32, 1000),
    Shape("small", (2, 4, 1), 4, 4000),
)


def train(sizes: str, batch: int, steps: int, most: int, dtype: str) -> None:
    """Train for so many steps, with data for the most, so that all but the steps costs the same."""
    import numpy as np

    import cbp

    shape = [int(n) for n in sizes.split("-")]
    rng = np.random.default_rng(1)
    X = rng.standard_normal((batch * most, shape[0])).astype(dtype)
    Y = rng.random((batch * most, shape[-1])).astype(dtype)
    net = cbp.Network(shape, output="sigmoid", dtype=dtype, rng=1, n_threads=1)
    m = batch * steps
    net.fit(X[:m], Y[:m], epochs=1, batch_size=batch, optimizer=cbp.SGD(0.1), shuffle=False, progress=False)


def counted(shape: Shape, dtype: str, steps: int, folder: Path) -> list[int]:
    """Events of the kernels in a process that makes so many steps."""
    out = folder / f"{shape.name}-{steps}"
    call = f"import counts; counts.train({'-'.join(map(str, shape.sizes))!r}, {shape.batch}, {steps}, "
    valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=yes", *CACHES, f"--cachegrind-out-file={out}"]
    subprocess.run(
        [*valgrind, sys.executable, "-c", f"{call}{2 * shape.steps}, {dtype!r})"],
        env=harness.clean_environment(1), cwd=Path(__file__).parent, capture_output=True, check=True,
    )  # fmt: skip
    return of_kernels(out.read_text())


def of_kernels(text: str) -> list[int]:
    """Sum the events of the kernels' functions in what cachegrind has written."""
    names = re.search(r"^events: (.*)$", text, re.M)[1].split()  # type: ignore[index]
    places = [names.index(event) for event in EVENTS]
    total, mine = [0] * len(EVENTS), False
    for line in text.splitlines():
        if line.startswith("fn="):
            mine = KERNELS in line
        elif mine and line[:1].isdigit():
            values = line.split()[1:]
            total = [t + int(values[p]) for t, p in zip(total, places, strict=True)]
    return total


def step_of(shape: Shape, dtype: str) -> list[float]:
    """Instructions, L1 and L2 misses of a step."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(counted, shape, dtype, n, Path(folder)) for n in (shape.steps, 2 * shape.steps)]
        fewer, more = (run.result() for run in runs)
    ir, *misses = ((m - f) / shape.steps for f, m in zip(fewer, more, strict=True))
    return [ir, misses[0] + misses[1], misses[2] + misses[3]]


def run(options: Options) -> Part:
    part = Part("counts", TITLE)
    if shutil.which("valgrind") is None:
        part.absent.append("valgrind")
        return part
    for dtype in options.dtypes:
        rows = []
        for shape in SHAPES:
            if options.workloads and shape.kind not in options.workloads:
                continue
            harness.say(f"counts: {shape.name}, {dtype}")
            found, bounds = step_of(shape, dtype), shape.bounds(4 if dtype == "float32" else 8)
            row = [shape.name]
            for value, bound in zip(found, bounds, strict=True):
                row += [f"{value / 1e6:.4g}", f"{value / bound:.2f}"]
            rows.append(row)
            part.record.append({"case": f"{shape.name}, {dtype}", "counts": found, "bounds": bounds})
        units = ("instructions, M", "L1 misses, M", "L2 misses, M")
        columns = ["network", *(column for unit in units for column in (unit, "/ bound"))]
        part.text += [f"### {dtype}", report.table(columns, rows)]
    return part


if __name__ == "__main__":
    command.start(__file__)
