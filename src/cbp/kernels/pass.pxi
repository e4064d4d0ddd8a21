# A pass over examples: the workspace of training, a gradient or a loss. `partial_fit`, and small losses and gradients,
# keep it for the next call.
#
# A minibatch goes through in rounds of two phases with a barrier after each:
#   examples   each thread takes its examples through the layers and back: a, z, delta;
#   weights    each thread takes its rows of the W: Delta, and after the last round D and the optimiser's step.
# What a thread has written, the others must fetch from its cache, which can take longer than the sums. Where the first
# W is large beside the batch, a team takes it by columns instead, forward as well as in the second phase: then the
# others need only z(2) of it. The weights of one round and z(2) of the next go without a barrier between them.
# Where W is small beside the batch, the rows would be few and the sums over the batch long; then the batch is split
# into a fixed number of partial sums, Delta is accumulated per partial in the first phase, and the second adds the
# partials up in order. Whether that is done depends on shapes alone, and so do the bits.
#
# One chain over very many examples would lose digits: rounding errors grow with its length. So an element of Delta is
# a chain of multiply-adds over at most LONGEST_CHAIN examples; by rows and by columns, a longer batch is cut into
# chains of CHAIN, and a partial sum into tiles. Up to a segment of examples the chains are added in order, and the
# segments into a sum that keeps what rounding takes from it. Rounds begin and end with chains and segments, wherever
# else they do, and whoever computes them: so the bits do not depend on that.

cdef enum:
    MOST_PARTIALS = 64                  # a power of 2, as every number of them, which most teams can share
    PARTIALS_FROM = 128                 # examples of a batch
    PARTIAL_LEAST = 48                  # … and of a partial sum
    GROUP = 8                           # strips of W whose Delta is completed together
    LONGEST_CHAIN = 256                 # examples of a batch whose Delta is one chain, as a short second one costs time
    CHAIN = 192                         # examples of a chain where the batch is longer
    CHAINS = 24                         # of a segment; a number with many divisors, for the rounds
    SEGMENT = CHAINS * CHAIN            # examples whose chains are added up in order: the most that a round has
    SMALL_NETWORK = 16384               # reals of packed W up to which partial sums are worth their reduction
    COLUMNS_FROM = 2                    # inputs an example of a batch from which a team takes the first W by columns …
    COLUMNS_BYTES = 256 * 1024          # … unless its inputs are more: they should stay in a thread's cache
    BLOCK_BYTES = 8 * 1024 * 1024       # bound on a round's activations and deltas
    LANE_WORK = 200_000_000             # … and on its multiply-adds a lane, some 30 ms: Python waits for no more
    UNIT_WORK = 50                      # what a unit costs besides its products, in multiply-adds: about 1 ns
    STEP_WORK = 10_000                  # what a round costs besides, in multiply-adds: 0.2 us
    COPY_WORK = 4                       # what copying a parameter to or from rest costs, likewise


cdef struct Report:                     # of a thread
    Fault fault                         # the first that it has found
    bint crowded                        # it has waited for others too long
    bint infinite                       # a parameter of its share is no longer finite


cdef struct Pass:
    const Plan* plan
    int mode
    bint inputs
    bint restorable                     # see `kept1`
    int most_threads
    Py_ssize_t batch
    Py_ssize_t n_partials               # 0: by rows of W
    Py_ssize_t share                    # examples of a partial sum, the last one's may be fewer
    Py_ssize_t chain                    # by rows: the most examples that are summed in one chain
    Py_ssize_t round                    # examples of a round (of each partial sum)
    Py_ssize_t segment                  # rounds of a segment
    double work                         # of an example, in multiply-adds
    Py_ssize_t tile_size                # reals of a thread's tile
    bint small                          # a minibatch is one tile of a small network: see `work_small`
    bint direct                         # Delta goes into the step at once, a group of strips at a time …
    Py_ssize_t group_size               # … in this many reals a thread
    bint columns                        # a team takes the first W by columns
    real* W                             # packed, as are the next four
    real* Delta                         # (max(1, n_partials), packed_size); where direct (most_threads, group_size)
    real* sums                          # as Delta, over the segments before; NULL where there is one segment alone …
    real* rests                         # … and what rounding has taken from them
    real* moments[MOST_MOMENTS]         # of the optimiser, NULL from the first that it has not
    real* kept[MOST_MOMENTS]            # those to go back to if the pass fails, each as far from its moment as the
                                        # others; NULL in a pass that has no way back
    bint is_at_rest                     # W is what lay at rest when that was last seen
    real* W_T                           # packed
    real* tiles                         # (most_threads, tile_size)
    real* block                         # by rows: (round, block_size)
    real* z                             # by columns: (round, ld_out), z(2) of a round
    real* x                             # by columns: (2, round, x_size), where this and the next round are gathered
    double* losses                      # by rows: (round,), one an example; else (n_partials,)
    double* squares                     # (n_strips,), sum of W^2 a strip of a panel
    Report* reports                     # (most_threads,)
    Barrier* barrier
    void* memory


