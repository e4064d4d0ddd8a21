"""Each way to multiply, by itself, against NumPy: random matrices of awkward sizes in every layout."""

import itertools

import numpy as np
import pytest

from cbp import _probes

MARK = 77.0  # where nothing may be written
HEIGHTS = [1, 2, 3, 5, 6, 7, 8, 9, 10, 12, 13, 17, 19]
CHAIN = 160  # of kernels/layouts.pxi
LENGTHS = [1, 2, 3, 7, 16, 33, CHAIN + 2, 2 * CHAIN + 5]


def layout(name):
    return _probes.LAYOUTS[name]


def random(kernel, rng, *shape):
    """Numbers that the precision holds."""
    return rng.normal(size=shape).astype(kernel.dtype)


def rows(kernel, M, rest=0.0):
    """M row by row, with `rest` past its columns: the array, and its row length."""
    ld = kernel.padded(M.shape[1]) + kernel.lanes
    laid = np.full((len(M), ld), rest, kernel.dtype)
    laid[:, : M.shape[1]] = M
    return laid, ld


def left(kernel, M, name):
    """The left operand in a layout."""
    if name == "strips":
        capacity = M.shape[1] + 2
        return kernel.strips_of(M.T, capacity, rest=MARK), layout(name), capacity
    laid, ld = rows(kernel, M if name == "rows" else M.T, MARK)
    return laid, layout(name), ld


def right(kernel, M, name):
    """The right operand in a layout, with zeros past its columns."""
    if name == "panels":
        return kernel.panels_of(M, len(M), rest=MARK), layout(name), len(M)
    laid, ld = rows(kernel, M)
    return laid, layout(name), ld


def empty(kernel, before, name, start):
    """A result in a layout, which holds what was there before; in panels from row `start` on alone."""
    if name == "panels":
        laid = kernel.panels_of(before[start:], len(before) - start + 1, rest=MARK)
        return laid, layout(name), len(before) - start + 1
    laid, ld = rows(kernel, np.vstack([before, np.full((1, before.shape[1]), MARK)]), MARK)
    return laid, layout(name), ld


def read(kernel, C, n, n_rows):
    """All of such a result, its padding included: (n_rows + 1, …)."""
    laid, code, extent = C
    return laid if code == layout("rows") else kernel.from_panels(laid, extent, n)


def assert_product(kernel, found, A, B, initial):
    """Each element within what a chain of so many roundings may lose."""
    A, B, initial = (np.asarray(M, np.longdouble) for M in (A, B, initial))
    bound = (A.shape[1] + 2) * kernel.eps / 2 * (abs(A) @ abs(B) + abs(initial))
    np.testing.assert_array_less(abs(found - (initial + A @ B)), bound + np.finfo(kernel.dtype).tiny)


