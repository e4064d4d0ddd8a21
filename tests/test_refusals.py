"""The promise: what cannot be used is refused with the argument's name, what came and what was expected."""

import numpy as np
import pytest

import cbp
from cbp.training import passes

X = np.random.default_rng(0).normal(size=(10, 3))
LABELS = np.arange(10) % 4


def make(output="softmax", n_outputs=4, **options):
    return cbp.Network([3, 5, n_outputs], output=output, rng=0, **options)


def changed(array, index, value, dtype=float):
    copy = np.array(array, dtype=dtype)
    copy[index] = value
    return copy


CALLS = {
    "fit": lambda net, x, y, **options: net.fit(x, y, epochs=1, **options),
    "partial_fit": lambda net, x, y, **options: net.partial_fit(x, y, **options),
    "loss": lambda net, x, y, **options: net.loss(x, y, **options),
    "gradient": lambda net, x, y, **options: net.gradient(x, y, **options),
}


@pytest.fixture(params=CALLS)
def call(request):
    """A method that takes X and Y, and must leave the network as it was."""

    def called(net, x, y, **options):
        before = net.parameters.copy()
        try:
            return CALLS[request.param](net, x, y, **options)
        finally:
            np.testing.assert_array_equal(net.parameters, before)
            assert len(net.history) == 0

    return called


# --- X ---------------------------------------------------------------------------------------------------

BAD_X = [
    (X[:, :2], ValueError, r"X must have 3 columns, got 2 \(shape \(10, 2\)\)"),
    (X[None], ValueError, r"X must be 2-D with 3 columns, got shape \(1, 10, 3\)"),
    (1.5, ValueError, r"X must be 2-D with 3 columns, got shape \(\)"),
    (changed(X, (4, 1), np.nan), ValueError, "X must be finite, got nan in row 4, column 1"),
    (changed(X, (9, 2), -np.inf), ValueError, "X must be finite, got -inf in row 9, column 2"),
    (changed(X, (0, 0), 1e39), ValueError, r"X must fit into float32, got 1e\+39 in row 0, column 0"),
    (changed(X, (3, 2), np.inf, "f2"), ValueError, "X must be finite, got inf in row 3, column 2"),
    (np.array([[1, 2, 10**40]]), ValueError, r"X must fit into float32, got 1e\+40 in row 0, column 2"),
    ([[1, 2, 10**400]], ValueError, "X must hold numbers that fit into float64"),
    (np.ma.masked_less(X, 0), TypeError, "X must not have masked values"),
    (X + 0j, TypeError, "X must hold real numbers, got dtype complex128"),
    (X.astype(str), TypeError, "X must hold real numbers, got dtype <U"),
    ([["a", "b", "c"]], TypeError, "X must hold real numbers, got dtype <U1"),
    ([[b"a", b"b", b"c"]], TypeError, r"X must hold real numbers, got dtype \|S1"),
    (X.astype("datetime64[s]"), TypeError, r"X must hold real numbers, got dtype datetime64\[s\]"),
    (X.astype("timedelta64[s]"), TypeError, r"X must hold real numbers, got dtype timedelta64\[s\]"),
    (np.zeros(10, [("a", "f8")]), TypeError, r"X must hold real numbers, got dtype \[\('a', '<f8'\)\]"),
    ([[1, 2, None]], TypeError, "X must hold numbers, got None in row 0, column 2; fill missing values"),
    ([[1, 2, {}]], TypeError, "X must hold numbers, got {} in row 0, column 2$"),
    (changed(X, (2, 2), "x", object), TypeError, "X must hold numbers, got 'x' in row 2, column 2; encode"),
    ([[1, 2, 1j]], TypeError, "X must hold real numbers, got dtype complex128"),
    (None, TypeError, "X must hold numbers, got NoneType"),
    (print, TypeError, "X must hold numbers, got builtin_function_or_method"),
    ([[1, 2, 3], [1, 2]], ValueError, "X must be a rectangular array"),
    ([[1, 2, 3], 4], ValueError, "X must be a rectangular array"),
    (iter(X), TypeError, "X must hold numbers, got .*iterator"),
]  # fmt: skip


@pytest.mark.parametrize(("x", "error", "message"), BAD_X)
def test_examples_that_do_not_fit(call, x, error, message):
    with pytest.raises(error, match=message):
        call(make(), x, LABELS[: len(x) if hasattr(x, "__len__") and len(x) else 10])


