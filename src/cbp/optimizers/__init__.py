"""The optimisers: hyper-parameters and state; the steps are compiled (kernels/updates.pxi)."""

# Where earlier versions had them, and their pickles look for them.
from cbp.optimizers.adam import Adam
from cbp.optimizers.base import OptimizerState
from cbp.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "OptimizerState"]