@pytest.mark.parametrize("initial", _probes.INITIALS)
@pytest.mark.parametrize("C_layout", ["rows", "panels"])
@pytest.mark.parametrize("B_layout", ["rows", "panels"])
@pytest.mark.parametrize("A_layout", ["rows", "columns", "strips"])
def test_tiles(kernel, A_layout, B_layout, C_layout, initial):
    rng = np.random.default_rng(1)
    for n in kernel.widths:
        M, n_k = rng.choice(HEIGHTS), rng.choice(LENGTHS)
        start = kernel.strip * rng.integers(0, -(-M // kernel.strip))
        stop = rng.integers(start + 1, M + 1)
        A, B = random(kernel, rng, M, n_k), random(kernel, rng, n_k, n)
        bias, before = random(kernel, rng, 1, n), random(kernel, rng, M, n)
        C = empty(kernel, before, C_layout, start if C_layout == "panels" else 0)
        C_first = start if C_layout == "panels" else 0
        untouched = read(kernel, C, n, M).copy()
        _probes.multiply(
            kernel.table,
            kernel.itemsize,
            _probes.WAYS["tiles"],
            _probes.INITIALS[initial],
            C,
            left(kernel, A, A_layout),
            right(kernel, np.vstack([B, bias]) if initial == "bias" else B, B_layout),
            start=start,
            stop=stop,
            n=n,
            n_k=n_k,
            C_first=C_first,
        )
        found, part = read(kernel, C, n, M), slice(start - C_first, stop - C_first)
        begin = {"zero": 0 * before, "bias": np.repeat(bias, M, axis=0), "add": before}[initial][start:stop]
        assert_product(kernel, found[part, :n], A[start:stop], B, begin)
        # Whole vectors are written, and nothing else.
        found[part, : kernel.padded(n)] = untouched[part, : kernel.padded(n)]
        np.testing.assert_array_equal(found, untouched)


def test_columns_of_panels(kernel):
    """From a panel on, the right operand alone: as a thread that takes columns does."""
    rng = np.random.default_rng(2)
    for n, panel, n_k in itertools.product(kernel.widths, (1, 2), (5, 33)):
        at = panel * kernel.panel
        A, B = random(kernel, rng, 7, n_k), random(kernel, rng, n_k + 1, at + n)
        C = empty(kernel, np.zeros((7, n)), "rows", 0)
        codes = _probes.WAYS["tiles"], _probes.INITIALS["bias"]
        operands = C, left(kernel, A, "rows"), right(kernel, B, "panels")
        _probes.multiply(kernel.table, kernel.itemsize, *codes, *operands, stop=7, left=at, n=n, n_k=n_k)
        found = read(kernel, C, n, 7)
        assert_product(kernel, found[:7, :n], A, B[:n_k, at:], np.repeat(B[n_k:, at:], 7, axis=0))


def in_order(kernel, A, B, fused):
    """Chains of multiply-adds over k in single precision, by double where a step is rounded once."""
    C = np.zeros((len(A), B.shape[1]), np.float32)
    for k in range(A.shape[1]):
        a, b = A[:, k, None], B[k]
        C = (np.multiply(a, b, dtype=np.float64) + C).astype(np.float32) if fused else C + a * b
    return C


def test_chains_go_through_k_in_order_and_are_added_in_order(kernel):
    rng = np.random.default_rng(3)
    lengths = itertools.cycle([33, CHAIN, CHAIN + 1, 2 * CHAIN, 2 * CHAIN + 7])
    for n, M, n_k in zip(kernel.widths, itertools.cycle(HEIGHTS), lengths, strict=False):
        A, B = random(kernel, rng, M, n_k), random(kernel, rng, n_k, n)

        def product(A, B, M=M, n=n):
            C = empty(kernel, np.zeros((M, n)), "rows", 0)
            codes = _probes.WAYS["tiles"], _probes.INITIALS["zero"]
            operands = C, left(kernel, A, "strips"), right(kernel, B, "panels")
            sizes = {"stop": M, "n": n, "n_k": len(B)}
            _probes.multiply(kernel.table, kernel.itemsize, *codes, *operands, **sizes)
            return read(kernel, C, n, M)[:M, :n]

        parts = [product(A[:, k : k + CHAIN], B[k : k + CHAIN]) for k in range(0, n_k, CHAIN)]
        if kernel.dtype == "float32":
            chains = [in_order(kernel, A[:, :CHAIN], B[:CHAIN], fused) for fused in (True, False)]
            assert any(np.array_equal(parts[0], chain) for chain in chains)
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        np.testing.assert_array_equal(product(A, B), total)


@pytest.mark.parametrize(
    ("way", "B_layout", "initial"),
    [("one_row", *case) for case in itertools.product(["rows", "panels"], ["zero", "bias"])]
    + [("one_row_at_rest", "rows", "bias")],
)
def test_one_row_alone_has_the_bits_of_tiles(kernel, way, B_layout, initial):
    rng = np.random.default_rng(4)
    # At rest, tiles are up to 8 vectors wide.
    wide = [v * kernel.lanes + more for v in (7, 8, 9, 15, 21) for more in (-1, 0, 1)]
    for n, n_k in zip([*kernel.widths, *(n for n in wide if n)], itertools.cycle(LENGTHS), strict=False):
        A, B, bias = (random(kernel, rng, *shape) for shape in ((1, n_k), (n_k, n), (1, n)))
        found = []
        for name in (way, "tiles"):
            C = empty(kernel, np.zeros((1, n)), "rows", 0)
            _probes.multiply(
                kernel.table,
                kernel.itemsize,
                _probes.WAYS[name],
                _probes.INITIALS[initial],
                C,
                left(kernel, A, "rows"),
                right(kernel, np.vstack([B, bias]), B_layout)
                if initial == "bias"
                else right(kernel, B, B_layout),
                stop=1,
                n=n,
                n_k=n_k,
            )
            result = read(kernel, C, n, 1)
            assert (result[0, kernel.padded(n) :] == MARK).all()
            assert (result[1] == MARK).all()
            found.append(result[:1, :n])
        assert_product(kernel, found[0], A, B, bias if initial == "bias" else 0 * bias)
        np.testing.assert_array_equal(*found)


def test_outer_product(kernel):
    rng = np.random.default_rng(5)
    for n, n_in in zip(kernel.widths, itertools.cycle([1, 2, 5, 6, 7, 40]), strict=False):
        a, delta = random(kernel, rng, n_in), random(kernel, rng, 1, n)
        a[rng.integers(n_in)] = 0
        delta[0, rng.integers(n)] = -0.0
        C = empty(kernel, np.zeros((n_in + 1, n)), "panels", 0)
        _probes.multiply(
            kernel.table,
            kernel.itemsize,
            _probes.WAYS["outer"],
            _probes.INITIALS["zero"],
            C,
            (a, layout("rows"), n_in),
            right(kernel, delta, "rows"),
            stop=n_in,
            n=n,
        )
        found = read(kernel, C, n, n_in + 1)
        # A product of two numbers is rounded once, and 0 + -0 is 0.
        expected = kernel.array(0 + np.outer([*a, 1], delta))
        np.testing.assert_array_equal(found[: n_in + 1, :n], expected)
        assert not np.signbit(found[: n_in + 1, :n][expected == 0]).any()
        assert (found[n_in + 1] == MARK).all()


@pytest.mark.parametrize("layout_of_rows", ["rows", "panels"])
@pytest.mark.parametrize("initial", ["zero", "add"])
def test_sum_of_rows(kernel, initial, layout_of_rows):
    rng = np.random.default_rng(6)
    for n in kernel.widths:
        n_rows, row = rng.choice([1, 2, 30, CHAIN, CHAIN + 1, 2 * CHAIN + 7]), rng.integers(0, 4)
        M, before = random(kernel, rng, n_rows, n), random(kernel, rng, 4, n)
        C = empty(kernel, before, "panels", 0)
        untouched = read(kernel, C, n, 4).copy()
        _probes.multiply(
            kernel.table,
            kernel.itemsize,
            _probes.WAYS["sum_of_rows"],
            _probes.INITIALS[initial],
            C,
            (np.ones(1, kernel.dtype), layout("rows"), 1),
            right(kernel, M, layout_of_rows),
            start=row,
            n=n,
            n_k=n_rows,
        )
        total = before[row] if initial == "add" else np.zeros(n, kernel.dtype)
        for k in range(0, n_rows, CHAIN):
            part = np.zeros(n, kernel.dtype)
            for i in range(k, min(k + CHAIN, n_rows)):
                part = part + M[i]
            total = total + part
        found = read(kernel, C, n, 4)
        # Additions in one order: not a bit differs.
        np.testing.assert_array_equal(found[row, :n], total)
        found[row, : kernel.padded(n)] = untouched[row, : kernel.padded(n)]
        np.testing.assert_array_equal(found, untouched)
