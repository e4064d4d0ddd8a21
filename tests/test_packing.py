"""How matrices are laid out for the kernels, each move by itself, against NumPy: not a bit may change."""

import itertools

import numpy as np
import pytest

from cbp import _probes

MARK = 77.0  # where nothing may be written
HEIGHTS = [1, 2, 5, 6, 7, 15, 16, 17, 33, 40]  # around what is copied at a time


def move(kernel, name, to, source, n_rows, n_columns, start, stop, ld=0):
    """Ask for one of MOVES."""
    sizes = {"n_rows": n_rows, "n_columns": n_columns, "start": start, "stop": stop, "ld": ld}
    return _probes.rearrange(
        kernel.table,
        kernel.itemsize,
        _probes.MOVES[name],
        to,
        source,
        **{k: int(v) for k, v in sizes.items()},
    )


def cases(kernel, seed):
    """Matrices of every width, with some of their rows: W, the first row, and the one after the last."""
    rng = np.random.default_rng(seed)
    for n, n_rows in zip(kernel.widths, itertools.cycle(HEIGHTS), strict=False):
        W = rng.normal(size=(n_rows, n)).astype(kernel.dtype)
        for start, stop in [(0, n_rows), np.sort(rng.choice(n_rows + 1, 2, replace=False))]:
            yield W, int(start), int(stop)


def at_rest(kernel, W):
    """The rows of W one after another, and what may be read past them."""
    return kernel.array([*W.ravel(), *[MARK] * 2 * kernel.panel])


def assert_same_bits(found, expected):
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


def test_rows_are_packed_with_zeros_in_the_padding(kernel):
    for W, start, stop in cases(kernel, 1):
        n_rows, n = W.shape
        expected = kernel.panels_of(W[start:stop], n_rows, start, rest=MARK)
        packed = np.full_like(expected, MARK)
        move(kernel, "pack_rows", packed, at_rest(kernel, W), n_rows, n, start, stop)
        assert_same_bits(packed, expected)


def test_rows_are_unpacked(kernel):
    for W, start, stop in cases(kernel, 2):
        n_rows, n = W.shape
        flat = np.full(n_rows * n + 1, MARK, kernel.dtype)
        move(kernel, "unpack_rows", flat, kernel.panels_of(W, n_rows), n_rows, n, start, stop)
        expected = np.full_like(flat, MARK)
        expected[start * n : stop * n] = W[start:stop].ravel()
        assert_same_bits(flat, expected)


def test_one_other_bit_is_seen_and_only_in_the_rows_that_are_compared(kernel):
    bits = np.uint32 if kernel.itemsize == 4 else np.uint64
    rng = np.random.default_rng(3)
    for W, start, stop in cases(kernel, 3):
        n_rows, n = W.shape
        W.flat[rng.integers(W.size)] = np.nan  # equal bits are equal, whatever numbers they are
        packed, flat = kernel.panels_of(W, n_rows), at_rest(kernel, W)

        def differ(flat=flat, packed=packed, sizes=(n_rows, n, start, stop)):
            return move(kernel, "compare_rows", packed, flat, *sizes)

        assert not differ()
        for at in {0, start * n, stop * n - 1, n_rows * n - 1, *rng.integers(n_rows * n, size=5)}:
            flat.view(bits)[at] ^= bits(1) << bits(rng.integers(8 * kernel.itemsize))
            assert differ() == (start * n <= at < stop * n)
            flat[at] = W.flat[at]


def test_transposed_weights(kernel):
    rng = np.random.default_rng(4)
    for n_in, n_out in zip(kernel.widths, rng.permutation(kernel.widths), strict=True):
        W = rng.normal(size=(n_in + 1, n_out)).astype(kernel.dtype)  # the last row is b
        packed = kernel.panels_of(W, n_in + 1)
        for start, stop in [(0, n_in), np.sort(rng.choice(n_in + 1, 2, replace=False))]:
            expected = kernel.panels_of(np.full((n_out, n_in), MARK), n_out)
            found = expected.copy()
            move(kernel, "transpose", found, packed, n_in + 1, n_out, start, stop)
            W_T = np.full((n_out, n_in), MARK, kernel.dtype)
            W_T[:, start:stop] = W[start:stop].T
            assert_same_bits(found, kernel.panels_of(W_T, n_out))


@pytest.mark.parametrize("gap", [0, 1])
def test_rows_into_panels_and_strips(kernel, gap):
    """A tile's rows become those from `start` on of a block's, strips with 1 as the column after the last."""
    for W, start, stop in cases(kernel, 5):
        n_rows, n = stop - start, W.shape[1]
        ld = kernel.padded(n) + gap * kernel.lanes
        rows = np.zeros((n_rows, ld), kernel.dtype)
        rows[:, :n] = W[start:stop]
        capacity = len(W) + gap
        expected = kernel.panels_of(rows[:, :n], capacity, start, rest=MARK)
        found = np.full_like(expected, MARK)
        move(kernel, "pack_panels", found, rows, capacity, n, start, stop, ld)
        assert_same_bits(found, expected)
        with_one = np.hstack([rows[:, :n], np.ones((n_rows, 1), kernel.dtype)])
        expected = kernel.strips_of(with_one, capacity, start, rest=MARK)
        found = np.full_like(expected, MARK)
        move(kernel, "pack_strips", found, rows, capacity, n, start, stop, ld)
        assert_same_bits(found, expected)
