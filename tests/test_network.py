"""Network: construction, initial weights, parameters, the textbook's form."""

import copy
import math
import pickle

import numpy as np
import pytest

import cbp
from cbp import functions

# --- construction ----------------------------------------------------------------------------------------


def test_defaults():
    net = cbp.Network([4, 5, 6, 3])
    assert (net.sizes, net.hidden, net.output) == ((4, 5, 6, 3), ("sigmoid", "sigmoid"), "softmax")
    assert (net.loss_name, net.l2, net.n_threads) == ("cross_entropy", 0.0, None)
    assert net.dtype == np.float32
    assert net.parameters.dtype == np.float32
    assert net.n_parameters == 5 * 5 + 6 * 6 + 7 * 3 == len(net.parameters)
    assert net.history == cbp.History()
    assert net.metadata == {}


@pytest.mark.parametrize(
    ("output", "loss"),
    [
        ("sigmoid", "cross_entropy"),
        ("softmax", "cross_entropy"),
        ("tanh", "squared_error"),
        ("relu", "squared_error"),
        ("identity", "squared_error"),
    ],
)
def test_the_default_loss_matches_the_output(output, loss):
    assert cbp.Network([2, 2], output=output).loss_name == loss


@pytest.mark.parametrize("sizes", [[3, 4, 2], (3, 4, 2), np.array([3, 4, 2]), iter([3, 4, 2])])
def test_sizes_may_be_any_sequence(sizes):
    assert cbp.Network(sizes).sizes == (3, 4, 2)


@pytest.mark.parametrize("dtype", ["float64", np.float64, float, "d", np.dtype("f8")])
def test_names_of_the_dtype(dtype):
    assert cbp.Network([1, 2], dtype=dtype).dtype == np.float64


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ([784, 128, 10], {}, "[784, 128, 10], hidden='sigmoid', output='softmax', loss='cross_entropy', "
                             "dtype='float32')  # 101,770 parameters"),
        ([2, 3], {"l2": 0.25, "dtype": float}, "[2, 3], output='softmax', loss='cross_entropy', l2=0.25, "
                                               "dtype='float64')  # 9 parameters"),
        ([1, 1, 1, 1], {"hidden": ["tanh", "relu"], "output": "identity"},
         "[1, 1, 1, 1], hidden=['tanh', 'relu'], output='identity', loss='squared_error', "
         "dtype='float32')  # 6 parameters"),
    ],
)  # fmt: skip
def test_repr(arguments, options, text):
    assert repr(cbp.Network(arguments, **options)) == f"Network({text}"


