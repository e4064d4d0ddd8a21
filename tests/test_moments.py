"""The promise: moments that decay never become subnormal numbers, which are slow on some processors."""

import numpy as np
import pytest

import cbp
from cbp import layout, reference
from cbp.training.steps import at_rest

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
        for moment in at_rest(net._state).moments.values():
            found = np.abs(moment[moment != 0])
            assert found.size == 0 or found.min() >= tiny
    # 8,000 steps have ended all but the slowest.
    decay = optimizer.momentum if isinstance(optimizer, cbp.SGD) else optimizer.beta1
    if decay < 0.99:
        assert not next(iter(at_rest(net._state).moments.values())).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_second_moment_at_its_floor_changes_no_step(dtype):
    # A gradient too small for its square still makes Adam's step of eta D / epsilon.
    net = cbp.Network([1, 1], output="identity", dtype=dtype)
    net.parameters[:] = 0
    D = 1e-21 if dtype == "float32" else 1e-170
    net.fit([[0.0]], [-D], epochs=1, optimizer=cbp.Adam(1.0))
    assert net.biases[0][0] == pytest.approx(-D / 1e-8, rel=1e-5)


TRAINED = [
    cbp.SGD(1.0, momentum=0.9),
    cbp.SGD(1.0, momentum=0.5, nesterov=True),
    cbp.Adam(0.5, epsilon=1e-30),
    cbp.Adam(0.5, beta1=0.5, beta2=0.9, epsilon=1e-30),
    cbp.Adam(0.5, beta1=0.0, beta2=0.5, epsilon=1e-30),
]


class Twin:
    """What a network without hidden layers does, in NumPy and double precision."""

    def __init__(self, net, optimizer, floor):
        self.sizes, self.optimizer, self.floor, self.t = net.sizes, optimizer, floor, 0
        self.theta = net.parameters.astype(float)
        sgd = isinstance(optimizer, cbp.SGD)
        self.moments = [np.zeros_like(self.theta) for _ in range(1 if sgd else 2)]

    def step(self, X, Y):
        weights, biases = layout.views(self.theta, self.sizes)
        _, D_W, D_b, _ = reference.gradient(weights, biases, ["identity"], "squared_error", X, Y)
        D = np.concatenate([D_W[0].ravel(), D_b[0]])
        self.t += 1
        rule = {**self.optimizer.rule(), "floor": self.floor}
        reference.step(self.optimizer.kernel, self.theta, D, self.moments, self.t, **rule)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", TRAINED, ids=repr)
def test_decaying_moments_and_the_steps_they_make_are_those_of_the_reference(optimizer, dtype):
    floor = 64 * float(np.finfo(dtype).tiny)
    # Gradients around the floor, around its root, whose squares are, and far above both; then none any more.
    scales = np.array(
        [*(floor * s for s in (0.3, 3, 50, 1e6)), *(floor**0.5 * s for s in (0.1, 0.3, 3, 40)), 1]
    )
    X = scales.astype(dtype)[None]
    rest, Y = np.zeros_like(X), np.array([[0.5, -0.25, 1.5]], dtype)
    net = cbp.Network([len(scales), 3], output="identity", dtype=dtype)
    net.parameters[:] = 0  # so that the smallest step shows
    twin, unfloored = Twin(net, optimizer, floor), Twin(net, optimizer, 0.0)
    matters = [False] * (1 + len(twin.moments))
    for steps in (1, 1, 4, 14, 60, 300):
        inputs = rest if twin.t else X
        for _ in range(steps):
            net.partial_fit(inputs, Y, optimizer=optimizer)
            twin.step(inputs, Y)
            unfloored.step(inputs, Y)
        # Not the biases: they are still trained, and with so small an epsilon what was rounded may grow.
        found, expected, without = (
            [vector[:-3] for vector in (theta, *moments)]
            for theta, moments in [
                (net.parameters, at_rest(net._state).moments.values()),
                (twin.theta, twin.moments),
                (unfloored.theta, unfloored.moments),
            ]
        )
        for i in range(len(matters)):
            np.testing.assert_allclose(
                found[i], expected[i], rtol=1e-3 if dtype == "float32" else 1e-11, atol=0
            )
            matters[i] |= not np.allclose(expected[i], without[i], rtol=0.01, atol=0)
    assert all(matters)
