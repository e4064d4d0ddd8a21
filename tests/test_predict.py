"""Forward propagation: outputs, activations, labels, accuracy."""

import itertools
import mmap
import pickle
from pathlib import Path

import numpy as np
import pytest

import cbp
from cbp import reference

TOLERANCE = {"float32": 2e-6, "float64": 1e-14}


def expected(net, X):
    """[a(1), …, a(L)] of the reference."""
    weights, biases = [W.astype(float) for W in net.weights], [b.astype(float) for b in net.biases]
    return reference.forward(weights, biases, [*net.hidden, net.output], X.astype(float))[1]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("output", ["sigmoid", "tanh", "relu", "identity", "softmax"])
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu", "identity"])
def test_activations_are_the_references(hidden, output, dtype):
    rng = np.random.default_rng(0)
    widths = [1, 7, 8, 9, 15, 16, 17, 31, 33]
    for case, m in enumerate([1, 5, 6, 7, 31, 32, 95, 96, 97, 200]):
        sizes = [widths[(case + step) % 9] for step in (0, 2, 7)] + [widths[1 + case % 8]]
        net = cbp.Network(sizes, hidden=hidden, output=output, dtype=dtype, rng=case)
        net.biases = [rng.normal(size=n) for n in sizes[1:]]
        X = rng.normal(size=(m, sizes[0])).astype(dtype)
        a, a_expected = net.activations(X), expected(net, X)
        assert [layer.shape for layer in a] == [(m, n) for n in sizes]
        assert all(layer.dtype == dtype for layer in a)
        np.testing.assert_array_equal(a[0], X)
        assert not np.shares_memory(a[0], X)
        for layer, layer_expected in zip(a[1:], a_expected[1:], strict=True):
            # After relu a whole layer may be 0, and the rounding of what it was 0 of is not.
            np.testing.assert_allclose(
                layer, layer_expected, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(layer_expected).max())
            )
        np.testing.assert_array_equal(net.predict(X), a[-1])
        np.testing.assert_array_equal(net(X), a[-1])


def test_softmax_far_out():
    net = cbp.Network([1, 3], dtype="float64")
    net.weights = [[[1000, 0, -1000]]]
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(net.predict([[1], [-1], [0]]), [[1, 0, 0], [0, 0, 1], [1 / 3] * 3])


def test_one_example():
    net = cbp.Network([3, 4, 2], rng=0)
    x = np.array([0.1, -0.2, 0.3], np.float32)
    found = net.predict(x)
    assert found.shape == (2,)
    np.testing.assert_array_equal(found, net.predict(x.reshape(1, 3))[0])
    assert net.predict_labels(x) == found.argmax()
    with pytest.raises(ValueError, match="X must be 2-D with 3 columns, got shape"):
        net.activations(x)


@pytest.mark.parametrize("sizes", [[3, 2], [3, 4, 2]])
def test_no_examples(sizes):
    net = cbp.Network(sizes)
    X = np.empty((0, 3))
    assert net.predict(X).shape == (0, 2)
    assert [a.shape for a in net.activations(X)] == [(0, n) for n in sizes]
    assert net.predict_labels(X).shape == (0,)
    assert cbp.Network(sizes, output="sigmoid").predict_labels(X).shape == (0, 2)


@pytest.mark.parametrize("m", [1, 40])
def test_out_is_written_and_returned(m):
    net = cbp.Network([3, 4, 2], rng=0)
    X = np.random.default_rng(0).normal(size=(m, 3))
    around = np.full((m + 2, 2), 7, np.float32)
    out = around[1:-1]
    assert net.predict(X, out) is out
    np.testing.assert_array_equal(out, net.predict(X))
    assert (around[[0, -1]] == 7).all()  # nothing beside it
    row = np.empty(2, np.float32)
    assert net.predict(X[0], out=row) is row
    np.testing.assert_array_equal(row, net.predict(X[0]))