cdef void* aligned(char** at, Py_ssize_t n_bytes) noexcept nogil:
    """Cut n_bytes off at a multiple of 64."""
    cdef char* here = at[0]
    at[0] = here + (n_bytes + 63) // 64 * 64
    return here


cdef void plan_rounds(Pass* run, Py_ssize_t at_hand) noexcept nogil:
    """Choose between rows and partial sums, and the length of a round, from shapes alone.

    at_hand: examples that are bound at a time, in order, all or at least LONGEST_CHAIN; partial sums, which start all
    over the batch, need all of it.
    """
    cdef const Plan* plan = run.plan
    cdef double most_work = <double> LANE_WORK * min(LANES, 8)  # wider vectors are not always faster
    cdef Py_ssize_t fit, parts = 1
    run.chain = run.batch if run.batch <= LONGEST_CHAIN else CHAIN
    if plan.packed_size <= SMALL_NETWORK and PARTIALS_FROM <= run.batch <= at_hand:
        run.n_partials = MOST_PARTIALS
        while run.n_partials * PARTIAL_LEAST > run.batch:
            run.n_partials //= 2
        run.share = strip_count((run.batch + run.n_partials - 1) // run.n_partials) * STRIP
        fit = <Py_ssize_t> (most_work / 10 / (run.work * run.n_partials))
        run.round = min(run.share, max(1, min(fit, SEGMENT) // TILE) * TILE)
        run.segment = SEGMENT // run.round
        return
    run.n_partials = 0
    fit = min(at_hand, min(SEGMENT, BLOCK_BYTES // (plan.block_size * <Py_ssize_t> sizeof(real))))
    fit = max(LONGEST_CHAIN, min(fit, <Py_ssize_t> (most_work / run.work)))
    if run.batch <= fit:
        run.round = strip_count(run.batch) * STRIP
        run.segment = 1
        return
    while CHAINS % parts != 0 or SEGMENT // parts > fit:
        parts += 1
    run.round = SEGMENT // parts
    run.segment = parts


cdef Py_ssize_t lay_out(
    Pass* run, char* memory, int n_moments, bint restorable,
) noexcept nogil:
    """Place the arrays in memory, which may be NULL to learn how many bytes they need."""
    cdef const Plan* plan = run.plan
    cdef char* at = memory
    cdef Py_ssize_t w_bytes = plan.packed_size * sizeof(real)
    cdef Py_ssize_t t_size = plan.transposed_size, Delta_bytes
    cdef Py_ssize_t summed = run.share if run.n_partials else run.batch
    if run.inputs:
        t_size += plan.layers[0].n_out * padded(plan.layers[0].n_in)
    run.W = <real*> aligned(&at, w_bytes)
    run.W_T = <real*> aligned(&at, t_size * sizeof(real))
    lay_out_moments(run.moments, &at, w_bytes, n_moments)
    lay_out_moments(run.kept, &at, w_bytes, n_moments if restorable else 0)
    run.tiles = <real*> aligned(&at, run.most_threads * run.tile_size * sizeof(real))
    run.losses = <double*> aligned(&at, max(run.round, run.n_partials) * sizeof(double))
    run.squares = <double*> aligned(&at, plan.n_strips * sizeof(double))
    run.reports = <Report*> aligned(&at, run.most_threads * sizeof(Report))
    run.barrier = <Barrier*> aligned(&at, sizeof(Barrier))
    if run.mode != LOSS:
        Delta_bytes = run.most_threads * run.group_size * <Py_ssize_t> sizeof(real) if run.direct else 0
        if run.small or not run.direct:
            Delta_bytes = max(Delta_bytes, max(1, run.n_partials) * w_bytes)
        run.Delta = <real*> aligned(&at, Delta_bytes)
        if summed > run.segment * run.round:
            run.sums = <real*> aligned(&at, Delta_bytes)
            run.rests = <real*> aligned(&at, Delta_bytes)
        if run.n_partials == 0:
            run.block = <real*> aligned(&at, run.round * plan.block_size * sizeof(real))
        if run.columns:
            run.z = <real*> aligned(&at, run.round * plan.layers[0].ld_out * sizeof(real))
            run.x = <real*> aligned(&at, 2 * run.round * plan.x_size * sizeof(real))
    return at - memory


cdef void lay_out_moments(real** moments, char** at, Py_ssize_t n_bytes, int n_moments) noexcept nogil:
    cdef int i
    for i in range(MOST_MOMENTS):
        moments[i] = <real*> aligned(at, n_bytes) if i < n_moments else NULL


cdef inline void make_restorable(const Pass* run, Step* step, const Cursor* cursor, int me) noexcept nogil:
    """The first step of a restorable pass reads the moments where they are and writes them elsewhere; each thread notes
    parameters that are not finite while they are in the cache."""
    if run.restorable:
        step.infinite = &run.reports[me].infinite
        step.back = run.kept[0] - run.moments[0] if run.kept[0] != NULL and cursor.weight == 0 else 0


cdef void* new_pass(
    void* plan, int mode, int optimizer, int n_moments, Py_ssize_t batch, bint inputs, Py_ssize_t at_hand,
    int n_threads, bint restorable,
) noexcept nogil:
    """A pass with minibatches of `batch` examples, weights still to be packed; NULL where it is refused (see
    `pass_refusal`) or memory is short."""
    cdef Pass* run
    cdef Py_ssize_t n_bytes, l, ld_last
    cdef int panels
    if pass_refusal(mode, optimizer) != ACCEPTED:
        return NULL
    CHECK(0 <= n_moments <= MOST_MOMENTS)
    run = <Pass*> calloc(1, sizeof(Pass))
    if run == NULL:
        return NULL
    run.plan = <const Plan*> plan
    run.mode = mode
    run.inputs = inputs
    run.restorable = restorable
    run.batch = batch
    run.work = UNIT_WORK * run.plan.layers[0].n_in
    for l in range(run.plan.n_layers):
        run.work += (
            (1 if mode == LOSS else 3) * <double> run.plan.layers[l].n_in * run.plan.layers[l].n_out
            + UNIT_WORK * run.plan.layers[l].n_out
        )
    run.most_threads = useful_threads(run.work * batch, n_threads)
    ld_last = run.plan.layers[run.plan.n_layers - 1].ld_out
    # as `tile_of` cuts it up, to whole cache lines
    run.tile_size = (
        TILE * (run.plan.x_size + run.plan.a_size + 2 * run.plan.widest) + max(TILE * LANES, ld_last) + ld_last
        + 2 * TILE * <Py_ssize_t> (sizeof(double) // sizeof(real)) + 15
    ) // 16 * 16
    plan_rounds(run, at_hand)
    if run.n_partials > 0:              # a thread without a partial sum would only wait
        run.most_threads = min(run.most_threads, <int> run.n_partials)
    run.small = mode == TRAIN and run.n_partials == 0 and batch <= min(TILE, at_hand) and (
        run.plan.packed_size <= SMALL_NETWORK)
    run.direct = mode == TRAIN and run.n_partials == 0 and run.round >= batch
    panels = <int> panel_count(run.plan.layers[0].n_out)
    run.columns = run.direct and min(run.most_threads, panels) > 1 and (
        COLUMNS_FROM * batch <= run.plan.layers[0].n_in <= COLUMNS_BYTES // (batch * <Py_ssize_t> sizeof(real)))
    if run.columns:                     # more would have to go by rows, and to fetch all of W
        run.most_threads = min(run.most_threads, panels)
    run.group_size = GROUP * STRIP * run.plan.widest_out
    n_bytes = lay_out(run, NULL, n_moments, restorable)
    run.memory = calloc(n_bytes + 64, 1)
    if run.memory == NULL:
        free(run)
        return NULL
    lay_out(run, <char*> run.memory + (64 - <size_t> run.memory % 64) % 64, n_moments, restorable)
    open_barrier(run.barrier)
    return run


cdef void free_pass(void* state) noexcept nogil:
    if state != NULL:
        close_barrier((<Pass*> state).barrier)
        free((<Pass*> state).memory)
        free(state)


cdef Py_ssize_t stride(void* state) noexcept nogil:
    """Examples that must be at hand to go on: a minibatch, or a round of a long one."""
    cdef Pass* run = <Pass*> state
    return run.batch if run.n_partials else min(run.batch, run.round)


cdef void read_gradient(
    void* state, void* gradient, const void* parameters, double l2, double weight,
) noexcept nogil:
    """D = (Delta + lambda W) / m at rest, after a whole batch in mode GRADIENT."""
    cdef Pass* run = <Pass*> state
    cdef const Layer* layer
    cdef real* D
    cdef const real* W
    cdef real inverse_m = <real> (1 / weight)
    cdef Py_ssize_t l, i
    for l in range(run.plan.n_layers):
        layer = &run.plan.layers[l]
        D = <real*> gradient + layer.flat
        W = <const real*> parameters + layer.flat
        unpack_rows(layer, D, run.Delta + layer.packed, 0, layer.n_in + 1)
        gradient_run(D, W, <real> l2, inverse_m, layer.n_in * layer.n_out)
        for i in range(layer.n_in * layer.n_out, (layer.n_in + 1) * layer.n_out):
            D[i] *= inverse_m
