"""The promise: sums over very many examples keep their digits, as pairwise summation would."""

import numpy as np
import pytest

import cbp

# By rows of W, in rounds of several lengths, and by partial sums; see kernels/partition.pxi.
BY_ROWS = [200, 100, 1]
BY_PARTIALS = [5, 4, 1]


def constant(sizes, dtype):
    """A network whose outputs are all 0.1, whatever the inputs are; hidden units are at 1/2."""
    net = cbp.Network(sizes, output="identity", dtype=dtype)
    net.parameters[:] = 0
    net.biases[-1][:] = 0.1
    return net


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("sizes", "m"),
    [(BY_ROWS, m) for m in (250, 257, 3840, 3841, 100_003)]
    + [(BY_PARTIALS, m) for m in (127, 128, 5000, 294_912, 300_001, 1_000_003)]
    + [([2000, 500, 1], 1000)],
)
def test_equal_errors(sizes, m, dtype):
    # One chain of a million single-precision additions of 0.1 comes to 100,958.
    D = constant(sizes, dtype).gradient(np.ones((m, sizes[0]), dtype), np.zeros(m))
    delta = np.array([0.1], dtype)
    bound = 50 * np.finfo(dtype).eps / 2  # 3e-6 in float32
    np.testing.assert_allclose(D.biases[-1], delta, rtol=bound)
    np.testing.assert_allclose(D.weights[-1], np.full_like(D.weights[-1], 0.5) * delta, rtol=bound)
    assert D.loss == pytest.approx(0.5 * float(delta[0]) ** 2, rel=1e-13)


@pytest.mark.parametrize(("sizes", "m"), [(BY_ROWS, 50_000), (BY_PARTIALS, 400_000), ([90, 150, 3], 60_000)])
@pytest.mark.parametrize("weighted", [False, True])
def test_random_data(sizes, m, weighted):
    """Single precision against double."""
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(m, sizes[0])).astype("f4"), rng.normal(size=(m, sizes[-1])).astype("f4")
    weight = rng.uniform(size=m).astype("f4") if weighted else None
    single = cbp.Network(sizes, output="identity", rng=0)
    double = cbp.Network(sizes, output="identity", rng=0, dtype="float64")
    double.parameters = single.parameters
    found, right = single.gradient(X, Y, weight), double.gradient(X, Y, weight)
    for D, exact in zip(found.weights + found.biases, right.weights + right.biases, strict=True):
        assert np.linalg.norm(D - exact) <= 1e-6 * np.linalg.norm(exact)
    assert found.loss == pytest.approx(right.loss, rel=1e-7)


@pytest.mark.parametrize(
    ("sizes", "lengths"), [(BY_ROWS, (2500, 40_000)), (BY_PARTIALS, (20_000, 1_000_000))]
)
def test_errors_grow_no_faster_than_those_of_pairwise_sums(sizes, lengths):
    rng = np.random.default_rng(2)
    worst = []
    for m in lengths:
        Y = rng.uniform(0.5, 1.5, size=m).astype("f4")
        exact = (np.float32(0.1) - Y.astype(float)).mean()
        D = constant(sizes, "float32").gradient(np.ones((m, sizes[0]), "f4"), Y)
        worst.append(max(abs(D.biases[-1][0] / exact - 1), abs(D.weights[-1] / (0.5 * exact) - 1).max()))
    # Pairwise sums of 16 or 50 times as many numbers have up to 4 or 6 roundings more, of half a unit each.
    assert max(worst) < 6 * np.finfo("f4").eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [BY_ROWS, BY_PARTIALS, [30, 40, 500, 2]])
def test_the_same_bits_wherever_rounds_end(sizes, dtype, tmp_path):
    """An array that is converted by parts goes in shorter rounds."""
    m = 9000
    rng = np.random.default_rng(3)
    np.save(tmp_path / "X.npy", rng.normal(size=(m, sizes[0])).astype(np.dtype(dtype).newbyteorder()))
    X, Y = np.load(tmp_path / "X.npy", mmap_mode="r"), rng.normal(size=(m, sizes[-1]))
    net = cbp.Network(sizes, output="identity", dtype=dtype, rng=0)
    found = [net.gradient(X, Y).parameters]
    with pytest.MonkeyPatch.context() as patch:
        for rows in (256, 700, 5000):
            if sizes != BY_PARTIALS:
                patch.setattr("cbp.training.passes.PART_BYTES", rows * sizes[0] * np.dtype(dtype).itemsize)
            found.append(net.gradient(X, Y).parameters)
    for n in (1, 2, 3, 8):
        net.n_threads = n
        found.append(net.gradient(np.array(X), Y).parameters)
    assert len({D.tobytes() for D in found}) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("sizes", "m"), [(BY_ROWS, 9300), ([6, 3], 300_000)])
def test_training_on_long_batches(sizes, m, dtype):
    """A batch of several segments steps as its gradient says, epoch after epoch."""
    rng = np.random.default_rng(4)
    X, Y = rng.normal(size=(m, sizes[0])).astype(dtype), rng.normal(size=(m, sizes[-1])).astype(dtype)
    net = cbp.Network(sizes, output="identity", dtype=dtype, rng=0, l2=0.3)
    by_hand = cbp.Network(sizes, output="identity", dtype=dtype, rng=0, l2=0.3)
    net.fit(X, Y, epochs=3, batch_size=None, shuffle=False, optimizer=cbp.SGD(0.1))
    for _ in range(3):
        by_hand.parameters -= np.dtype(dtype).type(0.1) * by_hand.gradient(X, Y).parameters
    np.testing.assert_allclose(net.parameters, by_hand.parameters, rtol=0, atol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("m", [1, 5, 40])
def test_equal_products_over_many_inputs(m):
    # One chain of 200,000 single-precision additions of 0.1 comes to 19,959.5.
    net = cbp.Network([200_000, 1], output="identity")
    net.weights[0][:], net.biases[0][:] = 1, 0
    expected = 200_000 * float(np.float32(0.1))
    np.testing.assert_allclose(net.predict(np.full((m, 200_000), 0.1, np.float32)), expected, rtol=2e-5)


@pytest.mark.parametrize("m", [1, 5, 40])
def test_random_products_over_many_inputs(m):
    rng = np.random.default_rng(3)
    net = cbp.Network([100_000, 3], output="identity", rng=0)
    net.weights[0][:], net.biases[0][:] = rng.uniform(size=(100_000, 3)), 0
    X = rng.uniform(size=(m, 100_000)).astype(np.float32)
    expected = X.astype(np.float64) @ net.weights[0].astype(np.float64)
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-6)
