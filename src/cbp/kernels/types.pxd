"""The structs of the kernels, which no file outside of them sees. Shapes are in reals."""
from libc.stdint cimport uint64_t

from cbp.kernels.table cimport Cursor, Fault, Hyperparameters, MOST_MOMENTS
from cbp.kernels.team cimport Barrier
from cbp.kernels.vec cimport real


# Matrices: layouts.pxi, products.pxi

cdef struct Rows:                       # the left operand, element (i, k) at at[i * row + k * col]
    const real* at
    Py_ssize_t row
    Py_ssize_t col
    Py_ssize_t strip                    # from row i to row i + STRIP


cdef struct Panels:
    real* at
    Py_ssize_t panel                    # from one panel to the next
    Py_ssize_t row                      # from one row to the next; 0: packed, so the panel's own width
    Py_ssize_t first                    # number of the row that lies at `at`
    bint continued                      # more panels follow, which are needed next


cdef struct MicroTiles:                 # tiles below each other, in one panel or in neighbouring ones of one width
    real* C                             # (rows, width)
    Py_ssize_t C_row
    Py_ssize_t C_panel                  # from one panel to the next
    bint add                            # add the sums to C
    const real* S                       # what the sums start from, (width,)
    Py_ssize_t S_panel
    Rows A                              # (rows, n_k)
    const real* B                       # (n_k, width)
    Py_ssize_t B_row
    Py_ssize_t B_panel
    Py_ssize_t n_k
    Py_ssize_t n_panels
    const real* next                    # what of B is needed next, in panels B_panel apart …
    Py_ssize_t n_next                   # … its reals in each …
    Py_ssize_t n_next_panels            # … and their number


# What a network is made of, in rows: activations.pxi, losses.pxi, updates.pxi

cdef struct ActivationRow:
    const char* name                    # NULL for a code that is unknown
    void (*activate)(real* a, const real* z, Py_ssize_t n, real number) noexcept nogil
    void (*times_derivative)(real* delta, const real* of, Py_ssize_t n, real number) noexcept nogil
    bint from_z                         # the derivative is computed from z, not from a


ctypedef void (*Pair)(real* z, real* y, Py_ssize_t n) noexcept nogil


cdef struct LossRow:
    const char* name                    # NULL for a code that is unknown
    # e becomes dloss/da, and may lie where a does; y becomes each output's loss, …
    void (*error)(real* e, real* y, const real* a, Py_ssize_t n, real number) noexcept nogil
    bint squared                        # … or a number whose square is twice the loss
    real least                          # of the targets
    real most


cdef struct Step:                       # one update's constants, the bias corrections included
    # … and the function that makes it, for n reals of W, whose moments begin at `at`
    void (*update)(const Step* step, real* W, real* const* moments, Py_ssize_t at, const real* Delta, real l2,
                   bint are_weights, Py_ssize_t n) noexcept nogil
    bint nesterov
    bint centered
    bint by_part                        # weights and biases are updated differently
    bint penalised                      # by the penalties of the pass …
    double part                         # … of which a minibatch has this part
    real learning_rate
    real momentum
    real beta1
    real beta2
    real one_minus_beta1
    real one_minus_beta2
    real epsilon
    real v_correction                   # 1 / (1 - beta2^t)
    real gradient_rate                  # Nadam's two, of D and of m
    real moment_rate
    real shrink                         # AdamW's 1 - eta times the weight decay
    real inverse_m                      # 1 / m, or 1 / (the sum of the weights)
    uint64_t key                        # of what is random in the minibatch
    bint only_gradient                  # Delta becomes D, which is limited, and no step is made
    real clip_value                     # of |D|; 0: no limit
    real inverse_norm                   # 1 / the most that the norm of D may be; 0: no limit
    real average_share                  # of the new parameters in their moving average
    Py_ssize_t back                     # the distance, in reals, from where a moment is written to where it is read
    bint* infinite                      # set where a parameter is no longer finite; or NULL


ctypedef void (*Prepare)(Step* step, const Hyperparameters* rule, double rate, Cursor* cursor) noexcept nogil
ctypedef void (*Stepper)(const Step* step, real* W, real* const* moments, Py_ssize_t at, const real* Delta, real l2,
                         bint are_weights, Py_ssize_t n) noexcept nogil

cdef struct OptimizerRow:
    const char* name                    # NULL for a code that is unknown
    Stepper update
    Prepare prepare                     # sets what depends on the number of updates; or NULL


# A network's plan, and what a pass over examples works on: plan.pxi, pass.pxi

cdef struct Layer:                      # of weights, from a(l) to a(l+1)
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t n_rows                   # at rest: of W, and one of b where there are biases
    int g                               # activation of the outputs
    ActivationRow activation            # its row …
    real number                         # … and its number
    bint drops                          # training drops inputs, …
    uint64_t drop_below                 # … those whose 32 random bits are below this, …
    real kept_scale                     # … and multiplies the others by this
    Py_ssize_t ld_in                    # row length of a(l) in a tile, in reals
    Py_ssize_t ld_out                   # … and of z(l+1), a(l+1), delta(l+1)
    # Offsets, in reals:
    Py_ssize_t flat                     # of W, then b, in the parameters at rest: (n_rows, n_out)
    Py_ssize_t packed                   # of W, then b, in panels: (n_in + 1, n_out); 0 for a b that is not there
    Py_ssize_t transposed               # of W^T in panels: (n_out, n_in)
    Py_ssize_t z_tile                   # of z(l+1) in a tile, …
    Py_ssize_t a_tile                   # … and of a(l+1): the same unless z, or a before dropout, is kept
    Py_ssize_t slope_tile               # … and of what g' is computed from: z(l+1), or a(l+1) before dropout
    Py_ssize_t strips                   # of a(l), then 1, in strips, in one example's share of a block
    Py_ssize_t panels                   # of delta(l+1) in panels, likewise
    Py_ssize_t first_strip              # number of W's first strip of rows among all layers' and panels'
    Py_ssize_t strips_before            # strips of earlier layers, weighted by their width


