"""Learning rates that change while training: ``cbp.Adam(cbp.schedules.Cosine(0.01))``.

t counts the steps of the training, or its epochs with ``per="epoch"``, from 0. Arguments have the names that
PyTorch's schedulers give them.
"""

from cbp.optimizers.rates import Schedule
from cbp.schedules.cycles import Cosine, OneCycle, WarmUp
from cbp.schedules.decays import Constant, Exponential, InverseScaling, Polynomial, StepDecay
from cbp.schedules.plateau import Plateau

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "InverseScaling",
    "OneCycle",
    "Plateau",
    "Polynomial",
    "Schedule",
    "StepDecay",
    "WarmUp",
]
