"""The promise: of several faults in X and Y the first in the order of the arrays is named."""

import re

import numpy as np
import pytest

import cbp
from cbp.examples import faults
from cbp.training import passes

RNG = np.random.default_rng(0)
M = 1000
X = RNG.normal(size=(M, 6))
ROWS = RNG.dirichlet(np.ones(3), size=M)
LABELS = RNG.integers(0, 3, size=M)


def make(output="softmax", loss=None, n=3, **options):
    return cbp.Network([6, 40, n], output=output, loss=loss, rng=0, **options)


def changed(array, *places):
    copy = array.copy()
    for place, value in places:
        copy[place] = value
    return copy


CALLS = {
    "fit": lambda net, x, y: net.fit(x, y),
    "full batch": lambda net, x, y: net.fit(x, y, batch_size=None),
    "in order": lambda net, x, y: net.fit(x, y, shuffle=False),
    "partial_fit": lambda net, x, y: net.partial_fit(x, y, batch_size=7),
    "loss": lambda net, x, y: net.loss(x, y),
    "gradient": lambda net, x, y: net.gradient(x, y, inputs=True),
    "validation": lambda net, x, y: net.fit(X, ROWS, validation_data=(x, y)),
}
BAD = {
    "twenty wrong rows": (
        (),
        [(slice(13, 213, 10), 0.5)],
        "Y must hold probabilities that sum to 1 in each row, got a sum of 1.5 in row 13",
    ),
    "NaN in X": ([([900, 17, 500], np.nan)], (), "X must be finite, got nan in row 17, column 0"),
    "one row, two columns": (
        [((17, 5), np.inf), ((17, 2), -np.inf), ((18, 0), np.nan)],
        (),
        "X must be finite, got -inf in row 17, column 2",
    ),
    "beyond the dtype": (
        [((44, 3), 1e39), ((45, 0), np.nan)],
        (),
        "X must fit into float32, got 1e+39 in row 44, column 3",
    ),
    "X before Y": ([(700, np.nan)], [(800, np.nan)], "X must be finite, got nan in row 700"),
    "Y before X": ([(700, np.nan)], [(600, np.nan)], "Y must be finite, got nan in row 600"),
    "X and Y in one row": (
        [((700, 5), np.nan)],
        [((700, 0), np.nan)],
        "X must be finite, got nan in row 700",
    ),
    "a sum before NaN": ((), [(3, 0.1), (4, np.nan)], "got a sum of 0.3 in row 3"),
    "a sum before a sign": ((), [(3, 0.1), ((4, 1), -1)], "got a sum of 0.3 in row 3"),
    "a sign before a sum": (
        (),
        [((3, 1), -1), (4, 0.1)],
        "Y must lie in [0, 1] for this loss, got -1 in row 3, column 1",
    ),
    "the last row": ((), [((999, 2), np.inf)], "Y must be finite, got inf in row 999, column 2"),
}


@pytest.fixture(params=[None, 1], ids=["whole", "by parts"])
def short_parts(request, monkeypatch):
    """As many numbers as are looked through at a time: all, or one row."""
    if request.param:
        monkeypatch.setattr(faults, "PART", request.param)


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("in_X", "in_Y", "message"), BAD.values(), ids=BAD)
def test_the_first_fault_is_named(call, in_X, in_Y, message):
    for n_threads in (1, 3):
        net = make(n_threads=n_threads)
        before = net.parameters.copy()
        pattern = re.sub("^([XY])", r"\1( of validation_data)?", re.escape(message))
        with pytest.raises(ValueError, match=pattern):
            call(net, changed(X, *in_X), changed(ROWS, *in_Y))
        np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("in_X", "in_Y", "message"), BAD.values(), ids=BAD)
def test_in_mapped_arrays_too(tmp_path, monkeypatch, order, in_X, in_Y, message):
    monkeypatch.setattr(passes, "PART_BYTES", 1)  # the least: 192 rows
    mapped = []
    for name, array in [("X", changed(X, *in_X)), ("Y", changed(ROWS, *in_Y))]:
        np.save(tmp_path / f"{name}.npy", np.asarray(array, order=order))
        mapped.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    with pytest.raises(ValueError, match=re.escape(message)):
        make().fit(*mapped)


