"""`weights` and `biases`, of networks and gradients: sequences of views that assignment copies into."""

import copy
import operator
import pickle
from collections.abc import Sequence

import numpy as np
import pytest

import cbp

SIZES = [3, 4, 4, 2]


def make(**options):
    return cbp.Network(SIZES, **{"rng": 0, **options})


def of_network():
    net = make()
    return net.parameters, net


def of_gradient():
    D = make().gradient(np.eye(3), [0, 1, 0])
    return D.parameters, D


@pytest.fixture(params=[of_network, of_gradient])
def given(request):
    return request.param()


# --- assignment to one layer -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow],
    ids=lambda change: change.__name__,
)
@pytest.mark.parametrize("index", [0, 1, 2, -1, -3, np.int64(1)])
@pytest.mark.parametrize("name", ["weights", "biases"])
def test_one_layer_in_place(given, name, index, change):
    flat, owner = given
    expected = [view.copy() for view in getattr(owner, name)]
    others = [view.copy() for view in getattr(owner, {"weights": "biases", "biases": "weights"}[name])]
    change(expected[index], np.float32(3))
    layers = getattr(owner, name)
    layers[index] = change(layers[index], np.float32(3))  # what Python makes of `layers[index] += 3`
    for view, array in zip(getattr(owner, name), expected, strict=True):
        np.testing.assert_array_equal(view, array)
        assert np.shares_memory(view, flat)
    for view, array in zip(
        getattr(owner, {"weights": "biases", "biases": "weights"}[name]), others, strict=True
    ):
        np.testing.assert_array_equal(view, array)


def test_a_step_of_ones_own_is_a_line():
    net, twin = make(), make()
    D = net.gradient(np.eye(3), [0, 1, 0])
    for i in range(3):
        net.weights[i] -= 0.1 * D.weights[i]
        net.biases[i] -= 0.1 * D.biases[i]
    twin.parameters -= 0.1 * D.parameters
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    before = D.parameters.copy()
    D.weights[0] *= 2
    np.testing.assert_array_equal(D.parameters, before * ([2] * 12 + [1] * (len(before) - 12)))
    assert before[:12].any()


def test_a_layer_is_assigned_by_copy(given):
    flat, owner = given
    array = np.arange(8.0).reshape(4, 2)
    owner.weights[2] = array
    owner.biases[-1] = [5, 6]
    np.testing.assert_array_equal(flat[-10:], [*range(8), 5, 6])
    array[:] = 0
    np.testing.assert_array_equal(owner.weights[-1], np.arange(8).reshape(4, 2))
    before = owner.weights[1].copy()
    owner.weights[1] = owner.weights[1].T  # overlapping
    np.testing.assert_array_equal(owner.weights[1], before.T)
    owner.weights[1] = owner.weights[1]
    np.testing.assert_array_equal(owner.weights[1], before.T)


@pytest.mark.parametrize(
    ("name", "index", "value", "error", "message"),
    [
        ("weights", 2, np.zeros((2, 4)), ValueError, r"weights\[2\] must have shape \(4, 2\), got \(2, 4\)"),
        ("weights", -1, 0.0, ValueError, r"weights\[2\] must have shape \(4, 2\), got \(\)"),
        ("weights", 0, np.zeros(4), ValueError, r"weights\[0\] must have shape \(3, 4\), got \(4,\)"),
        (
            "weights",
            0,
            np.zeros((1, 3, 4)),
            ValueError,
            r"weights\[0\] must have shape \(3, 4\), got \(1, 3, 4\)",
        ),
        ("biases", 1, 0, ValueError, r"biases\[1\] must have shape \(4,\), got \(\)"),
        ("biases", 1, [0], ValueError, r"biases\[1\] must have shape \(4,\), got \(1,\)"),
        ("biases", 1, np.zeros((1, 4)), ValueError, r"biases\[1\] must have shape \(4,\), got \(1, 4\)"),
        ("biases", 1, None, TypeError, r"biases\[1\] must hold numbers, got NoneType"),
        ("biases", 1, ["a"] * 4, TypeError, r"biases\[1\] must hold real numbers, got dtype <U1"),
        ("biases", 3, [0, 0], IndexError, "biases has 3 arrays, got the index 3"),
        ("biases", -4, [0, 0], IndexError, "biases has 3 arrays, got the index -4"),
        ("biases", "1", [0, 0], TypeError, "indices must be integers or slices, not str"),
        ("weights", slice(1, None), [np.zeros((4, 4))], ValueError, "weights must hold 2 arrays, got 1"),
        (
            "weights",
            slice(1, None),
            [np.zeros((4, 4)), np.zeros((4, 4))],
            ValueError,
            r"weights\[2\] must have shape \(4, 2\), got \(4, 4\)",
        ),
        ("weights", slice(None), 0.0, TypeError, "weights must be a sequence of arrays, got float"),
    ],
)
def test_what_does_not_fit_changes_nothing(given, name, index, value, error, message):
    flat, owner = given
    before = flat.copy()
    with pytest.raises(error, match=message):
        getattr(owner, name)[index] = value
    np.testing.assert_array_equal(flat, before)


