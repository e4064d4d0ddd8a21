"""The promise: weights of classes are weights of their examples, computed as scikit-learn computes them."""

from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pytest

import cbp
from cbp.examples.classes import balanced

RNG = np.random.default_rng(0)
WEIGHTS = {0: 2, 2: 0.3, 3: 0}  # class 1 is missing


def data(m=150, n=4):
    X = RNG.normal(size=(m, 3))
    return X, np.concatenate([np.arange(n), RNG.choice(n, m - n, p=[0.7, 0.1, 0.1, 0.1])])


def make(n=4, **options):
    return cbp.Network([3, 7, n], **{"hidden": "tanh", "l2": 0.1, "rng": 1, **options})


def trained(X, Y, net=None, **options):
    net = net or make()
    history = net.fit(X, Y, epochs=3, **options)
    return net.parameters.tolist(), history.losses, history.validation_losses


def of_examples(labels, class_weight=WEIGHTS):
    return np.array([class_weight.get(int(label), 1) for label in labels])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 32, None])
def test_they_are_weights_of_examples(dtype, batch_size):
    X, Y = data()
    w = RNG.uniform(0, 2, size=len(X))
    for given in (None, w, w.tolist()):
        found = trained(
            X, Y, make(dtype=dtype), class_weight=WEIGHTS, sample_weight=given, batch_size=batch_size
        )
        products = of_examples(Y) * (1 if given is None else w)
        assert found == trained(X, Y, make(dtype=dtype), sample_weight=products, batch_size=batch_size)
    assert found != trained(X, Y, make(dtype=dtype), sample_weight=w, batch_size=batch_size)


@pytest.mark.parametrize("output", ["softmax", "sigmoid", "tanh", ("leaky_relu", 0.2)])
def test_rows_with_a_single_1(output):
    X, Y = data()
    rows = np.eye(4)[Y]
    expected = trained(X, rows, make(output=output), sample_weight=of_examples(Y))
    for form in (rows, rows.astype(bool), rows.astype(np.int8), rows.astype(">f4"), rows.tolist()):
        assert trained(X, form, make(output=output), class_weight=WEIGHTS) == expected


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, ">f8", object])
def test_one_sigmoid_output(dtype):
    X, Y = data()
    Y = Y == 0
    expected = trained(X, Y, make(1, output="sigmoid"), sample_weight=np.where(Y, 5, 0.5))
    for form in (Y.astype(dtype), Y.astype(dtype).reshape(-1, 1)):
        for weights in ({0: 0.5, 1: 5}, {False: 0.5, True: np.float32(5)}, {1.0: 5, np.int8(0): 0.5}):
            found = trained(X, form, make(1, output="sigmoid"), class_weight=weights)
            assert found == expected


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, ">i4", np.float32, object])
def test_labels_of_any_dtype(dtype):
    X, Y = data()
    expected = trained(X, Y, sample_weight=of_examples(Y))
    assert trained(X, Y.astype(dtype), class_weight=MappingProxyType(WEIGHTS)) == expected
    assert trained(X, Y.astype(dtype)[::-1][::-1].tolist(), class_weight=WEIGHTS) == expected


def test_a_memory_mapped_file_of_rows(tmp_path):
    X, Y = data()
    np.save(tmp_path / "Y.npy", np.eye(4)[Y])
    mapped = np.load(tmp_path / "Y.npy", mmap_mode="r")
    assert trained(X, mapped, class_weight=WEIGHTS) == trained(X, np.eye(4)[Y], class_weight=WEIGHTS)


def test_nothing_to_change():
    X, Y = data()
    expected = trained(X, Y, sample_weight=np.ones(len(X)))
    assert trained(X, Y, class_weight={}) == trained(X, Y, class_weight={2: Fraction(1)}) == expected
    assert trained(X, Y, class_weight=None) == trained(X, Y)


