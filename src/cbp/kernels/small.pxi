# Training of small networks by one thread: a minibatch is a single tile and goes through in one go, without strips,
# panels and rounds. Every sum is the same chain as in the rounds, and so has the same bits.

cdef void work_small(
    const Pass* run, const Data* data, const Rule* rule, Cursor* cursor, double budget,
) noexcept nogil:
    """Minibatches until the data or the budget is used up."""
    cdef Tile tile = tile_of(run, 0)
    cdef Rows x
    cdef Step step
    cdef Py_ssize_t n_rows
    cursor.starved = False
    while cursor.first < data.m and budget > 0:
        n_rows = min(run.batch, data.m - cursor.first)
        if cursor.first + n_rows > data.available:
            cursor.starved = True
            return
        cursor.m = weight_of(data, cursor.first, n_rows)
        x = forward_examples(run, data, &tile, cursor.first, n_rows, run.losses, &cursor.fault)
        if cursor.fault.kind != NONE or not sum_losses(run, n_rows, cursor):
            return
        if cursor.m != 0:
            step = step_constants(rule, cursor.updates, cursor.m)
            learn_tile(run, &step, &tile, x, n_rows)
        budget -= run.work * n_rows + STEP_WORK
        complete_batch(run, rule, n_rows, cursor)
        if cursor.fault.kind != NONE:
            return


cdef void learn_tile(const Pass* run, const Step* step, const Tile* tile, Rows x, Py_ssize_t n_rows) noexcept nogil:
    """delta(l), Delta(l) and the update, layer after layer from the last."""
    cdef const Plan* plan = run.plan
    cdef const Layer* layer = &plan.layers[plan.n_layers - 1]
    cdef Panels delta = row_panels(tile.a + TILE * layer.a_tile, layer.ld_out), below = delta
    cdef Panels Delta
    cdef Rows a
    cdef Py_ssize_t l
    for l in range(plan.n_layers - 1, -1, -1):
        layer = &plan.layers[l]
        a = rows_of(tile.a + TILE * plan.layers[l - 1].a_tile, layer.ld_in) if l > 0 else x
        if l > 0:                       # while W is still what delta(l+1) came from
            below = recur(run, layer, delta, a.at, n_rows, <real*> tile.delta[l % 2])
        # Delta(l) = a(l)^T delta(l+1), and below it the sum of delta(l+1)
        Delta = Delta_of(run, layer, 0)
        if n_rows == 1:
            outer_product(Delta, a.at, delta.at, layer.n_in, layer.n_out)
        else:
            multiply(Delta, transposed(a), delta, 0, layer.n_in, layer.n_out, n_rows, ZERO)
            sum_rows(Delta, layer.n_in, delta, n_rows, layer.n_out)
        finish_rows(run, layer, Delta, 0, layer.n_in + 1, 0, step)
        delta = below


cdef inline Rows transposed(Rows a) noexcept nogil:
    """Columns of a matrix as rows."""
    cdef Rows columns
    columns.at, columns.row, columns.col, columns.strip = a.at, a.col, a.row, STRIP * a.col
    return columns


cdef inline void sum_rows(
    Panels total, Py_ssize_t row,       # of (row + 1, n), packed
    Panels of, Py_ssize_t n_rows,       # (n_rows, n), row by row
    Py_ssize_t n,
) noexcept nogil:
    """A row of panels as the sum of others, in order."""
    cdef Py_ssize_t j = 0, i
    cdef const real* of_i
    cdef vec left, right
    while n - j > LANES:
        of_i, left, right = of.at + j, broadcast(0), broadcast(0)
        for i in range(n_rows):
            left = left + load(of_i)
            right = right + load(of_i + LANES)
            of_i += of.row
        store(total.at + row * 2 * LANES, left)
        store(total.at + row * 2 * LANES + LANES, right)
        total.at += total.panel
        j += 2 * LANES
    if j < n:
        left = broadcast(0)
        for i in range(n_rows):
            left = left + load(of.at + j + i * of.row)
        store(total.at + row * LANES, left)
