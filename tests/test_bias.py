"""The promise: without biases, a network is what one with biases of 0 would be, and keeps none."""

import copy
import pickle

import numpy as np
import pytest

import cbp

SIZES = [[3, 2], [5, 17, 3], [96, 130, 33], [480, 65, 3]]


def pair(sizes, **options):
    """A network without biases, and one that has the same weights and biases of 0."""
    net, twin = cbp.Network(sizes, bias=False, rng=0, **options), cbp.Network(sizes, rng=0, **options)
    for W, V in zip(net.weights, twin.weights, strict=True):
        assert W.tobytes() == V.tobytes()
    return net, twin


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES)
def test_the_same_bits_as_with_biases_of_0(sizes, dtype):
    net, twin = pair(sizes, dtype=dtype)
    rng = np.random.default_rng(1)
    for m in (1, 2, 5, 31, 32, 300):
        X, Y = rng.normal(size=(m, sizes[0])).astype(dtype), rng.integers(0, sizes[-1], m)
        assert net.predict(X).tobytes() == twin.predict(X).tobytes()
        assert net.predict(X[0]).tobytes() == twin.predict(X[0]).tobytes()
        found, expected = net.gradient(X, Y, inputs=True), twin.gradient(X, Y, inputs=True)
        assert found.loss == expected.loss == net.loss(X, Y)
        assert found.inputs.tobytes() == expected.inputs.tobytes()
        assert [D.tobytes() for D in found.weights] == [D.tobytes() for D in expected.weights]
        assert found.parameters.size == net.n_parameters
        assert found.biases == ()


def test_parameters_are_the_weights_alone():
    net = cbp.Network([3, 4, 2], bias=False, rng=0)
    assert not net.bias
    assert net.n_parameters == net.parameters.size == 3 * 4 + 4 * 2
    assert [W.shape for W in net.weights] == [(3, 4), (4, 2)]
    assert net.biases == ()
    assert all(np.shares_memory(W, net.parameters) for W in net.weights)
    assert "bias=False" in repr(net)
    assert cbp.Network([3, 4, 2]).bias
    assert "bias" not in repr(cbp.Network([3, 4, 2]))


def test_textbook_matrices_have_a_bias_of_0():
    net = cbp.Network([3, 4, 2], bias=False, rng=0)
    assert [theta.shape for theta in net.thetas] == [(4, 4), (2, 5)]
    assert all((theta[:, 0] == 0).all() for theta in net.thetas)
    D = net.gradient(np.eye(3), [0, 1, 0])
    assert [theta.shape for theta in D.thetas] == [(4, 4), (2, 5)]
    twin = cbp.Network.from_thetas(net.thetas, bias=False)
    assert twin.parameters.tobytes() == net.parameters.tobytes()
    wrong = [theta.copy() for theta in net.thetas]
    wrong[1][0, 0] = -2
    with pytest.raises(ValueError, match=r"thetas\[1\]\[0, 0\] must be 0 with bias=False, got -2"):
        cbp.Network.from_thetas(wrong, bias=False)


def test_files_and_copies_keep_it(tmp_path):
    net = cbp.Network([3, 4, 2], bias=False, rng=0)
    net.fit(np.eye(3), [0, 1, 0], epochs=3)
    net.save(tmp_path / "net.npz")
    for twin in (cbp.load(tmp_path / "net.npz"), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert not twin.bias
        assert twin.parameters.tobytes() == net.parameters.tobytes()
        assert twin.predict(np.eye(3)).tobytes() == net.predict(np.eye(3)).tobytes()


def test_it_is_true_or_false():
    with pytest.raises(TypeError, match="bias must be True or False, got int"):
        cbp.Network([3, 2], bias=1)
    with pytest.raises(AttributeError):
        cbp.Network([3, 2]).bias = False
    assert cbp.Network([3, 2], bias=np.False_).n_parameters == 6


def test_what_is_not_finite_is_named():
    net = cbp.Network([3, 2], bias=False, rng=0)
    net.weights[0][1, 0] = np.nan
    with pytest.raises(FloatingPointError, match=r"weights\[0\]\[1, 0\] is nan"):
        net.accuracy(np.eye(3), [0, 1, 0])
