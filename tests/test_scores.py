"""accuracy and r2 against their definitions, and the promise that NaN is not of any class."""

import fractions
import re

import numpy as np
import pytest

import cbp

RNG = np.random.default_rng(0)


def identity(n=1, dtype="float64"):
    """A network whose outputs are its inputs."""
    net = cbp.Network([n, n], output="identity", dtype=dtype)
    net.weights, net.biases = [np.eye(n)], [np.zeros(n)]
    return net


# --- r2 --------------------------------------------------------------------------------------------------


def exact_r2(a, y, w):
    """One output's R² in exact arithmetic."""
    a, y, w = ([fractions.Fraction(v) for v in values] for values in (a, y, w))
    mean = sum(wi * yi for wi, yi in zip(w, y, strict=True)) / sum(w)
    error = sum(wi * (yi - ai) ** 2 for wi, yi, ai in zip(w, y, a, strict=True))
    return 1 - error / sum(wi * (yi - mean) ** 2 for wi, yi in zip(w, y, strict=True))


def test_r2_of_the_literature():
    """F. J. Anscombe, "Graphs in Statistical Analysis" (1973): y = 3 + x/2 fits each set with R² = 0.667."""
    x = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]
    y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]
    net = cbp.Network([1, 1], output="identity", dtype="float64")
    net.weights, net.biases = [[[0.5]]], [[3.0]]
    assert net.r2(np.reshape(x, (-1, 1)), y) == pytest.approx(0.667, abs=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("m", "n"), [(2, 1), (3, 2), (50, 1), (200, 3)])
def test_r2_is_its_formula(m, n, weighted):
    a, y = RNG.normal(size=(m, n)), RNG.normal(1, 2, size=(m, n))
    w = RNG.uniform(0.1, 3, size=m) if weighted else np.ones(m)
    expected = sum(float(exact_r2(a[:, j], y[:, j], w)) for j in range(n)) / n
    found = identity(n).r2(a, y, w if weighted else None)
    assert type(found) is float
    assert found == pytest.approx(expected, rel=1e-12)
    if n == 1:
        assert identity().r2(a, y[:, 0], w if weighted else None) == found
    if weighted:
        assert found == pytest.approx(identity(n).r2(a, y, 1e300 * w), rel=1e-12)


def test_r2_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    for m, n in [(2, 1), (7, 1), (60, 4)]:
        a, y, w = RNG.normal(size=(m, n)), RNG.normal(size=(m, n)), RNG.uniform(0, 2, size=m)
        if n == 4:
            y[:, 0] = 0  # other constants are not equal to their rounded mean there
        assert identity(n).r2(a, y) == pytest.approx(metrics.r2_score(y, a), rel=1e-12)
        assert identity(n).r2(a, y, w) == pytest.approx(
            metrics.r2_score(y, a, sample_weight=w, multioutput="uniform_average"), rel=1e-12
        )


def test_r2_of_equal_targets_is_all_or_nothing():
    # The mean of three times 0.1 is rounded, so that the variance computed from it is not 0.
    for value in (0.1, 0.0, -7.0, 1e-310):
        X = np.full((3, 1), value)
        assert identity().r2(X, X) == 1.0
        assert identity().r2(X + 1e-3, X) == 0.0
    assert identity(2).r2([[1, 5], [2, 5]], [[1, 5], [2, 5]]) == 1.0
    assert identity(2).r2([[1, 5], [2, 6]], [[1, 5], [2, 5]]) == 0.5  # the mean of 1 and 0


@pytest.mark.parametrize("factor", [1e-300, 1e-20, 1e20, 1e300])
def test_r2_has_no_unit(factor):
    a, y = np.array([[1.0], [2], [4]]), np.array([[1.0], [3], [4]])
    assert identity().r2(factor * a, factor * y) == pytest.approx(1 - 1 / (14 / 3), rel=1e-12)


def test_r2_is_computed_in_double():
    """Around a large mean single precision would lose the variance."""
    y = 1e4 + np.linspace(-1, 1, 1001)
    X = np.float32(y).reshape(-1, 1)
    found = identity(dtype="float32").r2(X, y)
    assert found == pytest.approx(1 - ((y - X[:, 0]) ** 2).sum() / ((y - y.mean()) ** 2).sum(), rel=1e-12)
    assert 0.999999 < found < 1


def test_examples_of_weight_zero_do_not_count():
    a, y = RNG.normal(size=(6, 2)), RNG.normal(size=(6, 2))
    weight = [1, 0, 2, 0, 0, 3]
    assert identity(2).r2(a, y, weight) == identity(2).r2(a[[0, 2, 5]], y[[0, 2, 5]], [1, 2, 3])


