"""Backpropagation for one precision and one instruction set.

    forward      z(l+1) = a(l) W(l) + b(l),  a(l+1) = g(z(l+1))
    output       delta(L) = dJ/dz(L): see losses.pxi
    recursion    delta(l) = (delta(l+1) W(l)^T) * g'(z(l))
    accumulation Delta_W(l) += a(l)^T delta(l+1),  Delta_b(l) += sum delta(l+1)
    gradient     D = (Delta + lambda W) / m,  biases without lambda
    update       the optimiser's step against D: see updates.pxi

The module exports one capsule, a `Table` of C functions; `_core` holds the border to Python.
"""
from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport parallel, threadid
from libc.math cimport INFINITY, isfinite, log
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from cbp.kernels.table cimport *
from cbp.kernels.vec cimport *

cdef extern from "team.h" nogil:
    ctypedef struct Barrier:
        pass
    int team_size()
    int most_threads()
    int openmp_version()
    void meet(Barrier* barrier, int team)

cdef extern from *:
    """
    #if defined(__clang__) || defined(__GNUC__)
    #define COMPILER __VERSION__
    #else
    #define COMPILER "MSVC"
    #endif
    """
    const char* COMPILER
    int VBYTES

include "products.pxi"
include "activations.pxi"
include "losses.pxi"
include "updates.pxi"
include "plan.pxi"
include "faults.pxi"
include "pass.pxi"


cdef struct Tile:                       # a thread's workspace, for up to TILE examples
    real* x                             # (TILE, x_size), where examples are gathered
    real* a                             # layer after layer (TILE, ld_out)
    real* delta[2]                      # (TILE, widest)
    real* y                             # (ld_out of the last layer,)
    real* a_row                         # likewise
    double* losses                      # (TILE,)


cdef Tile tile_of(const Pass* run, int thread) noexcept nogil:
    cdef Tile tile
    cdef const Plan* plan = run.plan
    cdef char* at = <char*> (run.tiles + thread * run.tile_size)
    tile.losses = <double*> at
    tile.x = <real*> (tile.losses + TILE)
    tile.a = tile.x + TILE * plan.x_size
    tile.delta[0] = tile.a + TILE * plan.a_size
    tile.delta[1] = tile.delta[0] + TILE * plan.widest
    tile.y = tile.delta[1] + TILE * plan.widest
    tile.a_row = tile.y + plan.layers[plan.n_layers - 1].ld_out
    return tile


cdef inline Py_ssize_t row_of(const Data* data, Py_ssize_t example) noexcept nogil:
    return <Py_ssize_t> data.order[example] if data.order != NULL else example


cdef Rows gather(
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t n,
    real* to, Py_ssize_t ld,            # (n_rows, ld)
) noexcept nogil:
    """The examples' rows of X: where they lie, if they lie in order, else copied to the tile."""
    cdef const real* X = <const real*> data.X
    cdef Py_ssize_t i
    if data.X_gathered:
        return rows_of(X + (first - data.offset) * n, n)
    if data.order == NULL:
        return rows_of(X + first * n, n)
    for i in range(n_rows):
        memcpy(to + i * ld, X + data.order[first + i] * n, n * sizeof(real))
    return rows_of(to, ld)


cdef Rows rows_of(const real* a, Py_ssize_t ld) noexcept nogil:
    cdef Rows rows
    rows.at, rows.row, rows.col, rows.strip = a, ld, 1, STRIP * ld
    return rows


cdef void forward_tile(
    const Plan* plan, real* a,          # layer after layer, (TILE, ld_out): the activations, of the last layer z
    Rows x, const real* W,              # packed
    Py_ssize_t n_rows,
) noexcept nogil:
    cdef const Layer* layer
    cdef Panels z
    cdef Rows inputs = x
    cdef Py_ssize_t l
    for l in range(plan.n_layers):
        layer = &plan.layers[l]
        z.at, z.panel, z.row = a + TILE * layer.a_tile, 2 * LANES, layer.ld_out
        # z(l+1) = a(l) W(l) + b(l)
        multiply(z, inputs, packed_panels(<real*> W + layer.packed, layer.n_in + 1), 0, n_rows,
                 layer.n_out, layer.n_in, BIAS)
        if l < plan.n_layers - 1:
            activate(layer.g, z.at, n_rows * layer.ld_out)
        inputs = rows_of(z.at, layer.ld_out)


