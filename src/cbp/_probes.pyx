"""Calls of single kernels, for benchmarks and for tests that compare each with the same in NumPy. Training uses none.

A probe refuses codes that its kernel does not know, and arrays of another item size. `elementwise` and
`times_derivative` also check lengths. For the others the caller must make the arrays long enough, with the padding that
the kernels read and write.
"""
from libc.stdint cimport int64_t
from libc.string cimport memset

from cbp._core cimport Array, code_of, table_of
from cbp.kernels cimport table as t

FUNCTIONS = {
    "exp": t.EXPONENTIAL, "sigmoid": t.LOGISTIC, "tanh": t.HYPERBOLIC_TANGENT, "log1p_unit": t.LOG1P_UNIT,
}
PRODUCTS = {"forward": t.FORWARD, "accumulation": t.ACCUMULATION}
INITIALS = {"zero": t.ZERO, "bias": t.BIAS, "add": t.ADD}
LAYOUTS = {"rows": t.ROWS, "columns": t.COLUMNS, "strips": t.STRIPS, "panels": t.PANELS}
WAYS = {
    "tiles": t.TILES, "one_row": t.ONE_ROW, "one_row_at_rest": t.ONE_ROW_AT_REST, "outer": t.OUTER,
    "sum_of_rows": t.SUM_OF_ROWS,
}
MOVES = {
    "pack_rows": t.PACK_ROWS, "unpack_rows": t.UNPACK_ROWS, "compare_rows": t.COMPARE_ROWS, "transpose": t.TRANSPOSE,
    "pack_panels": t.PACK_PANELS, "pack_strips": t.PACK_STRIPS,
}


cdef int expect_known(bint known, str codes, object got) except -1:
    if not known:
        raise ValueError(f"expected {codes}, got {got}")
    return 0


cdef t.Operand operand(tuple of, Array array):
    """Return the kernels' struct for (array, layout, extent)."""
    cdef t.Operand found
    found.at, found.layout, found.extent = array.at, of[1], of[2]
    return found


def elementwise(object capsule, Py_ssize_t itemsize, int function, object out, object x, int64_t times=1):
    """Write one of FUNCTIONS of each x to `out`, as the kernels compute it. The whole is done `times` times."""
    cdef const t.Table* table = table_of(capsule)
    cdef Array a = Array(out, itemsize, True), b = Array(x, itemsize)
    cdef bint known
    a.expect(b.length)
    with nogil:
        known = table.probes.elementwise(function, a.at, b.at, b.length, times)
    expect_known(known, "a code of FUNCTIONS", function)


def product(object capsule, int kind, Py_ssize_t n, int64_t times):
    """Compute one of PRODUCTS of (n, n) matrices of ones, `times` times; return the smallest element, which is n."""
    cdef const t.Table* table = table_of(capsule)
    cdef double least
    with nogil:
        least = table.probes.product(kind, n, times)
    expect_known(least >= 0, "a code of PRODUCTS", kind)
    return least


def multiply(object capsule, Py_ssize_t itemsize, int way, int initial, tuple C, tuple A, tuple B, *,
             Py_ssize_t start=0, Py_ssize_t stop=0, Py_ssize_t n=0, Py_ssize_t n_k=0,
             Py_ssize_t C_first=0, Py_ssize_t left=0):
    """Compute C = initial + A B, with `way` one of WAYS and `initial` one of INITIALS. Each operand is a tuple (array,
    one of LAYOUTS, extent); `Multiplication` in kernels/table.pxd explains the rest."""
    cdef t.Multiplication of
    cdef Array c = Array(C[0], itemsize, True), a = Array(A[0], itemsize), b = Array(B[0], itemsize)
    of.way, of.initial = way, initial
    of.C, of.A, of.B = operand(C, c), operand(A, a), operand(B, b)
    of.start, of.stop, of.n, of.n_k = start, stop, n, n_k
    of.C_first, of.left = C_first, left
    expect_known(table_of(capsule).probes.multiply(&of), "codes of WAYS, INITIALS and LAYOUTS (for C, A, B)",
                 (way, initial, C[1], A[1], B[1]))


def rearrange(object capsule, Py_ssize_t itemsize, int move, object to, object source, *,
              Py_ssize_t n_rows, Py_ssize_t n_columns, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t ld=0):
    """Do one of MOVES (`Rearrangement` in kernels/table.pxd). Return whether rows differ, if the move compares rows."""
    cdef t.Rearrangement of
    cdef Array a = Array(to, itemsize, True), b = Array(source, itemsize)
    cdef bint differ = False
    of.move, of.to, of.source, of.ld = move, a.at, b.at, ld
    of.n_rows, of.n_columns, of.start, of.stop = n_rows, n_columns, start, stop
    expect_known(table_of(capsule).probes.rearrange(&of, &differ), "a code of MOVES", move)
    return differ


def activate(object capsule, Py_ssize_t itemsize, str g, object z, object workspace, Py_ssize_t ld, Py_ssize_t n_rows,
             Py_ssize_t n, *, double number=0):
    """Compute a = g(z) in place. z is (n_rows, ld), with n columns in use; the workspace has an item for each row."""
    cdef const t.Table* table = table_of(capsule)
    cdef Array at = Array(z, itemsize, True), room = Array(workspace, itemsize, True)
    table.probes.activate(code_of(table.activation_name, g, "g"), number, at.at, room.at, ld, n_rows, n)


def times_derivative(object capsule, Py_ssize_t itemsize, str g, object delta, object z, object a, *, double number=0):
    """Compute delta *= g'(z) in place. The kernel of g takes the derivative from z, or from a = g(z)."""
    cdef const t.Table* table = table_of(capsule)
    cdef Array to = Array(delta, itemsize, True), from_z = Array(z, itemsize), from_a = Array(a, itemsize)
    from_z.expect(to.length)
    from_a.expect(to.length)
    expect_known(table.probes.times_derivative(code_of(table.activation_name, g, "g"), number, to.at, from_z.at,
                                               from_a.at, to.length), "an activation of single numbers", g)


def step(object capsule, Py_ssize_t itemsize, str optimizer, object W, list moments, object Delta, dict rule, *,
         double learning_rate=0, double l2=0, int64_t updates=0, double m=1, bint are_weights=True, Py_ssize_t back=0,
         Py_ssize_t at=0):
    """Make an optimiser's step for each element of Delta. The rule has all `Hyperparameters`. Moments are written from
    item `at` on, and read from item `at + back` on."""
    cdef t.Update of
    cdef Array w = Array(W, itemsize, True), D = Array(Delta, itemsize)
    cdef list arrays = [Array(moment, itemsize, True) for moment in moments]
    cdef int i
    memset(&of, 0, sizeof(of))
    of.rule = {**rule, "optimizer": code_of(table_of(capsule).optimizer_name, optimizer, "optimizer")}
    of.learning_rate, of.l2, of.updates, of.m = learning_rate, l2, updates, m
    of.are_weights, of.back = are_weights, back
    of.W, of.Delta, of.n = w.at, D.at, D.length
    for i in range(min(len(arrays), t.MOST_MOMENTS)):
        of.moments[i] = <char*> (<Array> arrays[i]).at + at * itemsize
    expect_known(table_of(capsule).probes.step(&of), "the name of an optimizer", optimizer)
