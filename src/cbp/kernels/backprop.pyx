"""Backpropagation for one precision and one instruction set.

    step of the algorithm                                          function             file
    forward      z(l+1) = a(l) W(l) + b(l)                         forward_tile         tiles.pxi
                 a(l+1) = g(z(l+1))                                a row's `activate`   activations.pxi
    output       delta(L) = dloss/dz(L)                            output_delta         output.pxi, losses.pxi
    recursion    delta(l) = (delta(l+1) W(l)^T) * g'(z(l))         recur                tiles.pxi
    accumulation Delta_W(l) += a(l)^T delta(l+1),                  accumulate_tile      tiles.pxi
                 Delta_b(l) += sum delta(l+1)                      accumulate_Delta     phases.pxi
                                                                   accumulate_columns   columns.pxi
    gradient     D = (Delta + lambda W) / m                        gradient_at          gradient.pxi
    update       the optimiser's step against D                    a row's `update`     updates.pxi
                 … once Delta is complete                          finish_part          finish.pxi
    next batch   rounds of two phases, slices                      advance              loop.pxi

A file is included after the files that it needs, which its head names; it uses no others. The module exports one
capsule, a `Table` of C functions. `_core` calls these, and is the interface to Python.
"""
from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport parallel, threadid
from libc.math cimport INFINITY, isfinite, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from cbp.kernels.table cimport *
from cbp.kernels.team cimport *
from cbp.kernels.types cimport *
from cbp.kernels.vec cimport *

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

include "layouts.pxi"
include "products.pxi"
include "one_row.pxi"
include "packing.pxi"
include "math.pxi"
include "normal.pxi"
include "activations.pxi"
include "softmax.pxi"
include "losses.pxi"
include "gradient.pxi"
include "updates.pxi"
include "refusals.pxi"
include "partition.pxi"
include "memory.pxi"
include "plan.pxi"
include "data.pxi"
include "faults.pxi"
include "output.pxi"
include "rest.pxi"
include "pass.pxi"
include "noise.pxi"
include "tiles.pxi"
include "finish.pxi"
include "columns.pxi"
include "phases.pxi"
include "loop.pxi"
include "ahead.pxi"
include "outside.pxi"
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
table.read_parameters = read_parameters
table.read_moment = read_moment
table.write_moment = write_moment
table.set_penalties = set_penalties
table.read_gradient = read_gradient
table.advance = advance
table.update = update_outside
table.outputs_ahead = outputs_ahead
table.probes.elementwise = elementwise
table.probes.product = product
table.probes.multiply = multiply_as
table.probes.rearrange = rearrange
table.probes.activate = activate_as
table.probes.times_derivative = times_derivative_as
table.probes.step = step_as

capsule = PyCapsule_New(&table, "cbp.kernels.Table", NULL)
