"""The promise: a loss of one's own trains to what the same loss in the kernels trains to."""

import copy
import pickle

import numpy as np
import pytest

import cbp
from cbp import functions, reference

SIZES = [[3, 2], [2, 4, 1], [3, 5, 17, 33, 2], [20, 30, 4], [130, 140, 10], [211, 100, 20, 7]]
RANDOM = {"dropout": 0.3, "input_noise": 0.1}


class Huber:
    def __init__(self, delta=1.0):
        self.delta = delta

    def loss(self, a, y):
        d = np.abs(a - y)
        return np.where(d > self.delta, self.delta * (d - self.delta / 2), (a - y) ** 2 / 2).sum(axis=1)

    def error(self, a, y):
        return np.clip(a - y, -self.delta, self.delta)


class CrossEntropy:
    def loss(self, a, y):
        return -(y * np.log(a)).sum(axis=1)

    def error(self, a, y):
        return -y / a


def make(sizes, loss, **options):
    return cbp.Network(sizes, loss=loss, **{"output": "identity", "rng": 1, "hidden": "tanh", **options})


def data(sizes, m=50, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, sizes[0])), 2 * rng.normal(size=(m, sizes[-1]))


# --- the same as in the kernels -----------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 300])
@pytest.mark.parametrize("options", [{}, {"l2": 0.1, "l1": 0.01}, RANDOM], ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_huber(sizes, options, batch_size):
    X, Y = data(sizes, 300 if batch_size == 300 else 40)
    w = np.random.default_rng(1).uniform(0, 2, len(X))
    found = []
    for loss in ("huber", Huber()):
        net = make(sizes, loss, dtype="float64", **options)
        history = net.fit(
            *(X, Y),
            epochs=3,
            batch_size=batch_size,
            sample_weight=w,
            optimizer=cbp.Adam(0.01, clip_norm=1.0),
            validation_data=(X, Y),
            ema=0.9,
        )
        D = net.gradient(X, Y, w, inputs=True)
        found.append(
            (
                history.losses,
                history.validation_losses,
                net.parameters,
                net.loss(X, Y, w),
                D.parameters,
                D.inputs,
            )
        )
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-13)


def test_softmax_and_labels():
    digits = cbp.datasets.load_digits()
    found = []
    for loss in (None, CrossEntropy()):
        net = cbp.Network([64, 20, 10], loss=loss, dtype="float64", rng=0)
        net.fit(digits.x_train, digits.y_train, epochs=2)
        found.append((net.parameters, net.loss(digits.x_test, digits.y_test)))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-9)


@pytest.mark.parametrize("output", [*functions.ACTIVATIONS])
@pytest.mark.parametrize("name", ["squared_error", "absolute_error", "huber", "log_cosh", "quantile"])
def test_losses_of_the_reference_behind_every_output(name, output):
    if output not in functions.LOSSES[name].outputs:
        return
    row = reference.functions.LOSSES[name]

    class Same:
        def loss(self, a, y):
            return row.loss(a, y, row.number).sum(axis=1)

        def error(self, a, y):
            return row.error(a, y, row.number)

    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(20, 3)), rng.uniform(0.2, 0.8, size=(20, 4))
    Y /= Y.sum(axis=1, keepdims=True)
    found = [make([3, 5, 4], loss, output=output, dtype="float64").gradient(X, Y) for loss in (name, Same())]
    assert found[1].loss == pytest.approx(found[0].loss, rel=1e-12)
    np.testing.assert_allclose(found[1].parameters, found[0].parameters, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_threads(sizes, dtype):
    X, Y = data(sizes, 300)
    for batch_size in (32, 300):
        found = set()
        for n_threads in (1, 2, 3, 8):
            net = make(sizes, Huber(), dtype=dtype, n_threads=n_threads, **RANDOM)
            net.fit(X, Y, epochs=2, batch_size=batch_size)
            found.add(net.parameters.tobytes())
        assert len(found) == 1


def test_rounds():
    """Minibatches so long that the kernels take them in several rounds."""
    X, Y = data([600, 500, 3], 3000)
    found = []
    for loss in ("huber", Huber()):
        net = make([600, 500, 3], loss)
        net.fit(X, Y, epochs=2, batch_size=None)
        found.append(net.parameters)
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)


def test_arrays_that_must_be_converted(tmp_path):
    X, Y = data([3, 5, 2], 700)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"]
    found = set()
    for examples in ((X, Y), mapped, (X.tolist(), Y.tolist())):
        net = make([3, 5, 2], Huber())
        net.fit(*examples, epochs=2)
        found.add((net.parameters.tobytes(), net.loss(*examples)))
    assert len(found) == 1


