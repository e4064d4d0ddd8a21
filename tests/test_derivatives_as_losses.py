"""The promise: with the loss sum_j v_j a_j, the gradient is the product of v with the outputs' Jacobian."""

import numpy as np
import pytest

import cbp
from cbp import _core, functions, layout, reference

SIZES = [[3, 2], [5, 7, 2], [4, 9, 17], [6, 33, 5, 9]]
EXAMPLES = [1, 5, 24, 130]
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


class Derivatives:
    """A network, and the kernels with its parameters and another loss."""

    def __init__(self, sizes, output, loss, dtype, bias=True):
        self.net = net = cbp.Network(sizes, hidden="tanh", output=output, dtype=dtype, bias=bias, rng=1)
        what = net._architecture
        self.parameters, storage = layout.allocate(net.n_parameters, dtype)
        self.parameters[:] = net.parameters
        activations, _ = what.for_kernels
        self.engine = _core.Engine(
            net._table, net.dtype.itemsize, what.sizes, activations, (loss, 0.0), bias, storage
        )

    def of(self, X, V):
        """The sum over examples and outputs, its derivatives by the parameters, and by X."""
        m, dtype = len(X), self.net.dtype
        run = _core.Pass(self.engine, _core.MODES["gradient"], m, 1, inputs=True)
        D, inputs = np.empty(self.net.n_parameters, dtype), np.empty_like(X)
        run.set_rule()
        run.bind(X, V, None, None, None, m, inputs=inputs)
        run.pack(1)
        run.advance(1e300, 1)
        assert run.finished
        assert run.fault is None
        run.read_gradient(D)
        return run.loss * m, D * m, inputs * m


def examples(sizes, m, dtype):
    rng = np.random.default_rng(m)
    return rng.normal(size=(m, sizes[0])).astype(dtype), rng.normal(size=(m, sizes[-1])).astype(dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("output", "loss"),
    [(output, "inner_product") for output in functions.OUTPUT]
    + [(output, "sum_of_outputs") for output in functions.ELEMENTWISE],
)
@pytest.mark.parametrize("sizes", SIZES)
def test_as_the_reference(sizes, output, loss, dtype):
    for m in EXAMPLES:
        X, V = examples(sizes, m, dtype)
        derivatives = Derivatives(sizes, output, loss, dtype, bias=m != 24)
        net = derivatives.net
        weights, biases = ([part.astype(float) for part in parts] for parts in (net.weights, net.biases))
        J, D_W, D_b, D_X = reference.gradient(weights, biases, [*net.hidden, output], loss, X, V)
        found, D, inputs = derivatives.of(X, V)
        views = layout.views(D, net.sizes, net.bias)
        # The sums are of numbers of either sign: what their sizes add up to is what rounding goes by.
        a = net.predict(X).astype(float)
        size = np.abs(a * V if loss == "inner_product" else a).sum()
        assert found == pytest.approx(J * m, abs=TOLERANCE[dtype] * max(1, size))
        for mine, expected in zip([*views[0], *views[1], inputs], [*D_W, *D_b, D_X], strict=True):
            scale = max(np.abs(expected).max() * m, 1)
            assert np.abs(mine - expected * m).max() <= TOLERANCE[dtype] * scale


@pytest.mark.parametrize("output", ["softmax", "identity", "exp"])
def test_rows_of_the_jacobian_by_differences(output):
    sizes = [4, 5, 3]
    derivatives = Derivatives(sizes, output, "inner_product", "float64")
    net = derivatives.net
    X, _ = examples(sizes, 1, "float64")
    for j in range(3):
        V = np.eye(3)[j : j + 1]
        _, D, inputs = derivatives.of(X, V)
        for vector, found in ((net.parameters, D), (X.ravel(), inputs.ravel())):
            for i in range(len(vector)):
                before, ends = vector[i], []
                for step in (1e-5, -1e-5):
                    vector[i] = before + step
                    ends.append(net.predict(X)[0, j])
                vector[i] = before
                assert found[i] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-9)


def test_the_vectors_need_not_be_probabilities():
    X, _ = examples([3, 4], 5, "float64")
    derivatives = Derivatives([3, 4], "softmax", "inner_product", "float64")
    assert derivatives.of(X, np.full((5, 4), -3.0))[0] == pytest.approx(-15)
