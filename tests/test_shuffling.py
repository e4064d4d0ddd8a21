"""The promise: an epoch takes every example once, in a new order that the seed decides."""

import itertools
import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

import cbp
from cbp import _core
from cbp.training import passes


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
    monkeypatch.setattr(passes, "MOST_SHUFFLED", 3)
    net = cbp.Network([1, 2], rng=0)
    net.fit([[0.0]] * 3, [0, 1, 1], epochs=1)
    net.fit([[0.0]] * 4, [0, 1, 1, 0], epochs=1, shuffle=False)
    with pytest.raises(ValueError, match="shuffle=True is for at most 3 examples, got 4"):
        net.fit([[0.0]] * 4, [0, 1, 1, 0], epochs=1)


# --- the shuffle by itself

MASK = 2**64 - 1
GAMMA = 0x9E3779B97F4A7C15


def split_mix(state):
    """SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014)."""
    while True:
        state = (state + GAMMA) & MASK
        z = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        yield z ^ z >> 31, state


def twin(n, state):
    """Fisher and Yates's shuffle of 0 to n - 1 from the last on, and the state afterwards.

    A number below i + 1 is the upper half of i + 1 times 32 bits; drawn again where the lower half is among
    the 2^32 mod (i + 1) least, which would make some numbers likelier than others (Lemire, "Fast random
    integer generation in an interval", 2019).
    """
    order, numbers = [*range(n)], split_mix(state)
    for i in range(n - 1, 0, -1):
        product = -1
        while product < 0 or product % 2**32 < 2**32 % (i + 1):
            number, state = next(numbers)
            product = (number >> 32) * (i + 1)
        j = product >> 32
        order[i], order[j] = order[j], order[i]
    return order, state


def shuffled(n, state):
    """The same by the core."""
    order = np.arange(n, dtype=np.uint32)
    state = _core.shuffle(order, 1, n, state)
    return order.tolist(), state


def test_the_numbers_of_the_twin_are_those_that_others_publish():
    # Of the seed 1234567, as many languages' implementations print them (Rosetta Code, "Splitmix64").
    numbers = [number for number, _ in itertools.islice(split_mix(1234567), 5)]
    assert numbers == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


# What a seed means must not change: whoever gave one wants the same training again.
KNOWN = {
    (5, 0): [2, 3, 0, 1, 4],
    (10, 0): [4, 9, 2, 5, 1, 7, 6, 0, 3, 8],
    (10, 1): [9, 0, 1, 4, 8, 2, 3, 7, 6, 5],
    (12, MASK): [4, 9, 0, 8, 1, 6, 7, 5, 3, 2, 11, 10],
}


@pytest.mark.parametrize(("n", "state"), KNOWN)
def test_known_orders(n, state):
    assert shuffled(n, state)[0] == KNOWN[n, state]


@pytest.mark.parametrize("n", [1, 2, 3, 10, 33, 1000])
def test_orders_and_states_are_those_of_the_twin(n):
    for state in (0, 1, 2**63, MASK, 1234567):
        assert shuffled(n, state) == twin(n, state)


def test_numbers_that_would_be_too_likely_are_drawn_again():
    n, start = 300_000, 1
    order, state = shuffled(n, start)
    # The state counts the draws: it grows by GAMMA with each.
    assert (state - start) * pow(GAMMA, -1, 2**64) % 2**64 > n - 1
    assert (order, state) == twin(n, start)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_each_order_comes_about_as_often_as_the_others(n):
    orders = math.factorial(n)
    counts, state = Counter(), 7
    for _ in range(400 * orders):
        order, state = shuffled(n, state)
        counts[tuple(order)] += 1
    assert sorted(counts) == [*itertools.permutations(range(n))]
    # Pearson's statistic has the mean orders - 1, and twice that as its variance.
    statistic = sum((count - 400) ** 2 / 400 for count in counts.values())
    assert abs(statistic - (orders - 1)) < 4 * math.sqrt(2 * (orders - 1))


@pytest.mark.parametrize("part", [1, 2, 7, 998, 999, 1000])
def test_a_shuffle_in_parts_is_the_whole_shuffle(monkeypatch, part):
    monkeypatch.setattr(passes, "SHUFFLE_PART", part)
    order = np.arange(1000, dtype=np.uint32)
    passes.shuffle(order, 5)
    assert order.tolist() == shuffled(1000, 5)[0]