@pytest.mark.parametrize(("x", "error", "message"), BAD_X)
@pytest.mark.parametrize("method", ["predict", "activations", "predict_labels", "__call__"])
def test_examples_that_do_not_fit_in_predictions(method, x, error, message):
    with pytest.raises(error, match=message):
        getattr(make(), method)(x)


def test_a_single_example_is_for_predict_alone(call):
    with pytest.raises(ValueError, match=r"X must be 2-D .* one example is a row: use reshape\(1, -1\)"):
        call(make(), X[0], LABELS[:1])
    with pytest.raises(ValueError, match="X must have 3 columns, got 4"):
        make().predict(np.zeros(4))


def test_the_largest_numbers_that_fit():
    net = cbp.Network([1, 1], output="relu")
    net.weights = [[[1]]]
    largest = float(np.finfo(np.float32).max)
    assert net.predict([[largest]]) == np.float32(largest)
    with pytest.raises(ValueError, match=r"X must fit into float32, got 3\.402823\d+e\+38"):
        net.predict([[largest * (1 + 1e-7)]])
    assert cbp.Network([1, 1], output="relu", dtype="float64").predict([[1e300]]).shape == (1, 1)


@pytest.mark.parametrize("row", [0, 5, 6, 95, 96, 500, 999])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_first_bad_row_is_named(row, n_threads):
    x = np.zeros((1000, 200), np.float32)
    x[row, 199] = x[999, 3 if row < 999 else 199] = np.nan
    net = cbp.Network([200, 300, 2], rng=0, n_threads=n_threads)
    for method, y in ((net.predict, ()), (net.loss, (np.zeros(1000, int),))):
        with pytest.raises(ValueError, match=f"got nan in row {row}, column 199"):
            method(x, *y)


def test_a_bad_row_far_down_is_named(monkeypatch):
    monkeypatch.setattr(passes, "forward_rows", lambda *sizes: 64)  # rows between two looks at Ctrl-C
    net, x = make(), np.zeros((1000, 3))
    np.testing.assert_array_equal(net.predict(x), np.broadcast_to(net.predict(x[0]), (1000, 4)))
    x[700, 1] = np.nan
    for method in (net.predict, net.activations):
        with pytest.raises(ValueError, match="got nan in row 700, column 1"):
            method(x)


# --- Y ---------------------------------------------------------------------------------------------------

PROBABILITIES = np.full((10, 4), 0.25)


@pytest.mark.parametrize(
    ("output", "n_outputs", "y", "error", "message"),
    [
        ("softmax", 4, LABELS[:9], ValueError,
         r"Y must have shape \(10,\) class labels or \(10, 4\) probabilities, got \(9,\)"),
        ("softmax", 4, LABELS.reshape(10, 1), ValueError, r"probabilities, got \(10, 1\)"),
        ("softmax", 4, PROBABILITIES[:, :3], ValueError, r"probabilities, got \(10, 3\)"),
        ("softmax", 4, PROBABILITIES[:9], ValueError, r"probabilities, got \(9, 4\)"),
        ("softmax", 4, 1, ValueError, r"probabilities, got \(\)"),
        ("softmax", 4, changed(LABELS, 3, 4, int), ValueError,
         "Y must hold class labels from 0 to 3, got 4 in row 3"),
        ("softmax", 4, changed(LABELS, 3, -1, "i1"), ValueError, "from 0 to 3, got -1 in row 3"),
        ("softmax", 4, changed(LABELS, 3, 2**63, "u8"), ValueError, f"from 0 to 3, got {2**63} in row 3"),
        ("softmax", 4, changed(LABELS, 3, 1e300), ValueError, r"from 0 to 3, got 1e\+300 in row 3"),
        ("softmax", 4, changed(LABELS, 3, 4.0), ValueError, "from 0 to 3, got 4.0 in row 3"),
        ("softmax", 4, changed(LABELS, 3, 1.5), ValueError,
         r"Y must hold whole class labels from 0 to 3, got 1.5 in row 3; .* \(10, 4\) probabilities"),
        ("softmax", 4, changed(LABELS, 3, np.nan), ValueError,
         "Y must hold whole class labels .*got nan in row 3"),
        ("softmax", 4, LABELS.astype(str), TypeError, "Y must hold real numbers, got dtype <U"),
        ("softmax", 4, [None] * 10, TypeError, "Y must hold numbers, got None at index 0"),
        ("softmax", 4, changed(PROBABILITIES, 8, 0.5), ValueError,
         "Y must hold probabilities that sum to 1 in each row, got a sum of 2 in row 8"),
        ("softmax", 4, changed(PROBABILITIES, (6, 0), 0.2), ValueError, "got a sum of 0.95 in row 6"),
        ("softmax", 4, changed(PROBABILITIES, 9, 0), ValueError, "got a sum of 0 in row 9"),
        ("identity", 2, np.full(10, 0.5), ValueError,
         r"Y must hold whole class labels from 0 to 1, got 0.5 in row 0; .* \(10, 2\) numbers"),
        ("identity", 2, np.zeros((10, 1)), ValueError,
         r"Y must have shape \(10,\) class labels or \(10, 2\) numbers, got \(10, 1\); .*\.ravel\(\)"),
        ("identity", 2, np.zeros((1, 2)), ValueError, r"\(10, 2\) numbers, got \(1, 2\)$"),
        ("identity", 2, np.zeros((2, 10)), ValueError, r"\(10, 2\) numbers, got \(2, 10\)$"),
        ("identity", 1, np.zeros((1, 10)), ValueError, r"shape \(10,\) or \(10, 1\), got \(1, 10\)"),
        ("identity", 1, np.zeros(11), ValueError, r"Y must have shape \(10,\) or \(10, 1\), got \(11,\)"),
        ("identity", 1, 0.5, ValueError, r"Y must have shape \(10,\) or \(10, 1\), got \(\)"),
        ("identity", 1, [0.5] * 9 + [1j], TypeError, "Y must hold real numbers, got dtype complex128"),
        ("tanh", 1, changed(np.zeros(10), 7, np.nan), ValueError,
         "Y must be finite, got nan in row 7, column 0"),
        ("relu", 1, changed(np.zeros(10), 7, 1e200), ValueError,
         r"Y must fit into float32, got 1e\+200 in row 7"),
        ("sigmoid", 1, changed(np.zeros(10), 7, 2), ValueError,
         r"Y must lie in \[0, 1\] for this loss, got 2 in row 7"),
        ("sigmoid", 2, changed(np.zeros((10, 2)), (1, 1), -1), ValueError, "got -1 in row 1, column 1"),
    ],
)  # fmt: skip
def test_targets_that_do_not_fit(call, output, n_outputs, y, error, message):
    with pytest.raises(error, match=message):
        call(make(output, n_outputs), X, y)