@pytest.mark.parametrize(
    ("sizes", "options", "error", "message"),
    [
        ("784", {}, TypeError, "sizes must be a sequence of whole numbers, got '784'"),
        (784, {}, TypeError, "sizes must be a sequence of whole numbers, got 784"),
        ([], {}, ValueError, r"sizes must have at least two entries.*got \[\]"),
        ([3], {}, ValueError, r"sizes must have at least two entries.*got \[3\]"),
        ([3, 0], {}, ValueError, r"sizes\[1\] must be at least 1, got 0"),
        ([-3, 2], {}, ValueError, r"sizes\[0\] must be at least 1, got -3"),
        ([3, 2.0], {}, TypeError, r"sizes\[1\] must be a whole number, got 2.0"),
        ([True, 2], {}, TypeError, r"sizes\[0\] must be a whole number, got True"),
        ([2**31, 2**31], {}, ValueError, r"sizes \[2147483648, .* more parameters than can be addressed"),
        ([1, 2**31], {}, ValueError, "sizes must be at most 2147483647, got 2147483648"),
        ([10**200, 10**200], {}, ValueError, "sizes .* more parameters than can be addressed"),
        (
            [2, 2],
            {"output": "sofmax"},
            ValueError,
            "output must be one of .*got 'sofmax'; did you mean 'softmax'",
        ),
        ([2, 2], {"output": None}, TypeError, "output must be one of 'sigmoid', .*, got None"),
        ([2, 1], {}, ValueError, "output must not be 'softmax' for one unit"),
        ([2, 2, 2], {"hidden": "sigmod"}, ValueError, "hidden must be one of .*; did you mean 'sigmoid'"),
        ([2, 2, 2], {"hidden": ["ReLU"]}, ValueError, r"hidden\[0\] must be one of .*'ReLU'"),
        ([2, 2, 2], {"hidden": "softmax"}, ValueError, "hidden must be one of .*got 'softmax'"),
        ([2, 2, 2], {"hidden": 3}, TypeError, "hidden must be a name or one for each hidden layer, got 3"),
        ([2, 2, 2], {"hidden": [None]}, TypeError, r"hidden\[0\] must be one of .*, got None"),
        (
            [2, 2, 2],
            {"hidden": ["tanh"] * 2},
            ValueError,
            r"each hidden layer: the network has 1 hidden layer, got 2 names, \['tanh', 'tanh'\]",
        ),
        (
            [2, 2, 2, 2],
            {"hidden": ["tanh"]},
            ValueError,
            r"the network has 2 hidden layers, got 1 name, \['tanh'\]",
        ),
        (
            [2, 2],
            {"hidden": ["relu"]},
            ValueError,
            r"the network has no hidden layers, got 1 name, \['relu'\]",
        ),
        (
            [2, 2],
            {"loss": "crossentropy"},
            ValueError,
            "loss must be one of .*; did you mean 'cross_entropy'",
        ),
        (
            [2, 2],
            {"loss": "cross_entropy", "output": "tanh"},
            ValueError,
            "needs output 'sigmoid' or 'softmax', got",
        ),
        ([2, 2], {"l2": -0.5}, ValueError, "l2 must be at least 0 and finite, got -0.5"),
        ([2, 2], {"l2": math.nan}, ValueError, "l2 must be at least 0 and finite, got nan"),
        ([2, 2], {"l2": math.inf}, ValueError, "l2 must be at least 0 and finite, got inf"),
        ([2, 2], {"l2": None}, TypeError, "l2 must be a number, got None"),
        ([2, 2], {"l2": "0.5"}, TypeError, "l2 must be a number, got '0.5'"),
        ([2, 2], {"dtype": "float16"}, ValueError, "dtype must be float32 or float64, got 'float16'"),
        ([2, 2], {"dtype": None}, ValueError, "dtype must be float32 or float64, got None"),
        ([2, 2], {"dtype": "real"}, TypeError, "dtype must be float32 or float64, got 'real'"),
        ([2, 2], {"dtype": np.dtype("f4").newbyteorder()}, ValueError, "dtype must be float32"),
        ([2, 2], {"rng": -1}, ValueError, "rng must be a seed of at least 0, got -1"),
        ([2, 2], {"rng": "seed"}, TypeError, "rng must be a seed, a numpy.random.Generator or None, got str"),
        ([2, 2], {"rng": np.random.RandomState(0)}, TypeError, "rng must be .*got a RandomState"),
        ([2, 2], {"n_threads": 0}, ValueError, "n_threads must be at least 1, got 0"),
        ([2, 2], {"n_threads": 1.5}, TypeError, "n_threads must be a whole number or None, got float"),
    ],
)
def test_refusals(sizes, options, error, message):
    with pytest.raises(error, match=message):
        cbp.Network(sizes, **options)


def test_l2_and_n_threads_may_be_set():
    net = cbp.Network([2, 2], rng=0)
    before = net.loss(np.eye(2), [0, 1])
    net.l2 = 0.5
    penalty = 0.5 / 4 * (net.weights[0].astype(float) ** 2).sum()
    assert net.loss(np.eye(2), [0, 1]) == pytest.approx(before + penalty, rel=1e-6)
    with pytest.raises(ValueError, match="l2 must be"):
        net.l2 = -1
    net.n_threads = np.int64(3)
    assert net.n_threads == 3
    with pytest.raises(ValueError, match="n_threads must be"):
        net.n_threads = 0
    assert (net.l2, net.n_threads) == (0.5, 3)


# --- initial weights -------------------------------------------------------------------------------------


def test_initial_weights_are_drawn_layer_by_layer():
    hidden, sizes = ["relu", "tanh"], [4, 30, 20, 3]
    net = cbp.Network(sizes, hidden=hidden, rng=5, dtype="float64")
    single = cbp.Network(sizes, hidden=hidden, rng=5)
    rng = np.random.default_rng(5)
    for W, W_single, limit in zip(
        net.weights, single.weights, [math.sqrt(6 / 4), math.sqrt(6 / 50), math.sqrt(6 / 23)], strict=True
    ):
        np.testing.assert_array_equal(W, rng.uniform(-limit, limit, size=W.shape))
        np.testing.assert_array_equal(W_single, W.astype(np.float32))
    assert not any(b.any() for b in [*net.biases, *single.biases])


