# The loop over minibatches, by a team of threads or by one.
#
# Needs: updates, partition, memory, data, faults, pass, noise, tiles, finish, columns, phases.
#
# Python calls `advance` again and again; each call does a slice of the pass. A long minibatch is cut into rounds. Each
# round has two phases, with a barrier after each:
#   examples   each thread takes some examples through the layers and back: z, a, delta;
#   weights    each thread takes some rows of each W: Delta and, after the last round, D and the optimiser's step.
#
# What another thread has written must be fetched from that thread's cache, which can take longer than the arithmetic.
# So where the first W is large compared with the batch, each thread takes some of its columns instead, in the forward
# propagation as well as in the weights phase. Then a thread needs nothing from the others but z(2), and no barrier is
# needed between the weights phase of one minibatch and z(2) of the next.
#
# Where all W are small compared with the batch, there are few rows for the threads, and long sums over the batch. Then
# the batch is cut into parts, whose number does not depend on the threads. The examples phase sums a Delta for each
# part (a partial sum), and the weights phase adds these in order.

cdef enum:
    # A thread may wait for others this long in a slice, or for a quarter of the slice if that is longer.
    MOST_WAITED_MS = 1


cdef inline double rate_of(const double* rates, const Cursor* cursor) noexcept nogil:
    """Return the learning rate of the next step; 0 in a pass that makes no steps."""
    return rates[cursor.step] if rates != NULL else 0


cdef inline double part_of(const Pass* run, double m) noexcept nogil:
    """Return a minibatch's part of the penalties, where its examples weigh m."""
    return m / run.whole if run.whole > 0 else 1


cdef inline Step constants_of(const Pass* run, const Hyperparameters* rule, double rate, Cursor* cursor) noexcept nogil:
    """Return the constants of the minibatch's update."""
    cdef Step step = step_constants(rule, run.penalised, run.plan.bias, rate, cursor.m, cursor)
    step.part = part_of(run, cursor.m)
    step.key = key_of_step(rule.seed, cursor.updates) if run.plan.drops else 0
    return step


cdef inline bint too_long(double waited, double started) noexcept nogil:
    """Whether a thread has waited so long since it started that other programs must be using the processors."""
    return waited > 1e-3 * MOST_WAITED_MS and waited > (seconds() - started) / 4


cdef inline bint sum_losses(const Pass* run, Py_ssize_t batch, Cursor* cursor) noexcept nogil:
    """Add the round's losses in order. Return False if there is a fault; in training, a sum that is not finite is a
    fault."""
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
    """Add a minibatch to the cursor's totals, and move the cursor to the next minibatch."""
    cdef double part = part_of(run, cursor.m)
    cdef Py_ssize_t i
    if cursor.m != 0:
        cursor.latest = cursor.batch_loss
        cursor.loss += cursor.batch_loss
        if run.penalised:               # its part of lambda / 2 sum W^2 + lambda_1 sum |W|
            for i in range(run.plan.n_strips):
                cursor.latest += run.penalties[i] * part
                cursor.loss += run.penalties[i] * part
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
    """Do rounds until the examples or the budget are used up, a fault is found, or a thread has waited too long. Each
    thread has its own copy of cursor and budget, all with the same values; thread 0 writes them back."""
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
        step = constants_of(run, rule, rate_of(rates, &cursor), &cursor)
        make_restorable(run, &step, &cursor, me)
        # forward, output, recursion: z(l), a(l), the losses and delta(l); with partial sums also accumulation: Delta(l)
        examples_phase(run, data, &cursor, batch, step.key, me, team)
        waited += wait_for_team(run.barrier, team, &stop)
        if data.check:
            for i in range(team):
                keep_first(&cursor.fault, &run.reports[i].fault)
        if cursor.fault.kind != NONE or not sum_losses(run, batch, &cursor):
            break
        # accumulation: Delta(l) of the round; after the last round gradient and update: D, the optimiser's step
        if cursor.m != 0:               # else all weights are 0: the minibatch is checked, but no step is made
            weights_phase(run, &cursor, batch, &step, me, team)
            if run.clips and is_last_round(run, &cursor, batch):
                waited += wait_for_team(run.barrier, team, &stop)
                step = limited(run, &step)
                update_phase(run, &step, me, team)
            if columns:
                finish_columns(run, batch_rows(run, data, cursor.first, cursor.step), batch, &step, me, team)
        # forward: z(2) of the next minibatch; each thread uses the columns of W(1) that it has just updated
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
    """Do the same on one thread for a small network whose minibatch is a single tile. Nothing is shared between
    threads, and a and delta are not packed."""
    cdef Tile tile = tile_of(run, 0)
    cdef Rows x
    cdef Step step
    cdef Py_ssize_t n_rows
    cdef bint ahead = is_ahead(run, cursor, 1)
    cdef double m = 0, rate = 0         # those for which `step` was computed
    cdef bint by_time = optimizer_row(rule.optimizer).prepare != NULL or run.average != NULL or run.clips
    cursor.needs_data = False
    cursor.team = max(cursor.team, 1)
    while cursor.first < data.m and budget > 0:
        n_rows = min(run.batch, data.m - cursor.first)
        if cursor.first + n_rows > data.available:
            cursor.needs_data = True
            return
        cursor.m = weight_of(data, cursor.first, n_rows)
        if tile.drops:
            tile.key = key_of_step(rule.seed, cursor.updates)
        x = gather_tile(run, data, &tile, cursor.first, n_rows, ahead)
        # forward and output: z(l), a(l), the losses and delta(L)
        forward_examples(True, run, data, &tile, x, cursor.first, n_rows, ahead, run.losses, &cursor.fault)
        ahead = False
        if cursor.fault.kind != NONE or not sum_losses(run, n_rows, cursor):
            return
        if cursor.m != 0:
            # recursion and accumulation: delta(l), Delta(l)
            accumulate_tile(run, run.Delta, &tile, x, n_rows, ZERO, NULL, 0)
            if by_time or cursor.m != m or rates[cursor.step] != rate:
                m, rate = cursor.m, rates[cursor.step]
                step = constants_of(run, rule, rate, cursor)
            make_restorable(run, &step, cursor, 0)
            # gradient and update: D, the optimiser's step
            finish_all(run, &step)
            if run.clips:
                step = limited(run, &step)
                finish_all(run, &step)
        budget -= run.multiply_adds * n_rows + ROUND_WORK
        complete_batch(run, n_rows, cursor)
        if cursor.fault.kind != NONE:
            return


cdef void advance(
    void* state, const Data* data, const Hyperparameters* rule, const double* rates, Cursor* cursor, double budget,
    int n_threads,
) noexcept nogil:
    """Continue a pass from the cursor, for about `budget` multiply-adds. If a team stops early because a thread has
    waited too long, one thread does the rest."""
    cdef const Pass* run = <const Pass*> state
    cdef int team = useful_threads(run.multiply_adds * min(run.batch, data.m), min(n_threads, run.most_threads))
    cdef Cursor end
    cdef bint oversubscribed = False
    cdef int i
    team = 1 if is_backing_off() else granted(team)
    if team > 1:
        end = cursor[0]
        for i in range(team):           # of all, since OpenMP may open a smaller team
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
