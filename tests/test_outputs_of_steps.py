"""The promise: outputs that training and the loss compute along the way are those of predict, bit for bit."""

import contextlib

import numpy as np
import pytest

import cbp
from cbp.optimizers.base import OptimizerState
from cbp.training import passes
from cbp.training.epochs import Training

OUTPUTS = [
    ("softmax", "cross_entropy"),
    ("softmax", "squared_error"),
    ("sigmoid", "cross_entropy"),
    ("identity", "huber"),
    ("gelu", "squared_error"),
    ("exp", "poisson"),
]
SIZES = [[3, 2], [2, 4, 33], [20, 30, 4], [130, 140, 10], [211, 100, 20, 7]]


def data(net, m, seed=0):
    rng = np.random.default_rng(seed)
    Y = rng.random((m, net.sizes[-1]))
    return rng.normal(size=(m, net.sizes[0])), Y / Y.sum(axis=1, keepdims=True)


def training(net, examples, batch_size, learning_rate, **options):
    return Training(
        net._engine,
        net.parameters,
        examples,
        OptimizerState(cbp.SGD(learning_rate)),
        cbp.SGD(learning_rate),
        batch_size=batch_size,
        settings=lambda: (net._penalties, net._thread_count(), contextlib.nullcontext()),
        keep=lambda steps: None,
        restorable=False,
        whole=0.0,
        wants_outputs=True,
        **options,
    )


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("m", [1, 7, 400])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("output", "loss"), OUTPUTS)
def test_outputs_of_an_epoch_and_of_a_loss(output, loss, sizes, m, n_threads):
    net = cbp.Network(sizes, output=output, loss=loss, rng=1, n_threads=n_threads)
    X, Y = data(net, m)
    examples = net._examples(X, Y, None, None)
    wanted = net.predict(X)
    for batch_size in (1, 32, None) if m < 400 else (130, None):
        run = training(net, examples, batch_size, 0.0, shuffler=np.random.default_rng(0))
        run.epoch(1, lambda n: None)
        assert run.outputs.tobytes() == wanted.tobytes()
    outputs = np.empty_like(wanted)
    assert passes.loss(net._engine, examples, n_threads, None, outputs) == net.loss(X, Y)
    assert outputs.tobytes() == wanted.tobytes()


def test_each_is_from_before_its_update():
    net = cbp.Network([4, 6, 3], rng=1)
    twin = cbp.Network([4, 6, 3], rng=1)
    X, Y = data(net, 10)
    run = training(net, net._examples(X, Y, None, None), 4, 0.5, shuffler=None)
    run.epoch(1, lambda n: None)
    for start in range(0, 10, 4):
        rows = slice(start, start + 4)
        assert run.outputs[rows].tobytes() == twin.predict(X[rows]).tobytes()
        twin.partial_fit(X[rows], Y[rows], optimizer=cbp.SGD(0.5), batch_size=4, shuffle=False)
    assert net.parameters.tobytes() == twin.parameters.tobytes()


def test_examples_that_are_converted_by_parts(tmp_path):
    net = cbp.Network([3, 5, 2], rng=1)
    X, Y = data(net, 700)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    run = training(net, net._examples(mapped, Y, None, None), 32, 0.0, shuffler=np.random.default_rng(0))
    run.epoch(1, lambda n: None)
    assert run.outputs.tobytes() == net.predict(X).tobytes()
