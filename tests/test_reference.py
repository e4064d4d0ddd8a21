"""The reference: against finite differences of its own loss, results by hand, and published numbers."""

import math
from itertools import pairwise

import numpy as np
import pytest

from cbp import reference
from cbp.reference import functions

HIDDEN = [*(name for name in functions.ACTIVATIONS if name != "exp"), ("leaky_relu", 0.25), ("elu", 0.5)]
PAIRS = list(functions.PAIRS)
for loss, row in functions.LOSSES.items():
    PAIRS += [(output, loss) for output in row.outputs or functions.ACTIVATIONS]
PAIRS += [("identity", ("huber", 0.3)), ("identity", ("quantile", 0.9)), (("elu", 0.5), "log_cosh")]


def layers(sizes, seed=0):
    """Weights and biases of a network."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=shape) for shape in pairwise(sizes)]
    return weights, [rng.normal(size=n) for n in sizes[1:]]


def examples(sizes, output, m=5, seed=1):
    """Examples with targets that suit the output."""
    rng = np.random.default_rng(seed)
    Y = rng.uniform(0.1, 0.9, size=(m, sizes[-1]))
    return rng.normal(size=(m, sizes[0])), Y / Y.sum(axis=1, keepdims=True) if output == "softmax" else Y


def central_differences(J, array, step=1e-5):
    """dJ/d(array), which J reads, by moving one element at a time."""
    measured = np.empty_like(array)
    for i in np.ndindex(array.shape):
        kept = array[i]
        array[i] = kept + step
        above = J()
        array[i] = kept - step
        below = J()
        array[i] = kept
        measured[i] = (above - below) / (2 * step)
    return measured


def difference(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


# --- against finite differences --------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("hidden", "output", "loss"),
    [*((hidden, "softmax", "cross_entropy") for hidden in HIDDEN), *(("tanh", *pair) for pair in PAIRS)],
)
def test_gradient_is_that_of_its_own_loss(hidden, output, loss, weighted):
    sizes, activations = [3, 4, 5, 2], [hidden, hidden, output]
    weights, biases = layers(sizes)
    X, Y = examples(sizes, output)
    options = {"l2": 0.3, "sample_weight": [1.0, 0.5, 0.0, 2.0, 3.0] if weighted else None}

    def J():
        return reference.gradient(weights, biases, activations, loss, X, Y, **options)[0]

    _, D_W, D_b, D_X = reference.gradient(weights, biases, activations, loss, X, Y, **options)
    for array, D in zip([*weights, *biases, X], [*D_W, *D_b, D_X], strict=True):
        assert difference(central_differences(J, array), D) < 1e-7


@pytest.mark.parametrize("name", [*HIDDEN, "exp"])
def test_derivatives_of_activations(name):
    z = np.array([-3.0, -0.7, 0.2, 1.5])
    slope = reference.times_derivative(name, np.ones(4), z, reference.activate(name, z))
    measured = (reference.activate(name, z + 1e-6) - reference.activate(name, z - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope, measured, rtol=1e-8, atol=1e-12)


# --- by hand ---------------------------------------------------------------------------------------------


def test_activations_by_hand():
    z = np.array([[0.0, math.log(3), -math.log(3)]])
    np.testing.assert_allclose(reference.activate("sigmoid", z), [[1 / 2, 3 / 4, 1 / 4]], rtol=1e-15)
    np.testing.assert_allclose(reference.activate("tanh", z), [[0, 4 / 5, -4 / 5]], rtol=1e-15)
    np.testing.assert_allclose(reference.activate("softmax", z), [[3 / 13, 9 / 13, 1 / 13]], rtol=1e-15)
    assert reference.activate("relu", z).tolist() == [[0, math.log(3), 0]]
    assert reference.activate("identity", z).tolist() == z.tolist()
    assert reference.activate(("leaky_relu", 0.5), z).tolist() == [[0, math.log(3), -math.log(3) / 2]]
    np.testing.assert_allclose(reference.activate(("elu", 3.0), z), [[0, math.log(3), -2]], rtol=1e-15)
    np.testing.assert_allclose(reference.activate("softplus", z), np.log([[2, 4, 4 / 3]]), rtol=1e-15)
    np.testing.assert_allclose(
        reference.activate("silu", z), [[0, math.log(3) * 3 / 4, -math.log(3) / 4]], rtol=1e-15
    )
    np.testing.assert_allclose(reference.activate("exp", z), [[1, 3, 1 / 3]], rtol=1e-15)


def test_gelu_of_a_published_table():
    """The standard normal distribution: Phi(1) = 0.8413447460685429, Phi(-2) = 0.02275013194817921."""
    a = reference.activate("gelu", np.array([[1.0, -2.0]]))
    np.testing.assert_allclose(a, [[0.8413447460685429, -2 * 0.02275013194817921]], rtol=1e-14)


def test_selu_keeps_mean_and_variance():
    """Klambauer et al., 2017: what is normal with mean 0 and variance 1 stays so."""
    z, step = np.linspace(-12, 12, 200_001, retstep=True)
    a, density = reference.activate("selu", z), np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * step
    assert (density * a).sum() == pytest.approx(0, abs=1e-8)
    assert (density * a**2).sum() == pytest.approx(1, abs=1e-8)


def test_losses_by_hand():
    z = np.array([[math.log(3), 0.0]])  # sigmoid 3/4 and 1/2; softmax 3/4 and 1/4
    target = np.array([[1.0, 0.0]])
    cases = {
        ("sigmoid", "cross_entropy"): math.log(4 / 3) + math.log(2),
        ("softmax", "cross_entropy"): math.log(4 / 3),
        ("sigmoid", "squared_error"): (1 / 16 + 1 / 4) / 2,
        ("softmax", "squared_error"): 1 / 16,
        ("identity", "squared_error"): (math.log(3) - 1) ** 2 / 2,
        ("identity", "absolute_error"): math.log(3) - 1,
        ("identity", ("quantile", 0.75)): 0.25 * (math.log(3) - 1),
        ("identity", ("huber", 0.05)): 0.05 * (math.log(3) - 1 - 0.025),
        ("identity", "huber"): (math.log(3) - 1) ** 2 / 2,
        ("identity", "log_cosh"): math.log(math.cosh(math.log(3) - 1)),
        ("exp", "poisson"): 3 - math.log(3) + 1,
        ("exp", "gamma"): math.log(3) + 1 / 3,
    }
    for (output, loss), expected in cases.items():
        assert reference.losses(output, loss, z, target) == pytest.approx([expected], rel=1e-14)


def test_losses_stay_finite_far_out():
    z = np.array([[1000.0, -1000.0]])
    with np.errstate(all="raise", under="ignore"):
        assert reference.losses("sigmoid", "cross_entropy", z, np.array([[0.0, 1.0]])) == [2000]
        assert reference.losses("softmax", "cross_entropy", z, np.array([[0.0, 1.0]])) == [2000]
        assert reference.losses("softmax", "cross_entropy", z, np.array([[1.0, 0.0]])) == [0]
        assert reference.activate("sigmoid", z).tolist() == [[1, 0]]
        assert reference.activate("softmax", z).tolist() == [[1, 0]]


def test_one_relu_network_by_hand():
    """a = relu(2·1 + 1·1 - 1) = 2 and relu(-2) = 0; output 3·2 + 1 = 7, error 7 - 5 = 2."""
    weights = [np.array([[2.0, -1.0], [1.0, -1.0]]), np.array([[3.0], [4.0]])]
    biases = [np.array([-1.0, 0.0]), np.array([1.0])]
    J, D_W, D_b, D_X = reference.gradient(
        weights, biases, ["relu", "identity"], "squared_error", [[1, 1]], [5], l2=0.5
    )
    assert J == 2 + 0.25 * (4 + 1 + 1 + 1 + 9 + 16)
    assert D_W[1].tolist() == [[2 * 2 + 0.5 * 3], [0 + 0.5 * 4]]
    assert D_b[1].tolist() == [2]
    assert D_W[0].tolist() == [[6 + 1, -0.5], [6 + 0.5, -0.5]]
    assert D_b[0].tolist() == [6, 0]
    assert D_X.tolist() == [[12, 6]]


def test_labels_are_one_hot_rows():
    weights, biases = layers([3, 4])
    X, labels = np.random.default_rng(2).normal(size=(5, 3)), [3, 0, 2, 2, 1]
    by_labels = reference.gradient(weights, biases, ["softmax"], "cross_entropy", X, labels)
    by_rows = reference.gradient(weights, biases, ["softmax"], "cross_entropy", X, np.eye(4)[labels])
    assert by_labels[0] == by_rows[0]
    np.testing.assert_array_equal(by_labels[1][0], by_rows[1][0])


def test_an_integer_weight_is_a_repetition():
    weights, biases = layers([3, 4, 2])
    X, Y = examples([3, 4, 2], "sigmoid")
    times = [2, 0, 1, 3, 1]
    weighted = reference.gradient(
        weights, biases, ["tanh", "sigmoid"], "cross_entropy", X, Y, l2=0.1, sample_weight=times
    )
    repeated = reference.gradient(
        weights, biases, ["tanh", "sigmoid"], "cross_entropy", X.repeat(times, 0), Y.repeat(times, 0), l2=0.1
    )
    assert weighted[0] == pytest.approx(repeated[0], rel=1e-14)
    for a, b in zip([*weighted[1], *weighted[2]], [*repeated[1], *repeated[2]], strict=True):
        assert difference(a, b) < 1e-14


# --- steps -----------------------------------------------------------------------------------------------


def test_sgd_steps_by_hand():
    theta, velocity = np.array([1.0]), np.array([4.0])
    reference.sgd_step(theta, np.array([2.0]), velocity, learning_rate=0.25)
    assert (theta[0], velocity[0]) == (0.5, 2)
    reference.sgd_step(theta, np.array([2.0]), velocity, learning_rate=0.25, momentum=0.5)
    assert (theta[0], velocity[0]) == (-0.25, 3)
    reference.sgd_step(theta, np.array([2.0]), velocity, learning_rate=0.25, momentum=0.5, nesterov=True)
    assert (theta[0], velocity[0]) == (-0.25 - 0.25 * (2 + 0.5 * 3.5), 3.5)


def test_adam_steps_by_hand():
    theta, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    rule = {"learning_rate": 0.5, "beta1": 0.5, "beta2": 0.75, "epsilon": 1.0}
    reference.adam_step(theta, np.array([4.0]), m, v, 1, **rule)  # both corrected moments are the plain ones
    assert (theta[0], m[0], v[0]) == (1 - 0.5 * 4 / (4 + 1), 2, 4)
    reference.adam_step(theta, np.array([-2.0]), m, v, 2, **rule)
    assert (m[0], v[0]) == (0, 4)
    assert theta[0] == 0.6
    reference.adam_step(theta, np.array([8.0]), m, v, 3, **rule)
    assert theta[0] == pytest.approx(0.6 - 0.5 * (4 / 0.875) / (math.sqrt(19 / (1 - 0.75**3)) + 1), rel=1e-15)


def test_adam_does_not_mind_the_scale_of_the_gradient():
    """Kingma and Ba, section 2.1: the first step is η, whatever the gradient's size."""
    theta = np.zeros(2)
    reference.adam_step(
        theta, np.array([1e-3, -1e3]), np.zeros(2), np.zeros(2), 1,
        learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=1e-16,
    )  # fmt: skip
    np.testing.assert_allclose(theta, [-0.1, 0.1], rtol=1e-12)