def test_balanced_equals_scikit_learn():
    weights = pytest.importorskip("sklearn.utils.class_weight")
    X, Y = data()
    for labels in (Y, np.where(Y == 2, 0, Y), np.zeros_like(Y)):  # classes that are not present
        by_example = weights.compute_sample_weight("balanced", labels)
        assert trained(X, labels, class_weight="balanced") == trained(X, labels, sample_weight=by_example)
    mapping = {0: 2, 1: 1, 2: 0.3, 3: 0}
    by_example = weights.compute_sample_weight(mapping, Y)
    assert trained(X, Y, class_weight=mapping) == trained(X, Y, sample_weight=by_example)


def test_balanced_with_sample_weights_equals_scikit_learn():
    weights = pytest.importorskip("sklearn.utils.class_weight")
    sklearn = pytest.importorskip("sklearn")
    if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9):
        pytest.skip("compute_class_weight of this version takes no sample_weight")
    X, Y = data()
    w = RNG.uniform(0, 2, size=len(X))
    expected = weights.compute_class_weight("balanced", classes=np.arange(4), y=Y, sample_weight=w)
    np.testing.assert_array_equal(balanced(Y, w, 4), expected)
    found = trained(X, Y, class_weight="balanced", sample_weight=w)
    assert found == trained(X, Y, sample_weight=w * expected[Y])


def test_balanced():
    """Each class has the same share; a class whose examples all weigh 0 is as one that is not present."""
    Y, w = np.array([0, 0, 0, 1, 2, 2]), np.array([1, 2, 1, 4, 0, 0.0])
    np.testing.assert_array_equal(balanced(Y, np.ones(6), 4), [6 / 9, 2, 1, 1])
    np.testing.assert_array_equal(balanced(Y, w, 4), [1, 1, 1, 1])
    w[3] = 1
    np.testing.assert_array_equal(balanced(Y, w, 4), [5 / 8, 2.5, 1, 1])
    assert np.bincount(Y, w * balanced(Y, w, 4)[Y]).tolist() == [2.5, 2.5, 0]


def test_validation_is_not_weighted():
    X, Y = data()
    inside = trained(X, Y, class_weight=WEIGHTS, validation_data=(X, Y))
    assert inside == trained(X, Y, sample_weight=of_examples(Y), validation_data=(X, Y))


@pytest.mark.parametrize("weights", [WEIGHTS, "balanced"])
@pytest.mark.parametrize("given", [None, RNG.uniform(0.1, 2, size=150)])
def test_weights_of_the_rows_that_are_trained_on(weights, given):
    X, Y = data()
    net = make()
    found = trained(
        X, Y, net, class_weight=weights, sample_weight=given, validation_fraction=0.3, shuffle=False
    )
    aside = net.history.validation_rows
    stay = np.setdiff1d(np.arange(150), aside)
    w = np.ones(150) if given is None else given
    n = balanced(Y[stay], w[stay], 4)[Y] if weights == "balanced" else of_examples(Y)
    expected = trained(
        X[stay],
        Y[stay],
        sample_weight=(w * n)[stay],
        validation_data=(X[aside], Y[aside], w[aside]),
        shuffle=False,
    )
    assert found == expected


def test_partial_fit():
    X, Y = data()
    nets = make(), make()
    w = RNG.uniform(0, 2, size=150)
    for _ in range(2):
        nets[0].partial_fit(X, Y, class_weight=WEIGHTS, sample_weight=w, n_examples=1000)
        nets[1].partial_fit(X, Y, sample_weight=w * of_examples(Y), n_examples=1000)
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)
    with pytest.raises(ValueError, match=r"'balanced' needs all examples, .* give a mapping"):
        nets[0].partial_fit(X, Y, class_weight="balanced")


X, LABELS = data(12)
PROBABILITIES = np.eye(4)[LABELS]
PROBABILITIES[3] = [0.5, 0.5, 0, 0]