def test_out_may_be_the_input():
    net = cbp.Network([3, 5, 3], output="tanh", rng=0)
    X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    expected_output = net.predict(X)
    np.testing.assert_array_equal(net.predict(X, out=X), expected_output)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([[0.0, 0.0]] * 4, TypeError, "out must be an ndarray, got list"),
        (
            np.ma.masked_all((4, 2), "f4"),
            TypeError,
            "out must be an ndarray without a mask, got a MaskedArray",
        ),
        (
            np.empty((4, 3), np.float32),
            ValueError,
            r"out must have shape \(4, 2\) and dtype float32, got \(4, 3\)",
        ),
        (np.empty((4, 2)), ValueError, "out must have .* dtype float32, got .*float64"),
        (
            np.empty((2, 4), np.float32).T,
            ValueError,
            "out must be C-contiguous, aligned and writable, got an array that is not C-contiguous$",
        ),
        (np.empty((8, 2), np.float32)[::2], ValueError, "out must be C-contiguous, aligned and writable"),
        (
            np.frombuffer(bytes(33), np.uint8)[1:].view("f4").reshape(4, 2),
            ValueError,
            "out must be C-contiguous, .* not aligned or writable$",
        ),
        (np.frombuffer(bytes(32), "f4").reshape(4, 2), ValueError, "out must be .* not writable$"),
    ],
)
def test_out_that_does_not_fit(out, error, message):
    with pytest.raises(error, match=message):
        cbp.Network([3, 2]).predict(np.zeros((4, 3)), out=out)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [*itertools.product([(3,), (1, 3), (2, 3)], [(2,), (1, 2), (2, 2), (2, 1), (4,)])],
)
def test_ready_arrays_of_any_rank(given, wanted):
    """X and out as the kernels take them, but for their shapes: out must be what predict would return."""
    net, X, out = cbp.Network([3, 2], rng=0), np.ones(given, "f4"), np.zeros(wanted, "f4")
    expected = net.predict(X)
    if out.shape == expected.shape:
        assert net.predict(X, out=out).tolist() == expected.tolist()
    else:
        with pytest.raises(ValueError, match=r"out must have shape"):
            net.predict(X, out=out)
        assert not out.any()


# --- labels ----------------------------------------------------------------------------------------------


def test_predicted_labels():
    softmax = cbp.Network([2, 3])
    softmax.weights = [[[1, 2, 3], [0, 5, -5]]]
    labels = softmax.predict_labels([[1, 0], [0, 1], [0, -1], [0, 0]])
    assert labels.tolist() == [2, 1, 2, 0]  # the first of equals
    assert labels.dtype == np.int64
    sigmoid = cbp.Network([1, 2], output="sigmoid")
    sigmoid.weights = [[[1, -1]]]
    labels = sigmoid.predict_labels([[2], [-2], [0]])
    assert labels.tolist() == [[1, 0], [0, 1], [1, 1]]  # 1 from one half on
    assert labels.dtype == np.int64
    assert sigmoid.predict_labels([-2]).tolist() == [0, 1]


def test_accuracy():
    softmax = cbp.Network([3, 3], rng=0)
    softmax.weights = [np.eye(3)]
    assert softmax.accuracy(np.eye(3), [0, 1, 0]) == pytest.approx(2 / 3)
    assert softmax.accuracy(np.eye(3), [[0.5, 0.2, 0.3], [0.6, 0.4, 0], [0.1, 0.2, 0.7]]) == pytest.approx(
        2 / 3
    )
    sigmoid = cbp.Network([2, 2], output="sigmoid", rng=0)
    sigmoid.weights = [[[1, -1], [-1, 1]]]
    assert sigmoid.accuracy([[3, 0], [0, 3]], [[1, 0], [1, 1]]) == 3 / 4  # each output by itself
    single = cbp.Network([1, 1], output="sigmoid")
    single.weights = [[[1]]]
    X = [[-1], [1], [2], [3]]
    assert single.accuracy(X, [0, 1, 0, 1]) == single.accuracy(X, [[0], [1], [0], [1]]) == 3 / 4
    assert single.accuracy(X, [0.4, 0.5, 0.6, 0]) == 3 / 4  # targets count as 1 from one half on
    assert type(single.accuracy(X, [0, 1, 0, 1])) is float


