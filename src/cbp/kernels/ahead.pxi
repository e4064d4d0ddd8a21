# The outputs of the next minibatch, before its step: for a loss that the caller computes.
#
# Needs: partition, memory, faults, output, noise, tiles.
#
# Where each thread has one tile, the step finds z and a still there. Otherwise it computes them again.
#

cdef void outputs_share(
    Pass* run, const Data* data, const Cursor* cursor, Py_ssize_t batch, uint64_t key, int me, int team,
) noexcept nogil:
    """a(L) of this thread's examples, with the minibatch's dropout and noise."""
    cdef Tile tile = tile_of(run, me)
    cdef const Layer* last = &run.plan.layers[run.plan.n_layers - 1]
    cdef Py_ssize_t start = batch * me // team, n = batch * (me + 1) // team - start
    cdef Py_ssize_t tiles = tile_count(run.plan, n), t, at, n_rows
    cdef Rows x
    tile.key = key
    if me == 0 and run.n_partials == 0 and batch <= min(run.round, team * run.plan.tile):
        run.ahead_team, run.ahead_first = team, cursor.first    # each thread has one tile, as it will in the step
    for t in range(tiles):
        at = cursor.first + start + tile_start(n, tiles, t)
        n_rows = tile_start(n, tiles, t + 1) - tile_start(n, tiles, t)
        x = gather_tile(run, data, &tile, at, n_rows, False)
        if data.check:
            check_rows(x.at, x.row, n_rows, run.plan.layers[0].n_in, X_NOT_FINITE, data, at, &run.reports[me].fault)
        forward_tile_apart(run.plan, &tile, x, run.W, n_rows)
        write_outputs(run.plan, tile.a + last.a_tile, data, at, n_rows, &tile)


cdef void outputs_ahead(
    void* state, const Data* data, const Hyperparameters* rule, Cursor* cursor, int n_threads,
) noexcept nogil:
    """Write the outputs of the minibatch that the cursor stands before; all of it must be available."""
    cdef Pass* run = <Pass*> state
    cdef Py_ssize_t batch = min(run.batch, data.m - cursor.first)
    cdef uint64_t key = key_of_step(rule.seed, cursor.updates) if run.plan.drops else 0
    cdef int team = useful_threads(run.multiply_adds * batch, min(n_threads, run.most_threads)), i
    team = 1 if is_backing_off() else granted(team)
    run.ahead_team = 0
    if team > 1:
        with parallel(num_threads=team):
            outputs_share(run, data, cursor, batch, key, threadid(), team_size())
    else:
        outputs_share(run, data, cursor, batch, key, 0, 1)
    for i in range(team):
        keep_first(&cursor.fault, &run.reports[i].fault)