@pytest.mark.parametrize(
    ("Y", "options", "class_weight", "error", "message"),
    [
        (LABELS, {}, {4: 1}, ValueError, "classes from 0 to 3 as keys, got 4"),
        (LABELS, {}, {-1: 1}, ValueError, "got -1"),
        (LABELS, {}, {0.5: 1}, ValueError, "got 0.5"),
        (LABELS, {}, {float("nan"): 1}, ValueError, "got nan"),
        (LABELS, {}, {"0": 1}, ValueError, "got '0'"),
        (LABELS == 0, {"n": 1, "output": "sigmoid"}, {2: 1}, ValueError, "from 0 to 1 as keys, got 2"),
        (LABELS, {}, {1: -1}, ValueError, r"class_weight[1] must be at least 0 and finite, got -1"),
        (LABELS, {}, {1: np.inf}, ValueError, "class_weight[1] must be at least 0 and finite, got inf"),
        (LABELS, {}, {1: "2"}, TypeError, "class_weight[1] must be a number, got '2'"),
        (LABELS, {}, {1: None}, TypeError, "class_weight[1] must be a number, got None"),
        (LABELS, {}, "Balanced", TypeError, "a mapping from class to weight, or 'balanced', got 'Balanced'"),
        (LABELS, {}, [1, 2, 3, 4], TypeError, "got list; make one with dict(enumerate(...))"),
        (LABELS, {}, np.ones(4), TypeError, "got ndarray; make one"),
        (LABELS, {}, 2, TypeError, "got int"),
        (LABELS, {}, dict.fromkeys(range(4), 0), ValueError, "class_weight must not be zero for all 12"),
        (LABELS, {}, {0: 1e39}, ValueError, "class_weight must fit into float32, got 1e+39 in row 0"),
        (LABELS, {}, {1: 1e-60}, ValueError, "be 0 or at least 2.9e-39, got 1e-60 in row 1"),
        (LABELS, {}, dict.fromkeys(range(4), 3e38), ValueError, "class_weight must have a sum of at most"),
        (PROBABILITIES, {}, {}, ValueError, "with a single 1 and else 0, got [0.5, 0.5, 0.0, 0.0] in row 3"),
        (np.ones((12, 4)), {"output": "sigmoid"}, {}, ValueError, "got [1.0, 1.0, 1.0, 1.0] in row 0"),
        (X, {"n": 3, "output": "identity"}, "balanced", ValueError, "labels of shape (m,), or rows with"),
        (X[:, 0], {"n": 1, "output": "identity"}, {}, ValueError, "if it is 'sigmoid', got 'identity'"),
        (LABELS == 0, {"n": 1, "output": "identity"}, {}, ValueError, "if it is 'sigmoid', got 'identity'"),
        (
            np.linspace(0, 1, 12),
            {"n": 1, "output": "sigmoid"},
            "balanced",
            ValueError,
            "class_weight needs Y to name the class of each example: 0 or 1, got 0.09",
        ),
    ],
)  # fmt: skip
def test_refusals(Y, options, class_weight, error, message):
    net = make(**options)
    before = net.parameters.tolist()
    with pytest.raises(error) as caught:
        net.fit(X, Y, class_weight=class_weight)
    assert message in str(caught.value)
    assert net.parameters.tolist() == before
    if not (isinstance(class_weight, str) and class_weight == "balanced"):
        with pytest.raises(error) as caught:
            net.partial_fit(X, Y, class_weight=class_weight)
        assert message in str(caught.value)


def test_messages_name_the_rows_that_the_caller_gave():
    Y = LABELS.copy()
    Y[:] = 0
    Y[7:10] = 1
    net = make()
    with pytest.raises(ValueError, match="times class_weight must fit into float32, got .* in row [789]$"):
        net.fit(
            X, Y, class_weight={1: 1e30}, sample_weight=np.where(Y == 1, 1e20, 1), validation_fraction=0.2
        )
    soft = np.eye(4)[Y]
    soft[11] = [0.5, 0.5, 0, 0]
    rows = set()
    for seed in range(5):
        try:
            make(rng=seed).fit(X, soft, class_weight={}, validation_fraction=0.2, epochs=0)
        except ValueError as error:
            rows.add(str(error)[-9:])
    assert rows == {"in row 11"}


def test_the_product_may_not_be_all_zero():
    w = np.where(LABELS == 0, 0, 1)
    with pytest.raises(ValueError, match="sample_weight times class_weight must not be zero for all 12"):
        make().fit(X, LABELS, sample_weight=w, class_weight={1: 0, 2: 0, 3: 0})
