# The optimiser's step with a gradient from outside, which means that the caller has computed it.
#
# Needs: layouts, updates, partition, memory, rest, pass, finish.

cdef void update_share(
    const Pass* run, const real* D,     # (n_parameters,), at rest
    const Step* step, int me, int team,
) noexcept nogil:
    """Update this thread's rows of each W and b with the gradient D."""
    cdef real* packed = run.Delta + (me * run.group_size if run.direct else 0)
    cdef Py_ssize_t l, s, i, j, k, width, strips
    cdef Panels Delta
    cdef Part part
    for l in range(run.plan.n_layers):
        part = whole_part(&run.plan.layers[l])
        strips = strip_count(part.layer.n_in + 1)
        for s from strips * me // team <= s < strips * (me + 1) // team by GROUP:
            part.start = s * STRIP
            part.stop = min((s + GROUP) * STRIP, min(strips * (me + 1) // team * STRIP, part.layer.n_in + 1))
            if run.direct:
                Delta = packed_panels(packed, GROUP * STRIP, part.start)
            else:
                Delta = Delta_in(run.Delta, part.layer)
            for j from 0 <= j < part.layer.n_out by 2 * LANES:
                width = panel_width(part.layer.n_out - j)
                for i in range(part.start, part.stop):
                    for k in range(width):
                        Delta.at[(i - Delta.first) * width + k] = (
                            D[part.layer.flat + i * part.layer.n_out + j + k]
                            if j + k < part.layer.n_out and i < part.layer.n_rows else 0)
                Delta.at += Delta.panel
            Delta.at -= panel_count(part.layer.n_out) * Delta.panel
            finish_part(run, part, Delta, 0, step)


cdef inline void update_noted(
    const Pass* run, const real* D, const Step* constants, const Cursor* cursor, int me, int team,
) noexcept nogil:
    cdef Step step = constants[0]
    make_restorable(run, &step, cursor, me)
    update_share(run, D, &step, me, team)


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
    cursor.weight += 1
    cursor.updates += 1
    cursor.step += 1
