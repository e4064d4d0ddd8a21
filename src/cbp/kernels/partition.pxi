# Who does what: tiles, rounds, chains and partial sums, rows and columns of W, threads.
#
# Needs: layouts, products.
# Gives: COLUMNS_AT_ONCE, COLUMNS_BYTES, COLUMNS_FROM, COPY_WORK, GROUP_BYTES, LEAST_GROUP, PIECE_BYTES, ROUND_WORK,
# SMALL_NETWORK, TILE, UNIT_WORK, by_columns, columns_of, initial_of_round, is_ahead, is_last_round, next_piece,
# part_of_thread, partials_of, plan_rounds, round_end, round_of_segment, rows_of_round, tile_count, tile_rows,
# tile_start, useful_threads, whole_part, work_of_round.
#
# Everything but the number of threads depends on shapes alone, and so do the bits.
#
# One chain over very many examples would lose digits, since rounding errors grow with its length. So Delta is summed in
# chains of CHAIN examples by rows and by columns, and of a tile in a partial sum. The chains of a segment are added in
# order, and the segments into a sum that keeps its rounding errors. Rounds begin and end where chains and segments do,
# so that the bits do not depend on the rounds, nor on the threads that compute them.

cdef enum:
    TILE = 96                           # examples that a thread takes through the layers together, in small networks …
    MOST_TILE = 384                     # … and the most in others, where the rows of the widest layer in a tile …
    TILE_BYTES = 384 * 1024             # … should stay in an L2 cache


cdef enum:
    MOST_PARTIALS = 64                  # a power of 2, as every number of them: most teams can share them evenly
    PARTIALS_FROM = 128                 # examples of a batch
    PARTIAL_LEAST = 48                  # … and of a partial sum
    LEAST_GROUP = 8                     # strips of W that are taken together: at least these, else as many as have …
    GROUP_BYTES = 256 * 1024            # … their activations of a round in this part of an L2 cache, and …
    PIECE_BYTES = 24 * 1024             # … their Delta in this part of an L1 cache, of the following columns of W
    COLUMNS_AT_ONCE = PANELS_AT_ONCE * 2 * LANES
    LEAST_ROUND = 256                   # examples that are always one round
    CHAINS = 24                         # of a segment: a number with many divisors, since rounds divide it
    SEGMENT = CHAINS * CHAIN            # examples whose chains are added in order; the most of a round
    SMALL_NETWORK = 16384               # reals of packed W up to which partial sums are worth their reduction
    COLUMNS_FROM = 2                    # inputs an example of a batch from which a team takes the first W by columns …
    COLUMNS_BYTES = 256 * 1024          # … unless its inputs are more: they should stay in a thread's cache
    BLOCK_BYTES = 8 * 1024 * 1024       # bound on a round's activations and deltas
    LANE_WORK = 200_000_000             # … and on its multiply-adds a lane: some 30 ms, so that Python gets its turn
    UNIT_WORK = 50                      # what a unit costs besides its products, in multiply-adds: about 1 ns
    ROUND_WORK = 10_000                 # what a round costs besides, in multiply-adds: 0.2 us
    COPY_WORK = 4                       # what copying a parameter to or from rest costs, likewise


cdef Py_ssize_t tile_rows(Py_ssize_t packed_size, Py_ssize_t widest) noexcept nogil:
    """The most examples of a tile. Each tile reads all of W once, so a W that is not small is worth larger tiles."""
    cdef Py_ssize_t fit = TILE_BYTES // (widest * <Py_ssize_t> sizeof(real)) // STRIP * STRIP
    return TILE if packed_size <= SMALL_NETWORK else max(TILE, min(fit, MOST_TILE))


cdef inline Py_ssize_t tile_count(const Plan* plan, Py_ssize_t n_rows) noexcept nogil:
    return (n_rows + plan.tile - 1) // plan.tile


cdef inline Py_ssize_t tile_start(Py_ssize_t n_rows, Py_ssize_t tiles, Py_ssize_t t) noexcept nogil:
    """The first row of tile t: whole strips, but for the last tile."""
    return n_rows if t == tiles else strip_count(n_rows) * t // tiles * STRIP


cdef int useful_threads(double work, int n_threads) noexcept nogil:
    """Threads that have at least some microseconds of work between barriers."""
    return <int> max(1, min(n_threads, work / 100_000))