cdef struct Plan:
    Py_ssize_t n_layers
    bint bias                           # whether layers have biases
    bint drops                          # training is random: some layer drops inputs, or there is noise on them
    bint alters_inputs                  # … and changes the inputs of the network
    double input_noise                  # its standard deviation
    int loss
    bint probabilities                  # whether targets sum to 1
    LossRow loss_row                    # the loss's row, …
    real loss_number                    # … its number, …
    Pair pair                           # … and its pair with the output, or NULL
    Layer* layers
    Py_ssize_t n_parameters             # at rest
    Py_ssize_t packed_size
    Py_ssize_t transposed_size          # without the first layer's, which only dJ/dX needs, and which comes last
    Py_ssize_t x_size                   # of a gathered example in a tile
    Py_ssize_t a_size                   # of one example's activations in a tile, x left out
    Py_ssize_t widest                   # longest row in a tile
    Py_ssize_t block_size               # of one example's strips and panels in a block
    Py_ssize_t n_strips                 # strips of rows of W over all panels of all layers
    Py_ssize_t packed_strips            # the same, weighted by their width
    Py_ssize_t tile                     # the most examples of a tile


cdef struct Arena:                      # memory that is cut into arrays
    char* memory                        # at a multiple of 64; NULL: bytes are only counted
    Py_ssize_t used


cdef struct Report:                     # of a thread
    Fault fault                         # the first one found
    bint oversubscribed                 # it has waited too long for others
    bint infinite                       # a parameter of its share is no longer finite


cdef struct Pass:
    const Plan* plan
    int mode
    bint inputs
    bint restorable                     # see `kept`
    bint clips                          # D is limited, so all of it is computed before the first step
    int most_threads
    Py_ssize_t batch
    Py_ssize_t n_partials               # 0: by rows of W
    Py_ssize_t share                    # examples of a partial sum, the last one's may be fewer
    Py_ssize_t round                    # examples of a round (of each partial sum)
    Py_ssize_t segment                  # rounds of a segment
    double multiply_adds                # of an example, other work counted as such
    Py_ssize_t tile_size                # reals of a thread's tile
    bint small                          # a minibatch is one tile of a small network: see `run_small`
    bint direct                         # Delta goes into the step at once, a group of strips at a time …
    Py_ssize_t group_size               # … in this many reals a thread
    Py_ssize_t group                    # strips of a group
    bint columns                        # a team takes the first W by columns
    real* W                             # packed, as are the next four
    real* Delta                         # (max(1, n_partials), packed_size); where direct (most_threads, group_size)
    real* sums                          # as Delta, over the segments before; NULL where there is one segment alone …
    real* rests                         # … and what rounding has taken from them
    real* moments[MOST_MOMENTS]         # of the optimiser; NULL for those that it does not have
    real* kept[MOST_MOMENTS]            # those to go back to if the pass fails, each at the same distance
    #                                     from its moment; NULL in a pass that is not restorable
    real* average                       # moving average of the parameters, one of the moments; or NULL
    bint is_averaged                    # `average` has been set
    bint is_at_rest                     # what `shown` returns equals the parameters at rest when they were last read
    real* W_T                           # packed
    real* tiles                         # (most_threads, tile_size)
    real* block                         # by rows: (round, block_size)
    real* z                             # by columns: (round, ld_out), z(2) of a round
    real* x                             # by columns: (2, round, x_size), where this and the next round are gathered
    double* losses                      # by rows: (round,), one an example; else (n_partials,)
    double* l1                          # (n_layers,) penalties …
    double* l2                          # … of |W| and of W^2 / 2
    bint penalised                      # whether any is not 0
    double whole                        # of all examples whose J they belong to, the weight; 0: a minibatch's own
    double* penalties                   # (n_strips,), of a strip of a panel
    double* squares                     # (n_strips,), likewise: the sum of (D / most norm)^2; NULL unless D is limited
    int ahead_team                      # threads whose tiles hold all of a minibatch forward propagated ahead, …
    Py_ssize_t ahead_first              # … and its first example; 0 threads: none do
    Report* reports                     # (most_threads,)
    Barrier* barrier
    void* memory


cdef struct Part:                       # of a layer's W, with b as its last row
    const Layer* layer
    Py_ssize_t start                    # rows start to stop
    Py_ssize_t stop
    Py_ssize_t left                     # columns left to right: whole panels, and the last
    Py_ssize_t right


cdef struct Tile:                       # a thread's workspace, for up to plan.tile examples
    real* x                             # (tile, x_size), where examples are gathered
    const real* z_2                     # (n_rows, ld_out), z(2) where columns have computed it; or NULL
    real* a                             # layer after layer (tile, ld_out)
    real* delta[2]                      # (tile, widest)
    real* y                             # (tile, LANES) or (ld_out of the last layer,), whichever is more
    real* a_row                         # (ld_out of the last layer,)
    double* losses                      # (tile,)
    double* sums                        # (tile,) of each example's targets
    Py_ssize_t first                    # of its examples
    bint drops                          # training is random, …
    uint64_t key                        # … with this key of the step


cdef struct Panelled:                   # a layer's W, with b as its last row, here and there
    Py_ssize_t n_rows
    Py_ssize_t n_cols
    Py_ssize_t even                     # columns of the panels of two vectors
    Py_ssize_t rest                     # … and of the last, if that has fewer
    Py_ssize_t width                    # of the last, to whole vectors
