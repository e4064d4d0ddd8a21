"""The golden trainings: what a case of design.py trains on, and the hashes of what comes out.

    python tests/golden/trainings.py < cases.json       (with the package installed)

reads a list of names and writes their hashes, with the instruction set that CBP_ISA names. Examples and
first weights are whole numbers times powers of two: neither NumPy's random numbers nor a C library can change
them. They fill the mantissa, so that sums must round.
"""

import hashlib
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from design import Case, case_of
from numpy.typing import NDArray

import cbp
from cbp.optimizers.base import Optimizer
from cbp.training import passes


class Way(NamedTuple):
    """What sends minibatches one way through the kernels."""

    sizes: tuple[int, ...]  # at width "exact"
    batch: int
    m: int  # examples; mostly, the last minibatch is short
    # Of SGD: large, because the last bits of a gradient are lost in a step much smaller than W; and no power
    # of 2, whose products need no rounding.
    rate: float


WAYS = {
    "small": Way((12, 16, 8), 24, 59, 0.4),
    "one": Way((48, 64, 16), 1, 5, 0.07),
    "rows": Way((96, 32, 4), 100, 207, 0.3),
    "chains": Way((130, 128, 32), 300, 307, 0.2),
    "columns": Way((96, 64, 3), 40, 93, 0.3),
    "partials": Way((12, 32, 16, 4), 800, 931, 1.1),
    "rounds": Way((24, 16, 8), 9_500, 9_601, 1.1),
    "segments": Way((130, 128, 3), 4_700, 4_700, 1.1),
    "partial_rounds": Way((48, 50, 5), 6_200, 6_200, 1.1),
    "partial_segments": Way((2, 3, 2), 300_000, 300_000, 2.2),
}
WIDER = {"under": -1, "exact": 0, "over": 1, "unit": 0}
PART_OF_ROUNDS = 1000  # examples at hand at a time, which makes rounds shorter than a segment
# What examples are stored as, where it is not the network's dtype. Bytes in the other order keep all digits.
SOURCES = {
    "ready": {},
    "cast": {"float32": "float64", "float64": "float32"},
    "mapped": {"float32": "float64", "float64": np.dtype("float64").newbyteorder("S")},
}
Array = NDArray[Any]


def numbers(n: int, stream: int) -> NDArray[np.uint64]:
    """N numbers of 53 bits: SplitMix64 (Steele, Lea and Flood, 2014), as in `cbp._core.shuffle`."""
    z = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(stream << 32)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) >> np.uint64(11)


def uniform(shape: tuple[int, ...], stream: int) -> Array:
    """From 0 to below 1."""
    return numbers(int(np.prod(shape)), stream).astype(np.float64).reshape(shape) * 2.0**-53


