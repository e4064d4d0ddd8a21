# The optimiser's step with a gradient from outside, which means that the caller has computed it.
#
# Needs: layouts, updates, partition, memory, rest, pass, finish, phases.

cdef void update_share(
    const Pass* run, const real* D,     # (n_parameters,), at rest
    const Step* step, int me, int team,
) noexcept nogil:
    """Update this thread's rows of each W and b with the gradient D."""
    cdef Py_ssize_t l, strips
    cdef Panels Delta
    cdef Part part, piece
    for l in range(run.plan.n_layers):
        part = whole_part(&run.plan.layers[l])
        strips = strip_count(part.stop)
        part.start, part.stop = strips * me // team * STRIP, min(strips * (me + 1) // team * STRIP, part.stop)
        piece = part
        piece.stop = part.start
        while next_piece(run, &part, &piece):
            Delta = Delta_of_part(run, piece, me)
            copy_part(Delta, piece, D + part.layer.flat)
            finish_part(run, piece, Delta, 0, step)


cdef void copy_part(Panels Delta, Part part, const real* D) noexcept nogil:
    """Copy a part of a layer's gradient, (n_rows, n_out) at rest, into Delta, with zeros where it has none."""
    cdef Py_ssize_t n_out = part.layer.n_out, i, j, k, width
    for j from part.left <= j < part.right by 2 * LANES:
        width = panel_width(n_out - j)
        for i in range(part.start, part.stop):
            for k in range(width):
                Delta.at[(i - Delta.first) * width + k] = (
                    D[i * n_out + j + k] if j + k < n_out and i < part.layer.n_rows else 0)
        Delta.at += Delta.panel


cdef inline void update_noted(
    const Pass* run, const real* D, const Step* constants, const Cursor* cursor, int me, int team,
) noexcept nogil:
    cdef Step step = constants[0]
    cdef int stop = False
    make_restorable(run, &step, cursor, me)
    update_share(run, D, &step, me, team)
    if run.clips:
        wait_for_team(run.barrier, team, &stop)
        step = limited(run, &step)
        update_phase(run, &step, me, team)


cdef void update_outside(
    void* state, const void* D, const Hyperparameters* rule, double rate, Cursor* cursor, int n_threads,
) noexcept nogil:
    """Do the optimiser's step with a gradient D from outside, which includes the penalty. The parameters get the same
    bits as in a pass that computes this gradient itself."""
    cdef Pass* run = <Pass*> state
    cdef Step step = step_constants(rule, False, run.plan.bias, rate, 1, cursor)
    cdef int team = copying_team(run, n_threads)
    if team > 1:
        with parallel(num_threads=team):
            update_noted(run, <const real*> D, &step, cursor, threadid(), team_size())
    else:
        update_noted(run, <const real*> D, &step, cursor, 0, 1)
    cursor.weight = 1                   # from now on the moments are read where they are written
    cursor.updates += 1
    cursor.step += 1
