"""Each optimiser's step, as a kernel by itself, against the reference on random vectors."""

import itertools

import numpy as np
import pytest

from cbp import _core, _probes, reference

RULES = {
    "sgd": ("sgd", {"learning_rate": 0.05}),
    "momentum": ("sgd", {"learning_rate": 0.05, "momentum": 0.875}),
    "nesterov": ("sgd", {"learning_rate": 0.05, "momentum": 0.875, "nesterov": True}),
    "adam": ("adam", {"learning_rate": 0.01, "beta1": 0.875, "beta2": 0.96875, "epsilon": 2.0**-10}),
}
N_MOMENTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2}


def floor(kernel):
    """The least moment that is kept: see kernels/updates.pxi."""
    return 64 * float(np.finfo(kernel.dtype).tiny)


def step(kernel, name, W, moments, Delta, **options):
    """A step of the kernel, in place."""
    optimizer, rule = RULES[name]
    padded = [*moments, None, None][:2]
    _probes.step(
        kernel.table, kernel.itemsize, _core.OPTIMIZERS[optimizer], W, *padded, Delta, **rule, **options
    )


def twin(kernel, name, W, moments, D, updates):
    """The same in wider numbers: W and the moments afterwards."""
    optimizer, rule = RULES[name]
    W, *moments, D = (x.astype(np.longdouble) for x in (W, *moments, D))
    moments = moments or [np.zeros_like(W)]  # of SGD, which has none
    reference.step(optimizer, W, D, moments, updates + 1, **rule, floor=floor(kernel))
    return W, moments


def state(kernel, name, n, rng):
    """W, moments and Delta of n numbers."""
    W, Delta = (rng.normal(size=n).astype(kernel.dtype) for _ in range(2))
    moments = [rng.normal(size=n).astype(kernel.dtype) for _ in range(N_MOMENTS[name])]
    return W, [abs(moment) if i else moment for i, moment in enumerate(moments)], Delta


@pytest.mark.parametrize("decays", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.375])
@pytest.mark.parametrize("name", RULES)
def test_steps(kernel, name, l2, decays):
    rng = np.random.default_rng(1)
    for vectors, m, updates in itertools.product([1, 2, 3, 5], [1.0, 7.0, 0.3], [0, 1, 40]):
        W, moments, Delta = state(kernel, name, vectors * kernel.lanes, rng)
        wide_W, wide_Delta = W.astype(np.longdouble), Delta.astype(np.longdouble)
        D = (wide_Delta + (l2 * wide_W if decays else 0)) / m
        expected, expected_moments = twin(kernel, name, W, moments, D, updates)
        options = {"m": m, "l2": l2, "decays": decays, "updates": updates}
        size = abs(W) + abs(D) + sum(map(abs, moments)) + 1
        step(kernel, name, W, moments, Delta, **options)
        # A handful of roundings; D's error is relative to its two terms, and the square's to D's.
        scale = size + (abs(wide_Delta) + l2 * abs(wide_W)) / m
        np.testing.assert_array_less(abs(W - expected), 4 * kernel.eps * scale)
        for moment, wide in zip(moments, expected_moments, strict=False):
            np.testing.assert_array_less(abs(moment - wide), 4 * kernel.eps * scale**2)


@pytest.mark.parametrize("name", ["momentum", "nesterov", "adam"])
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
    moments = [first.copy(), abs(first)][: N_MOMENTS[name]]
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


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_a_gradient_that_is_not_a_number_reaches_the_parameters(kernel, name):
    W, moments, Delta = state(kernel, name, 2 * kernel.lanes, np.random.default_rng(3))
    Delta[0] = np.nan
    step(kernel, name, W, moments, Delta)
    assert np.isnan(W).tolist() == [True] + [False] * (len(W) - 1)
