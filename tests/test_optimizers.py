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