def test_a_generator_is_used_itself():
    rng, twin = np.random.default_rng(6), np.random.default_rng(6)
    first, second = (cbp.Network([3, 4], rng=rng, dtype="float64") for _ in range(2))
    limit = math.sqrt(6 / 7)
    for net in (first, second):
        np.testing.assert_array_equal(net.weights[0], twin.uniform(-limit, limit, size=(3, 4)))
    assert rng.bit_generator.state == twin.bit_generator.state  # shuffling draws from a child


def test_without_rng_networks_differ():
    assert (cbp.Network([3, 4]).parameters != cbp.Network([3, 4]).parameters).any()


# --- parameters ------------------------------------------------------------------------------------------


def test_parameters_are_one_aligned_vector_in_order():
    net = cbp.Network([3, 4, 2], rng=0)
    for b in net.biases:
        b[:] = 1 + np.arange(len(b))
    flat = [net.weights[0].ravel(), net.biases[0], net.weights[1].ravel(), net.biases[1]]
    np.testing.assert_array_equal(net.parameters, np.concatenate(flat))
    assert [W.shape for W in net.weights] == [(3, 4), (4, 2)]
    assert net.parameters.ctypes.data % 64 == 0
    assert all(np.shares_memory(view, net.parameters) for view in [*net.weights, *net.biases])
    assert net.parameters.flags.c_contiguous
    assert net.parameters.flags.writeable


def test_views_stay_valid():
    net = cbp.Network([3, 4, 2], rng=0)
    parameters, weights, biases = net.parameters, net.weights, net.biases
    X, labels = np.random.default_rng(0).normal(size=(9, 3)), np.arange(9) % 2

    def values():
        return np.concatenate([part.ravel() for pair in zip(weights, biases, strict=True) for part in pair])

    net.parameters = np.arange(net.n_parameters)
    np.testing.assert_array_equal(values(), np.arange(net.n_parameters))
    net.weights = [0.5 * W for W in weights]
    net.biases = [[1, 2, 3, 4], [5, 6]]
    np.testing.assert_array_equal(values()[[1, 12, -1]], [0.5, 1, 6])
    before = parameters.copy()
    net.fit(X, labels, epochs=2)
    assert (parameters != before).any()
    assert net.parameters is parameters
    np.testing.assert_array_equal(values(), parameters)
    weights[0][:] = biases[0][:] = 0  # writing into a view changes the network
    np.testing.assert_array_equal(net.activations(X)[1], np.full((9, 4), 0.5))


def test_weights_can_be_exchanged_between_layers():
    net = cbp.Network([3, 3, 3], rng=0)
    first, second = (W.copy() for W in net.weights)
    net.weights = net.weights[::-1]
    np.testing.assert_array_equal(net.weights, [second, first])


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("parameters", np.zeros(5), ValueError, r"parameters must have shape \(26,\), got \(5,\)"),
        ("parameters", 0.0, ValueError, r"parameters must have shape \(26,\), got \(\)"),
        ("parameters", ["a"] * 26, TypeError, "parameters must hold real numbers, got dtype <U1"),
        ("weights", [np.zeros((3, 4))], ValueError, "weights must hold 2 arrays, got 1"),
        (
            "weights",
            [np.zeros((3, 4)), np.zeros((2, 4))],
            ValueError,
            r"weights\[1\] must have shape \(4, 2\), got",
        ),
        ("biases", [np.zeros(4), np.zeros(2, complex)], TypeError, r"biases\[1\] must hold real numbers"),
        ("biases", [[0], [0, 0]], ValueError, r"biases\[0\] must have shape \(4,\), got \(1,\)"),
    ],
)
def test_assignments_that_do_not_fit_change_nothing(name, value, error, message):
    net = cbp.Network([3, 4, 2], rng=0)
    before = net.parameters.copy()
    with pytest.raises(error, match=message):
        setattr(net, name, value)
    np.testing.assert_array_equal(net.parameters, before)


# --- textbook form ---------------------------------------------------------------------------------------


