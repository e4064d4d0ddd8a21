"""The promise: moments that decay never become subnormal numbers, which are slow on some processors."""

import numpy as np
import pytest

import cbp
from cbp.steps import at_rest

OPTIMIZERS = [
    cbp.SGD(0.0, momentum=0.9),
    cbp.SGD(0.0, momentum=0.5, nesterov=True),
    cbp.SGD(0.0, momentum=0.99),
    cbp.Adam(0.0),
    cbp.Adam(0.0, beta1=0.5, beta2=0.9),
    cbp.Adam(0.0, beta1=0.0, beta2=0.5),
]
SIZES = {"small": [3, 2], "by rows": [150, 120, 2]}


def first_gradient(net, size):
    """Take one step whose gradient has about that size in the biases, and less in half of the weights."""
    X = np.where(np.arange(net.sizes[0]) % 2, 1.0, 1e-3)[None]
    return X, net.predict(X) + size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_they_end_at_zero_or_stay_normal(optimizer, sizes, dtype):
    tiny = np.finfo(dtype).tiny
    net = cbp.Network(sizes, hidden="relu", output="identity", dtype=dtype, rng=0)
    for size in (1.0, 1e-10, 1e-18):
        X, Y = first_gradient(net, size)
        net.partial_fit(X, Y, optimizer=optimizer)
    rest = np.zeros((1, sizes[0]))
    still = np.repeat(rest, 2000, axis=0), np.repeat(net.predict(rest), 2000, axis=0)
    for _ in range(4):
        net.partial_fit(*still, batch_size=1, shuffle=False)  # the gradient is zero, and so is the rate
        for moment in at_rest(net._state).moments:
            found = np.abs(moment[moment != 0])
            assert found.size == 0 or found.min() >= tiny
    # 8,000 steps have ended all but the slowest.
    decay = optimizer.momentum if isinstance(optimizer, cbp.SGD) else optimizer.beta1
    if decay < 0.99:
        assert not at_rest(net._state).moments[0].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_second_moment_at_its_floor_changes_no_step(dtype):
    # A gradient too small for its square still makes Adam's step of eta D / epsilon.
    net = cbp.Network([1, 1], output="identity", dtype=dtype)
    net.parameters[:] = 0
    D = 1e-21 if dtype == "float32" else 1e-170
    net.fit([[0.0]], [-D], epochs=1, optimizer=cbp.Adam(1.0))
    assert net.biases[0][0] == pytest.approx(-D / 1e-8, rel=1e-5)
