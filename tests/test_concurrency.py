"""The promise: any number of Python threads may use networks at once."""

import copy
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cbp

SIZES = [20, 60, 40, 5]


def data(m=600, seed=0, n_outputs=SIZES[-1]):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, SIZES[0])).astype(np.float32), rng.integers(0, n_outputs, size=m)


def make(seed=0, **options):
    return cbp.Network(SIZES, rng=seed, **options)


def at_once(*calls):
    """The results of calls that start together, each in a thread of its own."""
    start = threading.Barrier(len(calls))

    def run(call):
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("m", [1, 7, 40, 600])
def test_eight_threads_predict_with_one_network(m, n_threads):
    net = make(n_threads=n_threads)
    inputs = [data(m, seed)[0] for seed in range(8)]
    expected = [net.predict(X) for X in inputs]

    def repeatedly(X):
        return lambda: [net.predict(X) for _ in range(20)]

    for found, one in zip(at_once(*map(repeatedly, inputs)), expected, strict=True):
        assert all((each == one).all() for each in found)


def test_eight_threads_ask_one_network_for_different_things():
    net = make(l2=0.1)
    X, labels = data()
    targets = np.eye(SIZES[-1], dtype=np.float32)[labels]
    calls = [
        lambda: net.loss(X, labels),
        lambda: net.gradient(X, labels).parameters,
        *[lambda: net.gradient(X[:90], targets[:90]).parameters] * 3,  # by passes that are kept
        lambda: net.gradient(X, labels, inputs=True).inputs,
        lambda: net.activations(X)[1],
        lambda: net.predict_labels(X),
        lambda: net.accuracy(X, labels),
        lambda: net.predict(X),
        lambda: copy.deepcopy(net).parameters,
    ]
    expected = [call() for call in calls]
    for _ in range(5):
        for found, one in zip(at_once(*calls), expected, strict=True):
            np.testing.assert_array_equal(found, one)


def test_threads_that_ask_for_losses_do_not_share_a_workspace():
    net = make(n_threads=1)
    examples = [
        (X, np.eye(SIZES[-1], dtype="f4")[labels]) for X, labels in (data(600, seed) for seed in range(4))
    ]
    expected = [net.loss(X, Y) for X, Y in examples]

    def repeatedly(X, Y):
        return lambda: {net.loss(X, Y) for _ in range(300)}

    calls = [repeatedly(X, Y) for X, Y in examples]
    assert at_once(*calls) == [{J} for J in expected]


def test_predicting_while_training():
    net = make()
    X, labels = data()
    done, outputs = threading.Event(), []

    def predict():
        while not done.is_set():
            outputs.append(net.predict(X))

    def fit():
        try:
            net.fit(X, labels, epochs=25, optimizer=cbp.SGD(0.5))
        finally:
            done.set()

    at_once(fit, predict, predict)
    twin = make()
    twin.fit(X, labels, epochs=25, optimizer=cbp.SGD(0.5))
    np.testing.assert_array_equal(net.parameters, twin.parameters)  # undisturbed
    assert all(output.shape == (600, 5) for output in outputs)
    assert all(np.isfinite(output).all() for output in outputs)
    assert all(abs(output.sum(axis=1) - 1).max() < 1e-5 for output in outputs)


@pytest.mark.parametrize("optimizer", [cbp.SGD(0.1, momentum=0.9), cbp.Adam()])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_networks_train_side_by_side(n_threads, optimizer):
    def train(seed):
        net = make(seed, n_threads=n_threads)
        history = net.fit(*data(seed=seed), epochs=6, batch_size=50, optimizer=optimizer)
        return net.parameters.tobytes(), history.losses

    expected = [train(seed) for seed in range(4)]
    assert at_once(*(lambda seed=seed: train(seed) for seed in range(4))) == expected


def test_one_network_is_trained_by_one_thread():
    net = make()
    refused = []

    def fit():
        try:
            net.fit(*data(), epochs=30)
        except RuntimeError as error:
            refused.append(str(error))

    at_once(*[fit] * 4)
    twin = make()
    for _ in range(4 - len(refused)):
        twin.fit(*data(), epochs=30)
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    assert all("is being trained already" in message for message in refused)


def test_thread_counts_may_change_meanwhile():
    """Results have the same bits for any number, so nothing is to be seen."""
    expected = make().fit(*data(), epochs=10).losses
    done = threading.Event()

    def change():
        n = 0
        while not done.is_set():
            cbp.set_num_threads(1 + n % 4)
            n += 1
            time.sleep(0.001)

    def fit():
        try:
            return [make().fit(*data(), epochs=10).losses for _ in range(3)]
        finally:
            done.set()

    try:
        found, _ = at_once(fit, change)
    finally:
        cbp.set_num_threads(None)
    assert found == [expected] * 3
