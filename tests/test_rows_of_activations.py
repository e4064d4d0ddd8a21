"""Activations and derivatives of whole rows, softmax above all, by themselves, against the reference."""

import itertools

import numpy as np
import pytest

from cbp import _core, _probes, reference

ELEMENTWISE = ["sigmoid", "tanh", "relu", "identity"]


def activated(kernel, name, z, n):
    """a = g(z) of (n_rows, ld), of which n columns are used."""
    a, workspace = z.copy(), np.zeros(len(z) + kernel.panel, kernel.dtype)
    code = _core.ACTIVATIONS[name]
    _probes.activate(kernel.table, kernel.itemsize, code, a, workspace, z.shape[1], len(z), n)
    return a


@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_softmax(kernel, scale):
    rng = np.random.default_rng(1)
    for n, n_rows, gap in zip(
        kernel.widths, itertools.cycle([1, 2, 7, 16, 17]), itertools.cycle([0, 1, 0]), strict=False
    ):
        ld = kernel.padded(n) + gap * kernel.lanes
        # What lies in the padding is larger than all that counts, and must not.
        z = np.full((n_rows, ld), 1e3, kernel.dtype)
        z[:, :n] = rng.normal(scale=scale, size=(n_rows, n))
        a = activated(kernel, "softmax", z, n)
        exact = reference.activate("softmax", z[:, :n].astype(np.longdouble))
        # Above and below an exponential of 3 units at most, a sum over lanes, a quotient.
        bound = (8 + n / kernel.lanes) * kernel.eps
        np.testing.assert_array_less(abs(a[:, :n] - exact), bound * exact + np.finfo(kernel.dtype).tiny)
        assert not a[:, n:].any()


def test_softmax_of_equal_and_of_far_numbers(kernel):
    for n in kernel.widths:
        z = np.zeros((2, kernel.padded(n)), kernel.dtype)
        z[0, :n], z[1, n // 2] = -3, 1e4
        a = activated(kernel, "softmax", z, n)
        np.testing.assert_allclose(a[0, :n], 1 / n, rtol=kernel.eps)
        assert a[1].tolist() == [float(j == n // 2) for j in range(z.shape[1])]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(kernel, name):
    rng = np.random.default_rng(2)
    for vectors in range(1, 10):  # four at a time, and the rest
        z = rng.normal(scale=4, size=(1, vectors * kernel.lanes)).astype(kernel.dtype)
        a = activated(kernel, name, z, z.size)
        exact = reference.activate(name, z.astype(np.longdouble))
        np.testing.assert_allclose(a, exact.astype(np.longdouble), rtol=3 * kernel.eps, atol=0)
        delta = rng.normal(size=z.shape).astype(kernel.dtype)
        exactly = (np.longdouble(array) for array in (delta, z, a))
        expected = reference.times_derivative(name, *exactly)
        code = _core.ACTIVATIONS[name]
        _probes.times_derivative(kernel.table, kernel.itemsize, code, delta, a)
        # 1 - a and 1 - a^2 lose digits where a is near 1, of the result but not of 1.
        np.testing.assert_allclose(delta, expected, rtol=3 * kernel.eps, atol=3 * kernel.eps)
