# An example's row of X and Y, and its weight.
#
# Needs: layouts.
# Gives: example_of, gather, inputs_of, row_of, targets_of, weight_at, weight_of.

cdef inline Py_ssize_t row_of(const Data* data, Py_ssize_t example) noexcept nogil:
    return <Py_ssize_t> data.order[example] if data.order != NULL else example


cdef inline const real* example_of(const Data* data, Py_ssize_t example, Py_ssize_t n) noexcept nogil:
    """An example's row of X."""
    return <const real*> data.X + (example - data.offset if data.X_gathered else row_of(data, example)) * n


cdef inline const real* targets_of(const Data* data, Py_ssize_t example, Py_ssize_t n) noexcept nogil:
    """An example's row of Y."""
    return <const real*> data.Y + (example - data.offset if data.Y_gathered else row_of(data, example)) * n


cdef inline real weight_at(const Data* data, Py_ssize_t example) noexcept nogil:
    return (<const real*> data.sample_weight)[row_of(data, example)] if data.sample_weight != NULL else 1


cdef double weight_of(const Data* data, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """m of a minibatch: its examples, or the sum of their weights."""
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
) noexcept nogil:
    """The examples' rows of X: in place if they are in order, else copied to the tile."""
    cdef Py_ssize_t i
    if data.X_gathered or data.order == NULL:
        return rows_of(example_of(data, first, n), n)
    for i in range(n_rows):
        memcpy(to + i * ld, example_of(data, first + i, n), n * sizeof(real))
    return rows_of(to, ld)


cdef inline real* inputs_of(const Pass* run, const Data* data, Py_ssize_t first) noexcept nogil:
    """Where dJ/dX of an example goes; NULL where it is not wanted."""
    return <real*> data.inputs + first * run.plan.layers[0].n_in if run.inputs else NULL
