"""The promise: losses are right to their last digits, however large logits and however small losses are."""

import decimal
from decimal import Decimal

import numpy as np
import pytest

import cbp

N = 24  # logits of each case
UNITS = [1, 2, 10, 33]
BOUND = 4  # units in the last place of the dtype
EXACT = decimal.Context(prec=250, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)


@pytest.fixture(autouse=True)
def many_digits():
    with decimal.localcontext(EXACT):
        yield


def logistic(z):
    return 1 / (1 + (-z).exp())


G = {
    "sigmoid": logistic,
    "tanh": lambda z: 1 - 2 * logistic(-2 * z),
    "identity": lambda z: z,
    "relu": lambda z: max(z, Decimal(0)),
}


def shares(z):
    """Softmax."""
    e = [(x - max(z)).exp() for x in z]
    return [x / sum(e) for x in e]


def exact_loss(output, loss, z, y):
    """By the textbook, with 250 digits."""
    z, y = [Decimal(float(x)) for x in z], [Decimal(float(x)) for x in y]
    a = shares(z) if output == "softmax" else [G[output](x) for x in z]
    if loss == "squared_error":
        return sum((p - q) ** 2 for p, q in zip(a, y, strict=True)) / 2
    if output == "softmax":
        return -sum(q * p.ln() for p, q in zip(a, y, strict=True) if q)
    return sum(q * (1 + (-x).exp()).ln() + (1 - q) * (1 + x.exp()).ln() for x, q in zip(z, y, strict=True))


def biased(z, output, loss, dtype):
    """A network whose logits are z, whatever the inputs are."""
    net = cbp.Network([1, len(z)], output=output, loss=loss, dtype=dtype, rng=0)
    net.parameters[:] = 0
    net.biases[0][:] = z
    return net


def logits(n, dtype, rng):
    """Of a common size of 1e-6 to 1e8, or none, and apart by 1e-6 to 150."""
    base = rng.choice([-1, 0, 1]) * 10 ** rng.uniform(-6, 8)
    return (base + rng.normal(size=n) * 10 ** rng.uniform(-6, 2)).astype(dtype).clip(-1.5e8, 1.5e8)


def units_off(found, exact, dtype):
    """The distance in units of the last place; in float32 subnormal losses have few digits."""
    finfo = np.finfo(dtype)
    return float(
        abs(Decimal(found) - exact) / max(exact * Decimal(float(finfo.eps)), Decimal(float(finfo.tiny)))
    )


CASES = {
    ("softmax", "cross_entropy"): ["a class", "the likeliest", "probabilities"],
    ("sigmoid", "cross_entropy"): ["zeros and ones", "the likeliest", "probabilities"],
    ("softmax", "squared_error"): ["a class", "the likeliest"],
    ("sigmoid", "squared_error"): ["zeros and ones", "the likeliest"],
    ("tanh", "squared_error"): ["zeros and ones", "the likeliest"],
    ("identity", "squared_error"): ["probabilities"],
    ("relu", "squared_error"): ["zeros and ones"],
}