def test_thetas_round_trip():
    net = cbp.Network([3, 4, 2], rng=0, hidden="tanh", l2=0.5)
    net.biases = [np.arange(4), np.arange(2)]
    thetas = net.thetas
    assert [theta.shape for theta in thetas] == [(4, 4), (2, 5)]
    for theta, W, b in zip(thetas, net.weights, net.biases, strict=True):
        np.testing.assert_array_equal(theta[:, 0], b)
        np.testing.assert_array_equal(theta[:, 1:], W.T)
    again = cbp.Network.from_thetas(thetas, hidden="tanh", l2=0.5)
    np.testing.assert_array_equal(again.parameters, net.parameters)
    assert repr(again) == repr(net)
    thetas[0][:] = 0
    assert (net.thetas[0] != 0).any()


def test_the_textbook_xnor():
    """A. Ng, Machine Learning (2011), "Examples and intuitions": AND and NOR under an OR."""
    net = cbp.Network.from_thetas([[[-30, 20, 20], [10, -20, -20]], [[-10, 20, 20]]], output="sigmoid")
    X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert net.predict(X).round(4).ravel().tolist() == [1, 0, 0, 1]
    assert net.predict_labels(X).tolist() == [[1], [0], [0], [1]]


def test_from_thetas_draws_nothing():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    cbp.Network.from_thetas([np.ones((2, 4))], rng=rng)
    assert rng.bit_generator.state == before


def test_from_thetas_shuffles_by_its_rng():
    X, labels = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2

    def trained(rng):
        net = cbp.Network.from_thetas([np.ones((2, 4))], rng=rng)
        net.fit(X, labels, epochs=1, batch_size=3)
        return net.parameters.tobytes()

    assert trained(5) == trained(5) == trained(np.random.default_rng(5))
    assert len({trained(5), trained(6), trained(None)}) == 3


@pytest.mark.parametrize(
    ("thetas", "message"),
    [
        ([], "thetas must hold at least one matrix"),
        ([np.zeros(3)], r"thetas\[0\] must have shape \(s\(l\+1\), 1 \+ s\(l\)\), got \(3,\)"),
        ([np.zeros((2, 1))], r"thetas\[0\] must have shape .*got \(2, 1\)"),
        ([np.zeros((4, 3)), np.zeros((2, 4))], r"thetas\[1\] must have 5 columns, a bias and .*got 4"),
    ],
)
def test_thetas_that_do_not_chain(thetas, message):
    with pytest.raises(ValueError, match=message):
        cbp.Network.from_thetas(thetas)


# --- first weights ---------------------------------------------------------------------------------------


VARIANCES = {"glorot": lambda n_in, n_out: 2 / (n_in + n_out), "he": lambda n_in, _: 2 / n_in}
VARIANCES["lecun"] = lambda n_in, _: 1 / n_in


@pytest.mark.parametrize("form", ["uniform", "normal"])
@pytest.mark.parametrize("name", VARIANCES)
def test_schemes_have_their_variance(name, form):
    net = cbp.Network([300, 500, 200], init=f"{name}_{form}", dtype="float64", rng=0)
    for W in net.weights:
        variance = VARIANCES[name](*W.shape)
        assert W.var() == pytest.approx(variance, rel=0.02)
        assert abs(W.mean()) < 0.02 * variance**0.5
        most = abs(W).max() / variance**0.5
        assert 1.72 < most <= 3**0.5 if form == "uniform" else 3.5 < most
    assert not any(b.any() for b in net.biases)


def test_the_scheme_of_each_activation_is_its_default():
    for hidden, row in functions.ACTIVATIONS.items():
        if row.hidden:
            nets = [cbp.Network([4, 5, 3], hidden=hidden, init=init, rng=7) for init in (None, row.initial)]
            assert nets[0].weights[0].tolist() == nets[1].weights[0].tolist()


def test_first_weights_of_ones_own():
    asked = []

    def init(source, shape):
        asked.append((type(source), shape))
        return np.full(shape, len(asked))

    net = cbp.Network([2, 3, 4], init=init, rng=0)
    assert asked == [(np.random.Generator, (2, 3)), (np.random.Generator, (3, 4))]
    assert [W.mean() for W in net.weights] == [1, 2]
    assert not cbp.Network([2, 3], init="zeros").parameters.any()