def test_in_place_operations_that_do_not_fit_change_nothing():
    net = make()
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="broadcast"):
        net.weights[0] -= np.zeros((2, 2))
    with pytest.raises(TypeError):
        net.weights[0] *= 1j
    np.testing.assert_array_equal(net.parameters, before)


# --- slices, and the whole -------------------------------------------------------------------------------


def test_slices_are_written_through_too():
    net = make()
    first, last = net.weights[0].copy(), net.weights[2].copy()
    net.weights[1:][0] -= net.weights[1]
    net.weights[::-1][0][:] *= 2
    np.testing.assert_array_equal(net.weights[0], first)
    np.testing.assert_array_equal(net.weights[1], np.zeros((4, 4)))
    np.testing.assert_array_equal(net.weights[2], 2 * last)
    net.biases[:2] = [[1, 2, 3, 4], [5, 6, 7, 8]]
    net.biases[:2] = net.biases[1::-1]  # exchanged
    assert [b.tolist() for b in net.biases] == [[5, 6, 7, 8], [1, 2, 3, 4], [0, 0]]
    with pytest.raises(ValueError, match=r"^biases\[2\] must have shape \(2,\), got \(4,\)"):
        net.biases[::-1][0] = np.zeros(4)  # named as in the whole
    with pytest.raises(IndexError, match="biases has 2 arrays, got the index 2"):
        net.biases[1:][2]


@pytest.mark.parametrize("name", ["weights", "biases"])
@pytest.mark.parametrize(
    "change",
    [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod,
     operator.ipow, operator.imatmul],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_the_whole_in_place_is_refused_with_a_hint(given, name, change):
    flat, owner = given
    before = flat.copy()
    for other in (2, getattr(owner, name), [0.0]):
        with pytest.raises(TypeError, match=rf"{name} holds one array a layer.* change {name}\[0\]"):
            change(getattr(owner, name), other)
    np.testing.assert_array_equal(flat, before)


def test_layers_cannot_be_deleted():
    net = make()
    with pytest.raises((TypeError, AttributeError)):
        del net.weights[0]
    assert len(net.weights) == 3


# --- a sequence of arrays, as before ---------------------------------------------------------------------


def test_they_are_tuples_of_arrays(given):
    _, owner = given
    weights = owner.weights
    assert isinstance(weights, tuple)
    assert isinstance(weights, Sequence)
    assert len(weights) == 3
    first, *others = weights
    assert first is weights[0] is weights[-3]
    assert [W.shape for W in others] == [(4, 4), (4, 2)]
    assert [W.shape for W, b in zip(weights, owner.biases, strict=True) if len(b) == 4] == [(3, 4), (4, 4)]
    assert all(type(W) is np.ndarray and W.flags.writeable for W in weights)
    assert weights == tuple(weights)  # of the same arrays
    assert weights[1:] == tuple(weights)[1:]
    biases = owner.biases
    assert weights + biases == (*weights, *biases)
    assert repr(owner.biases) == repr(tuple(owner.biases))
    assert weights.index(first) == 0
    assert next(reversed(weights)) is weights[-1]


def test_they_are_not_made_anew():
    net = make()
    assert net.weights is net.weights
    assert net.biases is net.biases


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layers: pickle.loads(pickle.dumps(layers))])
def test_copies_of_them_belong_to_no_network(copied):
    net = make()
    kept = copied(net.weights)
    before = net.parameters.copy()
    kept[0] += 1
    np.testing.assert_array_equal(net.parameters, before)
    np.testing.assert_array_equal(kept[0], net.weights[0] + 1)
    kept[1:][0] = np.ones((4, 4))
    with pytest.raises(ValueError, match=r"weights\[2\] must have shape"):
        copied(net.weights[1:])[1] = 0
    net.weights = kept  # the best so far
    np.testing.assert_array_equal(net.weights[1], np.ones((4, 4)))


def test_a_shallow_copy_shares_the_views():
    net = make()
    copy.copy(net.weights)[0] *= 0
    assert not net.weights[0].any()
