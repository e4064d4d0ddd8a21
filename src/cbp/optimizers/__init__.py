"""The optimisers: hyper-parameters and state; the steps are compiled (kernels/updates.pxi)."""

# Pickles of earlier versions look for these classes here.
from cbp.optimizers.adam import Adam
from cbp.optimizers.base import OptimizerState
from cbp.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "OptimizerState"]