cdef void output_delta(
    const Plan* plan, real* z,          # (n_rows, ld_out): z(L), which becomes delta(L)
    double* losses,                     # (n_rows,)
    const Data* data, Py_ssize_t first, Py_ssize_t n_rows, real* y, real* a_row, Cursor* fault,
) noexcept nogil:
    cdef const Layer* last = &plan.layers[plan.n_layers - 1]
    cdef Py_ssize_t n = last.n_out, i, j, row
    cdef int64_t label = -1
    cdef real weight
    for i in range(n_rows):
        row = row_of(data, first + i)
        memset(y, 0, padded(n) * sizeof(real))
        if data.labels != NULL:
            label = data.labels[row]
            CHECK(0 <= label < n)
        else:
            memcpy(y, <const real*> data.Y + (first + i - data.offset if data.Y_gathered else row) * n,
                   n * sizeof(real))
            if data.check:
                check_targets(last.g, plan.loss, y, n, row, fault)
        losses[i] = output_delta_row(last.g, plan.loss, z, y, label, a_row, n)
        if data.weights != NULL:
            weight = (<const real*> data.weights)[row]
            losses[i] *= weight
            for j in range(n):
                z[j] *= weight
        for j in range(n, padded(n)):   # padding must stay out of Delta
            z[j] = 0
        z += last.ld_out


cdef void backward_tile(
    const Pass* run, real* block, Py_ssize_t capacity, Py_ssize_t at,   # rows at to at + n_rows of the block
    const Tile* tile, Rows x, Py_ssize_t n_rows, real* inputs, real inverse_m,
) noexcept nogil:
    """delta(l) for all layers; strips of a(l) and panels of delta(l+1) go to the block, dJ/dX to inputs."""
    cdef const Plan* plan = run.plan
    cdef const Layer* layer = &plan.layers[plan.n_layers - 1]
    cdef real* delta = tile.a + TILE * layer.a_tile
    cdef real* a
    cdef Panels below
    cdef Py_ssize_t l, i, j
    for l in range(plan.n_layers - 1, -1, -1):
        layer = &plan.layers[l]
        a = tile.a + TILE * plan.layers[l - 1].a_tile if l > 0 else <real*> x.at
        pack_panels(block + layer.panels * capacity, capacity, at, delta, layer.ld_out, n_rows, layer.n_out)
        pack_strips(block + layer.strips * capacity, capacity, at, a, layer.ld_in if l > 0 else x.row, n_rows,
                    layer.n_in)
        if l == 0 and inputs == NULL:
            return
        # delta(l) = (delta(l+1) W(l)^T) * g'(z(l))
        below.at, below.panel, below.row = tile.delta[l % 2], 2 * LANES, layer.ld_in
        multiply(below, rows_of(delta, layer.ld_out), packed_panels(run.W_T + layer.transposed, layer.n_out),
                 0, n_rows, layer.n_in, layer.n_out, ZERO)
        delta = below.at
        if l > 0:
            times_derivative(plan.layers[l - 1].g, delta, a, n_rows * layer.ld_in)
    for i in range(n_rows):             # dJ/dX = delta(1) / m
        for j in range(layer.n_in):
            inputs[i * layer.n_in + j] = delta[i * layer.ld_in + j] * inverse_m


cdef void process_tile(
    const Pass* run, const Data* data, const Tile* tile, Py_ssize_t first, Py_ssize_t n_rows,
    real* block, Py_ssize_t capacity, Py_ssize_t at, double* losses, double m, Cursor* fault,
) noexcept nogil:
    """Examples first to first + n_rows through the layers and back."""
    cdef const Plan* plan = run.plan
    cdef Rows x = gather(data, first, n_rows, plan.layers[0].n_in, tile.x, plan.x_size)
    cdef real* inputs = NULL
    if data.check:
        check_inputs(data, x, first, n_rows, plan.layers[0].n_in, fault)
    forward_tile(plan, tile.a, x, run.W, n_rows)
    output_delta(plan, tile.a + TILE * plan.layers[plan.n_layers - 1].a_tile, losses, data, first, n_rows,
                 tile.y, tile.a_row, fault)
    if run.mode != LOSS:
        if run.inputs:
            inputs = <real*> data.inputs + first * plan.layers[0].n_in
        backward_tile(run, block, capacity, at, tile, x, n_rows, inputs, <real> (1 / m))


