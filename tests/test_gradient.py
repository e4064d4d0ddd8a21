"""The promise: loss and gradient are the reference's, for every activation, loss, depth and awkward size."""

import copy
import itertools

import numpy as np
import pytest

import cbp
from cbp import _core, functions, reference
from cbp.training import passes

HIDDEN = [*functions.HIDDEN, ("leaky_relu", 0.3), ("elu", 0.5)]
PAIRS = [(output, loss) for loss, row in functions.LOSSES.items() for output in row.outputs]
PAIRS += [("identity", ("huber", 0.3)), ("identity", ("quantile", 0.9)), (("elu", 2.0), "squared_error")]
# Where the loss of a - y has a kink.
KINKS = {"absolute_error": 0.0, "quantile": 0.0, "huber": 1.0, ("huber", 0.3): 0.3, ("quantile", 0.9): 0.0}
DEPTHS = [1, 2, 3, 4]  # layers of weights
# A tile of products is 6 rows by 2 vectors of 2 to 16 numbers; a thread takes 96 examples at a time; from 128
# examples on small networks sum by parts.
WIDTHS = [1, 7, 8, 9, 15, 16, 17, 31, 33]
EXAMPLES = [1, 5, 6, 7, 95, 96, 97, 127, 128, 129, 200]
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def network(sizes, *, seed=0, **options):
    """A fresh network, its biases moved off zero so that no mistake in them can hide."""
    net = cbp.Network(sizes, rng=seed, **options)
    for b in net.biases:
        b[:] = np.random.default_rng(seed).uniform(0.05, 0.15, size=len(b))
    return net


def double(net):
    return [W.astype(float) for W in net.weights], [b.astype(float) for b in net.biases]


def has_kink(named):
    return not functions.ACTIVATIONS[functions.name_of(named)].smooth


def draw_X(net, m, rng, margin=1e-4):
    """Examples in the network's dtype, none of which comes near the kink of a unit."""
    X = rng.normal(size=(m, net.sizes[0])).astype(net.dtype)
    activations = [*net.hidden, net.output]
    while any(map(has_kink, activations)):
        zs, _ = reference.forward(*double(net), activations, X.astype(float))
        near = [np.abs(z).min(axis=1) < margin for z, g in zip(zs, activations, strict=True) if has_kink(g)]
        rows = np.any(near, axis=0)
        if not rows.any():
            break
        X[rows] = rng.normal(size=(rows.sum(), net.sizes[0]))
    return X


def draw_Y(net, X, rng, labels=False, margin=1e-4):
    """Targets that fit, none of which comes near a kink of the loss."""
    m = len(X)
    if labels:
        return rng.integers(0, net.sizes[-1], size=m)
    Y = rng.uniform(0.1, 1.0, size=(m, net.sizes[-1]))
    if net.loss_name in KINKS:
        a = reference.forward(*double(net), [*net.hidden, net.output], X.astype(float))[1][-1]
        Y += 4 * margin * (np.abs(np.abs(a - Y) - KINKS[net.loss_name]) < margin) * np.where(a < Y, 1, -1)
    return (Y / Y.sum(axis=1, keepdims=True) if net.output == "softmax" else Y).astype(net.dtype)


def draw(net, m, rng, labels=False, weighted=False):
    """X, Y and weights such that rounding the parameters to float32 would not move the gradient by much.

    Else the examples' shares in it cancel out, and what is left has few digits in single precision.
    """
    while True:
        X = draw_X(net, m, rng)
        Y = draw_Y(net, X, rng, labels)
        weights = rng.uniform(0.2, 3.0, size=m).astype(net.dtype) if weighted else None
        if net.dtype == np.float64:
            return X, Y, weights
        moved = copy.deepcopy(net)
        moved.parameters *= (1 + np.finfo(np.float32).eps * rng.choice([-1, 1], net.n_parameters)).astype("f")
        pairs = zip(expected(moved, X, Y, weights), expected(net, X, Y, weights), strict=True)
        if max(difference(a, b) for a, b in pairs) < 2e-6:
            return X, Y, weights


def expected(net, X, Y, sample_weight=None):
    """[J], D_W(1), …, D_b(1), …, dJ/dX of the reference."""
    J, D_W, D_b, D_X = reference.gradient(
        *double(net),
        [*net.hidden, net.output],
        net.loss_name,
        X,
        Y,
        l2=net.l2,
        l1=net.l1,
        sample_weight=sample_weight,
    )
    return [np.array([J]), *D_W, *D_b, D_X]


