# An example's row of X and Y, and its weight.
#
# Needs: layouts.
# Gives: example_of, gather, inputs_of, row_of, targets_of, weight_at, weight_of.
#
# Examples are numbered in the order of training, rows in the order of the arrays X and Y.

cdef inline Py_ssize_t row_of(const Data* data, Py_ssize_t example) noexcept nogil:
    return <Py_ssize_t> data.order[example] if data.order != NULL else example - data.base


cdef inline const real* example_of(const Data* data, Py_ssize_t example, Py_ssize_t n) noexcept nogil:
    """Return the address of an example's row of X."""
    return <const real*> data.X + (example - data.offset if data.X_gathered else row_of(data, example)) * n


cdef inline const real* targets_of(const Data* data, Py_ssize_t example, Py_ssize_t n) noexcept nogil:
    """Return the address of an example's row of Y."""
    return <const real*> data.Y + (example - data.offset if data.Y_gathered else row_of(data, example)) * n


cdef inline real weight_at(const Data* data, Py_ssize_t example) noexcept nogil:
    return (<const real*> data.sample_weight)[row_of(data, example)] if data.sample_weight != NULL else 1


cdef double weight_of(const Data* data, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """Return m, by which a minibatch's gradient is divided: its number of examples, or the sum of their weights."""
    cdef double total = 0
    cdef Py_ssize_t i
    if data.sample_weight == NULL:
        return <double> n
    for i in range(first, first + n):
        total += (<const real*> data.sample_weight)[row_of(data, i)]
    return total


cdef inline Rows gather(
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t n,
    real* to, Py_ssize_t ld,            # (n_rows, ld)
    bint copy, bint copied,
) noexcept nogil:
    """Return the inputs of n_rows examples: where they are in X, if they are in order there, else copied to `to`;
    with `copy`, always copied. `copied`: the copies are there already."""
    cdef Py_ssize_t i
    if not copy and (data.X_gathered or data.order == NULL):
        return rows_of(example_of(data, first, n), n)
    for i in range(0 if copied else n_rows):
        memcpy(to + i * ld, example_of(data, first + i, n), n * sizeof(real))
    return rows_of(to, ld)


cdef inline real* inputs_of(const Pass* run, const Data* data, Py_ssize_t first) noexcept nogil:
    """Return the address to which dJ/dX of an example is to be written, or NULL if it is not wanted."""
    return <real*> data.inputs + first * run.plan.layers[0].n_in if run.inputs else NULL