@pytest.mark.parametrize("output", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("method", ["predict_labels", "accuracy"])
def test_numbers_are_no_labels(method, output):
    net = cbp.Network([2, 2], output=output)
    with pytest.raises(ValueError, match=f"{method} needs an output of 'sigmoid' or 'softmax', .*'{output}'"):
        getattr(net, method)(np.eye(2), *([np.eye(2)] if method == "accuracy" else []))


# --- losses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 127, 128, 5000])
@pytest.mark.parametrize(
    ("output", "loss"),
    [("sigmoid", "cross_entropy"), ("softmax", "cross_entropy"), ("tanh", "squared_error")],
)
def test_loss_is_the_references(output, loss, m):
    rng = np.random.default_rng(0)
    net = cbp.Network([4, 6, 3], output=output, loss=loss, l2=0.7, rng=1, dtype="float64")
    X, Y, weight = rng.normal(size=(m, 4)), rng.uniform(size=(m, 3)), rng.uniform(0.5, 2, size=m)
    Y = rng.integers(0, 3, size=m) if output == "softmax" else Y
    for sample_weight in (None, weight):
        J, *_ = reference.gradient(
            net.weights, net.biases, ["sigmoid", output], loss, X, Y, l2=0.7, sample_weight=sample_weight
        )
        found = net.loss(X, Y, sample_weight)
        assert type(found) is float
        assert found == pytest.approx(J, rel=1e-13)


def test_losses_are_summed_in_double():
    """In single precision a sum of so many would be off in the fourth digit."""
    net = cbp.Network([1, 1], output="identity")
    net.parameters = [0, 1]
    m = 2_000_003
    assert net.loss(np.zeros((m, 1), np.float32), np.full(m, 0.9, np.float32)) == pytest.approx(
        0.005, rel=1e-5
    )


def test_loss_of_far_out_outputs_is_finite():
    net = cbp.Network([1, 2], output="sigmoid")
    net.weights = [[[1e4, -1e4]]]
    assert net.loss([[1]], [[0, 1]]) == 2e4
    net = cbp.Network([1, 2])
    net.weights = [[[1e4, -1e4]]]
    assert net.loss([[1]], [1]) == 2e4
    assert net.loss([[1]], [0]) == 0


@pytest.mark.parametrize(
    "x", [np.ones((2, 1), "f4"), np.ma.masked_less(np.float32([-1, 1]), 0), np.ones((1, 1, 2), "f4")]
)
def test_the_short_way_for_one_example_refuses_what_the_long_one_does(x):
    net = cbp.Network([2, 3], rng=0)
    out = np.empty((1, 3) if x.ndim == 2 else 3, dtype=np.float32)
    with pytest.raises((TypeError, ValueError), match="X must"):
        net.predict(x, out)
    with pytest.raises(ValueError, match="out must have shape"):
        net.predict(np.ones((1, 2), "f4"), np.empty((3, 1), "f4"))


def test_accuracy_refuses_what_is_no_target():
    net = cbp.Network([2, 3], rng=0)
    with pytest.raises(ValueError, match="Y must be finite, got nan in row 1, column 2"):
        net.accuracy(np.ones((2, 2)), [[0, 0, 1], [0, 1, np.nan]])


@pytest.mark.parametrize("shape", [(), (0,), (2,), (4, 2), (2, 2, 3)])
def test_arrays_of_other_shapes_are_refused(shape):
    net = cbp.Network([3, 2], rng=0)
    with pytest.raises(ValueError, match="X must .* 3 columns, got"):
        net.predict(np.zeros(shape, np.float32))


@pytest.mark.parametrize("m", [None, 1, 5, 200])
def test_ready_arrays_take_a_short_way(m, monkeypatch):
    net = cbp.Network([3, 4, 2], rng=0)
    X = np.random.default_rng(0).normal(size=(3,) if m is None else (m, 3)).astype(np.float32)
    long, out = net.predict(X.tolist()), np.empty((2,) if m is None else (m, 2), np.float32)
    # A copy's dtype is equal to NumPy's own object, and another one.
    for network, examples in [(net, X), pickle.loads(pickle.dumps((net, X)))]:
        monkeypatch.setattr(network, "_forward", None)
        assert network.predict(examples, out=out) is out
        np.testing.assert_array_equal(out, long)
        np.testing.assert_array_equal(network.predict(examples), long)
        out[:] = 0


@pytest.mark.unsanitized  # which keep freed memory for a while
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="for Linux")
def test_predictions_give_their_workspace_back():
    net = cbp.Network([400, 600, 10], rng=0, n_threads=1)
    X, workspace = np.zeros((40, 400), "f4"), 4 * 400 * 600  # bytes, at least: the packed W

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    net.predict(X)
    before = resident()
    for _ in range(200):
        net.predict(X)
    assert resident() - before < 50 * workspace