# --- what it is given, and checks ---------------------------------------------------------------------------


def test_calls():
    seen = []

    class Watching(Huber):
        def loss(self, a, y):
            seen.append(("loss", a.copy(), y.copy()))
            assert not a.flags.writeable
            return super().loss(a, y)

        def error(self, a, y):
            seen.append(("error", a.copy(), y.copy()))
            return super().error(a, y)

    X = np.random.default_rng(0).normal(size=(10, 3)).astype("f4")
    net = make([3, 5, 4], Watching())
    outputs = net.predict(X)
    net.fit(X, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1], epochs=1, batch_size=4, shuffle=False, optimizer=cbp.SGD(0.0))
    assert [(name, a.shape) for name, a, _ in seen] == [
        (name, (n, 4)) for n in (4, 4, 2) for name in ("loss", "error")
    ]
    assert np.concatenate([a for _, a, _ in seen[::2]]).tobytes() == outputs.tobytes()
    y = np.concatenate([y for _, _, y in seen[::2]])
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.eye(4)[[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]])


def test_check_gradient_finds_a_wrong_derivative():
    class Wrong(CrossEntropy):
        def error(self, a, y):
            return -2 * y / a

    X, Y = data([3, 4, 2], 5)
    labels = (Y[:, 0] > 0).astype(int)
    for loss, least, most in ((CrossEntropy(), 0, 1e-8), (Wrong(), 0.1, 1)):
        assert least <= make([3, 4, 2], loss, output="softmax").check_gradient(X, labels) <= most


class Returning(Huber):
    def __init__(self, losses=None, errors=None):
        super().__init__()
        self.losses, self.errors = losses, errors

    def loss(self, a, y):
        return super().loss(a, y) if self.losses is None else self.losses

    def error(self, a, y):
        return super().error(a, y) if self.errors is None else self.errors


@pytest.mark.parametrize(
    ("loss", "kind", "words"),
    [
        (
            Returning(losses=1.0),
            ValueError,
            r"Returning\.loss must return an array of shape \(4,\), got \(\)",
        ),
        (Returning(losses="much"), TypeError, r"Returning\.loss must return numbers, got str"),
        (
            Returning(errors=np.zeros(4)),
            ValueError,
            r"Returning\.error must return an array of shape \(4, 2\)",
        ),
        (Returning(errors=np.full((4, 2), np.nan)), FloatingPointError, r"Returning\.error must be finite"),
        (Returning(losses=np.full(4, np.inf)), FloatingPointError, "the loss is no longer finite at step 1"),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_it_must_return(loss, kind, words):
    X, Y = data([3, 5, 2], 4)
    net = make([3, 5, 2], loss)
    before = net.parameters.tobytes()
    with pytest.raises(kind, match=words):
        net.fit(X, Y, epochs=1)
    assert net.parameters.tobytes() == before


def test_faults_in_the_data():
    X, Y = data([3, 5, 2], 40)
    X[7, 1] = np.nan
    net = make([3, 5, 2], Huber())
    for call in (net.fit, net.loss, net.gradient):
        with pytest.raises(ValueError, match="X must be finite, got nan in row 7, column 1"):
            call(X, Y)


def test_what_is_no_loss():
    with pytest.raises(
        TypeError, match=r"loss must be a name, or an object with methods .*; call it: Huber\(\)"
    ):
        make([3, 2], Huber)
    with pytest.raises(TypeError, match="loss must be a name, or an object with methods"):
        make([3, 2], lambda a, y: 0)


# --- as a part of the network -------------------------------------------------------------------------------


def test_files_and_copies(tmp_path):
    X, Y = data([3, 5, 2], 40)
    net = make([3, 5, 2], Huber(0.5))
    assert "loss=Huber" in repr(net)
    net.save(tmp_path / "net.npz")
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.loss(X, Y) == net.loss(X, Y)
    assert cbp.load(tmp_path / "net.npz", loss=Huber(0.5)).loss(X, Y) == net.loss(X, Y)
    lost = cbp.load(tmp_path / "net.npz")
    assert lost.predict(X).tobytes() == net.predict(X).tobytes()
    for call in (lost.fit, lost.loss, lost.gradient):
        with pytest.raises(RuntimeError, match=r"saved with the loss Huber.*cbp\.load\(path, loss="):
            call(X, Y)
