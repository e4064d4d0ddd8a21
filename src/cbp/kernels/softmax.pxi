# Softmax of rows: a_j = e^(z_j) / sum_k e^(z_k).
#
# Needs: layouts, math.
# Gives: divide_rows_by_sums, exp_of_rows, largest_of_rows, softmax_rows.
#
# Each step is done for all rows before the next step begins. A single row is a long chain of operations, each waiting
# for the one before. Measured for rows of 10 columns: 54 ns a row if each row goes through all steps alone, 16 ns a row
# if all rows go through each step together.
#
# In all steps z is (n_rows, ld), where ld is a multiple of LANES and n columns are used. Arrays with one entry for each
# row are written in whole vectors, so they must have room for n_rows rounded up to a multiple of LANES.

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
    """Return e^(z - top) for z <= top. The rounding error of the difference is computed and added back: otherwise it
    would be a relative error of the result, which grows with the difference."""
    cdef vec s = z - top
    cdef vec back = s + top
    cdef vec rest = (z - back) + ((back - s) - top)     # = rounding_error(z, -top, s); a small step is 4 % faster so
    cdef wordvec n
    cdef vec r = split_for_lifted_exp(s, &n)
    # Where s is below LEAST_EXPONENT the result is 0. There s may be -infinity and `rest` NaN, so `rest` is left out.
    return unlift(lifted_exp_of(r + where_less(broadcast(LEAST_EXPONENT), s, rest), n))


cdef void exp_of_rows(real* z, const real* tops, Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n) noexcept nogil:
    """Replace z_ij by e^(z_ij - tops_i), and the padding of z by 0."""
    cdef Py_ssize_t last = padded(n) - LANES, i, j
    cdef real* z_i
    cdef vec top, e
    for i in range(n_rows):
        z_i = z + i * ld
        top = broadcast(tops[i])
        for j from 0 <= j < last by LANES:
            store(z_i + j, exp_of_difference(load(z_i + j), top))
        # The padding is set to tops_i, so that e^0 is computed for it, and then to 0. e^-inf would give 0 at once, but
        # as a product that underflows, which took 5 % of a step of a 10-32-32-10 network with a batch of 128.
        e = exp_of_difference(first_lanes(load(z_i + last), n - last, tops[i]), top)
        store(z_i + last, first_lanes(e, n - last, 0))
        for j from last + LANES <= j < ld by LANES:
            store(z_i + j, broadcast(0))


cdef void divide_rows_by_sums(
    real* e,                            # e^(z - top), with zeros in the padding; becomes the activations
    real* inverses,                     # (n_rows,) 1 / sum_k e_k
    real* others,                       # (n_rows,) sum_k e_k - 1, the sum without its largest term; may be `inverses`
    Py_ssize_t ld, Py_ssize_t n_rows, Py_ssize_t n,
) noexcept nogil:
    """Replace e_ij by a_ij = e_ij / sum_k e_ik."""
    cdef Py_ssize_t end = padded(n), i, j
    cdef vec e_j, below, ones, rest, unit = broadcast(1)
    cdef real* e_i
    for i in range(n_rows):
        ones = rest = broadcast(0)
        for j from 0 <= j < end by LANES:
            e_j = load(e + i * ld + j)
            below = where_less(e_j, unit, e_j)
            rest = rest + below
            ones = ones + (e_j - below)     # e_j - below is 1 for the largest, else 0
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
    """Replace z by a = g(z)."""
    largest_of_rows(workspace, z, ld, n_rows, n)
    exp_of_rows(z, workspace, ld, n_rows, n)
    divide_rows_by_sums(z, workspace, workspace, ld, n_rows, n)
