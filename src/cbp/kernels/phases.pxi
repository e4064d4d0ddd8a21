# The two phases of a round, each as one thread of the team sees it.
#
# Needs: layouts, products, partition, memory, data, tiles, finish, columns.
# Gives: examples_phase, update_phase, weights_phase.

cdef void accumulate_Delta(Panels Delta, const Pass* run, Part part, Py_ssize_t n_rows, Initial initial) noexcept nogil:
    """Delta(l) = initial + a(l)^T delta(l+1) over the round's examples, for rows of W(l) and b(l)."""
    cdef Rows a = strips_of(run.block + part.layer.strips * run.round, run.round)
    cdef Panels delta = from_column(delta_in(run, part.layer), part.left)
    delta.continued = part.right < part.layer.n_out
    multiply(Delta, a, delta, part.start, part.stop, part.right - part.left, n_rows, initial)


cdef void examples_phase(
    const Pass* run, const Data* data, const Cursor* cursor, Py_ssize_t batch, uint64_t key, int me, int team,
) noexcept nogil:
    """This thread's examples of the round."""
    cdef Tile tile = tile_of(run, me)
    cdef Rows rows
    cdef Py_ssize_t n, start, stop, i, next, at, t, tiles, p
    cdef Fault* fault = &run.reports[me].fault
    cdef bint ahead = is_ahead(run, cursor, team)
    tile.key = key
    if run.n_partials == 0:
        n = rows_of_round(run, cursor, batch)
        start, stop = n * me // team, n * (me + 1) // team
        tiles = tile_count(run.plan, stop - start)
        for t in range(tiles):
            i, next = start + tile_start(stop - start, tiles, t), start + tile_start(stop - start, tiles, t + 1)
            at = cursor.first + cursor.done + i
            if by_columns(run, team):
                tile.z_2, tile.first = run.z + i * run.plan.layers[0].ld_out, at
                rows = batch_rows(run, data, cursor.first, cursor.step)
                rows.at += i * rows.row
            else:
                rows = gather_tile(run, data, &tile, at, next - i, ahead)
            forward_examples(False, run, data, &tile, rows, at, next - i, ahead, run.losses + i, fault)
            if run.mode != LOSS:
                backward_tile(run, i, &tile, rows, next - i, inputs_of(run, data, at), <real> (1 / cursor.m))
        if by_columns(run, team):
            gather_share(run, data, cursor.first + batch, cursor.step + 1, me, team)
        return
    for p in range(run.n_partials * me // team, run.n_partials * (me + 1) // team):
        sum_partial(run, data, &tile, p, cursor, batch, fault)


cdef void sum_partial(
    const Pass* run, const Data* data, Tile* tile, Py_ssize_t p, const Cursor* cursor, Py_ssize_t batch,
    Fault* fault,
) noexcept nogil:
    """The round's examples of partial sum p, into its Delta and its loss."""
    cdef Py_ssize_t start = p * run.share + cursor.done
    cdef Py_ssize_t stop = min(start + run.round, min((p + 1) * run.share, batch))
    cdef Py_ssize_t i, at, n_rows, t, tiles = tile_count(run.plan, stop - start)
    cdef real* Delta = run.Delta + p * run.plan.packed_size
    cdef Initial initial = initial_of_round(run, cursor)
    cdef Rows x
    if cursor.done == 0:
        run.losses[p] = 0
    for t in range(tiles):
        i = start + (stop - start) * t // tiles
        n_rows = start + (stop - start) * (t + 1) // tiles - i
        at = cursor.first + i
        x = gather_tile(run, data, tile, at, n_rows, False)
        forward_examples(False, run, data, tile, x, at, n_rows, False, tile.losses, fault)
        for i in range(n_rows):
            run.losses[p] += tile.losses[i]
        if run.mode != LOSS:
            accumulate_tile(run, Delta, tile, x, n_rows, initial if t == 0 else ADD, inputs_of(run, data, at),
                            <real> (1 / cursor.m))
    if run.sums != NULL and tiles > 0:
        add_segment(run, cursor, Delta, run.plan.packed_size, stop == min((p + 1) * run.share, batch))


cdef void weights_phase(
    const Pass* run, const Cursor* cursor, Py_ssize_t batch, const Step* step, int me, int team,
) noexcept nogil:
    """This thread's rows of all W: their Delta of the round and, after the last round, the update."""
    cdef const Plan* plan = run.plan
    cdef bint last_round = is_last_round(run, cursor, batch)
    cdef Py_ssize_t n_partials = partials_of(run, batch), n_rows = rows_of_round(run, cursor, batch)
    cdef Py_ssize_t l
    cdef Panels Delta
    cdef Part part, piece
    for l in range(by_columns(run, team), plan.n_layers):
        part = part_of_thread(run, l, me, team)
        piece = part
        piece.stop = part.start
        while next_piece(run, &part, &piece):
            Delta = Delta_of_part(run, piece, me)
            if run.n_partials == 0 and run.mode != LOSS:
                accumulate_Delta(Delta, run, piece, n_rows, initial_of_round(run, cursor))
                if run.sums != NULL:
                    add_segment_of_part(run, cursor, piece, Delta, last_round)
            if last_round:
                finish_part(run, piece, Delta, n_partials, step)


cdef void update_phase(const Pass* run, const Step* step, int me, int team) noexcept nogil:
    """The step of this thread's rows of all W, from a D that is finished."""
    cdef Py_ssize_t l
    cdef Part part, piece
    for l in range(run.plan.n_layers):
        part = part_of_thread(run, l, me, team)
        piece = part
        piece.stop = part.start
        while next_piece(run, &part, &piece):
            finish_part(run, piece, Delta_of_part(run, piece, me), 0, step)