@pytest.mark.parametrize(("m", "weight"), [(1, None), (3, [0, 2, 0])])
def test_r2_of_one_example_is_refused(m, weight):
    with pytest.raises(ValueError, match="r2 needs at least 2 examples of a weight above 0, got 1"):
        identity().r2(np.ones((m, 1)), np.ones(m), weight)


@pytest.mark.parametrize(
    ("x", "y", "weight", "message"),
    [
        (np.ones((3, 2)), [0, 1, 0], None, r"shape \(3, 2\), got \(3,\); class labels are for accuracy"),
        (np.ones((3, 2)), np.ones((2, 2)), None, r"Y must have shape \(3, 2\), got \(2, 2\)"),
        (
            np.ones((3, 2)),
            [[1, 2], [3, np.nan], [1, 2]],
            None,
            "Y must be finite, got nan in row 1, column 1",
        ),
        (
            [[1, 2], [3, np.inf], [1, 2]],
            np.ones((3, 2)),
            None,
            "X must be finite, got inf in row 1, column 1",
        ),
        (np.ones((3, 2)), np.ones((3, 2)), [1, -1, 1], "sample_weight must not be negative, got -1 in row 1"),
        (np.ones((0, 2)), np.ones((0, 2)), None, "X must have at least one row"),
    ],
)
def test_r2_refuses_what_does_not_fit(x, y, weight, message):
    with pytest.raises(ValueError, match=message):
        identity(2).r2(x, y, weight)


def test_one_output_and_targets_of_one_dimension():
    """The trap that r2, loss and ravel avoid: (m, 1) minus (m,) is (m, m)."""
    X, y = RNG.normal(size=(20, 1)), RNG.normal(size=20)
    net = identity()
    right = np.mean([(x - target) ** 2 for x, target in zip(X[:, 0].tolist(), y.tolist(), strict=True)])
    assert (net(X) - y).shape == (20, 20)
    assert np.mean((net(X).ravel() - y) ** 2) == pytest.approx(right, rel=1e-12)
    assert 2 * net.loss(X, y) == pytest.approx(right, rel=1e-12)
    assert net.r2(X, y) == pytest.approx(1 - right / y.var(), rel=1e-12)


# --- accuracy --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["sigmoid", "tanh", "relu", "identity", "softmax"])
def test_accuracy_of_labels_is_the_share_of_largest_outputs(output):
    net = cbp.Network([4, 5, 3], output=output, rng=2)
    X, labels, weight = RNG.normal(size=(50, 4)), RNG.integers(0, 3, size=50), RNG.uniform(size=50)
    right = [float(row.argmax() == label) for row, label in zip(net.predict(X), labels, strict=True)]
    assert 0 < sum(right) < 50
    assert net.accuracy(X, labels) == sum(right) / 50
    assert net.accuracy(X, labels.astype(float).tolist()) == sum(right) / 50
    assert net.accuracy(X, labels, weight) == pytest.approx((weight @ right) / weight.sum(), rel=1e-12)


def test_units_and_examples_are_counted_differently():
    net = cbp.Network([10, 10], output="sigmoid", dtype="float64")
    net.weights, net.biases = [20 * np.eye(10)], [np.full(10, -10)]
    labels = np.arange(200) % 10
    X = np.eye(10)[labels]
    X[:9] = np.eye(10)[(labels[:9] + 1) % 10]  # 9 of 200 are taken for another: two of ten units each
    assert net.accuracy(X, np.eye(10)[labels]) == pytest.approx(1 - 9 * 2 / 2000)
    assert net.accuracy(X, labels) == pytest.approx(1 - 9 / 200)
    assert net.predict_labels(X).shape == (200, 10)  # units, as ever


def test_weighted_accuracy_of_units():
    net = cbp.Network([2, 2], output="sigmoid")
    net.weights = [np.eye(2)]
    X, Y = [[1, -1], [1, -1], [-1, -1]], [[1, 0], [0, 0], [1, 1]]
    assert net.accuracy(X, Y, [1, 2, 5]) == pytest.approx((1 * 1 + 2 * 0.5 + 5 * 0) / 8)
    assert net.accuracy(X, Y, [1, 0, 0]) == 1
    single = cbp.Network([1, 1], output="sigmoid")
    single.weights = [[[1]]]
    assert single.accuracy([[-1], [1], [2]], [0, 1, 0], [0.1, 0.1, 0.3]) == pytest.approx(0.4)


@pytest.mark.parametrize("weight", [[0.1] * 7, [0.3, 1e-300, 1e300, 7, 0, 2, 1], np.arange(7)])
def test_perfect_is_exactly_one(weight):
    net = cbp.Network([3, 3], rng=0)
    X = RNG.normal(size=(7, 3))
    assert net.accuracy(X, net.predict_labels(X), weight) == 1.0