@pytest.mark.parametrize(
    ("init", "error", "message"),
    [
        ("he_unif", ValueError, "init must be one of 'glorot_uniform', .*; did you mean 'he_uniform'"),
        (3, TypeError, "init must be one of .*, got 3"),
        (lambda _, shape: np.ones(3), ValueError, r"init must return shape \(2, 3\) for weights\[0\]"),
        (
            lambda _, shape: np.full(shape, np.nan),
            ValueError,
            r"init returns for weights\[0\] must be finite",
        ),
        (lambda _, shape: "x", TypeError, r"what init returns for weights\[0\] must hold numbers"),
    ],
)
def test_first_weights_that_are_none(init, error, message):
    with pytest.raises(error, match=message):
        cbp.Network([2, 3], init=init)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": ("leaky_relu", 1e-60)}, "slope of 'leaky_relu' must be 0 or from 1.4e-45 to 3.4e"),
        ({"hidden": ["tanh", ("elu", 1e39)]}, "alpha of 'elu' must be .* got 1e\\+39, which is inf there"),
        ({"output": ("elu", 1e39)}, "alpha of 'elu' must be"),
        (
            {"loss": ("huber", 1e-60)},
            "delta of 'huber' must be from 1.4e-45 to .*, which is 0 there",
        ),
        ({"loss": ("quantile", 1 - 1e-12)}, "level of 'quantile' must be from .* to 0.99999994 in float32"),
    ],
)
def test_numbers_that_single_precision_takes_for_others(options, message):
    options = {"output": "identity", **options}
    with pytest.raises(ValueError, match=message):
        cbp.Network([2, 3, 3, 1], **options)
    cbp.Network([2, 3, 3, 1], **options, dtype="float64")


# --- penalties -------------------------------------------------------------------------------------------


def test_a_penalty_for_each_layer():
    net = cbp.Network([2, 3, 1], output="identity", l2=[0.5, 0.25], l1=(0, 0.125), rng=0)
    assert (net.l2, net.l1) == ((0.5, 0.25), (0.0, 0.125))
    assert "l2=[0.5, 0.25], l1=[0.0, 0.125]" in repr(net)
    net.l2, net.l1 = [0.5, 0.5], 0.0
    assert (net.l2, net.l1) == (0.5, 0.0)
    assert "l2=0.5, dtype" in repr(net)


@pytest.mark.parametrize("name", ["l2", "l1"])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([0.5], ValueError, "must be one number, or one for each of 2 layers of weights, got 1"),
        ([0.5, -1], ValueError, r"\[1\] must be at least 0 and finite, got -1"),
        ("0.5", TypeError, "must be a number, got '0.5'"),
        ([0.5, 1e-60], ValueError, "must be 0 or from 1.4e-45 to .* in float32, got 1e-60"),
    ],
)
def test_penalties_that_are_none(name, value, error, message):
    with pytest.raises(error, match=name + message if message.startswith("\\") else f"{name} {message}"):
        cbp.Network([2, 3, 1], output="identity", **{name: value})
    net = cbp.Network([2, 3, 1], output="identity")
    with pytest.raises(error):
        setattr(net, name, value)
    assert getattr(net, name) == 0


def test_a_lasso_by_hand():
    """J = ((3 + 0.5 b - y)^2) / 2 + 2 |3| + 2 |-1| over one example; D of W has the sign of W besides."""
    net = cbp.Network([2, 1], output="identity", l1=2.0, dtype="float64")
    net.parameters = [3, -1, 0]
    D = net.gradient([[1, 1]], [0])
    assert D.loss == 2 + 2 * 4
    assert D.weights[0].ravel().tolist() == [2 + 2, 2 - 2]
    assert D.biases[0].tolist() == [2]
    net.parameters = [0, -1, 1]
    assert net.gradient([[1, 1]], [0]).weights[0].ravel().tolist() == [0, -2]


def test_files_and_copies_keep_penalties(tmp_path):
    for penalties in ({"l2": 0.5}, {"l1": 0.25}, {"l2": [0.5, 0], "l1": [0, 0.125]}):
        net = cbp.Network([2, 3, 1], output="identity", rng=0, **penalties)
        net.save(tmp_path / "net.npz")
        for twin in (cbp.load(tmp_path / "net.npz"), copy.copy(net), pickle.loads(pickle.dumps(net))):
            assert (twin.l2, twin.l1) == (net.l2, net.l1)
            assert repr(twin) == repr(net)
            assert twin.loss([[1, 2]], [3]) == net.loss([[1, 2]], [3])
