"""SGD and Adam: defaults, values, refusals. Their steps are in test_training.py."""

import copy
import dataclasses
import pickle
from fractions import Fraction

import numpy as np
import pytest

import cbp


def test_defaults():
    assert cbp.SGD() == cbp.SGD(learning_rate=0.1, momentum=0.0, nesterov=False)
    assert cbp.Adam() == cbp.Adam(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8)


@pytest.mark.parametrize("optimizer", [cbp.SGD(0.5, 0.9, True), cbp.Adam(0.5, 0.8, 0.9, 1e-4)])
def test_they_are_values(optimizer):
    assert eval(repr(optimizer), {"SGD": cbp.SGD, "Adam": cbp.Adam}) == optimizer
    assert pickle.loads(pickle.dumps(optimizer)) == copy.deepcopy(optimizer) == optimizer
    assert hash(copy.deepcopy(optimizer)) == hash(optimizer)
    assert dataclasses.replace(optimizer, learning_rate=0.25) != optimizer
    with pytest.raises(dataclasses.FrozenInstanceError):
        optimizer.learning_rate = 0.1


@pytest.mark.parametrize("number", [0, 1, np.float32(0.5), np.float64(0.5), np.int64(1)])
def test_any_real_number_is_a_learning_rate(number):
    net = cbp.Network([1, 1], output="identity", dtype="float64")
    for optimizer in (cbp.SGD(number), cbp.SGD(float(number))):
        net.parameters = [0, 1]
        net.fit([[0]], [0], epochs=1, optimizer=optimizer)
        assert net.parameters[1] == 1 - float(number)
    assert cbp.Adam(number).learning_rate == number


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        (
            cbp.SGD,
            {"learning_rate": -0.1},
            ValueError,
            "learning_rate must be at least 0 and finite, got -0.1",
        ),
        (
            cbp.SGD,
            {"learning_rate": np.nan},
            ValueError,
            "learning_rate must be at least 0 and finite, got nan",
        ),
        (
            cbp.SGD,
            {"learning_rate": np.inf},
            ValueError,
            "learning_rate must be at least 0 and finite, got inf",
        ),
        (
            cbp.SGD,
            {"learning_rate": 10**400},
            ValueError,
            "learning_rate must be at least 0 and finite, got int that no float holds",
        ),
        (
            cbp.SGD,
            {"learning_rate": -(10**5000)},
            ValueError,
            "learning_rate must be at least 0 and finite, got",
        ),
        (cbp.SGD, {"momentum": 10**400}, ValueError, "momentum must be at least 0 and less than 1, got int"),
        (cbp.Adam, {"learning_rate": Fraction(10**400)}, ValueError, "learning_rate .* got Fraction that no"),
        (cbp.Adam, {"beta1": 10**400}, ValueError, "beta1 must be at least 0 and less than 1, got int that"),
        (cbp.Adam, {"beta2": 10**400}, ValueError, "beta2 must be at least 0 and less than 1, got int that"),
        (cbp.Adam, {"epsilon": 10**400}, ValueError, "epsilon must be at least 0 and finite, got int that"),
        (cbp.SGD, {"learning_rate": "0.1"}, TypeError, "learning_rate must be a number, got str"),
        (cbp.SGD, {"learning_rate": None}, TypeError, "learning_rate must be a number, got NoneType"),
        (cbp.SGD, {"learning_rate": True}, TypeError, "learning_rate must be a number, got bool"),
        (cbp.SGD, {"momentum": 1.0}, ValueError, "momentum must be at least 0 and less than 1, got 1.0"),
        (cbp.SGD, {"momentum": -0.5}, ValueError, "momentum must be at least 0 and less than 1, got -0.5"),
        (cbp.SGD, {"nesterov": True}, ValueError, "nesterov=True needs a momentum above 0"),
        (cbp.Adam, {"learning_rate": -1}, ValueError, "learning_rate must be at least 0 and finite, got -1"),
        (cbp.Adam, {"beta1": 1}, ValueError, "beta1 must be at least 0 and less than 1, got 1"),
        (cbp.Adam, {"beta2": 1.5}, ValueError, "beta2 must be at least 0 and less than 1, got 1.5"),
        (cbp.Adam, {"beta2": 1j}, TypeError, "beta2 must be a number, got complex"),
        (cbp.Adam, {"epsilon": 0}, ValueError, "epsilon must be above 0, got 0"),
        (cbp.Adam, {"epsilon": -1e-8}, ValueError, "epsilon must be at least 0 and finite, got -1e-08"),
    ],
)
def test_refusals(kind, options, error, message):
    with pytest.raises(error, match=message):
        kind(**options)


# --- in the network's dtype ------------------------------------------------------------------------------

