"""The gradient of the cost, and its check against central differences."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cbp.arrays import Array
from cbp.layout import thetas, views


@dataclass(frozen=True, slots=True, eq=False)
class Gradient:
    """D, the gradient of J at the parameters of a network.

    Attributes
    ----------
    parameters : ndarray, (n_parameters,)
        dJ/dθ, as `Network.parameters` lies.
    loss : float
        J itself.
    inputs : ndarray, (m, s(1)), or None
        dJ/dX, where it was asked for.
    sizes : tuple of int
        s(1) … s(L).
    """

    parameters: Array
    loss: float
    inputs: Array | None
    sizes: tuple[int, ...]

    @property
    def weights(self) -> tuple[Array, ...]:
        """(D_W(1), …), views, each (s(l), s(l+1))."""
        return views(self.parameters, self.sizes)[0]

    @property
    def biases(self) -> tuple[Array, ...]:
        """(D_b(1), …), views, each (s(l+1),)."""
        return views(self.parameters, self.sizes)[1]

    @property
    def thetas(self) -> list[Array]:
        """The textbook form [D_b | D_W^T], copies."""
        return thetas(*views(self.parameters, self.sizes))


def relative_difference(D: Array, J: Callable[[], float], parameters: Array) -> float:
    """‖D − D′‖ / (‖D‖ + ‖D′‖), with D′ from central differences of J while single parameters move.

    The step is the cube root of the machine's epsilon times max(1, |θ|), where the errors of truncation and
    of cancellation balance (W. H. Press et al., Numerical Recipes, 3rd ed., section 5.7).
    """
    measured = np.empty_like(D)
    for i, theta in enumerate(parameters.tolist()):
        step = float(np.cbrt(np.finfo(parameters.dtype).eps)) * max(1.0, abs(theta))
        above, below = theta + step, theta - step
        parameters[i] = above
        J_above = J()
        parameters[i] = below
        J_below = J()
        parameters[i] = theta
        measured[i] = (J_above - J_below) / (above - below)
    scale = float(np.linalg.norm(D) + np.linalg.norm(measured))
    return float(np.linalg.norm(D - measured)) / scale if scale else 0.0
