# The loop over minibatches: slices of a pass, by a team or by one thread.
#
# Needs: updates, partition, memory, data, faults, pass, tiles, finish, columns, phases.
#
# A minibatch goes through in rounds of two phases, with a barrier after each:
#   examples   each thread takes its examples through the layers and back: a, z, delta;
#   weights    each thread takes its rows of the W: Delta, and after the last round D and the optimiser's step.
#
# A thread must fetch what another has written from that thread's cache, which can take longer than the sums. So where
# the first W is large beside the batch, the team shares it by columns, forward as well as in the second phase: then a
# thread needs only the others' z(2). The weights of one round and z(2) of the next need no barrier between them.
#
# Where W is small beside the batch, rows would be few and sums over the batch long. Then the batch is split into a
# fixed number of partial sums. The first phase accumulates a Delta for each, and the second adds them in order.

cdef enum:
    MOST_WAITED_MS = 1                  # that a thread may wait for others in a slice; in a long slice more


cdef inline double rate_of(const double* rates, const Cursor* cursor) noexcept nogil:
    """The learning rate of the next step; 0 in a pass that makes no steps."""
    return rates[cursor.step] if rates != NULL else 0


cdef inline bint too_long(double waited, double started) noexcept nogil:
    """Whether a thread has waited so long, since it started, that other programs must have the processors."""
    return waited > 1e-3 * MOST_WAITED_MS and waited > (seconds() - started) / 4


cdef inline bint sum_losses(const Pass* run, Py_ssize_t batch, Cursor* cursor) noexcept nogil:
    """Add the round's losses in order; False if training has reached a sum that is not finite."""
    cdef Py_ssize_t i
    if run.n_partials == 0:
        for i in range(rows_of_round(run, cursor, batch)):
            cursor.batch_loss += run.losses[i]
    elif is_last_round(run, cursor, batch):
        for i in range(partials_of(run, batch)):
            cursor.batch_loss += run.losses[i]
    if run.mode == TRAIN and not isfinite(cursor.batch_loss):
        cursor.fault.kind = LOSS_NOT_FINITE
    return cursor.fault.kind == NONE


cdef inline void complete_batch(
    const Pass* run, Py_ssize_t batch, Cursor* cursor,
) noexcept nogil:
    """Take the cursor past a minibatch."""
    cdef Py_ssize_t i
    if cursor.m != 0:
        cursor.loss += cursor.batch_loss
        if run.penalised:               # J's, lambda / (2 m) sum W^2 + lambda_1 / m sum |W|
            for i in range(run.plan.n_strips):
                cursor.loss += run.penalties[i]
        cursor.weight += cursor.m
        cursor.updates += 1
    if run.mode == TRAIN and not isfinite(cursor.loss):
        cursor.fault.kind = LOSS_NOT_FINITE
        return
    cursor.first += batch
    cursor.step += 1
    cursor.done = 0
    cursor.batch_loss = 0


cdef void run_rounds(
    const Pass* run, const Data* data, const Hyperparameters* rule, const double* rates, const Cursor* begin,
    Cursor* end, double* budget, int me, int team,
) noexcept nogil:
    """Rounds until the data or the budget is used up, or a thread has had to wait too long. Every thread keeps the same
    cursor and budget; the first one hands them back."""
    cdef Cursor cursor = begin[0]
    cdef Step step
    cdef Py_ssize_t batch
    cdef double left = budget[0], waited = 0, started = seconds()
    cdef int stop = False, i
    cdef bint columns = by_columns(run, team), last
    cursor.needs_data = False
    cursor.team = max(cursor.team, team)
    if columns and cursor.first < data.m:
        gather_share(run, data, cursor.first, cursor.step, me, team)
        waited += wait_for_team(run.barrier, team, &stop)
        forward_columns(run, data, cursor.first, cursor.step, me, team)
        waited += wait_for_team(run.barrier, team, &stop)
    while cursor.first < data.m and left > 0 and not stop:
        batch = min(run.batch, data.m - cursor.first)
        if round_end(run, &cursor, batch) > data.available:
            cursor.needs_data = True
            break
        if cursor.done == 0:
            cursor.m = weight_of(data, cursor.first, batch)
        step = step_constants(rule, run.penalised, run.plan.bias, rate_of(rates, &cursor), cursor.m, &cursor)
        make_restorable(run, &step, &cursor, me)
        # forward, output, recursion: z(l), a(l), the losses and delta(l); by partial sums accumulation too
        examples_phase(run, data, &cursor, batch, me, team)
        waited += wait_for_team(run.barrier, team, &stop)
        if data.check:
            for i in range(team):
                keep_first(&cursor.fault, &run.reports[i].fault)
        if cursor.fault.kind != NONE or not sum_losses(run, batch, &cursor):
            break
        # accumulation: Delta(l) of the round; after the last round gradient and update: D, the optimiser's step
        if cursor.m != 0:               # a minibatch without weight has been checked, and is skipped
            weights_phase(run, &cursor, batch, &step, me, team)
            if columns:
                finish_columns(run, batch_rows(run, data, cursor.first, cursor.step), batch, &step, me, team)
        # forward: z(2) of the next minibatch, by the thread that has just updated its columns of W(1)
        if columns and cursor.first + batch < data.m:
            forward_columns(run, data, cursor.first + batch, cursor.step + 1, me, team)
        stop = too_long(waited, started)
        waited += wait_for_team(run.barrier, team, &stop)
        left -= work_of_round(run, &cursor, batch)
        last = is_last_round(run, &cursor, batch)
        cursor.done += run.round
        if last:
            complete_batch(run, batch, &cursor)
        if cursor.fault.kind != NONE:
            break
    run.reports[me].oversubscribed = too_long(waited, started)
    if me == 0:
        end[0], budget[0] = cursor, left


