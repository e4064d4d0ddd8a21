# Softmax of rows: a_j = e^(z_j) / sum_k e^(z_k).
#
# Needs: layouts, math.
# Gives: divide_rows_by_sums, exp_of_rows, largest_of_rows, softmax_rows.
#
# It goes step by step for all rows: one by one, each waits for its own long chain (54 ns for 10 columns, not 16). In
# all steps z is (n_rows, ld), ld whole vectors, of which n columns are used; arrays with one entry for each row may be
# written to whole vectors.

cdef void largest_of_rows(real* tops, const real* z, Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n) noexcept nogil:
    """tops_i = max_j z_ij"""
    cdef Py_ssize_t last = padded(n) - LANES, i, j
    cdef vec top
    for i in range(n_rows):
        top = first_lanes(load(z + i * ld + last), n - last, -INFINITY)
        for j from 0 <= j < last by LANES:
            top = at_least(top, load(z + i * ld + j))
        tops[i] = largest_lane(top)


cdef inline vec exp_of_difference(vec z, vec top) noexcept nogil:
    """e^(z - top) for z <= top. What rounding takes from the difference would show in the result, the more the larger
    the difference is; so it is put back."""
    cdef vec s = z - top
    cdef vec back = s + top
    cdef vec rest = (z - back) + ((back - s) - top)     # as `rounding_error`, 4 % of a small step faster
    cdef wordvec n
    cdef vec r = split_for_lifted_exp(s, &n)
    # Far below the result is 0, and s may have overflowed.
    return unlift(lifted_exp_of(r + where_less(broadcast(LEAST_EXPONENT), s, rest), n))


cdef void exp_of_rows(real* z, const real* tops, Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n) noexcept nogil:
    """z_ij becomes e^(z_ij - tops_i), the padding of z 0."""
    cdef Py_ssize_t last = padded(n) - LANES, i, j
    cdef real* z_i
    cdef vec top, e
    for i in range(n_rows):
        z_i = z + i * ld
        top = broadcast(tops[i])
        for j from 0 <= j < last by LANES:
            store(z_i + j, exp_of_difference(load(z_i + j), top))
        # By way of e^0: e^-inf is a product that rounds to 0; it took 5 % of a step of 10-32-32-10 with a batch of 128.
        e = exp_of_difference(first_lanes(load(z_i + last), n - last, tops[i]), top)
        store(z_i + last, first_lanes(e, n - last, 0))
        for j from last + LANES <= j < ld by LANES:
            store(z_i + j, broadcast(0))


cdef void divide_rows_by_sums(
    real* e,                            # e^(z - top), which become the activations, their padding zeros
    real* inverses,                     # (n_rows,) 1 / sum_k e_k
    real* others,                       # (n_rows,) sum_k e_k - 1, to all digits; may be `inverses`
    Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n,
) noexcept nogil:
    """a_ij = e_ij / sum_k e_ik"""
    cdef Py_ssize_t end = padded(n), i, j
    cdef vec e_j, below, ones, rest, unit = broadcast(1)
    cdef real* e_i
    for i in range(n_rows):
        ones = rest = broadcast(0)
        for j from 0 <= j < end by LANES:
            e_j = load(e + i * ld + j)
            below = where_less(e_j, unit, e_j)
            rest = rest + below
            ones = ones + (e_j - below)     # 1 in lanes that hold the largest, else 0
        others[i] = sum_of_lanes(rest) + (sum_of_lanes(ones) - 1)
    for i from 0 <= i < n_rows by LANES:
        store(inverses + i, unit / (unit + load(others + i)))
    for i in range(n_rows):
        e_i = e + i * ld
        for j from 0 <= j < end by LANES:
            store(e_i + j, load(e_i + j) * broadcast(inverses[i]))


cdef void softmax_rows(
    real* z, real* workspace,           # (n_rows,)
    Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n,
) noexcept nogil:
    """a = g(z), in place."""
    largest_of_rows(workspace, z, ld, n_rows, n)
    exp_of_rows(z, workspace, ld, n_rows, n)
    divide_rows_by_sums(z, workspace, workspace, ld, n_rows, n)