def computed(net, X, Y, sample_weight=None):
    D = net.gradient(X, Y, sample_weight, inputs=True)
    return [np.array([D.loss]), *D.weights, *D.biases, D.inputs]


def difference(a, b):
    """max|a - b| / max|b|; any difference from nothing but zeros is infinite."""
    assert a.shape == b.shape
    error, scale = np.abs(a - b).max(), np.abs(b).max()
    return error / scale if scale else np.inf if error else 0.0


def assert_agree(net, X, Y, sample_weight=None):
    pairs = zip(computed(net, X, Y, sample_weight), expected(net, X, Y, sample_weight), strict=True)
    differences = [difference(a, b) for a, b in pairs]
    assert max(differences) < TOLERANCE[net.dtype.name], (net, len(X), differences)


# Each pair at half of the depths, and each activation at all.
COMBINATIONS = [
    (HIDDEN[(i + depth) % len(HIDDEN)], *pair, depth)
    for i, pair in enumerate(PAIRS)
    for depth in DEPTHS[i % 2 :: 2]
]
COMBINATIONS += [(g, "softmax", "cross_entropy", depth) for g in HIDDEN for depth in DEPTHS[1:]]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("hidden", "output", "loss", "depth"), COMBINATIONS)
def test_every_activation_loss_depth_and_awkward_size(hidden, output, loss, depth, dtype):
    rng = np.random.default_rng(0)
    number = COMBINATIONS.index((hidden, output, loss, depth))  # so that they have different widths
    for case, (m, turn) in enumerate(itertools.product(EXAMPLES, range(2))):
        sizes = [WIDTHS[(number + case + layer * (2 + turn * 3)) % len(WIDTHS)] for layer in range(depth + 1)]
        sizes[-1] = max(sizes[-1], 2 if output == "softmax" else 1)
        l2 = 0.0 if case % 3 == 0 else 0.4
        net = network(
            sizes, seed=case, hidden=hidden, output=output, loss=loss, l2=l2, dtype=dtype, n_threads=1
        )
        assert_agree(
            net, *draw(net, m, rng, labels=output == "softmax" and turn == 0, weighted=case % 5 == 0)
        )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("sizes", "m"),
    [
        ([2, 4, 1], 5000),  # partial sums, as many as there can be, over several tiles each
        ([64, 32, 10], 1797),
        ([784, 128, 10], 1),  # W by rows
        ([784, 128, 10], 2500),  # by rows, in several rounds
        ([300, 200, 100, 50], 193),
        ([1, 1000, 1], 129),  # long rows and short ones
        ([1024, 2], 97),  # a row of a kilobyte's multiple
        ([130, 256, 130], 3),
    ],
)
def test_larger_networks_and_batches(sizes, m, dtype):
    rng = np.random.default_rng(1)
    softmax = sizes[-1] > 1
    net = network(sizes, hidden="tanh", output="softmax" if softmax else "sigmoid", l2=0.5, dtype=dtype)
    assert_agree(net, *draw(net, m, rng, labels=softmax, weighted=m != 97))


@pytest.mark.parametrize("hidden", HIDDEN)
def test_check_gradient_without_biases(hidden):
    rng = np.random.default_rng(4)
    net = network([4, 5, 3, 2], hidden=hidden, output="identity", l2=0.3, bias=False)
    assert net.n_parameters == 4 * 5 + 5 * 3 + 3 * 2
    X = draw_X(net, 12, rng, margin=1e-2)
    assert net.check_gradient(X, draw_Y(net, X, rng, margin=1e-2)) < 1e-8


def test_different_activations_layer_by_layer():
    rng = np.random.default_rng(2)
    for hidden in itertools.permutations(["sigmoid", "tanh", "relu", "gelu", "elu"], 3):
        net = network([5, 6, 7, 8, 3], hidden=hidden, output="identity", dtype="float64")
        assert_agree(net, *draw(net, 20, rng))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(("output", "loss"), PAIRS)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_check_gradient_at_fresh_weights(hidden, output, loss, depth):
    rng = np.random.default_rng(3)
    penalties = {"l2": [0.2, 0.0, 0.4][:depth], "l1": [0.0, 0.1, 0.0][:depth] if depth == 2 else 0.0}
    net = network([*[4, 5, 3, 4, 2][:depth], 3], hidden=hidden, output=output, loss=loss, **penalties)
    for W in net.weights:
        W[:] += np.sign(W) * 1e-2  # away from the kink of |W|
    X = draw_X(net, 12, rng, margin=1e-2)
    Y = draw_Y(net, X, rng, margin=1e-2)
    weights = rng.uniform(0.2, 3.0, size=12) if depth != 2 else None
    before = net.parameters.copy()
    assert net.check_gradient(X, Y, weights) < 1e-8
    np.testing.assert_array_equal(net.parameters, before)


