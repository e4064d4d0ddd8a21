"""The promise: an epoch takes every example once, in a new order that the seed decides."""

from itertools import pairwise

import numpy as np
import pytest

import cbp
from cbp import training


def orders(seed, *epochs, m=10, **options):
    """The order of the examples in each epoch of as many fits as there are numbers of epochs.

    A bias b alone, with steps of 15/16: every example y leaves b/16 + 15/16 y, so that b tells in hexadecimal
    which examples came, and when.
    """
    net = cbp.Network([1, 1], output="identity", dtype="float64", rng=seed)
    biases = [0.0]
    net.biases = [[0.0]]
    for n in epochs:
        net.fit(
            np.zeros((m, 1)),
            np.arange(m),
            epochs=n,
            batch_size=1,
            optimizer=cbp.SGD(15 / 16),
            callbacks=[lambda _: biases.append(float(net.biases[0][0]))],
            **options,
        )
    found = []
    for before, after in pairwise(biases):
        digits = round((after - before / 16**m) * 16**m / 15)
        found.append([digits >> 4 * i & 15 for i in range(m)])
    return found


def test_every_example_comes_once_an_epoch_in_a_new_order():
    found = orders(3, 5)
    assert all(sorted(order) == [*range(10)] for order in found)
    assert len({tuple(order) for order in [*found, range(10)]}) == 6


def test_the_seed_decides():
    assert orders(3, 5) == orders(3, 5)
    assert orders(3, 5) != orders(4, 5)
    assert orders(3, 2) == orders(3, 5)[:2]


def test_without_shuffling_examples_come_as_they_are():
    assert orders(3, 3, shuffle=False) == [[*range(10)]] * 3


def test_the_next_fit_goes_on_with_the_stream():
    first, second = orders(3, 1, 1)
    assert sorted(second) == [*range(10)]
    assert second != first
    assert orders(3, 1, 1) == [first, second]


def test_a_fit_without_shuffling_leaves_the_stream_alone():
    net, twin = (cbp.Network([3, 4, 2], rng=0) for _ in range(2))
    X, labels = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    net.fit(X, labels, epochs=2, shuffle=False)
    net.parameters = twin.parameters
    for network in (net, twin):
        network.fit(X, labels, epochs=2, batch_size=3)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_drawing_does_not_disturb_the_callers_generator():
    rng = np.random.default_rng(5)
    net = cbp.Network([3, 2], rng=rng)
    state = rng.bit_generator.state
    net.fit(np.eye(3), [0, 1, 0], epochs=2)
    assert rng.bit_generator.state == state


@pytest.mark.parametrize("shuffle", [True, False])
def test_what_belongs_together_stays_together(shuffle):
    """Labels and weights follow their examples: a label told by the example alone is learnt to the last."""
    rng = np.random.default_rng(0)
    X = np.eye(12)
    labels, weight = rng.permutation(12), rng.integers(1, 4, size=12)
    net = cbp.Network([12, 12], rng=0, dtype="float64")
    net.fit(
        X, labels, epochs=300, batch_size=5, optimizer=cbp.SGD(1.0), sample_weight=weight, shuffle=shuffle
    )
    assert net.accuracy(X, labels) == 1
    # One example alone has weight, and its label alone is learnt.
    net = cbp.Network([12, 12], rng=0)
    net.fit(X, labels, epochs=30, batch_size=5, sample_weight=np.eye(12)[7], shuffle=shuffle)
    untouched = cbp.Network([12, 12], rng=0)
    changed = (net.weights[0] != untouched.weights[0]).any(axis=1)
    assert changed.tolist() == [i == 7 for i in range(12)]


def test_more_examples_than_can_be_numbered_are_refused(monkeypatch):
    monkeypatch.setattr(training, "MOST_SHUFFLED", 3)
    net = cbp.Network([1, 2], rng=0)
    net.fit([[0.0]] * 3, [0, 1, 1], epochs=1)
    net.fit([[0.0]] * 4, [0, 1, 1, 0], epochs=1, shuffle=False)
    with pytest.raises(ValueError, match="shuffle=True is for at most 3 examples, got 4"):
        net.fit([[0.0]] * 4, [0, 1, 1, 0], epochs=1)
