"""Writes vectors.h for driver.c: networks, data, and the results of the NumPy reference for them.

python .ci/portable/vectors.py vectors.h     (with the package installed)
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from cbp import _core, kernels, reference
from cbp.reference import Array

EPOCHS, BATCH = 3, 32
# name: sizes, hidden activation, output, loss, optimizer, examples. They go through the kernels in different
# ways: all in one tile, by partial sums, and by columns and by rows of W with a short last minibatch.
CASES = {
    "small": ((5, 7, 3), "sigmoid", "softmax", "cross_entropy", "sgd", 13),
    "one": ((3, 1), "sigmoid", "identity", "squared_error", "adam", 40),
    "partial": ((4, 33, 16, 4), "tanh", "identity", "squared_error", "adam", 150),
    "columns": ((70, 41, 33, 2), "relu", "sigmoid", "cross_entropy", "sgd", 77),
    "rows": ((50, 130, 31, 10), "tanh", "softmax", "squared_error", "sgd", 101),
}
L2, RATE, MOMENTUM, BETA1, BETA2, EPSILON = 0.1, 0.05, 0.9, 0.9, 0.999, 1e-2


@dataclass
class Net:
    """Parameters as one flat array, and views of it for each layer."""

    sizes: tuple[int, ...]
    flat: Array

    def __post_init__(self) -> None:
        self.weights, self.biases, at = [], [], 0
        for n_in, n_out in pairwise(self.sizes):
            self.weights.append(self.flat[at : at + n_in * n_out].reshape(n_in, n_out))
            self.biases.append(self.flat[at + n_in * n_out : at + (n_in + 1) * n_out])
            at += (n_in + 1) * n_out


def gradient(net: Net, g: list[str], loss: str, X: Array, Y: Array) -> tuple[float, Array]:
    """Return J, and D in the layout of the parameters."""
    J, D_W, D_b, _ = reference.gradient(net.weights, net.biases, g, loss, X, Y, l2=L2)
    parts = [part.ravel() for pair in zip(D_W, D_b, strict=True) for part in pair]
    return J, np.concatenate(parts)


def trained(net: Net, g: list[str], loss: str, optimizer: str, X: Array, Y: Array, batch: int) -> Array:
    """Return the parameters after EPOCHS epochs of minibatches in order."""
    twin = Net(net.sizes, net.flat.copy())
    m, v, t = np.zeros_like(twin.flat), np.zeros_like(twin.flat), 0
    for _ in range(EPOCHS):
        for first in range(0, len(X), batch):
            D = gradient(twin, g, loss, X[first : first + batch], Y[first : first + batch])[1]
            t += 1
            if optimizer == "adam":
                reference.adam_step(
                    *(twin.flat, D, m, v, t), learning_rate=RATE, beta1=BETA1, beta2=BETA2, epsilon=EPSILON
                )
            else:
                reference.sgd_step(twin.flat, D, m, learning_rate=RATE, momentum=MOMENTUM, nesterov=True)
    return twin.flat


def array(name: str, values: Iterable[float], kind: str = "double") -> str:
    """Return a constant array as C code."""
    form = "{:.17g}" if kind == "double" else "{:d}"
    return f"static const {kind} {name}[] = {{{', '.join(form.format(value) for value in values)}}};\n"


def code(of: str, name: str) -> int:
    """Return the number that the kernels have for a name."""
    return _core.names(kernels.table("float32"))[of].index(name)


def case(name: str) -> tuple[str, str]:
    """Return the arrays of a case as C code, and its row in the table."""
    sizes, hidden, output, loss, optimizer, m = CASES[name]
    rng = np.random.default_rng(len(name))
    n = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    # The values are rounded to float32, so that both precisions start from the same ones.
    net = Net(sizes, rng.normal(scale=0.3, size=n).astype(np.float32).astype(np.float64))
    X = rng.normal(size=(m, sizes[0])).astype(np.float32).astype(np.float64)
    Y = rng.integers(0, 2, size=(m, sizes[-1])).astype(np.float64)
    if output == "softmax":
        Y = reference.one_hot(rng.integers(0, sizes[-1], m), sizes[-1])
    g = [hidden] * (len(sizes) - 2) + [output]
    J, D = gradient(net, g, loss, X, Y)
    batch = m if name == "partial" else BATCH
    end = trained(net, g, loss, optimizer, X, Y, batch)
    outputs = reference.forward(net.weights, net.biases, g, X)[1][-1]
    text = array(f"{name}_sizes", sizes, "Py_ssize_t")
    text += array(f"{name}_activations", [code("activations", activation) for activation in g], "int")
    arrays = {"parameters": net.flat, "X": X, "Y": Y, "outputs": outputs, "gradient": D, "trained": end}
    for kind, values in arrays.items():
        text += array(f"{name}_{kind}", values.ravel())
    numbers = [len(g), code("losses", loss), code("optimizers", optimizer), m, batch, n]
    pointers = ", ".join(f"{name}_{kind}" for kind in ("sizes", "activations", *arrays))
    return text, f'    {{"{name}", {", ".join(map(str, numbers))}, {J:.17g}, {pointers}}},\n'


def main(to: Path) -> None:
    """Write the header."""
    texts, rows = zip(*map(case, CASES), strict=True)
    constants = {
        "L2": L2,
        "RATE": RATE,
        "MOMENTUM": MOMENTUM,
        "BETA1": BETA1,
        "BETA2": BETA2,
        "EPSILON": EPSILON,
    }
    defines = "".join(f"#define {name} {value!r}\n" for name, value in constants.items())
    table = f"static const Case CASES[] = {{\n{''.join(rows)}}};\n"
    to.write_text(f"{defines}#define EPOCHS {EPOCHS}\n{''.join(texts)}{table}", encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