def test_check_gradient_sees_a_wrong_gradient(monkeypatch):
    net = network([4, 5, 3])
    right = cbp.Network.gradient

    def wrong(self, *arguments, **options):
        D = right(self, *arguments, **options)
        D.weights[0][1, 2] *= 1.001
        return D

    monkeypatch.setattr(cbp.Network, "gradient", wrong)
    assert net.check_gradient(np.eye(4), [0, 1, 2, 0]) > 1e-6


def test_gradient_is_one_vector_and_views_of_it():
    net = network([3, 4, 2], l2=0.1)
    X, labels = np.random.default_rng(4).normal(size=(6, 3)), [0, 1, 1, 0, 0, 1]
    D = net.gradient(X, labels)
    assert isinstance(D, cbp.Gradient)
    assert D.inputs is None
    assert D.parameters.shape == (net.n_parameters,)
    assert D.parameters.dtype == np.float32
    assert [W.shape for W in D.weights] == [(3, 4), (4, 2)]
    assert [b.shape for b in D.biases] == [(4,), (2,)]
    flat = [part.ravel() for pair in zip(D.weights, D.biases, strict=True) for part in pair]
    np.testing.assert_array_equal(np.concatenate(flat), D.parameters)
    D.parameters[:] = 7
    assert all((view == 7).all() for view in [*D.weights, *D.biases])
    for theta, W, b in zip(D.thetas, D.weights, D.biases, strict=True):
        np.testing.assert_array_equal(theta, np.column_stack([b, W.T]))
        assert not np.shares_memory(theta, D.parameters)
    assert type(D.loss) is float
    assert D.loss == net.loss(X, labels)
    inputs = net.gradient(X, labels, inputs=True).inputs
    assert (inputs.shape, inputs.dtype) == (X.shape, np.float32)


def test_labels_are_probabilities_of_one():
    for loss in ("cross_entropy", "squared_error"):
        net = network([3, 4, 5], dtype="float64", loss=loss)
        X, labels = np.random.default_rng(5).normal(size=(40, 3)), np.arange(40) % 5
        for a, b in zip(computed(net, X, labels), computed(net, X, np.eye(5)[labels]), strict=True):
            assert difference(a, b) < 1e-13


@pytest.fixture
def no_long_way(monkeypatch):
    """Loss and gradient of ready arrays must do without what other input needs."""
    monkeypatch.setattr(passes, "loss", None)
    monkeypatch.setattr(passes, "gradient", None)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_ready_arrays_take_a_short_way_to_the_same_bits(dtype, request):
    net = network([5, 9, 3], hidden="tanh", output="sigmoid", dtype=dtype)
    rng = np.random.default_rng(3)
    cases = []
    for m in (1, 40, 40, 300):
        X, Y = rng.normal(size=(m, 5)).astype(dtype), rng.uniform(size=(m, 3)).astype(dtype)
        for net.l2 in (0.0, 0.5):
            cases.append((X, Y, net.l2, net.gradient(X.tolist(), Y.tolist())))
    request.getfixturevalue("no_long_way")
    for X, Y, net.l2, long in cases:
        for _ in range(2):  # the second time with the pass of the first
            short = net.gradient(X, Y)
            assert short.parameters.tobytes() == long.parameters.tobytes()
            assert short.loss == long.loss == net.loss(X, Y)


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_short_way_takes_arrays_of_its_shapes_alone(m, n_outputs):
    net = cbp.Network([3, n_outputs], output="identity", rng=0)
    run = _core.Pass(net._engine, _core.MODES["loss"], m, 1)
    fitting = {((m, 3), (m, n_outputs))}
    if m == 1:
        fitting.add(((3,), (1, n_outputs)))
    if n_outputs == 1:  # for several, a vector is labels
        fitting |= {(x, (m,)) for x, _ in fitting}
    shapes = [(n,) for n in range(1, 7)] + [(k, n) for k in range(1, 4) for n in range(1, 4)] + [(1, m, 3)]
    for x, y in itertools.product(shapes, repeat=2):
        taken = run.evaluate(np.ones(x, "f4"), np.ones(y, "f4"), None, None) is not None
        assert taken == ((x, y) in fitting), (x, y)