# --- published -------------------------------------------------------------------------------------------


def test_a_step_by_step_example():
    """M. Mazur, "A Step by Step Backpropagation Example", 2015: 2-2-2, sigmoid; biases stay."""
    W1, W2 = np.array([[0.15, 0.25], [0.20, 0.30]]), np.array([[0.40, 0.50], [0.45, 0.55]])
    biases = [np.array([0.35, 0.35]), np.array([0.60, 0.60])]
    arguments = ["sigmoid", "sigmoid"], "squared_error", [[0.05, 0.10]], [[0.01, 0.99]]
    _, a = reference.forward([W1, W2], biases, arguments[0], np.array(arguments[2]))
    np.testing.assert_allclose(a[1], [[0.593269992, 0.596884378]], atol=5e-10)
    np.testing.assert_allclose(a[2], [[0.75136507, 0.772928465]], atol=5e-9)
    J, D_W, _, _ = reference.gradient([W1, W2], biases, *arguments)
    assert J == pytest.approx(0.298371109, abs=5e-10)
    np.testing.assert_allclose(
        W1 - 0.5 * D_W[0], [[0.149780716, 0.24975114], [0.19956143, 0.29950229]], atol=1e-8
    )
    np.testing.assert_allclose(
        W2 - 0.5 * D_W[1], [[0.35891648, 0.511301270], [0.408666186, 0.561370121]], atol=5e-9
    )
    for _ in range(10_000):
        J, D_W, _, _ = reference.gradient([W1, W2], biases, *arguments)
        W1 -= 0.5 * D_W[0]
        W2 -= 0.5 * D_W[1]
    assert J == pytest.approx(0.0000351085, abs=1e-10)  # of the last round, before its update


