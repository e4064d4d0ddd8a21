"""Activations and derivatives of whole rows, softmax above all, by themselves, against the reference."""

import itertools

import numpy as np
import pytest

from cbp import _core, _probes, functions, kernels, reference

ELEMENTWISE = [*functions.ELEMENTWISE, ("leaky_relu", 0.25), ("elu", 0.5)]


def activated(kernel, named, z, n):
    """a = g(z) of (n_rows, ld), of which n columns are used."""
    a, workspace = z.copy(), np.zeros(len(z) + kernel.panel, kernel.dtype)
    name, number = functions.with_number(named, functions.ACTIVATIONS)
    shape = z.shape[1], len(z), n
    _probes.activate(kernel.table, kernel.itemsize, name, a, workspace, *shape, number=number)
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


@pytest.mark.parametrize("named", ELEMENTWISE)
def test_elementwise(kernel, named):
    rng = np.random.default_rng(2)
    name, number = functions.with_number(named, functions.ACTIVATIONS)
    number = float(np.dtype(kernel.dtype).type(number))
    for vectors in range(1, 10):  # four at a time, and the rest
        z = rng.normal(scale=4, size=(1, vectors * kernel.lanes)).astype(kernel.dtype)
        a = activated(kernel, named, z, z.size)
        wide = (
            np.longdouble if name != "gelu" else np.float64
        )  # the reference has the error function in double
        exact = reference.activate((name, number), z.astype(wide))
        # … whose argument is rounded, which its exponential shows.
        rounding = z.astype(float) ** 2 * np.finfo(float).eps if name == "gelu" else 0
        assert (abs(a - exact) <= (3 * kernel.eps + rounding) * abs(exact)).all()
        delta = rng.normal(size=z.shape).astype(kernel.dtype)
        expected = reference.times_derivative(
            (name, number), *(array.astype(wide) for array in (delta, z, a))
        )
        _probes.times_derivative(kernel.table, kernel.itemsize, name, delta, z, a, number=number)
        # Where g' is a difference, such as 1 - a, it loses digits of the result, but not of 1 or of a.
        atol = 3 * kernel.eps * np.maximum(1, abs(a)) * abs(delta).max()
        assert (abs(delta - expected) <= 3 * kernel.eps * abs(expected) + atol).all()


def test_the_tables_and_the_kernels_have_the_same_names():
    names = _core.names(kernels.table("float32"))
    assert set(names["activations"]) == set(functions.ACTIVATIONS)
    # Two losses are for derivatives: users cannot train on them.
    for_derivatives = {"inner_product", "sum_of_outputs"}
    assert set(names["losses"]) == set(functions.LOSSES) | for_derivatives
    assert set(reference.functions.ACTIVATIONS) | {"softmax"} == set(functions.ACTIVATIONS)
    for name, row in reference.functions.ACTIVATIONS.items():
        assert functions.with_number(name, functions.ACTIVATIONS) == (name, row.number)
    for name, row in reference.functions.LOSSES.items():
        if name not in for_derivatives:
            assert functions.with_number(name, functions.LOSSES) == (name, row.number)