def test_a_refusal_does_not_spoil_the_short_way(request):
    net = network([5, 9, 3], output="sigmoid")
    X, Y = np.random.default_rng(0).uniform(size=(2, 50, 5)).astype(np.float32)
    Y = Y[:, :3].copy()
    expected = net.gradient(X, Y).parameters
    bad = X.copy()
    bad[-1, 2] = np.nan
    with pytest.raises(ValueError, match="X must be finite, got nan in row 49, column 2"):
        net.gradient(bad, Y)
    with pytest.raises(ValueError, match="Y must have shape"):
        net.loss(X, Y[:, :2].copy())
    request.getfixturevalue("no_long_way")
    np.testing.assert_array_equal(net.gradient(X, Y).parameters, expected)
    net.parameters *= 2
    assert (net.gradient(X, Y).parameters != expected).any()


def test_targets_of_one_output_go_the_short_way_too(request):
    net = network([4, 3, 1], output="identity")
    X, Y = np.random.default_rng(0).normal(size=(2, 50, 4)).astype(np.float32)
    long = net.gradient(X, Y[:, 0].tolist()).parameters
    request.getfixturevalue("no_long_way")
    np.testing.assert_array_equal(long, net.gradient(X, Y[:, 0].copy()).parameters)
    np.testing.assert_array_equal(long, net.gradient(X, Y[:, :1].copy()).parameters)


def test_the_gradient_is_the_one_that_training_steps_against():
    net = network([7, 5, 3], l2=0.3)
    X, Y, _ = draw(net, 40, np.random.default_rng(0))
    before, D = net.parameters.copy(), net.gradient(X, Y).parameters
    net.partial_fit(X, Y, batch_size=40, shuffle=False, optimizer=cbp.SGD(1.0))
    # W - D by one operation, in which nothing is left to rounding but the last bit
    np.testing.assert_array_equal(net.parameters, before - D)


def test_examples_without_weight_count_for_nothing():
    net = network([3, 4, 2], dtype="float64", l2=0.3, hidden="tanh")
    rng = np.random.default_rng(6)
    X, Y, weight = rng.normal(size=(150, 3)), rng.integers(0, 2, size=150), rng.integers(0, 3, size=150)
    kept = weight > 0
    *whole, inputs = computed(net, X, Y, weight)
    *part, inputs_of_kept = computed(net, X[kept], Y[kept], weight[kept])
    for a, b in zip(whole, part, strict=True):
        assert difference(a, b) < 1e-13
    assert difference(inputs[kept], inputs_of_kept) < 1e-13
    assert not inputs[~kept].any()


@pytest.mark.parametrize("hidden", ["relu", "tanh", "logistic"])
@pytest.mark.parametrize("classes", [1, 3])
def test_scikit_learn_takes_the_same_step(hidden, classes):
    neural_network = pytest.importorskip("sklearn.neural_network")
    rng = np.random.default_rng(7)
    X, rate = rng.normal(size=(30, 4)), 1e-3
    kind = neural_network.MLPClassifier if classes > 1 else neural_network.MLPRegressor
    theirs = kind(
        hidden_layer_sizes=(6, 5), activation=hidden, solver="sgd", alpha=0.7, batch_size=30,
        learning_rate_init=rate, momentum=0, nesterovs_momentum=False, shuffle=False, random_state=0,
    )  # fmt: skip
    y = np.arange(30) % classes if classes > 1 else rng.normal(size=30)
    theirs.partial_fit(X, y, **({"classes": range(classes)} if classes > 1 else {}))
    net = cbp.Network(
        [4, 6, 5, classes], hidden=hidden.replace("logistic", "sigmoid"), l2=0.7, dtype="float64",
        output="softmax" if classes > 1 else "identity",
    )  # fmt: skip
    net.weights, net.biases = theirs.coefs_, theirs.intercepts_
    D = net.gradient(X, y)
    theirs.partial_fit(X, y)
    for before, after, step in [
        *zip(net.weights, theirs.coefs_, D.weights, strict=True),
        *zip(net.biases, theirs.intercepts_, D.biases, strict=True),
    ]:
        assert difference((before - after) / rate, step) < 1e-10
