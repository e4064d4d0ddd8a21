"""Each optimiser's step, as a kernel by itself, against the reference on random vectors."""

import itertools

import numpy as np
import pytest

import cbp
from cbp import _core, _probes, reference

# Numbers that both precisions hold.
OPTIMIZERS = {
    "sgd": cbp.SGD(0.0625),
    "momentum": cbp.SGD(0.0625, momentum=0.875),
    "nesterov": cbp.SGD(0.0625, momentum=0.875, nesterov=True),
    "adam": cbp.Adam(0.015625, 0.875, 0.96875, 2.0**-10),
    "adamw": cbp.AdamW(0.015625, 0.875, 0.96875, 2.0**-10, weight_decay=0.25),
    "nadam": cbp.Nadam(0.015625, 0.875, 0.96875, 2.0**-10, momentum_decay=0.125),
    "rmsprop": cbp.RMSprop(0.015625, 0.96875, 2.0**-10),
    "rmsprop centered": cbp.RMSprop(0.015625, 0.96875, 2.0**-10, centered=True),
    "rmsprop momentum": cbp.RMSprop(0.015625, 0.96875, 2.0**-10, momentum=0.875),
    "rmsprop both": cbp.RMSprop(0.015625, 0.96875, 2.0**-10, momentum=0.875, centered=True),
    "adagrad": cbp.Adagrad(0.0625, 2.0**-10),
}
MOMENTS = [name for name, optimizer in OPTIMIZERS.items() if optimizer.moments]


def floor(kernel):
    """The least moment that is kept: see kernels/updates.pxi."""
    return 64 * float(np.finfo(kernel.dtype).tiny)


def step(kernel, name, W, moments, Delta, **options):
    """A step of the kernel, in place."""
    rule = dict.fromkeys(_core.hyperparameters(), 0) | OPTIMIZERS[name].rule()
    rate = rule.pop("learning_rate")
    kind = OPTIMIZERS[name].kernel
    _probes.step(kernel.table, kernel.itemsize, kind, W, moments, Delta, rule, learning_rate=rate, **options)


def twin(kernel, name, W, moments, D, updates, are_weights=True):
    """The same in wider numbers: W and the moments afterwards."""
    rule = OPTIMIZERS[name].rule()
    if not are_weights and "weight_decay" in rule:
        rule["weight_decay"] = 0.0
    W, *moments, D = (x.astype(np.longdouble) for x in (W, *moments, D))
    moments = moments or [np.zeros_like(W)]  # of SGD, which has none
    reference.step(OPTIMIZERS[name].kernel, W, D, moments, updates + 1, **rule, floor=floor(kernel))
    return W, moments


def state(kernel, name, n, rng):
    """W, moments and Delta of n numbers; a mean of squares is more than the square of the mean."""
    W, Delta = (rng.normal(size=n).astype(kernel.dtype) for _ in range(2))
    moments = {each: rng.normal(size=n).astype(kernel.dtype) for each in OPTIMIZERS[name].moments}
    if "square" in moments:
        moments["square"] = 0.25 + moments["square"] ** 2 + moments.get("mean", 0) ** 2
    return W, list(moments.values()), Delta


@pytest.mark.parametrize("are_weights", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.375])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps(kernel, name, l2, are_weights):
    rng = np.random.default_rng(1)
    for vectors, m, updates in itertools.product([1, 2, 3, 5], [1.0, 7.0, 0.3], [0, 1, 40]):
        W, moments, Delta = state(kernel, name, vectors * kernel.lanes, rng)
        wide_W, wide_Delta = W.astype(np.longdouble), Delta.astype(np.longdouble)
        D = (wide_Delta + (l2 * wide_W if are_weights else 0)) / m
        expected, expected_moments = twin(kernel, name, W, moments, D, updates, are_weights)
        options = {"m": m, "l2": l2, "are_weights": are_weights, "updates": updates}
        size = abs(W) + abs(D) + sum(map(abs, moments)) + 1
        step(kernel, name, W, moments, Delta, **options)
        # A handful of roundings; D's error is relative to its two terms, and the square's to D's.
        scale = size + (abs(wide_Delta) + l2 * abs(wide_W)) / m
        np.testing.assert_array_less(abs(W - expected), 4 * kernel.eps * scale)
        for moment, wide in zip(moments, expected_moments, strict=False):
            np.testing.assert_array_less(abs(moment - wide), 4 * kernel.eps * scale**2)


@pytest.mark.parametrize("name", MOMENTS)
def test_moments_that_are_read_elsewhere_have_the_same_step(kernel, name):
    n = 3 * kernel.lanes
    W, moments, Delta = state(kernel, name, n, np.random.default_rng(2))
    plain_W, plain = W.copy(), [moment.copy() for moment in moments]
    step(kernel, name, plain_W, plain, Delta, updates=4)
    # Read from the second half and written to the first, and the other way round.
    for at, back in [(0, n), (n, -n)]:
        found_W, halves = W.copy(), [np.tile(moment, 2) for moment in moments]
        for half in halves:
            half[at : at + n] = np.nan
        step(kernel, name, found_W, halves, Delta, updates=4, at=at, back=back)
        assert found_W.tobytes() == plain_W.tobytes()
        for half, moment, before in zip(halves, plain, moments, strict=True):
            assert half[at : at + n].tobytes() == moment.tobytes()
            assert half[at + back : at + back + n].tobytes() == before.tobytes()


@pytest.mark.parametrize("name", ["momentum", "nesterov", "adam"])
def test_moments_too_small_to_matter(kernel, name):
    least = np.dtype(kernel.dtype).type(floor(kernel))
    # With D = 0 a moment is its decayed self: 7/8 of each of these. Around the limit and far from it.
    around = [8 / 7 * (1 + sign * 2 * kernel.eps) * least for sign in (1, -1)]
    first = [least, *around, 0, 2 * least, 1]
    length = -(-2 * len(first) // kernel.lanes) * kernel.lanes
    first = kernel.array(np.resize([*first, *np.negative(first)], length))
    zero = np.zeros_like(first)
    moments = [first.copy(), abs(first)][: len(OPTIMIZERS[name].moments)]
    W = zero.copy()
    expected, expected_moments = twin(kernel, name, W, moments, zero, 7)
    step(kernel, name, W, moments, zero, updates=7)
    assert ((moments[0] == 0) == (expected_moments[0] == 0)).all()
    assert (moments[0] == 0).any()
    assert ((moments[0] == 0) | (abs(moments[0]) >= least)).all()
    np.testing.assert_allclose(moments[0], expected_moments[0].astype(float), rtol=kernel.eps)
    if name == "adam":
        assert moments[1].min() == least
        np.testing.assert_allclose(moments[1], expected_moments[1].astype(float), rtol=kernel.eps)
    np.testing.assert_allclose(W, expected.astype(float), rtol=8 * kernel.eps)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_that_is_not_a_number_reaches_the_parameters(kernel, name):
    W, moments, Delta = state(kernel, name, 2 * kernel.lanes, np.random.default_rng(3))
    Delta[0] = np.nan
    step(kernel, name, W, moments, Delta)
    assert np.isnan(W).tolist() == [True] + [False] * (len(W) - 1)