cdef void run_small(
    const Pass* run, const Data* data, const Hyperparameters* rule, const double* rates, Cursor* cursor, double budget,
) noexcept nogil:
    """The same on one thread, where a minibatch of a small network is a tile: nothing needs sharing or packing."""
    cdef Tile tile = tile_of(run, 0)
    cdef Rows x
    cdef Step step
    cdef Py_ssize_t n_rows
    cdef double m = 0, rate = 0         # for which the step's constants were computed
    cdef bint by_time = optimizer_row(rule.optimizer).prepare != NULL
    cursor.needs_data = False
    cursor.team = max(cursor.team, 1)
    while cursor.first < data.m and budget > 0:
        n_rows = min(run.batch, data.m - cursor.first)
        if cursor.first + n_rows > data.available:
            cursor.needs_data = True
            return
        cursor.m = weight_of(data, cursor.first, n_rows)
        x = gather_tile(run, data, &tile, cursor.first, n_rows)
        # forward and output: z(l), a(l), the losses and delta(L)
        forward_examples(run, data, &tile, x, cursor.first, n_rows, run.losses, &cursor.fault)
        if cursor.fault.kind != NONE or not sum_losses(run, n_rows, cursor):
            return
        if cursor.m != 0:
            # recursion and accumulation: delta(l), Delta(l)
            accumulate_tile(run, run.Delta, &tile, x, n_rows, ZERO, NULL, 0)
            if by_time or cursor.m != m or rates[cursor.step] != rate:
                m, rate = cursor.m, rates[cursor.step]
                step = step_constants(rule, run.penalised, run.plan.bias, rate, m, cursor)
            make_restorable(run, &step, cursor, 0)
            # gradient and update: D, the optimiser's step
            finish_all(run, &step)
        budget -= run.multiply_adds * n_rows + ROUND_WORK
        complete_batch(run, n_rows, cursor)
        if cursor.fault.kind != NONE:
            return


cdef void advance(
    void* state, const Data* data, const Hyperparameters* rule, const double* rates, Cursor* cursor, double budget,
    int n_threads,
) noexcept nogil:
    """Continue a pass from the cursor, for about `budget` multiply-adds."""
    cdef const Pass* run = <const Pass*> state
    cdef int team = useful_threads(run.multiply_adds * min(run.batch, data.m), min(n_threads, run.most_threads))
    cdef Cursor end
    cdef bint oversubscribed = False
    cdef int i
    team = 1 if is_backing_off() else granted(team)
    if team > 1:
        end = cursor[0]
        for i in range(team):           # OpenMP may give fewer
            run.reports[i].oversubscribed = False
        with parallel(num_threads=team):
            run_rounds(run, data, rule, rates, cursor, &end, &budget, threadid(), team_size())
        cursor[0] = end
        for i in range(team):
            oversubscribed = oversubscribed or run.reports[i].oversubscribed
        note_oversubscription(oversubscribed)
        if budget <= 0 or cursor.first >= data.m or cursor.needs_data or cursor.fault.kind != NONE:
            return
    if run.small:
        run_small(run, data, rule, rates, cursor, budget)
    else:
        end = cursor[0]
        run_rounds(run, data, rule, rates, cursor, &end, &budget, 0, 1)
        cursor[0] = end
