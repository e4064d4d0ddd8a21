"""The promise: memory-mapped arrays train part by part, to what the same arrays in memory train to."""

import mmap

import numpy as np
import pytest

import cbp
from cbp.examples import arrays
from cbp.examples.conversion import is_mapped
from cbp.training import passes

RNG = np.random.default_rng(0)
M, N = 10_000, 8
X = RNG.integers(-16, 17, size=(M, N)) / 8  # exact in every floating type
LABELS = RNG.integers(0, 3, size=M)
PROBABILITIES = RNG.dirichlet(np.ones(3), size=M)
SMALL, LARGE = [N, 5, 3], [N, 150, 150, 3]  # the small one adds up large batches in parts
# A pass may take 4096 examples at once, so that is the least that a part must hold.
PARTS_OF_4096 = 4096 * N * 4


@pytest.fixture
def mapped(tmp_path):
    """A function that puts an array into a file and maps it."""

    def on_disk(array, dtype=None, order="C"):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, np.asarray(array, dtype=dtype, order=order))
        return np.load(path, mmap_mode="r")

    return on_disk


def make(sizes=SMALL, dtype="float32", **options):
    return cbp.Network(sizes, hidden="tanh", dtype=dtype, rng=1, **options)


def fitted(x, y, sizes=SMALL, dtype="float32", sample_weight=None, n_threads=None, **options):
    net = make(sizes, dtype, l2=0.1, n_threads=n_threads)
    history = net.fit(x, y, epochs=2, sample_weight=sample_weight, **options)
    return net.parameters, history.losses


# --- the same bits where the path is the same ------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 50, 192])
@pytest.mark.parametrize(
    ("x_dtype", "order"), [("f8", "C"), ("u1", "C"), (">f4", "C"), ("f4", "F"), ("f2", "F")]
)
def test_minibatches(mapped, monkeypatch, x_dtype, order, batch_size, shuffle):
    monkeypatch.setattr(passes, "PART_BYTES", 1)  # the least: 192 rows
    x, labels = np.abs(X[:1000]), LABELS[:1000]
    x = (x * 8 if x_dtype == "u1" else x).astype(x_dtype)
    weight = RNG.uniform(0, 2, size=1000)
    options = {"batch_size": batch_size, "shuffle": shuffle, "sample_weight": weight}
    parameters, losses = fitted(mapped(x, order=order), mapped(labels, "i4"), **options)
    parameters_in_memory, losses_in_memory = fitted(x.astype("f4"), labels, **options)
    np.testing.assert_array_equal(parameters, parameters_in_memory)
    assert losses == losses_in_memory


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("x_dtype", "y_dtype"), [("f8", "f8"), ("f8", "f4"), ("f4", "f8"), ("f4", "f4")])
@pytest.mark.parametrize("both", [True, False])
def test_targets_too(mapped, monkeypatch, x_dtype, y_dtype, both, shuffle):
    monkeypatch.setattr(passes, "PART_BYTES", 1)
    x, y = X[:1000].astype(x_dtype), PROBABILITIES[:1000].astype("f4").astype(y_dtype)
    options = {"batch_size": 60, "shuffle": shuffle}
    on_disk = fitted(mapped(x) if both else x, mapped(y), **options)
    in_memory = fitted(x.astype("f4"), y.astype("f4"), **options)
    np.testing.assert_array_equal(on_disk[0], in_memory[0])
    assert on_disk[1] == in_memory[1]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_team_takes_wide_examples_by_columns(mapped, monkeypatch, dtype, shuffle):
    monkeypatch.setattr(passes, "PART_BYTES", 1)
    x, sizes = np.tile(X[:1000], (1, 30)), [30 * N, 45, 3]
    options = {"batch_size": 60, "shuffle": shuffle}
    on_disk = fitted(mapped(x, dtype), LABELS[:1000], sizes, n_threads=3, **options)
    in_memory = fitted(x.astype("f4"), LABELS[:1000], sizes, n_threads=1, **options)
    np.testing.assert_array_equal(on_disk[0], in_memory[0])
    assert on_disk[1] == in_memory[1]


@pytest.mark.parametrize("sizes", [SMALL, LARGE])
@pytest.mark.parametrize("batch_size", [200, None])
def test_what_is_ready_is_read_where_it_is(mapped, sizes, batch_size):
    x, labels = mapped(X[:2000], "f4"), LABELS[:2000]
    on_disk = fitted(x, labels, sizes, batch_size=batch_size)
    in_memory = fitted(X[:2000].astype("f4"), labels, sizes, batch_size=batch_size)
    np.testing.assert_array_equal(on_disk[0], in_memory[0])
    examples = arrays.examples(
        x,
        labels,
        None,
        n_inputs=N,
        n_outputs=3,
        output="softmax",
        dtype=np.dtype(np.float32),
        loss="cross_entropy",
    )
    assert np.shares_memory(examples.X, x)
    assert not examples.X_by_parts


