"""Backpropagation for one precision and one instruction set.

    forward      z(l+1) = a(l) W(l) + b(l),  a(l+1) = g(z(l+1))
    output       delta(L) = dJ/dz(L): see losses.pxi and output.pxi
    recursion    delta(l) = (delta(l+1) W(l)^T) * g'(z(l))
    accumulation Delta_W(l) += a(l)^T delta(l+1),  Delta_b(l) += sum delta(l+1)
    gradient     D = (Delta + lambda W) / m,  biases without lambda
    update       the optimiser's step against D: see updates.pxi

The module exports one capsule, a `Table` of C functions; `_core` holds the border to Python.
"""
from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport parallel, threadid
from libc.math cimport INFINITY, isfinite
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from cbp.kernels.table cimport *
from cbp.kernels.vec cimport *

cdef extern from "team.h" nogil:
    ctypedef struct Barrier:
        pass
    int team_size()
    double seconds()
    void open_barrier(Barrier* barrier)
    void close_barrier(Barrier* barrier)
    double meet(Barrier* barrier, int team, int* stop)
    bint is_resting()
    void note_crowd(bint crowded)

cdef extern from "granted.h" nogil:
    int granted(int team)

cdef extern from "openmp.h" nogil:
    int openmp_version()
    int most_threads()
    int default_threads()
    int team_limit()
    int n_places()
    int place(int i, int* processors)

cdef extern from *:
    """
    #ifdef CBP_DEBUG
    #define KIND ", debug build"
    #else
    #define KIND ""
    #endif
    #if defined(__clang__)
    #define COMPILER __VERSION__ KIND
    #elif defined(__GNUC__)
    #define COMPILER "GCC " __VERSION__ KIND
    #else
    #define COMPILER "MSVC" KIND
    #endif
    """
    const char* COMPILER
    int VBYTES
    Py_ssize_t PY_SSIZE_T_MAX

cdef enum:
    MOST_WAITED_MS = 1                  # that a thread should wait for others in a slice, unless the slice is long

include "products.pxi"
include "math.pxi"
include "normal.pxi"
include "activations.pxi"
include "softmax.pxi"
include "updates.pxi"
include "losses.pxi"
include "refusals.pxi"
include "plan.pxi"
include "data.pxi"
include "faults.pxi"
include "pass.pxi"
include "rest.pxi"
include "tiles.pxi"
include "output.pxi"
include "phases.pxi"
include "columns.pxi"


