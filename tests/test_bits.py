"""The promise: the same bits for any number of threads, any slices, and a row's whatever stands beside it."""

import itertools

import numpy as np
import pytest

import cbp
from cbp.training import passes

NETS = {
    "784-128-10": ([784, 128, 10], {}),
    "4-32-16-4": ([4, 32, 16, 4], {"hidden": "tanh", "output": "identity"}),
    # So small that one thread takes a minibatch of 32 through in one go, and two do not.
    "50-90-30-5": ([50, 90, 30, 5], {"hidden": ["relu", "tanh"]}),
    # With batches of 32 and several threads the first layer goes by columns, which no team shares evenly.
    "211-100-20-7": ([211, 100, 20, 7], {"hidden": ["tanh", "sigmoid"]}),
    "64-32-10": ([64, 32, 10], {}),
    "200-97-5": ([200, 97, 5], {"bias": False}),
}
SIZES = [[1, 1], [3, 7, 2], [5, 8, 9, 3], [17, 33, 4], [31, 64, 15, 10], [784, 128, 10]]


def data(sizes, output, m, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, sizes[0]))
    if output == "softmax":
        return X, rng.integers(0, sizes[-1], size=m)
    return X, rng.uniform(size=(m, sizes[-1]))


def trained(name, m, *, dtype="float32", n_threads=1, batch_size=32, optimizer=None, l2=0.1, weighted=False):
    sizes, options = NETS[name]
    net = cbp.Network(sizes, dtype=dtype, rng=1, l2=l2, n_threads=n_threads, **options)
    X, Y = data(sizes, net.output, m)
    weight = np.random.default_rng(2).uniform(size=m) if weighted else None
    history = net.fit(X, Y, epochs=5, batch_size=batch_size, optimizer=optimizer, sample_weight=weight)
    return net.parameters.tobytes(), tuple(history.losses)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [32, 200, None])
@pytest.mark.parametrize("optimizer", [cbp.SGD(0.05, momentum=0.9, nesterov=True), cbp.Adam()])
@pytest.mark.parametrize("name", NETS)
def test_training_with_any_number_of_threads(name, optimizer, batch_size, dtype):
    one, *others = (
        trained(name, 1003, dtype=dtype, n_threads=n, batch_size=batch_size, optimizer=optimizer)
        for n in (1, 2, 3, 8)
    )
    assert all(other == one for other in others)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_of_more_examples_than_a_chain(dtype):
    batch = 165 if dtype == "float32" else 162  # and the last of the batches is shorter, but for a chain
    X, Y = data([330, 70, 3] if dtype == "float64" else [390, 70, 3], "softmax", 2 * batch - 3)
    found = []
    for n in (1, 2, 3):
        net = cbp.Network([X.shape[1], 70, 3], dtype=dtype, rng=1, n_threads=n)
        net.fit(X, Y, epochs=3, batch_size=batch)
        found.append(net.parameters.tobytes())
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_columns_with_a_batch_that_weighs_nothing_and_a_short_one(output, shuffle):
    X, Y = data([300, 70, 3], output, 345)
    weight = np.random.default_rng(2).uniform(size=345)
    weight[40:80] = 0
    found = []
    for n in (1, 2, 4):
        net = cbp.Network([300, 70, 3], output=output, rng=1, l2=0.1, n_threads=n)
        history = net.fit(X, Y, epochs=3, batch_size=40, shuffle=shuffle, sample_weight=weight)
        found.append((net.parameters.tobytes(), tuple(history.losses)))
    assert found[1] == found[0] == found[2]


@pytest.mark.parametrize("batch_size", [32, 200, None])
@pytest.mark.parametrize("name", NETS)
def test_training_in_any_slices(monkeypatch, name, batch_size):
    whole = trained(name, 3001, batch_size=batch_size, n_threads=2, weighted=True)
    for budget, seconds in [(1.0, 0.0), (3e5, 1e-5), (1e12, 10.0)]:
        monkeypatch.setattr(passes, "FIRST_BUDGET", budget)
        monkeypatch.setattr(passes, "SLICE_SECONDS", seconds)
        assert trained(name, 3001, batch_size=batch_size, n_threads=2, weighted=True) == whole


def test_slices_end_inside_one_large_gradient(monkeypatch):
    # The smallest budget means one round of a batch at a time, of which a large batch has several.
    monkeypatch.setattr(passes, "FIRST_BUDGET", 1.0)
    monkeypatch.setattr(passes, "SLICE_SECONDS", 0.0)
    for sizes, m in [([784, 128, 10], 9000), ([20, 90, 90, 3], 60000)]:
        net = cbp.Network(sizes, rng=0)
        X, Y = data(sizes, "softmax", m)
        ticks = []
        examples = net._examples(X, Y, None, None)
        run = passes.new_pass(net._engine, "gradient", examples, m, 1)
        run.pack(1)
        passes.run_through(run, examples, 1, tick=ticks.append)
        assert len(ticks) > 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES)
def test_gradient_and_loss_with_any_number_of_threads(sizes, dtype):
    output = "softmax" if sizes[-1] > 1 else "sigmoid"
    for m in (1, 6, 7, 127, 128, 500):
        X, Y = data(sizes, output, m)
        found = []
        for n in (1, 2, 3, 8):
            net = cbp.Network(sizes, output=output, dtype=dtype, rng=0, n_threads=n)
            D = net.gradient(X, Y, inputs=True)
            found.append((D.parameters.tobytes(), D.inputs.tobytes(), D.loss, net.loss(X, Y)))
        assert all(other == found[0] for other in found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("sizes", SIZES)
def test_a_row_has_its_bits_wherever_it_stands(sizes, hidden, dtype):
    output = "softmax" if sizes[-1] > 1 else "sigmoid"
    net = cbp.Network(sizes, hidden=hidden, output=output, dtype=dtype, rng=0)
    X, _ = data(sizes, output, 203)
    alone = np.array([net.predict(row) for row in X])
    rng = np.random.default_rng(3)
    for m, n_threads in itertools.product((2, 5, 6, 7, 31, 32, 33, 97, 203), (1, 2, 3)):
        net.n_threads = n_threads
        chosen = rng.permutation(203)[:m]
        assert net.predict(X[chosen]).tobytes() == alone[chosen].tobytes()
    assert net.activations(X)[-1].tobytes() == alone.tobytes()


def test_training_sees_the_outputs_that_predict_gives():
    # With squared error and identity outputs, dloss/db(L) of one example is a(L) - y to the bit.
    net = cbp.Network([7, 40, 3], output="identity", rng=0)
    X, _ = data([7, 40, 3], "identity", 50)
    for n in (1, 6, 50):
        outputs = net.predict(X[:n])
        D = net.gradient(X[n - 1 : n], np.zeros((1, 3)))
        assert D.biases[-1].tobytes() == outputs[-1].tobytes()