@pytest.mark.parametrize("sizes", [SMALL, LARGE])
def test_batches_larger_than_a_part(mapped, monkeypatch, sizes):
    monkeypatch.setattr(passes, "PART_BYTES", PARTS_OF_4096)
    x, labels = mapped(X, "f8"), LABELS
    for batch_size in (None, 7000):
        options = {"batch_size": batch_size, "dtype": "float32", "shuffle": False}
        on_disk, in_memory = (
            fitted(x, labels, sizes, **options),
            fitted(X.astype("f4"), labels, sizes, **options),
        )
        if sizes is LARGE:  # by rows of W, as in memory
            np.testing.assert_array_equal(on_disk[0], in_memory[0])
        np.testing.assert_allclose(on_disk[0], in_memory[0], rtol=0, atol=1e-5)
        assert on_disk[1] == pytest.approx(in_memory[1], rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_gradients_and_predictions(mapped, monkeypatch, weighted):
    monkeypatch.setattr(passes, "PART_BYTES", 2 * PARTS_OF_4096)
    net = make(dtype="float64", l2=0.5)
    x, weight = X.astype("f4"), RNG.uniform(0, 2, size=M) if weighted else None
    for y in (LABELS, PROBABILITIES):
        x_mapped, y_mapped = mapped(x), mapped(y, ">f8" if y is PROBABILITIES else "i2")
        assert net.loss(x_mapped, y_mapped, weight) == pytest.approx(net.loss(x, y, weight), rel=1e-13)
        found = net.gradient(x_mapped, y_mapped, weight, inputs=True)
        expected = net.gradient(x, y, weight, inputs=True)
        np.testing.assert_allclose(found.parameters, expected.parameters, rtol=0, atol=1e-14)
        np.testing.assert_array_equal(found.inputs, expected.inputs)
        np.testing.assert_array_equal(net.predict(x_mapped), net.predict(x))
        assert net.accuracy(x_mapped, y_mapped) == net.accuracy(x, y)


# --- only a part at a time -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [32, None])
def test_no_more_than_a_part_is_converted(mapped, monkeypatch, batch_size):
    monkeypatch.setattr(passes, "PART_BYTES", PARTS_OF_4096)
    x, labels = mapped(X, "f8"), mapped(LABELS, "i8")
    converted, convert = [], arrays.convert  # as `arrays` knows it

    def recorded(array, dtype):
        result = convert(array, dtype)
        if result is not array:
            converted.append(result.nbytes)
        return result

    monkeypatch.setattr(arrays, "convert", recorded)
    make().fit(x, labels, epochs=2, batch_size=batch_size, validation_data=(x, labels))
    assert max(converted) <= PARTS_OF_4096
    # Every row twice to train, and once for the loss before and after each epoch.
    assert sum(converted) == pytest.approx((2 + 3) * M * N * 4, rel=0.05)


def test_wide_targets_count_too(mapped, monkeypatch):
    monkeypatch.setattr(passes, "PART_BYTES", 256 * 31 * 4)
    net = cbp.Network([1, 30], output="identity", rng=0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 1)), rng.normal(size=(1000, 30))
    for x_bound, y_bound in [(mapped(x, "f8"), mapped(y, "f8")), (x.astype("f4"), mapped(y, "f8"))]:
        assert 256 <= passes.part_rows(net._examples(x_bound, y_bound, None, None)) < 270
    assert passes.part_rows(net._examples(x, y, None, None)) == 1000


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        np.asarray,
        lambda a: a[::-1],
        lambda a: a[:, 2:5],
        lambda a: a.T,
        lambda a: a.reshape(-1, 4),
        lambda a: np.asarray(memoryview(a)),
        lambda a: a.view(np.ndarray)[3:7],
    ],
)
def test_views_of_a_mapped_array_are_mapped(mapped, view):
    assert is_mapped(view(mapped(X)))
    assert not is_mapped(np.asarray(view(X)))
    assert not is_mapped(view(mapped(X)).astype("f4"))


def test_a_mapping_without_numpy(tmp_path):
    path = tmp_path / "numbers"
    X.tofile(path)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        array = np.frombuffer(mapping).reshape(M, N)
        assert is_mapped(array)
        found = fitted(array[:500], LABELS[:500], batch_size=32)
        del array
    np.testing.assert_array_equal(found[0], fitted(X[:500], LABELS[:500], batch_size=32)[0])


# --- faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("row", [0, 191, 192, 999])
@pytest.mark.parametrize("which", ["X", "Y"])
def test_faults_are_named_by_their_row_in_the_file(mapped, monkeypatch, which, row, shuffle):
    monkeypatch.setattr(passes, "PART_BYTES", 1)
    x, y = X[:1000].copy(), PROBABILITIES[:1000].copy()
    {"X": x, "Y": y}[which][row, 2] = np.nan
    net = make()
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=f"{which} must be finite, got nan in row {row}, column 2"):
        net.fit(mapped(x), mapped(y), shuffle=shuffle)
    np.testing.assert_array_equal(net.parameters, before)


def test_the_file_is_never_written(tmp_path):
    path = tmp_path / "numbers.npy"
    np.save(path, X[:1000])
    before = path.read_bytes()
    writable = np.load(path, mmap_mode="r+")
    net = cbp.Network(SMALL, dtype="float64")
    net.fit(writable, LABELS[:1000], epochs=2)
    net.predict(writable)
    net.gradient(writable, LABELS[:1000], inputs=True)
    writable.flush()
    assert path.read_bytes() == before