BELOW_1 = 0.999999999  # 1 in single precision
VANISHING = {
    "sgd, tiny": (
        cbp.SGD(1e-60),
        "learning_rate must be 0 or from 1.4e-45 to 3.4e[+]38 in float32, got 1e-60, which is 0 there$",
    ),
    "sgd, huge": (cbp.SGD(1e40), "learning_rate must be 0 or .* got 1e[+]40, which is inf there"),
    "sgd, an int": (cbp.SGD(10**39), "learning_rate must be .* got 1e[+]39, which is inf there"),
    "momentum, tiny": (
        cbp.SGD(momentum=1e-50),
        "momentum must be 0 or from 1.4e-45 to 0.99999994 in float32, got 1e-50, which is 0 there$",
    ),
    "momentum, 1": (
        cbp.SGD(momentum=BELOW_1, nesterov=True),
        "momentum must be .* got 0.999999999, which is 1 there",
    ),
    "adam, tiny": (cbp.Adam(7e-46), "learning_rate must be .* got 7e-46, which is 0 there"),
    "adam, huge": (cbp.Adam(np.float64(1e39)), "learning_rate must be .* got 1e[+]39, which is inf there"),
    "adam, first step": (cbp.Adam(1e38), r"learning_rate / \(1 - beta1\) must be 0 or .* got 1.*e[+]39"),
    "beta1": (cbp.Adam(beta1=BELOW_1), "beta1 must be 0 or from 1.4e-45 to 0.99999994 in float32, got 0.9"),
    "beta1, tiny": (cbp.Adam(beta1=1e-300), "beta1 must be .* got 1e-300, which is 0 there"),
    "beta2": (cbp.Adam(beta2=BELOW_1), "beta2 must be .* got 0.999999999, which is 1 there"),
    "beta2, a fraction": (cbp.Adam(beta2=Fraction(10**9 - 1, 10**9)), "beta2 must be .* got 0.999999999, wh"),
    "epsilon": (
        cbp.Adam(epsilon=1e-46),
        "epsilon must be from 1.4e-45 to 3.4e[+]38 in float32, got 1e-46, which is 0 there$",
    ),
    "epsilon, huge": (cbp.Adam(epsilon=1e300), "epsilon must be .* got 1e[+]300, which is inf there"),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("optimizer", "message"), VANISHING.values(), ids=VANISHING)
def test_numbers_that_vanish_or_overflow_are_refused_when_training_starts(optimizer, message, method):
    net, twin = (cbp.Network([2, 3, 2], rng=0) for _ in range(2))
    for network in (net, twin):
        network.partial_fit(np.eye(2), [0, 1], optimizer=cbp.Adam(0.1), shuffle=False)
    with pytest.raises(ValueError, match=f"^{message}"):
        getattr(net, method)(np.eye(2), [0, 1], optimizer=optimizer)
    for network in (net, twin):  # nothing has changed, the state neither
        network.partial_fit(np.eye(2), [0, 1], shuffle=False)
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    double = cbp.Network([2, 3, 2], rng=0, dtype="float64")
    getattr(double, method)(np.eye(2), [0, 1], optimizer=optimizer)  # which holds it
    assert np.isfinite(double.parameters).all()


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (cbp.SGD(Fraction(1, 10**5000)), "learning_rate must be 0 or from 4.9e-324 to 1.8e[+]308 in float64, "
                                         "got Fraction that a float takes for 0"),
        (cbp.Adam(1e308), r"learning_rate / \(1 - beta1\) must be .* in float64, got inf"),
    ],
)  # fmt: skip
def test_double_precision_has_limits_too(optimizer, message):
    with pytest.raises(ValueError, match=message):
        cbp.Network([2, 2], dtype="float64").fit(np.eye(2), [0, 1], optimizer=optimizer)


@pytest.mark.parametrize(
    "optimizer",
    [
        cbp.SGD(0),
        cbp.SGD(1.4e-45),
        cbp.SGD(3.4e37, momentum=0.9999999),
        cbp.SGD(momentum=1.4e-45),
        cbp.Adam(0, beta1=0, beta2=0),
        cbp.Adam(beta1=0.9999999, beta2=0.9999999),
        cbp.Adam(epsilon=1.4e-45),
        cbp.Adam(epsilon=3.4e38),
    ],
)
def test_numbers_at_the_limits_are_taken(optimizer):
    net = cbp.Network([2, 2], rng=0)
    net.fit(np.eye(2) * 1e-38, [0, 1], epochs=1, optimizer=optimizer)
    assert np.isfinite(net.parameters).all()


def test_l2_is_refused_when_it_is_set():
    net = cbp.Network([2, 2])
    for value, taken in [(1e-50, "1e-50, which is 0"), (1e39, "1e[+]39, which is inf"), (10**39, "1e[+]39")]:
        message = f"^l2 must be 0 or from 1.4e-45 to 3.4e[+]38 in float32, got {taken}"
        with pytest.raises(ValueError, match=message):
            cbp.Network([2, 2], l2=value)
        with pytest.raises(ValueError, match=message):
            net.l2 = value
        assert net.l2 == 0
        assert cbp.Network([2, 2], l2=value, dtype="float64").l2 == float(value)
    net.l2 = 1.4e-45
    net.l2 = 3e38
    assert net.l2 == 3e38
    with pytest.raises(
        ValueError, match="l2 must be 0 or from 4.9e-324 to 1.8e[+]308 in float64, got Fraction"
    ):
        cbp.Network([2, 2], l2=Fraction(1, 10**400), dtype="float64")


@pytest.mark.parametrize("make", [lambda x: cbp.SGD(0.1, 0.5, x), lambda x: cbp.RMSprop(centered=x)])
@pytest.mark.parametrize("value", ["no", 1, None])
def test_flags_are_true_or_false(make, value):
    with pytest.raises(TypeError, match="(nesterov|centered) must be True or False, got"):
        make(value)
    assert make(True) == make(np.True_)


def test_what_is_loaded_later_is_told_and_found():
    assert {"AdamW", "Nadam", "RMSprop", "Adagrad"} <= set(dir(cbp)) & set(cbp.__all__)
    assert cbp.AdamW is cbp.AdamW