def test_targets_beyond_the_unit_interval_are_fine_for_squared_error():
    y = np.full((10, 4), 5.0)
    for output in ("sigmoid", "tanh", "relu", "identity"):
        assert make(output, loss="squared_error").loss(X, y) > 1


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_no_examples(call, n_outputs):
    net = cbp.Network([3, n_outputs], output="identity")
    with pytest.raises(ValueError, match=r"X must have at least one row, got shape \(0, 3\)"):
        call(net, X[:0], np.zeros((0, n_outputs)))


# --- sample_weight ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (np.ones(9), ValueError, r"sample_weight must have shape \(10,\), got \(9,\)"),
        (np.ones((10, 1)), ValueError, r"sample_weight must have shape \(10,\), got \(10, 1\)"),
        (1.0, ValueError, r"sample_weight must have shape \(10,\), got \(\)"),
        (changed(np.ones(10), 3, -0.5), ValueError, "sample_weight must not be negative, got -0.5"),
        (changed(np.ones(10), 3, np.nan), ValueError, "sample_weight must be finite, got nan"),
        (changed(np.ones(10), 3, np.inf), ValueError, "sample_weight must be finite, got inf"),
        (changed(np.ones(10), 3, 1e300), ValueError, r"sample_weight must fit into float32, got 1e\+300"),
        (np.zeros(10), ValueError, "sample_weight must not be zero for all 10 examples"),
        (["a"] * 10, TypeError, "sample_weight must hold real numbers, got dtype <U1"),
        ([None] * 10, TypeError, "sample_weight must hold numbers, got None at index 0"),
    ],
)
def test_weights_that_do_not_fit(call, weight, error, message):
    with pytest.raises(error, match=message):
        call(make(), X, LABELS, sample_weight=weight)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:, :2], LABELS, "X must have 3 columns, got 2"),
        (X, LABELS[:5], r"Y must have shape .*got \(5,\)"),
        (X, LABELS + 1, "Y must hold class labels from 0 to 3"),
        (changed(X, (4, 1), np.nan), LABELS, "X must be finite, got nan in row 4, column 1"),
        (X[:0], LABELS[:0], "X must have at least one row"),
    ],
)
def test_accuracy_refuses_the_same(x, y, message):
    with pytest.raises(ValueError, match=message):
        make().accuracy(x, y)