cdef void plan_rounds(Pass* run, Py_ssize_t bound) noexcept nogil:
    """Choose between rows and partial sums, and the length of a round, from shapes alone.

    bound: examples that are bound at a time, in order: all, or at least LEAST_ROUND. Partial sums need all of a
    batch, since they start all over it.
    """
    cdef const Plan* plan = run.plan
    cdef double most_work = <double> LANE_WORK * min(LANES, 8)  # wider vectors are not always faster
    cdef Py_ssize_t fit, parts = 1
    if plan.packed_size <= SMALL_NETWORK and PARTIALS_FROM <= run.batch <= bound:
        run.n_partials = MOST_PARTIALS
        while run.n_partials * PARTIAL_LEAST > run.batch:
            run.n_partials //= 2
        run.share = strip_count((run.batch + run.n_partials - 1) // run.n_partials) * STRIP
        fit = <Py_ssize_t> (most_work / 10 / (run.multiply_adds * run.n_partials))
        run.round = min(run.share, max(1, min(fit, SEGMENT) // TILE) * TILE)
        run.segment = SEGMENT // run.round
        return
    run.n_partials = 0
    fit = min(bound, min(SEGMENT, BLOCK_BYTES // (plan.block_size * <Py_ssize_t> sizeof(real))))
    fit = max(LEAST_ROUND, min(fit, <Py_ssize_t> (most_work / run.multiply_adds)))
    if run.batch <= fit:
        run.round = strip_count(run.batch) * STRIP
        run.segment = 1
        return
    while CHAINS % parts != 0 or SEGMENT // parts > fit:
        parts += 1
    run.round = SEGMENT // parts
    run.segment = parts


cdef Py_ssize_t stride(void* state) noexcept nogil:
    """Examples that must be bound to go on: a minibatch, or a round of a long one."""
    cdef Pass* run = <Pass*> state
    return run.batch if run.n_partials else min(run.batch, run.round)


cdef Py_ssize_t round_end(const Pass* run, const Cursor* cursor, Py_ssize_t batch) noexcept nogil:
    """The example after the last one of the next round."""
    return cursor.first + (batch if run.n_partials else min(cursor.done + run.round, batch))


cdef inline Py_ssize_t rows_of_round(const Pass* run, const Cursor* cursor, Py_ssize_t batch) noexcept nogil:
    """By rows: examples of the round."""
    return min(run.round, batch - cursor.done)


cdef inline bint is_last_round(const Pass* run, const Cursor* cursor, Py_ssize_t batch) noexcept nogil:
    """Whether the round is the last of its minibatch."""
    return cursor.done + run.round >= (batch if run.n_partials == 0 else run.share)


cdef inline Py_ssize_t partials_of(const Pass* run, Py_ssize_t batch) noexcept nogil:
    """Partial sums that have examples in the minibatch; the last one may be short."""
    return (batch + run.share - 1) // run.share if run.n_partials else 0


cdef inline double work_of_round(const Pass* run, const Cursor* cursor, Py_ssize_t batch) noexcept nogil:
    """The round's work, in multiply-adds."""
    cdef Py_ssize_t n = run.round * run.n_partials if run.n_partials else rows_of_round(run, cursor, batch)
    return run.multiply_adds * n + ROUND_WORK


cdef inline Py_ssize_t round_of_segment(const Pass* run, const Cursor* cursor) noexcept nogil:
    return cursor.done // run.round % run.segment


cdef inline Initial initial_of_round(const Pass* run, const Cursor* cursor) noexcept nogil:
    """What the Delta of a round starts from: the sum of the segment's earlier rounds, if there are any."""
    return ADD if round_of_segment(run, cursor) else ZERO


cdef inline bint is_ahead(const Pass* run, const Cursor* cursor, int team) noexcept nogil:
    """Whether the team's tiles hold z and a of the cursor's minibatch already."""
    return run.ahead_team == team and run.ahead_first == cursor.first


cdef inline Part whole_part(const Layer* layer) noexcept nogil:
    cdef Part part
    part.layer, part.start, part.stop, part.left, part.right = layer, 0, layer.n_in + 1, 0, layer.n_out
    return part


cdef inline bint next_piece(const Pass* run, const Part* of, Part* piece) noexcept nogil:
    """Move on to the next piece of a part, of a group of strips and COLUMNS_AT_ONCE columns; False after the last.

    Before the first, the piece is the part itself, but with `stop` where the part starts.
    """
    if piece.right < of.right:
        piece.left = piece.right
    else:
        piece.start, piece.left = piece.stop, of.left
        piece.stop = min(piece.start + run.group * STRIP, of.stop)
    piece.right = min(piece.left + COLUMNS_AT_ONCE, of.right)
    return piece.start < of.stop


cdef inline bint by_columns(const Pass* run, int team) noexcept nogil:
    """Whether the team shares the first W by columns; it then has a panel for each thread."""
    return run.columns and team > 1


cdef inline Part columns_of(const Pass* run, int me, int team) noexcept nogil:
    """This thread's columns of the first W."""
    cdef Part part = whole_part(&run.plan.layers[0])
    cdef Py_ssize_t panels = panel_count(part.right)
    part.left = panels * me // team * 2 * LANES
    part.right = min(part.right, panels * (me + 1) // team * 2 * LANES)
    return part


cdef double rest_before(const Plan* plan, int thread, int team) noexcept nogil:
    """By columns: the work that earlier threads do on the other layers' strips, so that all threads have equal work."""
    cdef const Layer* first = &plan.layers[0]
    cdef Py_ssize_t strips = strip_count(first.n_in + 1), panels = panel_count(first.n_out), t
    cdef double share = 0, total = <double> plan.packed_strips + strips * padded(first.n_out)
    for t in range(1, thread + 1):      # a strip of the first W is worked on twice: forward, and for Delta
        share = max(share, total * t / team - 2 * strips * (panels * t // team * 2 * LANES))
    return share


cdef inline Py_ssize_t share_of(const Pass* run, const Layer* layer, int thread, int team) noexcept nogil:
    """The first strip of the layer that belongs to this thread or a later one. The team cuts the strips of all layers,
    weighted by their width, into equal shares."""
    cdef const Plan* plan = run.plan
    cdef const Layer* first = &plan.layers[0]
    cdef double before = layer.strips_before, work = <double> plan.packed_strips * thread / team
    if thread == 0 or thread == team:
        return strip_count(layer.n_in + 1) if thread else 0
    if by_columns(run, team):           # the first layer is shared already, and is twice the work of as many strips
        before -= strip_count(first.n_in + 1) * padded(first.n_out)
        work = rest_before(plan, thread, team)
    work = (work - before) / padded(layer.n_out)
    return max(0, min(strip_count(layer.n_in + 1), <Py_ssize_t> (work + 0.5)))


cdef inline Part part_of_thread(const Pass* run, Py_ssize_t l, int me, int team) noexcept nogil:
    """This thread's rows of a layer's W."""
    cdef Part part = whole_part(&run.plan.layers[l])
    part.start = share_of(run, part.layer, me, team) * STRIP
    part.stop = min(share_of(run, part.layer, me + 1, team) * STRIP, part.stop)
    return part
