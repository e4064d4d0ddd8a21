"""The promise: dropout and noise are the reference's, and the same whatever computes them."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cbp
from cbp import reference
from cbp.reference import noise
from cbp.training import passes

CASES = [
    ([3, 2], 0.5),  # nothing is hidden
    ([2, 4, 1], 0.5),
    ([3, 5, 17, 33, 2], 0.3),
    ([3, 5, 17, 33, 2], (0.2, 0.0, 0.5, 0.1)),
    ([20, 30, 4], (0.5, 0.25)),
    ([130, 140, 10], 0.5),
    ([211, 100, 20, 7], (0.0, 0.5, 0.0)),
    ([211, 100, 20, 7], (0.1, 0.0, 0.0)),
]
RANDOM = {"dropout": (0.2, 0.5, 0.25), "input_noise": 0.3}


def make(sizes, **options):
    output = "sigmoid" if sizes[-1] == 1 else "softmax"
    return cbp.Network(sizes, output=output, **{"rng": 1, **options})


def data(sizes, m=50, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, sizes[0])), rng.integers(0, max(2, sizes[-1]), size=m)


def next_seed(net):
    """The seed of the next training, which it draws from the network's generator."""
    return int(copy.deepcopy(net._shuffler).integers(1 << 63))


# --- the reference ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", ["sigmoid", "relu", "gelu"])
@pytest.mark.parametrize("batch_size", [1, 7, 300])
@pytest.mark.parametrize("input_noise", [0.0, 0.3])
@pytest.mark.parametrize(("sizes", "dropout"), CASES, ids=str)
def test_training_is_the_references(sizes, dropout, input_noise, batch_size, hidden):
    options = {"dropout": dropout, "input_noise": input_noise}
    net = make(sizes, dtype="float64", hidden=hidden, l2=0.1, **options)
    X, Y = data(sizes, m=300 if batch_size == 300 else 20)
    twin = reference.Training(net.weights, net.biases, [*net.hidden, net.output], net.loss_name, l2=0.1)
    seed, optimizer = next_seed(net), cbp.Adam(0.01)
    history = net.fit(X, Y, epochs=2, batch_size=batch_size, shuffle=False, optimizer=optimizer)
    options["dropout"] = net._architecture.dropped
    for epoch in history:
        J = twin.epoch(X, Y, batch_size, "adam", optimizer.rule(), whole=len(X), seed=seed, **options)
        assert epoch.loss == pytest.approx(J, rel=1e-12)
    np.testing.assert_allclose(net.parameters, twin.parameters, rtol=1e-11, atol=1e-12)


def test_random_numbers_are_split_mixs():
    # Of the seed 1234567, as many languages' implementations print them (Rosetta Code, "Splitmix64").
    wanted = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert noise.next_of(1234567, range(4)).tolist() == wanted


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_shares_that_are_kept(p):
    factors = noise.kept(5, 3, range(1000), 1, 300, p)
    assert set(np.unique(factors)) == {0.0, factors.max()}
    assert factors.max() == pytest.approx(1 / (1 - p), rel=1e-8)
    bound = 5 * math.sqrt(p * (1 - p) / factors.size)  # five standard deviations
    assert (factors == 0).mean() == pytest.approx(p, abs=bound)
    for axis in (0, 1):  # of each row, and of each unit
        n = factors.shape[axis]
        bound = 6 * math.sqrt(p * (1 - p) / n)
        np.testing.assert_allclose((factors == 0).mean(axis=axis), p, atol=bound)


def test_noise_is_normal():
    x = np.sort(noise.normal(7, 0, range(2000), 2, 100).ravel())
    phi = np.array([(1 + math.erf(each / math.sqrt(2))) / 2 for each in x[::37]])
    ranks = (np.arange(len(x))[::37] + 0.5) / len(x)
    assert abs(x.mean()) < 5 / math.sqrt(len(x))
    assert x.var() == pytest.approx(1, abs=5 * math.sqrt(2 / len(x)))
    assert np.abs(phi - ranks).max() < 6e-4 + 1.95 / math.sqrt(len(x))  # Kolmogorov and Smirnov, 0.1 %


def test_numbers_differ_with_each_thing_that_they_are_counted_by():
    base = noise.kept(1, 2, [3], 4, 64, 0.5)
    for other in ((2, 2, [3], 4), (1, 3, [3], 4), (1, 2, [4], 4), (1, 2, [3], 5)):
        assert (noise.kept(*other, 64, 0.5) != base).any()


# --- the same bits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", [31, 700])
@pytest.mark.parametrize("sizes", [[5, 9, 6, 3], [20, 30, 8, 4], [300, 150, 40, 10]], ids=str)
def test_threads_and_slices(sizes, m, dtype, monkeypatch):
    X, Y = data(sizes, m)

    def trained(n_threads):
        net = make(sizes, dtype=dtype, n_threads=n_threads, **RANDOM)
        net.fit(X, Y, epochs=2, batch_size=200)
        return net.parameters.tobytes()

    wanted = trained(1)
    for n_threads in (2, 3, 8):
        assert trained(n_threads) == wanted
    monkeypatch.setattr(passes, "FIRST_BUDGET", 1.0)
    monkeypatch.setattr(passes, "SLICE_SECONDS", 1e-9)
    assert trained(2) == wanted


