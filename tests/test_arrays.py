"""The promise: whatever comes as an array gives what its C-contiguous twin gives, and is never written."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import cbp
from cbp.examples import arrays
from cbp.examples.conversion import convert

RNG = np.random.default_rng(0)
X = RNG.integers(-8, 9, size=(40, 6)) / 4  # exact in every floating type
LABELS = RNG.integers(0, 3, size=40)
Y = RNG.integers(0, 5, size=(40, 3)) / 4


def make(output="softmax", dtype="float32", sizes=(6, 5, 3)):
    return cbp.Network(sizes, output=output, dtype=dtype, rng=1)


def fitted(X, Y, output="softmax", dtype="float32", sample_weight=None, **options):
    """The parameters, and what predict and loss say of the same data."""
    net = make(output, dtype)
    net.fit(X, Y, epochs=2, batch_size=16, sample_weight=sample_weight, **options)
    return [net.parameters, net.predict(X), net.loss(X, Y, sample_weight), net.gradient(X, Y).parameters]


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def unaligned(array):
    memory = np.empty(array.nbytes + 1, np.uint8)[1:]
    copy = np.ndarray(array.shape, array.dtype, memory.data)
    copy[:] = array
    return copy


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


LAYOUTS = {
    "list": lambda a: a.tolist(),
    "tuple of arrays": lambda a: tuple(a),
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "every third column": lambda a: np.repeat(a, 3, axis=-1)[..., ::3],
    "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "all backwards": lambda a: np.flip(np.ascontiguousarray(np.flip(a))),
    "part of a wider array": lambda a: np.concatenate([a, a, a], axis=-1)[..., a.shape[-1] : 2 * a.shape[-1]],
    "read-only": read_only,
    "unaligned": unaligned,
    "objects": lambda a: a.astype(object),
    "subclass": lambda a: np.asarray(a).view(np.recarray),
}  # fmt: skip
FLOATS = ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8", "longdouble"]


# --- any array-like --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("given_dtype", FLOATS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts_and_floats(layout, given_dtype, dtype):
    x, y = X.astype(given_dtype), Y.astype(given_dtype)
    expected = fitted(X.astype(dtype), Y.astype(dtype), "identity", dtype)
    assert_same(fitted(layout(x), layout(y), "identity", dtype), expected)


@pytest.mark.parametrize("given_dtype", ["?", "i1", "u1", "<i2", ">i2", "<i4", "u4", "<i8", ">i8", "<u8"])
def test_integers_and_booleans(given_dtype):
    whole = (X * 4).astype(int)
    x = whole > 0 if given_dtype == "?" else np.abs(whole) if "u" in given_dtype else whole
    weight = LABELS + 1
    expected = fitted(x.astype("f4"), LABELS, sample_weight=weight.astype("f4"))
    found = fitted(x.astype(given_dtype), LABELS, sample_weight=weight)
    assert_same(found, expected)
    if given_dtype != "?":
        for labels in (LABELS.astype(given_dtype), LABELS.astype(given_dtype)[::-1][::-1]):
            assert_same(fitted(x.astype("f4"), labels, sample_weight=weight.astype(given_dtype)), expected)


@pytest.mark.parametrize("kind", [list, "f8", object, ">f4", lambda labels: np.repeat(labels, 2)[::2]])
def test_labels_of_any_kind(kind):
    labels = kind(LABELS) if callable(kind) and kind is not object else LABELS.astype(kind)
    assert_same(fitted(X, labels), fitted(X, LABELS.astype(np.int64)))
    assert make().accuracy(X, labels) == make().accuracy(X, LABELS)


def test_boolean_labels_and_targets():
    net, twin = (cbp.Network([6, 2], rng=0) for _ in range(2))
    net.fit(X, LABELS > 0, epochs=1)
    twin.fit(X, (LABELS > 0).astype(int), epochs=1)
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    assert cbp.Network([6, 1], output="sigmoid", rng=0).loss(X, LABELS > 0) == cbp.Network(
        [6, 1], output="sigmoid", rng=0
    ).loss(X, (LABELS > 0).reshape(-1, 1).astype("f4"))


def test_other_real_numbers():
    rows = [[Fraction(1, 2), 1, 0.25, True, np.float32(2), 3]]
    np.testing.assert_array_equal(make().predict(rows), make().predict([[0.5, 1, 0.25, 1, 2, 3]]))


@pytest.mark.parametrize("kind", [memoryview, np.ma.masked_array, lambda a: np.array([*a], dtype=object)])
def test_other_holders(kind):
    assert_same(fitted(kind(X), kind(Y), "identity"), fitted(X, Y, "identity"))


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_data_frames(package):
    frames = pytest.importorskip(package)
    expected = fitted(X, LABELS, sample_weight=LABELS + 1.0)
    columns = {f"column {j}": X[:, j] for j in range(6)}
    found = fitted(
        frames.DataFrame(columns), frames.Series(LABELS), sample_weight=frames.Series(LABELS + 1.0)
    )
    assert_same(found, expected)
    mixed = {**columns, "column 1": (X[:, 1] * 4).astype(int), "column 2": X[:, 2] > 0}
    dense = np.column_stack(list(mixed.values())).astype(float)
    assert_same(fitted(frames.DataFrame(mixed), frames.Series(LABELS)), fitted(dense, LABELS))
    targets = frames.DataFrame({f"y{j}": Y[:, j] for j in range(3)})
    assert_same(fitted(frames.DataFrame(columns), targets, "identity"), fitted(X, Y, "identity"))
    with pytest.raises(TypeError, match="X must hold "):
        make().predict(frames.DataFrame({**columns, "column 3": ["a"] * 40}))


@settings(max_examples=60)
@given(
    data=st.data(),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 5)),
    given_dtype=st.sampled_from([*FLOATS[:-1], "i1", "<i4", ">i8", "u2", "?"]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_any_view_gives_what_its_contiguous_copy_gives(data, shape, given_dtype, dtype):
    source = data.draw(
        hnp.arrays(given_dtype, hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7),
                   elements=hnp.from_dtype(np.dtype(given_dtype), allow_nan=False, allow_infinity=False,
                                           **({} if np.dtype(given_dtype).kind in "iu?" else
                                              {"min_value": -100, "max_value": 100})))
    )  # fmt: skip
    index = data.draw(hnp.basic_indices(source.shape, min_dims=2, max_dims=2))
    view = source[index]
    if data.draw(st.booleans()):
        view = view.T
    if view.shape[1] == 0:
        return
    twin = np.ascontiguousarray(view).astype(dtype)
    net = cbp.Network([view.shape[1], shape[1]], output="tanh", dtype=dtype, rng=0)
    np.testing.assert_array_equal(net.predict(view), net.predict(twin))
    if len(view):
        y = np.broadcast_to(np.array(0.5, dtype), (len(view), shape[1]))  # strides of 0
        order = {"shuffle": data.draw(st.booleans()), "epochs": 1, "batch_size": shape[0]}
        other = cbp.Network([view.shape[1], shape[1]], output="tanh", dtype=dtype, rng=0)
        net.fit(view, y, **order)
        other.fit(twin, np.ascontiguousarray(y), **order)
        np.testing.assert_array_equal(net.parameters, other.parameters)


# --- no copies, no writing -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_ready_is_not_copied(dtype, monkeypatch):
    x, y, weight = X.astype(dtype), Y.astype(dtype), np.ones(40, dtype)
    assert convert(x, np.dtype(dtype)) is x
    examples = arrays.examples(
        read_only(x),
        y,
        weight,
        n_inputs=6,
        n_outputs=3,
        output="identity",
        dtype=np.dtype(dtype),
        loss="squared_error",
    )
    assert examples.X is examples.given_X
    assert np.shares_memory(examples.Y, y)
    assert examples.weights is weight
    part = x[10:20]
    assert convert(part, np.dtype(dtype)) is part


@pytest.mark.parametrize("value", [1, -1, 10**9])
def test_labels_that_change_during_training_change_nothing(value):
    """Kernels take labels for places in memory, so that they must stay what they were found to be."""
    labels = LABELS.astype(np.int64)
    expected = fitted(X, LABELS)[0]

    def overwrite(epoch):
        labels[:] = value

    net = make()
    net.fit(X, labels, epochs=2, batch_size=16, callbacks=[overwrite])
    np.testing.assert_array_equal(net.parameters, expected)


@pytest.mark.parametrize(
    "layout", [unaligned, np.asfortranarray, lambda a: a[::-1], lambda a: a.astype(">f4")]
)
def test_what_is_not_ready_is_copied_once(layout):
    x = layout(X.astype(np.float32))
    converted = convert(x, np.float32)
    assert not np.shares_memory(converted, x)
    assert converted.flags.c_contiguous
    assert converted.flags.aligned
    assert converted.dtype.isnative
    assert convert(converted, np.float32) is converted
    np.testing.assert_array_equal(converted, x)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
@pytest.mark.parametrize("given_dtype", ["f4", "f8"])
def test_the_callers_arrays_are_never_written(layout, given_dtype):
    given_arrays = [layout(array.astype(given_dtype)) for array in (X, np.eye(3)[LABELS], LABELS + 1)]

    def digest():
        return [hashlib.sha256(array.tobytes()).digest() for array in given_arrays]

    before = digest()
    for loss in ("cross_entropy", "squared_error"):
        net = cbp.Network([6, 5, 3], loss=loss, rng=0)
        x, y, weight = given_arrays
        net.fit(x, y, epochs=2, sample_weight=weight, validation_data=(x, y, weight))
        net.partial_fit(x, y, sample_weight=weight)
        net.gradient(x, y, weight, inputs=True)
        net.loss(x, y, weight)
        net.predict(x)
        net.activations(x)[0][:] = 0
        net.accuracy(x, y)
    assert digest() == before


@pytest.mark.parametrize(("dtype", "large"), [("float32", 3e38), ("float64", 1e308)])
def test_weights_whose_sum_overflows(dtype, large):
    net = cbp.Network([1, 2], dtype=dtype, rng=0)
    X, Y, weights = np.ones((5, 1)), [0, 1, 0, 1, 0], np.full(5, large)
    message = r"sample_weight must have a sum of at most .* divide by the largest"
    for call in (net.loss, net.gradient, lambda X, Y, w: net.fit(X, Y, sample_weight=w)):
        with pytest.raises(ValueError, match=message):
            call(X, Y, weights)
    assert np.isfinite(net.loss(X, Y, weights / 8))