class Orders(np.random.Generator):
    """Where shuffles get their seeds from: not from a method of NumPy, which another version may change."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))
        self.drawn = 0

    def integers(self, high: int) -> int:
        self.drawn += 1
        return int(numbers(1, stream=100 + self.drawn)[0]) % high

    def spawn(self, n_children: int) -> list[np.random.Generator]:
        return [self] * n_children


def sizes_of(case: Case) -> list[int]:
    n_inputs, *hidden, n_outputs = (size + WIDER[case["width"]] for size in WAYS[case["way"]].sizes)
    if case["hidden"] == "none":
        hidden = []
    return [n_inputs, *hidden, 1 if case["width"] == "unit" else n_outputs]


def network_of(case: Case) -> cbp.Network:
    sizes = sizes_of(case)
    output, loss = case["output"].split("+")
    net = cbp.Network(
        sizes,
        hidden="sigmoid" if case["hidden"] == "none" else case["hidden"],
        output=output,
        loss=loss,
        l2=0.3 if case["penalty"] == "l2" else 0.0,
        dtype=case["dtype"],
        rng=Orders(),
        n_threads=2 if case["way"] == "columns" else 1,
    )
    for stream, layer in enumerate([*net.weights, *net.biases]):
        scale = 2.0 ** -(len(layer).bit_length() // 2) if layer.ndim == 2 else 0.125
        layer[...] = (2 * uniform(layer.shape, stream) - 1) * scale
    if output == "softmax":
        net.biases[-1][:] *= 8  # apart from each other: else the loss is log(n), and hides the sums beside it
    return net


def targets_of(case: Case, m: int, n: int) -> Array:
    if case["targets"] == "labels":
        return (numbers(m, stream=11) % np.uint64(n)).astype(np.int64)
    if case["output"].startswith("softmax"):
        shares = (numbers(m * n, stream=12) % np.uint64(1000)).reshape(m, n) + np.uint64(1)
        return shares / shares.sum(axis=1, keepdims=True)
    y = uniform((m, n), stream=13)
    return 2 * y - 1 if case["output"].startswith(("tanh", "identity")) else y


OPTIMIZERS = {
    "adam": cbp.Adam(0.1),
    "adamw": cbp.AdamW(0.1, weight_decay=0.3),
    "nadam": cbp.Nadam(0.1),
    "rmsprop": cbp.RMSprop(0.03, momentum=0.7, centered=True),
    "adagrad": cbp.Adagrad(0.3),
}


def optimizer_of(case: Case) -> Optimizer:
    momentum = 0.0 if case["optimizer"] == "sgd" else 0.7
    found = OPTIMIZERS.get(
        case["optimizer"],
        cbp.SGD(WAYS[case["way"]].rate, momentum=momentum, nesterov=case["optimizer"] == "nesterov"),
    )
    # Exponentials of outputs that move far overflow.
    slow = 1 / 32 if case["output"].startswith("exp") else 1
    return replace(found, learning_rate=found.learning_rate * slow)


def examples_of(case: Case, folder: Path) -> tuple[Array, Array, Array | None]:
    """X, Y and the weights as their source has them."""
    sizes, m = sizes_of(case), WAYS[case["way"]].m
    X, Y = 2 * uniform((m, sizes[0]), stream=10) - 1, targets_of(case, m, sizes[-1])
    weights = None
    if case["weights"] == "weighted":
        weights = 2 * uniform((m,), stream=14)
        weights[3::7] = 0
    dtype = SOURCES[case["source"]].get(case["dtype"], case["dtype"])
    X, Y = X.astype(dtype), Y if Y.ndim == 1 else Y.astype(dtype)
    if case["source"] == "mapped":
        X, Y = mapped(X, folder / "X.npy"), mapped(Y, folder / "Y.npy")
    return X, Y, weights


def mapped(array: Array, path: Path) -> Array:
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def set_part(case: Case, X: Array, Y: Array) -> None:
    """Let a part of what is converted by parts be a minibatch, or what divides it into rounds."""
    examples = PART_OF_ROUNDS if case["way"] == "rounds" else WAYS[case["way"]].batch
    columns = X.shape[1] + (Y.shape[1] if Y.ndim == 2 else 0)
    passes.PART_BYTES = examples * columns * np.dtype(case["dtype"]).itemsize


def hash_of(*arrays: Array) -> str:
    """The first 64 bits of the SHA-256 of their bytes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()[:16]


def train(case: Case, folder: Path) -> dict[str, str]:
    """Train, and hash the parameters, the losses, predictions and the gradient after the training."""
    net = network_of(case)
    X, Y, weights = examples_of(case, folder)
    set_part(case, X, Y)
    options: dict[str, Any] = {
        "sample_weight": weights,
        "optimizer": optimizer_of(case),
        "batch_size": WAYS[case["way"]].batch,
        "shuffle": case["order"] == "shuffled",
    }
    losses: list[float] = []
    if case["call"] == "fit":
        losses += net.fit(X, Y, epochs=2, **options).losses
    else:
        for _ in range(2):
            net.partial_fit(X, Y, **options)
            losses.append(net.loss(X, Y, weights))
    D = net.gradient(X, Y, weights, inputs=True)
    # Of few examples, so that a row's last bits are not lost in the sum.
    losses += [net.loss(X[i : i + n], Y[i : i + n]) for n in (1, 2) for i in range(4)]
    outputs = [net.predict(X[:n]) for n in (1, 7, len(X))]  # each in a way of its own
    return {
        "parameters": hash_of(net.parameters),
        "losses": hash_of(np.array([*losses, D.loss, net.loss(X, Y, weights)])),
        "predictions": hash_of(*outputs),
        "gradient": hash_of(D.parameters, D.inputs),
    }


def main() -> None:
    found = {}
    for name in json.load(sys.stdin):
        case = case_of(name)
        assert case is not None, name
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            found[name] = train(case, Path(folder))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