def targets(kind, output, z, rng, dtype):
    n = len(z)
    if kind == "a class":
        return np.eye(n)[rng.integers(n)]
    if kind == "the likeliest":
        limit = -1 if output == "tanh" else 0
        return np.eye(n)[z.argmax()] if output == "softmax" else np.where(z > 0, 1, limit)
    if kind == "zeros and ones":
        return rng.integers(0, 2, size=n)
    return (rng.dirichlet(np.ones(n)) if output == "softmax" else rng.uniform(size=n)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("output", "loss", "kind"), [(*case, kind) for case, kinds in CASES.items() for kind in kinds]
)
def test_losses_to_the_last_digits(output, loss, kind, dtype):
    rng = np.random.default_rng(0)
    for i in range(N):
        n = UNITS[i % len(UNITS)] if output != "softmax" else UNITS[1 + i % (len(UNITS) - 1)]
        z = logits(n, dtype, rng)
        y = targets(kind, output, z, rng, dtype)
        found = biased(z, output, loss, dtype).loss([[0.0]], [y])
        assert units_off(found, exact_loss(output, loss, z, y), dtype) < BOUND, (z, y, found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_labels_give_the_loss_of_their_probabilities(dtype):
    rng = np.random.default_rng(1)
    for n in UNITS[1:] * 10:
        net = biased(logits(n, dtype, rng), "softmax", None, dtype)
        label = rng.integers(n)
        assert net.loss([[0]], [label]) == net.loss([[0]], [np.eye(n)[label]])


@pytest.mark.parametrize(
    ("z", "label", "exact"),
    [
        ((1e8, 1e8), 0, 0.6931471805599453),
        ((1000, 990), 0, 4.539889921686465e-05),
        ((10000, 9992), 0, 3.3540637289566e-04),
        ((-10000, -10008), 0, 3.3540637289566e-04),
        ((40, 0), 0, 4.248354255291589e-18),
        ((0, 40), 0, 40.0),
        ((1e30, 0), 1, 1e30),
        ((3e38, -3e38), 0, 0.0),
        ((7, 7, 7, 7, 7), 3, 1.6094379124341003),
    ],
)
@pytest.mark.parametrize("loss", ["loss", "gradient", "fit"])
def test_large_logits(z, label, exact, loss):
    net = biased(z, "softmax", None, "float32")
    if loss == "fit":
        found = net.fit([[0]], [label], epochs=1, optimizer=cbp.SGD(0.0)).losses[0]
    else:
        found = net.loss([[0]], [label]) if loss == "loss" else net.gradient([[0]], [label]).loss
    assert found == pytest.approx(exact, rel=3e-7, abs=0)


def test_squares_beyond_float32():
    net = biased([1e25], "identity", None, "float32")
    assert net.loss([[0]], [0]) == pytest.approx(5e49, rel=1e-6)
    net.biases[0][:] = 1e-25
    assert net.loss([[0]], [0]) == pytest.approx(5e-51, rel=1e-6, abs=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("total", [0.9995, 1.0005])
def test_the_gradient_of_probabilities_that_do_not_quite_add_up(total, dtype):
    # The cross-entropy -sum_j y_j log a_j has the gradient (sum_k y_k) a_j - y_j.
    y = np.array([0.2, 0.5, 0.3]) * total
    net = biased([0.3, -1, 2], "softmax", None, dtype)
    a = net.predict([[0.0]])[0].astype(float)
    np.testing.assert_allclose(net.gradient([[0.0]], [y]).biases[0], total * a - y, rtol=0, atol=2e-7)
    assert net.loss([[0.0]], [y]) == pytest.approx(-(y * np.log(a)).sum(), rel=1e-6)
    assert net.check_gradient([[0.5]], [y]) < 1e-9


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shares_of_logits_far_apart_are_exact(dtype):
    # e^(z - top) of a rounded difference would be off by as many units as the difference is large.
    rng = np.random.default_rng(3)
    for _ in range(N):
        z = (rng.uniform(-60, 0, size=7)).astype(dtype)
        exact = shares([Decimal(float(x)) for x in z])
        found = biased(z, "softmax", None, dtype).predict([0.0])
        assert max(units_off(float(a), b, dtype) for a, b in zip(found, exact, strict=True)) < BOUND


def test_a_logit_that_is_not_a_number_is_not_hidden():
    for z in [(np.nan, 0, 1), (0, np.nan, 1), (0, 1, np.nan), (np.inf, 0, 1)]:
        for y in ([0], [1], [2], [[0.2, 0.3, 0.5]]):
            assert np.isnan(biased(z, "softmax", None, "float32").loss([[0.0]], y))


# delta(L) = dloss/db of one example, for a unit that is nearly sure; the exact values by the formulas.
SURE = [
    ("sigmoid", "cross_entropy", [16.5], [[1]], lambda p, q: [-p]),
    ("sigmoid", "cross_entropy", [-16.5], [[0]], lambda p, q: [p]),
    ("softmax", "cross_entropy", [16.5, 0], [0], lambda p, q: [-p, p]),
    ("softmax", "cross_entropy", [0, 16.5], [[0, 1]], lambda p, q: [p, -p]),
    ("sigmoid", "squared_error", [16.5], [[1]], lambda p, q: [-p * p * (1 - p)]),
    ("tanh", "squared_error", [8.25], [[1]], lambda p, q: [-2 * p * q]),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("output", "loss", "z", "y", "exact"), SURE)
def test_errors_of_sure_units_keep_their_digits(output, loss, z, y, exact, dtype):
    p = logistic(Decimal("-16.5"))
    q = 1 - G["tanh"](Decimal("8.25")) ** 2
    found = biased(z, output, loss, dtype).gradient([[0.0]], y).biases[0]
    np.testing.assert_allclose(found, [float(x) for x in exact(p, q)], rtol=8 * np.finfo(dtype).eps)


def test_a_target_of_zero_leaves_an_infinite_difference_out():
    net = biased([1e308, 0, -1e308], "softmax", None, "float64")
    for label, exact in enumerate([0.0, 1e308]):
        assert net.loss([[0]], [label]) == net.loss([[0]], [np.eye(3)[label]]) == exact


@pytest.mark.parametrize(("dtype", "x"), [("float64", 1e200), ("float32", 3e38)])
def test_a_weight_of_zero_leaves_an_overflowing_example_out(dtype, x):
    net = cbp.Network([1, 1], output="identity", dtype=dtype)
    net.parameters = [1, 0]
    D = net.gradient([[x], [1]], [-x, 0], [0, 1])
    assert D.loss == 0.5
    assert D.parameters.tolist() == [1, 1]
