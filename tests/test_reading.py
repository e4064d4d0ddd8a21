"""The promise: a network and its history may be read in any way while another thread trains it.

CBP_READING_SECONDS lengthens the two tests in which threads race, which last about a second each by default.
"""

import copy
import importlib.util
import itertools
import os
import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cbp
from cbp import copies

figure = importlib.import_module("matplotlib.figure") if importlib.util.find_spec("matplotlib") else None
pandas = importlib.import_module("pandas") if importlib.util.find_spec("pandas") else None

SECONDS = float(os.environ.get("CBP_READING_SECONDS", "1"))
OPTIMIZERS = [cbp.Adam(0.01), cbp.SGD(0.01, momentum=0.9)]


@pytest.fixture(autouse=True)
def _busy_switching():
    """With the GIL, have threads interrupt each other as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def race(train, readers):
    """Have threads read as long as another trains; each of them fails if any of its calls did."""
    done = threading.Event()

    def trains():
        end = time.monotonic() + SECONDS
        try:
            for turn in itertools.count():
                train(turn)
                if time.monotonic() > end:
                    return
        finally:
            done.set()

    def reads(call):
        while not done.is_set():
            call()

    with ThreadPoolExecutor(len(readers) + 1) as pool:
        futures = [pool.submit(trains), *(pool.submit(reads, call) for call in readers)]
    for future in futures:
        future.result()


def small_data(m=8):
    X = np.random.default_rng(0).normal(size=(m, 2)).astype("f4")
    return X, np.arange(m) % 2


def readers_of_history(net, folder):
    def compare():
        history = net.history
        assert history == history
        part = history[:]
        assert part == copy.copy(part)
        assert part[:-1] != history or not part

    def columns():
        history = net.history[:]
        assert len(history) == len(history.losses) == len(list(history))
        assert len(history.validation_losses) in (0, len(history))

    def prints():
        for text in (str(net.history), repr(net.history), net.history._repr_html_()):
            assert "nan" not in text

    def copies():
        for twin in (
            copy.copy(net.history),
            copy.deepcopy(net.history),
            pickle.loads(pickle.dumps(net.history)),
        ):
            assert [epoch.number for epoch in twin] == list(range(1, len(twin) + 1))

    def writes():
        net.history.to_csv(folder / "history.csv")

    def plots():
        net.history.plot(figure.Figure().subplots())

    return [prints, compare, columns, copies, writes, *([plots] if figure else [])]


def readers_of_network(net, folder):
    X, labels = small_data()

    def copies():
        for twin in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            numbers = [epoch.number for epoch in twin.history]
            assert numbers == list(range(1, len(twin.history) + 1))  # which has not grown meanwhile

    def saves():
        net.save(folder / "net.npz")
        assert cbp.load(folder / "net.npz").n_parameters == net.n_parameters

    def parameters():
        assert np.isfinite(net.parameters).all()
        assert all(np.isfinite(array).all() for array in (*net.weights, *net.biases, *net.thetas))

    def asks():
        assert repr(net).startswith("Network([2, ")
        assert np.isfinite(net.predict(X)).all()
        assert np.isfinite(net.loss(X, labels))
        assert np.isfinite(net.gradient(X, labels).parameters).all()
        assert 0 <= net.accuracy(X, labels) <= 1

    return [copies, saves, parameters, asks]


def test_everything_is_read_while_it_is_written(tmp_path):
    net = cbp.Network([2, 4, 2], rng=0)
    X, labels = small_data()
    frame = pandas.DataFrame(X, columns=["a", "b"]) if pandas else X

    def train(turn):
        inputs = frame if turn % 3 == 0 else X
        validation = (inputs, labels) if turn % 2 else None
        optimizer = OPTIMIZERS[turn % len(OPTIMIZERS)]
        net.fit(inputs, labels, epochs=40, validation_data=validation, optimizer=optimizer)
        for _ in range(5):
            net.partial_fit(X, labels, optimizer=optimizer)

    race(train, [*readers_of_history(net, tmp_path), *readers_of_network(net, tmp_path)])


def test_a_copy_of_a_network_that_gets_an_attribute_meanwhile(monkeypatch):
    """As a first fit adds one, for the names of columns."""
    net = cbp.Network([2, 2], rng=0)

    class Adding(frozenset):
        def __contains__(self, name):
            net.mark = True
            return super().__contains__(name)

    monkeypatch.setattr(copies, "BUILT", Adding(copies.BUILT))
    np.testing.assert_array_equal(copy.copy(net).parameters, net.parameters)


class Slow(cbp.Network):
    """One that takes its time between new parameters and the state that belongs to them."""

    def _set_state(self, state):
        time.sleep(1e-4)
        super()._set_state(state)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_copy_is_the_network_after_some_epoch(tmp_path, n_threads):
    """Parameters and the optimiser's state of one and the same epoch, none of them half written."""
    net = Slow([40, 400, 10], rng=0, n_threads=n_threads)
    # Labels that contradict each other, so that every step changes the parameters.
    X, labels = np.random.default_rng(0).normal(size=(1, 40)).astype("f4").repeat(2, axis=0), np.arange(2)
    states, found = set(), set()

    def digest(network):
        return hash(network.parameters.tobytes())

    def note(epoch=None):
        states.add((digest(net), net._state and net._state.at_rest().updates))

    def train(turn):
        optimizer = OPTIMIZERS[turn % len(OPTIMIZERS)]
        net.fit(X, labels, epochs=20, batch_size=1, optimizer=optimizer, callbacks=[note])
        for _ in range(10):
            net.partial_fit(X, labels, batch_size=1)
            note()

    def copies(how):
        twin = how(net)
        found.add((digest(twin), twin._state and twin._state.updates))

    def saved(net):
        net.save(tmp_path / "net.npz")
        return cbp.load(tmp_path / "net.npz")

    note()
    readers = [lambda how=how: copies(how) for how in (copy.copy, copy.deepcopy, saved)]
    race(train, readers)
    parameters = {which for which, _ in states}
    assert {which for which, _ in found} <= parameters, "parameters of two epochs are mixed"
    # There is no state within an epoch, nor in a file.
    assert found <= states | {(which, None) for which in parameters}, "parameters and state are of two epochs"
    assert len(found) > 2
