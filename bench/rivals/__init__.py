"""The competitors, one file a library: the same network, the same steps, each in its own best manner."""

from __future__ import annotations

from rivals import in_cbp, in_jax, in_numpy, in_sklearn, in_torch
from rivals.training import Trainer

TRAINERS: tuple[type[Trainer], ...] = (
    in_cbp.Cbp,
    in_numpy.NumPy,
    in_torch.PyTorch,
    in_jax.Jax,
    in_sklearn.ScikitLearn,
)
