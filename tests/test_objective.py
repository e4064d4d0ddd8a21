"""The promise: with a penalty, fit minimises the J that `loss` reports, for minibatches of any size."""

import numpy as np
import pytest

import cbp
from cbp import reference

PENALTIES = {"l2": {"l2": 0.7}, "l1": {"l1": 0.3}, "both, a layer": {"l2": [0.7, 0.1], "l1": [0.0, 0.3]}}


def data(m=50):
    rng = np.random.default_rng(3)
    return rng.normal(size=(m, 3)), rng.integers(0, 4, size=m), rng.integers(0, 3, size=m).astype(float)


def make(**options):
    return cbp.Network([3, 5, 4], **{"hidden": "tanh", "dtype": "float64", "rng": 1, **options})


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, 16, 50, None])
@pytest.mark.parametrize("penalties", PENALTIES.values(), ids=PENALTIES)
def test_the_mean_of_an_epoch_is_J_where_nothing_moves(penalties, batch_size, weighted):
    X, Y, w = data()
    net, weights = make(**penalties), w if weighted else None
    history = net.fit(X, Y, epochs=2, batch_size=batch_size, optimizer=cbp.SGD(0.0), sample_weight=weights)
    assert history.losses == pytest.approx([net.loss(X, Y, weights)] * 2, rel=1e-12)


@pytest.mark.parametrize("penalties", PENALTIES.values(), ids=PENALTIES)
def test_the_steps_of_an_epoch_add_up_to_that_of_the_full_batch(penalties):
    """At a small learning rate: λ does not depend on the size of the minibatches."""
    X, Y, _ = data()
    moved = []
    for batch_size in (1, 10, None):
        net = make(**penalties)
        before = net.parameters.copy()
        net.fit(X, Y, epochs=1, batch_size=batch_size, optimizer=cbp.SGD(1e-9 * (batch_size or 50)))
        moved.append((net.parameters - before) / 50e-9)
    for found in moved[:2]:
        np.testing.assert_allclose(found, moved[2], atol=1e-5)
    np.testing.assert_allclose(moved[2], -make(**penalties).gradient(X, Y).parameters, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "whole"),
    [({}, 50), ({"l2_per": "training_set"}, 50), ({"l2_per": "batch"}, None)],
)
def test_of_how_many_examples_the_penalty_is_a_part(options, whole):
    X, Y, _ = data()
    net = make(l2=0.7)
    run = reference.Training(net.weights, net.biases, ["tanh", "softmax"], "cross_entropy", l2=0.7)
    losses = [run.epoch(X, Y, 16, "sgd", {"learning_rate": 0.1}, whole=whole) for _ in range(2)]
    history = net.fit(X, Y, epochs=2, batch_size=16, optimizer=cbp.SGD(0.1), shuffle=False, **options)
    assert history.losses == pytest.approx(losses, rel=1e-12)
    np.testing.assert_allclose(net.parameters, run.parameters, rtol=1e-10)


@pytest.mark.parametrize("n_examples", [None, 50, 1000.5])
def test_partial_fit_takes_the_number_of_examples(n_examples):
    X, Y, _ = data()
    net = make(l2=0.7)
    run = reference.Training(net.weights, net.biases, ["tanh", "softmax"], "cross_entropy", l2=0.7)
    for part in (slice(0, 20), slice(20, 50)):
        net.partial_fit(
            X[part], Y[part], optimizer=cbp.SGD(0.1), shuffle=False, batch_size=8, n_examples=n_examples
        )
        run.epoch(X[part], Y[part], 8, "sgd", {"learning_rate": 0.1}, whole=n_examples)
    np.testing.assert_allclose(net.parameters, run.parameters, rtol=1e-10)


def test_refusals():
    X, Y, _ = data()
    with pytest.raises(ValueError, match="^l2_per must be 'training_set' or 'batch', got 'epoch'"):
        make().fit(X, Y, l2_per="epoch")
    with pytest.raises(ValueError, match="^n_examples must be at least the 50 that are given, got 49"):
        make().partial_fit(X, Y, n_examples=49)
    for value, error in ((0, ValueError), (-1, ValueError), (np.nan, ValueError), ("50", TypeError)):
        with pytest.raises(error, match="^n_examples must be"):
            make().partial_fit(X, Y, n_examples=value)
