"""The promise: class labels are one-hot targets, whatever the output and however they come."""

import numpy as np
import pytest

import cbp
from cbp import reference

RNG = np.random.default_rng(0)
OUTPUTS = [
    ("sigmoid", "cross_entropy"),
    ("sigmoid", "squared_error"),
    ("tanh", "squared_error"),
    ("relu", "squared_error"),
    ("identity", "squared_error"),
    ("softmax", "cross_entropy"),
    ("softmax", "squared_error"),
]
SIZES = [2, 3, 7, 8, 9, 16, 17, 40]  # around the lanes of a vector


def data(m, n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, 4)), rng.integers(0, n, size=m)


def make(n, output, loss, dtype="float64", **options):
    return cbp.Network([4, 5, n], output=output, loss=loss, dtype=dtype, rng=1, **options)


@pytest.mark.parametrize(("output", "loss"), OUTPUTS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("m", [1, 5, 97, 300])
def test_loss_and_gradient_are_those_of_one_hot_rows(output, loss, n, m):
    X, labels = data(m, n)
    rows = np.zeros((m, n))
    rows[np.arange(m), labels] = 1
    net = make(n, output, loss, l2=0.3)
    net.biases[1][:] = 0.1  # so that relu has some to learn
    for weight in (None, RNG.uniform(0.1, 2, size=m)):
        J, D_W, D_b, D_X = reference.gradient(
            net.weights, net.biases, ["sigmoid", output], loss, X, rows, l2=0.3, sample_weight=weight
        )
        found = net.gradient(X, labels, weight, inputs=True)
        assert net.loss(X, labels, weight) == found.loss == pytest.approx(J, rel=1e-12)
        for D, expected in zip([*found.weights, *found.biases, found.inputs], [*D_W, *D_b, D_X], strict=True):
            np.testing.assert_allclose(D, expected, rtol=0, atol=1e-13 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize(("output", "loss"), OUTPUTS[:5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("shuffle", [True, False])
def test_training_has_the_bits_of_one_hot_rows(output, loss, dtype, batch_size, shuffle):
    for n in (3, 17):
        X, labels = data(200, n)
        by_labels, by_rows = make(n, output, loss, dtype), make(n, output, loss, dtype)
        options = {"epochs": 2, "batch_size": batch_size, "shuffle": shuffle}
        for net, Y in [(by_labels, labels), (by_rows, np.eye(n)[labels])]:
            net.fit(X, Y, validation_data=(X[:50], Y[:50]), **options)
            net.partial_fit(X, Y, batch_size=batch_size, shuffle=shuffle)
        np.testing.assert_array_equal(by_labels.parameters, by_rows.parameters)
        assert by_labels.history.losses == by_rows.history.losses
        assert by_labels.history.validation_losses == by_rows.history.validation_losses


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_the_bits_do_not_depend_on_threads(n_threads):
    X, labels = data(2000, 5)
    expected = make(5, "sigmoid", "cross_entropy", n_threads=1)
    expected.fit(X, labels, epochs=2, batch_size=500)
    net = make(5, "sigmoid", "cross_entropy", n_threads=n_threads)
    net.fit(X, labels, epochs=2, batch_size=500)
    np.testing.assert_array_equal(net.parameters, expected.parameters)


@pytest.mark.parametrize(("output", "loss"), OUTPUTS)
def test_gradients_agree_with_differences(output, loss):
    X, labels = data(9, 3)
    net = make(3, output, loss)
    net.biases[1][:] = 0.5
    assert net.check_gradient(X, labels) < 1e-8


@pytest.mark.parametrize(
    "kind", [list, "f4", "f8", "u1", ">i8", object, lambda labels: np.repeat(labels, 2)[::2], "series"]
)
def test_labels_of_any_kind(kind):
    X, labels = data(30, 3)
    net = make(3, "sigmoid", "cross_entropy")
    expected = net.loss(X, np.eye(3)[labels])
    if kind == "series":
        given = pytest.importorskip("pandas").Series(labels, index=np.arange(30)[::-1])
    else:
        given = kind(labels) if callable(kind) and kind is not object else labels.astype(kind)
    assert net.loss(X, given) == expected
    assert net.accuracy(X, given) == net.accuracy(X, labels)


def test_booleans_are_labels_of_two_classes():
    X, labels = data(30, 2)
    net = make(2, "sigmoid", "cross_entropy")
    assert net.loss(X, labels > 0) == net.loss(X, np.eye(2)[labels])


@pytest.mark.parametrize("x_dtype", ["f4", "f8"])
def test_mapped_inputs_and_labels(tmp_path, x_dtype):
    X, labels = data(3000, 6)
    mapped = []
    for name, array in [("X", X.astype(x_dtype)), ("Y", labels)]:
        np.save(tmp_path / f"{name}.npy", array)
        mapped.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    nets = [make(6, "identity", None) for _ in range(2)]
    nets[0].fit(*mapped, epochs=1)
    nets[1].fit(X.astype(x_dtype), np.eye(6)[labels], epochs=1)
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)


@pytest.mark.parametrize("output", ["sigmoid", "tanh", "identity", "softmax"])
@pytest.mark.parametrize(
    ("index", "value", "got"),
    [
        (4, 0.5, "whole class labels from 0 to 2, got 0.5 in row 4"),
        (4, 3, "class labels from 0 to 2, got 3.0 in row 4"),
        (4, -1, "class labels from 0 to 2, got -1.0 in row 4"),
        ([2, 4], np.nan, "whole class labels from 0 to 2, got nan in row 2"),
        ([6, 4], np.inf, "whole class labels from 0 to 2, got inf in row 4"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "loss", "gradient", "check_gradient", "accuracy"])
def test_what_is_no_label_is_told_both_shapes(method, output, index, value, got):
    labels = np.arange(8.0) % 3
    labels[index] = value
    kind = "probabilities" if output == "softmax" else "numbers"
    with pytest.raises(
        ValueError, match=rf"Y must hold {got}; shape \(8,\) means labels, shape \(8, 3\) {kind}$"
    ):
        getattr(make(3, output, None), method)(np.zeros((8, 4)), labels)


def test_the_first_of_several_kinds_of_faults_is_named():
    net = make(3, "sigmoid", None)
    for labels, first in [
        ([0, 9, 0.5, np.nan], "9.0 in row 1"),
        ([0, 0.5, 9, np.nan], "0.5 in row 1"),
        ([0, np.nan, 0.5, 9], "nan in row 1"),
        ([1, 2, 3, 1], "3 in row 2; .* labels count from 0: subtract 1"),
    ]:
        with pytest.raises(ValueError, match=f"got {first}"):
            net.loss(np.zeros((4, 4)), labels)


def test_labels_in_validation_data_are_checked():
    X, labels = data(8, 3)
    net = make(3, "sigmoid", None)
    with pytest.raises(ValueError, match="Y of validation_data must hold class labels from 0 to 2, got 3"):
        net.fit(X, labels, validation_data=(X, np.full(8, 3)))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float32"])
def test_labels_that_are_changed_meanwhile_are_as_they_were(dtype):
    """Kernels take them for places in memory, so they are always copied."""
    X, given = np.random.default_rng(0).normal(size=(50, 4)).astype("f4"), (np.arange(50) % 3).astype(dtype)
    net, twin = cbp.Network([4, 5, 3], rng=0), cbp.Network([4, 5, 3], rng=0)
    twin.fit(X, given.copy(), epochs=3)

    def change(epoch):
        given[:] = 77

    net.fit(X, given, epochs=3, callbacks=[change])
    assert net.parameters.tobytes() == twin.parameters.tobytes()