cdef double weight_of(const Data* data, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """m of a minibatch: its examples, or the sum of their weights."""
    cdef double total = 0
    cdef Py_ssize_t i
    if data.weights == NULL:
        return <double> n
    for i in range(first, first + n):
        total += (<const real*> data.weights)[row_of(data, i)]
    return total


cdef void work(
    const Pass* run, const Data* data, const Hyperparameters* rule, const double* rates, const Cursor* start,
    Cursor* end, double* budget, int me, int team,
) noexcept nogil:
    """Rounds until the data or the budget is used up, or a thread has had to wait too long: every thread keeps the same
    cursor and budget, the first hands them back."""
    cdef Cursor cursor = start[0]
    cdef Step step
    cdef Py_ssize_t batch, n
    cdef double left = budget[0], waited = 0, started = seconds()
    cdef int stop = False, i
    cdef bint columns = by_columns(run, team)
    cursor.starved = False
    cursor.team = max(cursor.team, team)
    if columns and cursor.first < data.m:
        gather_share(run, data, cursor.first, cursor.step, me, team)
        waited += meet(run.barrier, team, &stop)
        forward_columns(run, data, cursor.first, cursor.step, me, team)
        waited += meet(run.barrier, team, &stop)
    while cursor.first < data.m and left > 0 and not stop:
        batch = min(run.batch, data.m - cursor.first)
        if round_end(run, &cursor, batch) > data.available:
            cursor.starved = True
            break
        if cursor.done == 0:
            cursor.m = weight_of(data, cursor.first, batch)
        step = step_constants(rule, rate_of(rates, &cursor), cursor.m, &cursor)
        make_restorable(run, &step, &cursor, me)
        examples_phase(run, data, &cursor, batch, me, team)
        waited += meet(run.barrier, team, &stop)
        if data.check:
            for i in range(team):
                keep_first(&cursor.fault, &run.reports[i].fault)
        if cursor.fault.kind != NONE or not sum_losses(run, batch, &cursor):
            break
        if cursor.m != 0:               # a minibatch without weight has been looked at, and is skipped
            weights_phase(run, &cursor, batch, &step, me, team)
            if columns:
                finish_columns(run, batch_rows(run, data, cursor.first, cursor.step), batch, &step, me, team)
        if columns and cursor.first + batch < data.m:
            forward_columns(run, data, cursor.first + batch, cursor.step + 1, me, team)
        stop = too_long(waited, started)
        waited += meet(run.barrier, team, &stop)
        n = min(run.round, batch - cursor.done) if run.n_partials == 0 else run.round * run.n_partials
        left -= run.work * n + STEP_WORK
        cursor.done += run.round
        if cursor.done < (batch if run.n_partials == 0 else run.share):
            continue
        complete_batch(run, rule, batch, &cursor)
        if cursor.fault.kind != NONE:
            break
    run.reports[me].crowded = too_long(waited, started)
    if me == 0:
        end[0], budget[0] = cursor, left


cdef inline bint too_long(double waited, double started) noexcept nogil:
    """Whether a thread has waited so long since it started that it must be other programs that it waits for."""
    return waited > 1e-3 * MOST_WAITED_MS and waited > (seconds() - started) / 4


cdef void work_small(
    const Pass* run, const Data* data, const Hyperparameters* rule, const double* rates, Cursor* cursor, double budget,
) noexcept nogil:
    """The same on one thread, where a minibatch of a small network is a tile: there is nothing to share or to pack."""
    cdef Tile tile = tile_of(run, 0)
    cdef Rows x
    cdef Step step
    cdef Py_ssize_t n_rows
    cdef double m = 0, rate = 0         # those of the step's constants
    cdef bint by_time = optimizer_row(rule.optimizer).prepare != NULL
    cursor.starved = False
    cursor.team = max(cursor.team, 1)
    while cursor.first < data.m and budget > 0:
        n_rows = min(run.batch, data.m - cursor.first)
        if cursor.first + n_rows > data.available:
            cursor.starved = True
            return
        cursor.m = weight_of(data, cursor.first, n_rows)
        x = gather_tile(run, data, &tile, cursor.first, n_rows)
        forward_examples(run, data, &tile, x, cursor.first, n_rows, run.losses, &cursor.fault)
        if cursor.fault.kind != NONE or not sum_losses(run, n_rows, cursor):
            return
        if cursor.m != 0:
            accumulate_tile(run, run.Delta, &tile, x, n_rows, ZERO, NULL, 0)
            if by_time or cursor.m != m or rates[cursor.step] != rate:
                m, rate = cursor.m, rates[cursor.step]
                step = step_constants(rule, rate, m, cursor)
            make_restorable(run, &step, cursor, 0)
            finish_all(run, &step)
        budget -= run.work * n_rows + STEP_WORK
        complete_batch(run, rule, n_rows, cursor)
        if cursor.fault.kind != NONE:
            return


cdef inline void complete_batch(const Pass* run, const Hyperparameters* rule, Py_ssize_t batch, Cursor* cursor) noexcept nogil:
    """Take the cursor past a minibatch."""
    cdef Py_ssize_t i
    if cursor.m != 0:
        cursor.loss += cursor.batch_loss
        if <real> rule.l2 != 0:         # J's penalty, lambda / (2 m) sum W^2
            for i in range(run.plan.n_strips):
                cursor.loss += rule.l2 / 2 * run.squares[i]
        cursor.weight += cursor.m
        cursor.updates += 1
    if run.mode == TRAIN and not isfinite(cursor.loss):
        cursor.fault.kind = LOSS_NOT_FINITE
        return
    cursor.first += batch
    cursor.step += 1
    cursor.done = 0
    cursor.batch_loss = 0


cdef Py_ssize_t round_end(const Pass* run, const Cursor* cursor, Py_ssize_t batch) noexcept nogil:
    """The example after the last that the next round needs."""
    return cursor.first + (batch if run.n_partials else min(cursor.done + run.round, batch))


cdef inline bint sum_losses(const Pass* run, Py_ssize_t batch, Cursor* cursor) noexcept nogil:
    """Add the round's losses up in order; False where training has come to a sum that is not finite."""
    cdef Py_ssize_t i
    if run.n_partials == 0:
        for i in range(min(run.round, batch - cursor.done)):
            cursor.batch_loss += run.losses[i]
    elif cursor.done + run.round >= run.share:
        for i in range((batch + run.share - 1) // run.share):
            cursor.batch_loss += run.losses[i]
    if run.mode == TRAIN and not isfinite(cursor.batch_loss):
        cursor.fault.kind = LOSS_NOT_FINITE
    return cursor.fault.kind == NONE


cdef inline double rate_of(const double* rates, const Cursor* cursor) noexcept nogil:
    """The learning rate of the step to come; 0 where there are no steps."""
    return rates[cursor.step] if rates != NULL else 0


cdef void advance(
    void* state, const Data* data, const Hyperparameters* rule, const double* rates, Cursor* cursor, double budget,
    int n_threads,
) noexcept nogil:
    """Go on with a pass from where the cursor stands, for about `budget` multiply-adds."""
    cdef const Pass* run = <const Pass*> state
    cdef int team = useful_threads(run.work * min(run.batch, data.m), min(n_threads, run.most_threads))
    cdef Cursor end
    cdef bint crowded = False
    cdef int i
    team = 1 if is_resting() else granted(team)
    if team > 1:
        for i in range(team):           # OpenMP may give fewer
            run.reports[i].crowded = False
        with parallel(num_threads=team):
            work(run, data, rule, rates, cursor, &end, &budget, threadid(), team_size())
        cursor[0] = end
        for i in range(team):
            crowded = crowded or run.reports[i].crowded
        note_crowd(crowded)
        if budget <= 0 or cursor.first >= data.m or cursor.starved or cursor.fault.kind != NONE:
            return
    if run.small:
        work_small(run, data, rule, rates, cursor, budget)
    else:
        work(run, data, rule, rates, cursor, &end, &budget, 0, 1)
        cursor[0] = end


include "predict.pxi"
include "probes.pxi"
include "singles.pxi"


cdef Table table
table.vector_bytes = VBYTES
table.openmp = openmp_version()
table.compiler = COMPILER
table.default_threads = default_threads()
table.most_threads = most_threads
table.team_limit = team_limit
table.n_places = n_places
table.place = place
table.burn = burn
table.activation_name = activation_name
table.loss_name = loss_name
table.optimizer_name = optimizer_name
table.plan_refusal = plan_refusal
table.new_plan = new_plan
table.free_plan = free_plan
table.forward = forward
table.pass_refusal = pass_refusal
table.new_pass = new_pass
table.free_pass = free_pass
table.stride = stride
table.pack = pack
table.unpack = unpack
table.settle = settle
table.read_moment = read_moment
table.write_moment = write_moment
table.read_gradient = read_gradient
table.advance = advance
table.update = update
table.probes.elementwise = elementwise
table.probes.product = product
table.probes.multiply = multiply_as
table.probes.rearrange = rearrange
table.probes.activate = activate_as
table.probes.times_derivative = times_derivative_as
table.probes.step = step_as

capsule = PyCapsule_New(&table, "cbp.kernels.Table", NULL)