def test_regularised_logistic_regression():
    """A. Ng, Machine Learning (2011), exercise 3: θ = (-2, -1, 1, 2), λ = 3."""
    X = np.arange(1, 16).reshape(3, 5).T / 10
    J, D_W, D_b, _ = reference.gradient(
        [np.array([[-1.0], [1], [2]])],
        [np.array([-2.0])],
        ["sigmoid"],
        "cross_entropy",
        X,
        [1, 0, 1, 0, 1],
        l2=3,
    )
    assert J == pytest.approx(2.534819, abs=5e-7)
    np.testing.assert_allclose([*D_b[0], *D_W[0][:, 0]], [0.146561, -0.548558, 0.724722, 1.398003], atol=5e-7)


# The test case for exercise 4 of that course, "nnCostFunction": 2-2-4, Theta = (1 … 18)/10 column by column.
NG_COSTS = {0: 7.4070, 4: 19.474}
NG_GRADIENT = """
    0.76614 0.97990 0.37246 0.49749 0.64174 0.74614
    0.88342 0.56876 0.58467 0.59814 1.92598 1.94462 1.98965 2.17855 2.47834 2.50225 2.52644 2.72233
"""


@pytest.mark.parametrize("l2", NG_COSTS)
def test_a_course_example_with_four_classes(l2):
    numbers = np.arange(1, 19) / 10
    thetas = [numbers[:6].reshape(2, 3, order="F"), numbers[6:].reshape(4, 3, order="F")]
    X, Y = np.cos([[1, 2], [3, 4], [5, 6]]), np.eye(4)[[3, 1, 2]]
    J, D_W, D_b, _ = reference.gradient(
        [theta[:, 1:].T for theta in thetas], [theta[:, 0] for theta in thetas],
        ["sigmoid", "sigmoid"], "cross_entropy", X, Y, l2=l2,
    )  # fmt: skip
    assert J == pytest.approx(NG_COSTS[l2], abs=5e-4 if l2 else 5e-5)
    if l2 == 4:
        D = [np.column_stack([b, W.T]).ravel(order="F") for W, b in zip(D_W, D_b, strict=True)]
        np.testing.assert_allclose(np.concatenate(D), np.array(NG_GRADIENT.split(), float), atol=6e-6)