def test_inputs_that_are_converted_by_parts(tmp_path):
    X, Y = data([5, 9, 6, 3], 3000)
    np.save(tmp_path / "x.npy", X.astype("f8"))
    found = []
    for inputs in (X, np.load(tmp_path / "x.npy", mmap_mode="r")):
        net = make([5, 9, 6, 3], **RANDOM)
        net.fit(inputs, Y, epochs=2)
        found.append(net.parameters.tobytes())
    assert found[0] == found[1]


def test_dropout_of_0_leaves_the_bits():
    X, Y = data([5, 9, 6, 3])
    nets = [make([5, 9, 6, 3], **options) for options in ({}, {"dropout": 0}, {"dropout": (0, 0, 0)})]
    for net in nets:
        net.fit(X, Y, epochs=3)
    assert len({net.parameters.tobytes() for net in nets}) == 1


def test_the_seed_comes_from_rng():
    X, Y = data([5, 9, 6, 3])
    found = set()
    for rng in (1, 1, 2):
        net = make([5, 9, 6, 3], init="zeros", rng=rng, **RANDOM)
        found.add(net.fit(X, Y, epochs=1, shuffle=False)[0].loss)
        assert net.fit(X, Y, epochs=1, shuffle=False) != net.fit(X, Y, epochs=1, shuffle=False)
    assert len(found) == 2


# --- where it is off ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", ["sigmoid", "gelu"])
def test_predict_loss_and_gradient_are_those_without(hidden):
    X, Y = data([5, 9, 6, 3], 40)
    net, plain = make([5, 9, 6, 3], hidden=hidden, **RANDOM), make([5, 9, 6, 3], hidden=hidden)
    for rows in (slice(1), slice(40)):
        x, y = X[rows], Y[rows]
        assert net.predict(x).tobytes() == plain.predict(x).tobytes()
        assert net.loss(x, y) == plain.loss(x, y)
        ours, theirs = net.gradient(x, y), plain.gradient(x, y)
        assert [D.tobytes() for D in ours.weights] == [D.tobytes() for D in theirs.weights]
    assert net.check_gradient(X, Y) == plain.check_gradient(X, Y)


def test_validation_drops_nothing():
    X, Y = data([5, 9, 6, 3], 40)
    net = make([5, 9, 6, 3], **RANDOM)
    history = net.fit(X, Y, epochs=1, validation_data=(X, Y))
    assert history[0].validation_loss == net.loss(X, Y)


# --- as a part of the network -------------------------------------------------------------------------------


def test_files_copies_and_repr(tmp_path):
    net = make([5, 9, 6, 3], **RANDOM)
    assert "dropout=[0.2, 0.5, 0.25], input_noise=0.3" in repr(net)
    net.save(tmp_path / "net.npz")
    for other in (cbp.load(tmp_path / "net.npz"), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert (other.dropout, other.input_noise) == ((0.2, 0.5, 0.25), 0.3)
    assert "dropout" not in repr(make([5, 9, 3]))
    assert make([5, 9, 3], dropout=0.25).dropout == 0.25


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (1.0, ValueError, r"dropout must be at least 0 and less than 1, got 1\.0"),
        (-0.1, ValueError, "dropout must be at least 0"),
        ("half", TypeError, "dropout must be a number, got 'half'"),
        (True, TypeError, "dropout must be a number"),
        ((0.5, 0.5), ValueError, "or 3, for the inputs and for each hidden layer, got 2"),
        ((0.5, 0.5, 1.5), ValueError, r"dropout\[2\] must be at least 0 and less than 1"),
    ],
)
def test_refusals(value, kind, words):
    with pytest.raises(kind, match=words):
        make([5, 9, 6, 3], dropout=value)
    with pytest.raises(ValueError, match="input_noise must be at least 0"):
        make([5, 9, 6, 3], input_noise=-1)


def test_values_that_are_not_finite_are_found_even_where_they_would_be_dropped():
    X, Y = data([5, 9, 6, 3], 200)
    X[150, 3] = np.nan
    net = make([5, 9, 6, 3], dropout=(0.99, 0, 0))
    before = net.parameters.tobytes()
    with pytest.raises(ValueError, match="X must be finite, got nan in row 150, column 3"):
        net.fit(X, Y, epochs=1)
    assert net.parameters.tobytes() == before


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    m=st.integers(1, 150),
    batch_size=st.integers(1, 160),
    p=st.floats(0, 0.95),
    n_threads=st.integers(1, 4),
)
def test_any_shape(sizes, m, batch_size, p, n_threads):
    sizes = [*sizes, 2]
    X, Y = data(sizes, m)
    options = {"dropout": p, "dtype": "float64", "init": "lecun_normal"}
    net = make(sizes, n_threads=n_threads, **options)
    twin = reference.Training(net.weights, net.biases, [*net.hidden, net.output], net.loss_name)
    seed = next_seed(net)
    net.fit(X, Y, epochs=1, batch_size=batch_size, optimizer=cbp.SGD(0.1), shuffle=False)
    rule, dropped = cbp.SGD(0.1).rule(), net._architecture.dropped
    twin.epoch(X, Y, batch_size, "sgd", rule, seed=seed if dropped else 0, dropout=dropped)
    np.testing.assert_allclose(net.parameters, twin.parameters, rtol=1e-11, atol=1e-12)
