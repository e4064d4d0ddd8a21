"""The promise: a missing target has no part in J, in its gradient, or in training."""

import numpy as np
import pytest

import cbp

CASES = [
    ("identity", "squared_error"),
    ("identity", "absolute_error"),
    ("identity", "huber"),
    ("identity", "log_cosh"),
    ("identity", "quantile"),
    ("sigmoid", "cross_entropy"),
    ("exp", "poisson"),
    ("exp", "gamma"),
    ("gelu", "squared_error"),
]
SIZES = [[3, 2], [4, 7, 33], [20, 30, 3], [130, 140, 10]]


def make(sizes, output, loss, **options):
    return cbp.Network(sizes, output=output, loss=loss, rng=1, hidden="tanh", **options)


def data(sizes, m, share=0.3, seed=0):
    """Inputs, targets in every loss's range, and which are missing."""
    rng = np.random.default_rng(seed)
    Y = rng.uniform(0.1, 0.9, (m, sizes[-1]))
    return rng.normal(size=(m, sizes[0])), Y, rng.random(Y.shape) < share


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("m", [1, 7, 300])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("output", "loss"), CASES)
def test_loss_and_gradient_are_sums_over_what_is_there(output, loss, sizes, m, n_threads):
    X, Y, gone = data(sizes, m)
    net = make(sizes, output, loss, dtype="float64", n_threads=n_threads, l2=0.1)
    penalty = net.l2 / 2 / m * sum(float((W**2).sum()) for W in net.weights)
    # Of each output by itself: a network of its own, with the other columns of the last W left out.
    J, D_hidden, D_last = penalty, 0.0, []
    for j in range(sizes[-1]):
        one = make([*sizes[:-1], 1], output, loss, dtype="float64")
        one.weights = [*net.weights[:-1], net.weights[-1][:, j : j + 1]]
        one.biases = [*net.biases[:-1], net.biases[-1][j : j + 1]]
        rows = ~gone[:, j]
        if not rows.any():
            D_last.append(np.zeros(sizes[-2]))
            continue
        D = one.gradient(X[rows], Y[rows, j])
        J += D.loss * rows.sum() / m
        D_last.append(D.weights[-1][:, 0] * rows.sum() / m)
        D_hidden = D_hidden + D.weights[0] * rows.sum() / m
    D = net.gradient(X, np.where(gone, np.nan, Y), missing="ignore")
    assert D.loss == pytest.approx(J, rel=1e-12)
    assert net.loss(X, np.where(gone, np.nan, Y), missing="ignore") == pytest.approx(J, rel=1e-12)
    decay = net.l2 / m * net.weights[-1]
    np.testing.assert_allclose(D.weights[-1] - decay, np.transpose(D_last), rtol=1e-9, atol=1e-13)
    if len(sizes) > 2:
        wanted = D_hidden + net.l2 / m * net.weights[0]
        np.testing.assert_allclose(D.weights[0], wanted, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_nothing_missing_leaves_the_bits(sizes, dtype):
    X, Y, _ = data(sizes, 300)
    found = set()
    for missing in ("raise", "ignore"):
        net = make(sizes, "identity", "huber", dtype=dtype)
        net.fit(X, Y, epochs=2, missing=missing)
        found.add(net.parameters.tobytes())
    assert len(found) == 1


def test_training_and_validation():
    X, Y, gone = data([4, 7, 3], 50)
    holes = np.where(gone, np.nan, Y)
    nets = [make([4, 7, 3], "identity", "squared_error", dtype="float64") for _ in range(2)]
    history = nets[0].fit(X, holes, epochs=2, missing="ignore", validation_data=(X, holes), shuffle=False)
    for _ in range(2):
        nets[1].partial_fit(X, holes, missing="ignore", shuffle=False)
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
    errors = 0.5 * (nets[0].predict(X) - Y) ** 2
    assert history[-1].validation_loss == pytest.approx(errors[~gone].sum() / 50, rel=1e-12)
    history = nets[0].fit(X, holes, epochs=1, missing="ignore", validation_fraction=0.2)
    assert np.isfinite(history[0].validation_loss)


def test_refusals():
    X, Y, gone = data([4, 7, 3], 50)
    net = make([4, 7, 3], "identity", "squared_error")
    holes = np.where(gone, np.nan, Y)
    with pytest.raises(ValueError, match="Y must be finite, got nan in row"):
        net.fit(X, holes)
    holes[20, 1] = np.inf
    with pytest.raises(ValueError, match="Y must be finite, got inf in row 20, column 1"):
        net.fit(X, holes, missing="ignore")
    with pytest.raises(ValueError, match="missing must be 'raise' or 'ignore', got 'drop'"):
        net.fit(X, Y, missing="drop")
    sigmoid = make([4, 7, 3], "sigmoid", "cross_entropy")
    holes[20, 1] = 1.5
    with pytest.raises(
        ValueError, match=r"Y must lie in \[0, 1\] for this loss, got 1.5 in row 20, column 1"
    ):
        sigmoid.fit(X, holes, missing="ignore")
    with pytest.raises(ValueError, match="is for outputs other than softmax"):
        make([4, 7, 3], "softmax", "cross_entropy").fit(X, Y, missing="ignore")


def test_a_loss_of_ones_own_is_refused():
    class Own:
        loss = error = staticmethod(lambda a, y: a)

    X, Y, _ = data([4, 7, 3], 50)
    with pytest.raises(ValueError, match="missing='ignore' is for losses of cbp"):
        make([4, 7, 3], "identity", Own()).fit(X, Y, missing="ignore")