@pytest.mark.parametrize(
    ("output", "loss", "fault", "message"),
    [
        ("sigmoid", "cross_entropy", 1.5, "Y must lie in [0, 1] for this loss, got 1.5 in row 8"),
        (
            "sigmoid",
            "cross_entropy",
            -0.1,
            "Y must lie in [0, 1] for this loss, got -0.1 in row 8",
        ),
        ("softmax", "squared_error", 0.5, "Y must hold probabilities that sum to 1 in each row"),
        ("softmax", "squared_error", -0.5, "Y must lie in [0, 1]"),
        ("sigmoid", "squared_error", np.nan, "Y must be finite, got nan in row 8"),
        ("tanh", "squared_error", 1e39, "Y must fit into float32, got 1e+39 in row 8"),
    ],
)
def test_what_each_loss_asks_of_its_targets(output, loss, fault, message):
    y = changed(ROWS, ([980, 8, 500], fault))
    for _ in range(3):  # in three orders
        with pytest.raises(ValueError, match=re.escape(message)):
            make(output, loss).fit(X, y)
    # What is fine for a loss is not taken for a fault of another's.
    x = changed(X, ([980, 400], np.nan))
    with pytest.raises(ValueError, match="X must be finite, got nan in row 400"):
        make("identity").fit(x, y if abs(fault) < 2 else ROWS)


def test_faults_with_labels():
    for output in ("softmax", "sigmoid"):
        with pytest.raises(ValueError, match="X must be finite, got nan in row 5, column 1"):
            make(output).fit(changed(X, (([990, 5, 77], 1), np.nan)), LABELS)


def test_numbers_that_are_nearly_right_are_told_in_full():
    y = np.full((M, 1), 0.5)
    y[70] = 1.0000001
    net = make("sigmoid", n=1, dtype="float64")
    with pytest.raises(ValueError, match=re.escape("must lie in [0, 1] for this loss, got 1.0000001")):
        net.loss(X, y)


def test_an_array_that_is_mended_meanwhile_is_refused_all_the_same():
    """The kernels found a fault, and the search for the first does not."""
    examples = make()._examples(X.astype("f4"), ROWS.astype("f4"), None, None)
    error = examples.refusal("X_NOT_FINITE", 7, 2)
    assert type(error) is ValueError
    assert "in row 7, column 2" in str(error)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, 1, np.nan, -1], "sample_weight must be finite, got nan in row 2"),
        ([1, 1, -1, np.nan], "sample_weight must not be negative, got -1.0 in row 2"),
        ([1, 1e-40, -1, np.inf], "sample_weight must be 0 or at least 2.9e-39, got 1e-40 in row 1"),
        ([1, 1e39, -1, np.inf], "sample_weight must fit into float32, got 1e+39 in row 1"),
        ([1, 1, 1, -1e-300], "sample_weight must not be negative, got -1e-300 in row 3"),
        ([1, 1, 1, -np.inf], "sample_weight must be finite, got -inf in row 3"),
        ([1, 1, 1, 1e-300], "sample_weight must be 0 or at least 2.9e-39, got 1e-300 in row 3"),
    ],
)
def test_the_first_weight_that_is_none(weight, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make().loss(X[:4], LABELS[:4], weight)


def test_the_first_row_of_predictions():
    bad = changed(X, ([990, 5, 77], np.nan))
    for n_threads in (1, 3):
        net = make(n_threads=n_threads)
        for method in (net.predict, net.activations, net.predict_labels):
            with pytest.raises(ValueError, match="got nan in row 5, column 0"):
                method(bad)


@pytest.mark.parametrize("off", [-1, 1])
def test_probabilities_sum_to_1_within_a_thousandth(off):
    net = cbp.Network([1, 2], dtype="float64", rng=0)
    assert net.loss([[1.0]], [[0.25, 0.75 + off * 0.000999]]) > 0
    with pytest.raises(ValueError, match="probabilities that sum to 1 in each row"):
        net.loss([[1.0]], [[0.25, 0.75 + off * 0.0010005]])


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("poisson", -1e-3, "Y must be at least 0 for this loss, got -0.001 in row 1"),
        ("gamma", 0.0, "Y must be above 0 for this loss, got 0 in row 1"),
        ("gamma", -2.0, "Y must be above 0 for this loss, got -2 in row 1"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_losses_of_counts_and_sizes_ask_of_their_targets(loss, y, message, dtype):
    net = cbp.Network([1, 1], output="exp", loss=loss, dtype=dtype, rng=0)
    with pytest.raises(ValueError, match=re.escape(message)):
        net.fit([[1.0], [2.0], [3.0]], [1.0, y, 2.0], epochs=1)
    smallest = float(np.finfo(dtype).smallest_subnormal)
    net.fit([[1.0], [2.0]], [1.0, 0.0 if loss == "poisson" else smallest], epochs=1)