@pytest.mark.parametrize("weight", [[1, 2], [[1], [1], [1]], [1, np.nan, 1], [0, 0, 0], [1, -1, 1]])
def test_accuracy_refuses_weights_that_do_not_fit(weight):
    with pytest.raises(ValueError, match="sample_weight must"):
        cbp.Network([2, 3]).accuracy(np.ones((3, 2)), [0, 1, 2], weight)


@pytest.mark.parametrize("output", ["tanh", "relu", "identity"])
def test_rows_of_numbers_have_no_accuracy(output):
    net = cbp.Network([2, 3], output=output)
    with pytest.raises(ValueError, match=f"'{output}'; use r2 or loss for numbers, or class labels"):
        net.accuracy(np.ones((3, 2)), np.eye(3))
    single = cbp.Network([2, 1], output=output)
    with pytest.raises(ValueError, match=f"'{output}'; use r2 or loss for numbers"):
        single.accuracy(np.ones((3, 2)), [0, 1, 1])


# --- networks of NaN -------------------------------------------------------------------------------------

SCORES = {
    "predict_labels": lambda net, X: net.predict_labels(X),
    "one label": lambda net, X: net.predict_labels(X[0]),
    "accuracy": lambda net, X: net.accuracy(X, np.arange(len(X)) % 2),
    "r2": lambda net, X: net.r2(X, np.eye(2)[np.arange(len(X)) % 2]),
}


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu", "identity"])
@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
@pytest.mark.parametrize(
    ("vector", "layer", "at"),
    [("weights", 0, (1, 2)), ("weights", 1, (3, 1)), ("biases", 0, (3,)), ("biases", 1, (0,))],
)
def test_parameters_that_are_not_numbers_are_named(score, hidden, output, vector, layer, at):
    net = cbp.Network([3, 4, 2], hidden=hidden, output=output, rng=0)
    X = RNG.normal(size=(40, 3))
    score(net, X)
    getattr(net, vector)[layer][at] = np.nan
    # The first in the order of the layers is named, not the last.
    net.biases[1][1] = net.biases[1][1] if (vector, layer, at) == ("biases", 1, (0,)) else np.inf
    place = ", ".join(map(str, at))
    message = f"the parameters of the network are not finite: {vector}[{layer}][{place}] is nan"
    with pytest.raises(FloatingPointError, match=re.escape(message)):
        score(net, X)
    assert np.isnan(net.predict(X)).any()  # predict says what it computes


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_parameters_have_no_score(value):
    """Their outputs may be finite: a hidden unit of sigmoid is 0 or 1."""
    net = cbp.Network([2, 3, 2], rng=0)
    net.biases[0][1] = value
    X = np.ones((4, 2))
    assert np.isfinite(net.predict(X)).all()
    for score in (SCORES["accuracy"], SCORES["r2"]):
        with pytest.raises(FloatingPointError, match=re.escape(f"biases[0][1] is {value}")):
            score(net, X)


def test_labels_are_taken_from_finite_outputs_of_infinite_parameters():
    net = cbp.Network([2, 3, 1], output="sigmoid", rng=0)
    net.weights[0][0, 0] = np.inf  # that unit is 1 for a positive input
    expected = 1 / (1 + np.exp(-net.activations([[1, 1]])[1] @ net.weights[1] - net.biases[1]))
    assert np.isfinite(expected).all()
    assert net.predict_labels([[1, 1]]).tolist() == (expected >= 0.5).astype(int).tolist()
    with pytest.raises(FloatingPointError, match=re.escape("weights[0][0, 0] is inf")):
        net.accuracy([[1, 1]], [1])


def test_outputs_that_overflow_are_told_by_their_row():
    net = cbp.Network([2, 2], dtype="float32")
    net.weights = [[[1e30, 0], [-1e30, 0]]]
    X = np.ones((50, 2))
    X[[17, 30]] = 1e20  # infinity minus infinity
    for score in SCORES["predict_labels"], SCORES["accuracy"]:
        with pytest.raises(
            FloatingPointError, match=r"outputs for row 17 of X .* float32.* 1e\+30 among the"
        ):
            score(net, X)
    with pytest.raises(FloatingPointError, match="the outputs for the row of X are not finite"):
        net.predict_labels(X[17])
    wide = identity(dtype="float32")
    wide.weights = [[[1e30]]]
    with pytest.raises(FloatingPointError, match="outputs for row 1 of X are not finite"):
        wide.r2([[1], [1e30]], [1, 2])
