# The first layer by columns of its W.
#
# Needs: layouts, products, one_row, partition, memory, data, finish.
# Gives: batch_rows, finish_columns, forward_columns, gather_share.
#
# Each thread computes its columns forward and updates them, so that it reads the part of W that it has written itself,
# and that is still in its cache.

cdef inline bint are_gathered(const Pass* run, const Data* data) noexcept nogil:
    """Whether a minibatch's inputs are copied: where they are in another order, and where their rows are a multiple of
    1 kB, which makes columns slow (see `row_length`)."""
    return data.order != NULL and not data.X_gathered or run.plan.layers[0].n_in * sizeof(real) % 1024 == 0


cdef inline Py_ssize_t examples_at(const Pass* run, const Data* data, Py_ssize_t first) noexcept nogil:
    """Examples of the minibatch that starts with `first`; 0 where it is not bound."""
    cdef Py_ssize_t n_rows = max(0, min(run.batch, data.m - first))
    return n_rows if first + n_rows <= data.available else 0


cdef inline Rows batch_rows(
    const Pass* run, const Data* data, Py_ssize_t first, Py_ssize_t batch_number,
) noexcept nogil:
    """The inputs of the minibatch that starts with `first`. Gathered ones take turns in two places."""
    cdef Py_ssize_t n_in = run.plan.layers[0].n_in, x_size = run.plan.x_size
    if are_gathered(run, data):
        return rows_of(run.x + batch_number % 2 * run.round * x_size, x_size)
    return rows_of(example_of(data, first, n_in), n_in)


cdef void gather_share(
    const Pass* run, const Data* data, Py_ssize_t first, Py_ssize_t batch_number, int me, int team,
) noexcept nogil:
    """Copy this thread's share of a minibatch's inputs, if they need copies (see `are_gathered`)."""
    cdef Py_ssize_t n_rows = examples_at(run, data, first), n_in = run.plan.layers[0].n_in, i
    cdef Rows x = batch_rows(run, data, first, batch_number)
    if are_gathered(run, data):
        for i in range(n_rows * me // team, n_rows * (me + 1) // team):
            memcpy(<real*> x.at + i * x.row, example_of(data, first + i, n_in), n_in * sizeof(real))


cdef void forward_columns(
    const Pass* run, const Data* data, Py_ssize_t first, Py_ssize_t batch_number, int me, int team,
) noexcept nogil:
    """This thread's columns of z(2) of the minibatch that starts with `first`, if it is bound."""
    cdef const Layer* layer = &run.plan.layers[0]
    cdef Part part = columns_of(run, me, team)
    cdef Panels weights = packed_panels(run.W + layer.packed, layer.n_in + 1)
    # z(2) = a(1) W(1) + b(1)
    multiply(row_panels(run.z + part.left, layer.ld_out), batch_rows(run, data, first, batch_number),
             from_column(weights, part.left), 0, examples_at(run, data, first), part.right - part.left, layer.n_in,
             BIAS)


cdef void accumulate_columns(Panels Delta, const Pass* run, Part part, Rows x, Py_ssize_t n_rows) noexcept nogil:
    """Do as `accumulate_Delta`, but for columns of W(1) and b(1), and from x itself instead of a copy in strips: one
    thread has too few columns for the copy to pay off. The order of the sums is the same, and so are the bits."""
    cdef Panels delta = from_column(delta_in(run, part.layer), part.left)
    cdef Py_ssize_t n_in = part.layer.n_in, n = part.right - part.left
    multiply(Delta, transposed(x), delta, part.start, min(part.stop, n_in), n, n_rows, ZERO)
    if part.stop > n_in:
        sum_rows(Delta, n_in - part.start, delta, n_rows, n, ZERO)


cdef void finish_columns(
    const Pass* run, Rows x, Py_ssize_t n_rows, const Step* step, int me, int team,
) noexcept nogil:
    """Delta of this thread's columns of the first W, and the update."""
    cdef Part mine = columns_of(run, me, team), piece = mine
    cdef Panels Delta
    piece.stop = mine.start
    while next_piece(run, &mine, &piece):
        Delta = Delta_of_part(run, piece, me)
        accumulate_columns(Delta, run, piece, x, n_rows)
        finish_part(run, piece, Delta, 0, step)