cdef void accumulate_Delta(
    const Plan* plan, const Layer* layer, real* Delta, real* block, Py_ssize_t capacity, Py_ssize_t n_rows,
    Py_ssize_t first, Py_ssize_t last, Start start,
) noexcept nogil:
    """Delta(l) = start + a(l)^T delta(l+1) over the block's examples, for rows first to last of W(l) and b(l)."""
    cdef Rows a
    cdef Panels delta = packed_panels(block + layer.panels * capacity, capacity)
    a.at, a.row, a.col, a.strip = block + layer.strips * capacity, 1, STRIP, STRIP * capacity
    multiply(packed_panels(Delta + layer.packed, layer.n_in + 1), a, delta, first, last, layer.n_out, n_rows, start)


cdef void examples_phase(
    const Pass* run, const Data* data, const Cursor* cursor, Py_ssize_t batch, int me, int team,
) noexcept nogil:
    """This thread's examples of the round."""
    cdef Tile tile = tile_of(run, me)
    cdef Py_ssize_t n, first, last, i, p
    cdef Cursor* fault = &run.faults[me]
    if run.n_partials == 0:
        n = min(run.round, batch - cursor.done)
        first = strip_count(n) * me // team * STRIP
        last = min(n, strip_count(n) * (me + 1) // team * STRIP)
        for i from first <= i < last by TILE:
            process_tile(run, data, &tile, cursor.first + cursor.done + i, min(TILE, last - i),
                         run.block, run.round, i, run.losses + i, cursor.m, fault)
        return
    for p in range(run.n_partials * me // team, run.n_partials * (me + 1) // team):
        sum_partial(run, data, &tile, run.block + me * TILE * run.plan.block_size, p, cursor, batch, fault)


cdef void sum_partial(
    const Pass* run, const Data* data, const Tile* tile, real* block, Py_ssize_t p, const Cursor* cursor,
    Py_ssize_t batch, Cursor* fault,
) noexcept nogil:
    """The round's examples of partial sum p, into its Delta and its loss."""
    cdef const Plan* plan = run.plan
    cdef Py_ssize_t first = p * run.share + cursor.done
    cdef Py_ssize_t last = min(first + run.round, min((p + 1) * run.share, batch))
    cdef Py_ssize_t i, n_rows, l
    if cursor.done == 0:
        run.losses[p] = 0
    for i from first <= i < last by TILE:
        n_rows = min(TILE, last - i)
        process_tile(run, data, tile, cursor.first + i, n_rows, block, TILE, 0, tile.losses, cursor.m, fault)
        for l in range(n_rows):
            run.losses[p] += tile.losses[l]
        if run.mode != LOSS:
            for l in range(plan.n_layers):
                accumulate_Delta(plan, &plan.layers[l], run.Delta + p * plan.packed_size, block, TILE, n_rows,
                                 0, plan.layers[l].n_in + 1, ZERO if i == p * run.share else CONTINUE)


cdef double sum_of_squares(const real* W, Py_ssize_t n) noexcept nogil:
    cdef real[64] lane
    cdef vec total = broadcast(0), W_i
    cdef double result = 0
    cdef Py_ssize_t i
    for i from 0 <= i < n by LANES:
        W_i = load(W + i)
        total = W_i * W_i + total
    store(lane, total)
    for i in range(LANES):
        result += lane[i]
    return result


cdef void reduce_Delta(const Pass* run, Py_ssize_t n_partials, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Add the partial sums up in order, for n reals from `at`."""
    cdef Py_ssize_t i, p
    cdef vec total
    for i from at <= i < at + n by LANES:
        total = load(run.Delta + i)
        for p in range(1, n_partials):
            total = total + load(run.Delta + p * run.plan.packed_size + i)
        store(run.Delta + i, total)


cdef void finish_strip(
    const Pass* run, const Layer* layer, Py_ssize_t strip, Py_ssize_t n_partials, const Step* step,
) noexcept nogil:
    """Rows of a strip of W, once their Delta is complete: the partial sums' reduction, the penalty, the update."""
    cdef Py_ssize_t first = strip * STRIP, last = min(first + STRIP, layer.n_in + 1)
    cdef Py_ssize_t rows_of_W = min(last, layer.n_in) - first
    cdef Py_ssize_t j = 0, width, at, n, n_bias
    cdef double squares = 0
    while j < layer.n_out:
        width = panel_width(layer.n_out - j)
        at = layer.packed + j * (layer.n_in + 1) + first * width
        n, n_bias = rows_of_W * width, (last - first - rows_of_W) * width
        if n_partials > 1 and run.mode != LOSS:
            reduce_Delta(run, n_partials, at, n + n_bias)
        if step.decay != 0:
            squares += sum_of_squares(run.W + at, n)
        if run.mode == TRAIN:
            update_run(run, step, at, n, step.decay)
            update_run(run, step, at + n, n_bias, 0)
        j += 2 * LANES
    run.squares[layer.first_strip + strip] = squares


cdef inline void update_run(const Pass* run, const Step* step, Py_ssize_t at, Py_ssize_t n, real decay) noexcept nogil:
    update(step, run.W + at, run.moment1 + at if run.moment1 != NULL else NULL,
           run.moment2 + at if run.moment2 != NULL else NULL, run.Delta + at, decay, n)


cdef void weights_phase(
    const Pass* run, const Cursor* cursor, Py_ssize_t batch, const Step* step, int me, int team,
) noexcept nogil:
    """This thread's rows of the W: their Delta of the round and, after the last round, what follows from it."""
    cdef const Plan* plan = run.plan
    cdef const Layer* layer
    cdef bint last_round = cursor.done + run.round >= (batch if run.n_partials == 0 else run.share)
    cdef Py_ssize_t n_partials = (batch + run.share - 1) // run.share if run.n_partials else 0
    cdef Py_ssize_t n_rows = min(run.round, batch - cursor.done)
    cdef Py_ssize_t l, s, from_strip, to_strip, first, last
    cdef double total = 0, before = 0, width
    for l in range(plan.n_layers):
        total += strip_count(plan.layers[l].n_in + 1) * padded(plan.layers[l].n_out)
    for l in range(plan.n_layers):
        layer = &plan.layers[l]
        width = padded(layer.n_out)
        # The threads' shares are equal cuts of all layers' strips, each as heavy as it is wide.
        from_strip = share_of(total * me / team - before, width, layer)
        to_strip = share_of(total * (me + 1) / team - before, width, layer) if me + 1 < team \
            else strip_count(layer.n_in + 1)
        before += width * strip_count(layer.n_in + 1)
        # A few strips at a time: their share of a(l) stays in the cache for all panels of delta(l+1).
        for s from from_strip <= s < to_strip by 8:
            first, last = s * STRIP, min((s + 8) * STRIP, min(to_strip * STRIP, layer.n_in + 1))
            if run.n_partials == 0 and run.mode != LOSS:
                accumulate_Delta(plan, layer, run.Delta, run.block, run.round, n_rows, first, last,
                                 ZERO if cursor.done == 0 else CONTINUE)
            if last_round:
                finish_rows(run, layer, l, first, last, n_partials, step)


cdef inline Py_ssize_t share_of(double work, double width, const Layer* layer) noexcept nogil:
    """Strips of the layer before `work`, counted from the layer's start."""
    cdef Py_ssize_t strips = strip_count(layer.n_in + 1)
    return max(0, min(strips, <Py_ssize_t> (work / width + 0.5))) if work > 0 else 0


cdef void finish_rows(
    const Pass* run, const Layer* layer, Py_ssize_t l, Py_ssize_t first, Py_ssize_t last, Py_ssize_t n_partials,
    const Step* step,
) noexcept nogil:
    cdef Py_ssize_t s
    for s in range(first // STRIP, strip_count(last)):
        finish_strip(run, layer, s, n_partials, step)
    if run.mode == TRAIN and l > 0:
        transpose_weights(layer, run.W_T + layer.transposed, run.W + layer.packed, first, min(last, layer.n_in))


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
    const Pass* run, const Data* data, const Rule* rule, Cursor* shared, double budget, int me, int team,
) noexcept nogil:
    """Rounds until the data or the budget is used up: every thread keeps the same cursor, the first hands it back."""
    cdef Cursor cursor = shared[0]
    cdef Step step
    cdef Py_ssize_t batch, n, i
    cursor.starved = False
    while cursor.first < data.m and budget > 0:
        batch = min(run.batch, data.m - cursor.first)
        if round_end(run, &cursor, batch) > data.available:
            cursor.starved = True
            break
        if cursor.done == 0:
            cursor.m = weight_of(data, cursor.first, batch)
        if cursor.m == 0:
            cursor.first += batch
            cursor.step += 1
            continue
        step = step_constants(rule, cursor.updates, cursor.m)
        examples_phase(run, data, &cursor, batch, me, team)
        meet(run.barrier, team)
        if data.check and first_fault(run, team, &cursor):
            break
        if not sum_losses(run, batch, &cursor):
            break
        weights_phase(run, &cursor, batch, &step, me, team)
        meet(run.barrier, team)
        n = min(run.round, batch - cursor.done) if run.n_partials == 0 else run.round * run.n_partials
        budget -= run.work * n
        cursor.done += run.round
        if cursor.done < (batch if run.n_partials == 0 else run.share):
            continue
        cursor.loss += cursor.batch_loss
        if rule.l2 != 0:                # J's penalty, lambda / (2 m) sum W^2
            for i in range(run.plan.n_strips):
                cursor.loss += rule.l2 / 2 * run.squares[i]
        cursor.weight += cursor.m
        cursor.first += batch
        cursor.step += 1
        cursor.updates += 1
        cursor.done = 0
        cursor.batch_loss = 0
    if me == 0:
        shared[0] = cursor


cdef Py_ssize_t round_end(const Pass* run, const Cursor* cursor, Py_ssize_t batch) noexcept nogil:
    """The example after the last that the next round needs."""
    return cursor.first + (batch if run.n_partials else min(cursor.done + run.round, batch))


cdef bint sum_losses(const Pass* run, Py_ssize_t batch, Cursor* cursor) noexcept nogil:
    """Add the round's losses up in order; False where training has come to a sum that is not finite."""
    cdef Py_ssize_t i
    if run.n_partials == 0:
        for i in range(min(run.round, batch - cursor.done)):
            cursor.batch_loss += run.losses[i]
    elif cursor.done + run.round >= run.share:
        for i in range((batch + run.share - 1) // run.share):
            cursor.batch_loss += run.losses[i]
    if run.mode == TRAIN and not isfinite(cursor.batch_loss):
        cursor.fault = LOSS_NOT_FINITE
    return cursor.fault == NONE


cdef int useful_threads(double work, int n_threads) noexcept nogil:
    """A thread should have some microseconds of work between barriers."""
    return <int> max(1, min(n_threads, work / 100_000))


cdef void advance(
    void* state, const Data* data, const Rule* rule, Cursor* cursor, double budget, int n_threads,
) noexcept nogil:
    """Go on with a pass from where the cursor stands, for about `budget` multiply-adds."""
    cdef Pass* run = <Pass*> state
    cdef int team = useful_threads(run.work * min(run.batch, data.m), min(n_threads, run.most_threads))
    if team == 1:
        work(run, data, rule, cursor, budget, 0, 1)
    else:
        with parallel(num_threads=team):
            work(run, data, rule, cursor, budget, threadid(), team_size())


include "predict.pxi"
include "probes.pxi"


cdef Table table
table.vector_bytes = VBYTES
table.openmp = openmp_version()
table.compiler = COMPILER
table.most_threads = most_threads
table.burn = burn
table.new_plan = new_plan
table.free_plan = free_plan
table.forward = forward
table.new_pass = new_pass
table.free_pass = free_pass
table.pack = pack
table.unpack = unpack
table.read_moment = read_moment
table.write_moment = write_moment
table.read_gradient = read_gradient
table.advance = advance
table.elementwise = elementwise

capsule = PyCapsule_New(&table, "cbp.kernels.Table", NULL)
