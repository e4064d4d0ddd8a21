"""The gradient of the cost, and its check against central differences."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cbp.examples.conversion import Array
from cbp.layers import Layers
from cbp.layout import thetas, views


@dataclass(slots=True, eq=False)  # not frozen: making one would take as long as a tiny network's gradient
class Gradient:
    """D, the gradient of J at the parameters of a network.

    Attributes
    ----------
    parameters : ndarray, (n_parameters,)
        dJ/dθ, in the layout of `Network.parameters`.
    loss : float
        J itself.
    inputs : ndarray, (m, s(1)), or None
        dJ/dX, where it was asked for.
    sizes : tuple of int
        s(1) … s(L).
    bias : bool
        Whether the network has biases.
    """

    parameters: Array
    loss: float
    inputs: Array | None
    sizes: tuple[int, ...]
    bias: bool = True

    @property
    def weights(self) -> Layers:
        """(D_W(1), …), writable views, each (s(l), s(l+1)). Assigning to one copies into it."""
        return views(self.parameters, self.sizes, self.bias)[0]

    @property
    def biases(self) -> Layers:
        """(D_b(1), …), writable views, each (s(l+1),), or ()."""
        return views(self.parameters, self.sizes, self.bias)[1]

    @property
    def thetas(self) -> list[Array]:
        """[D_Θ(1), …], copies in the textbook's form [D_b | D_W^T]."""
        return thetas(*views(self.parameters, self.sizes, self.bias))


def relative_difference(D: Array, J: Callable[[], float], parameters: Array, *, smooth: bool) -> float:
    """Return ‖D − D′‖ / (‖D‖ + ‖D′‖), where D′ is measured by central differences of J.

    One parameter θ is changed at a time. The differences are of the fourth order where J is smooth, and of
    the second where it has kinks. The step is the fifth root (third root where J has kinks) of the machine
    epsilon, times max(1, |θ|): then the truncation error is about as large as the cancellation error (W. H.
    Press et al., Numerical Recipes, 3rd ed., section 5.7).
    """
    points = {1: 8 / 12, 2: -1 / 12} if smooth else {1: 1 / 2}
    root = np.finfo(parameters.dtype).eps ** (1 / 5 if smooth else 1 / 3)
    measured = np.zeros_like(D)
    for i, theta in enumerate(parameters.tolist()):
        step = float(root) * max(1.0, abs(theta))
        for n, weight in points.items():
            for sign in (1, -1):
                parameters[i] = theta + sign * n * step
                measured[i] += sign * weight * J() / step
        parameters[i] = theta
    scale = float(np.linalg.norm(D) + np.linalg.norm(measured))
    return float(np.linalg.norm(D - measured)) / scale if scale else 0.0
