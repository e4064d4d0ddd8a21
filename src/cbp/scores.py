"""Scores: accuracy and R², in double precision, from the targets as they were given."""

from collections.abc import Sequence

import numpy as np

from cbp.examples.conversion import Array


def accuracy(a: Array, Y: Array, softmax: bool, weights: Array | None) -> float:
    """Return the share of right answers.

    For labels, and for softmax, an example is right if its largest output is that of its class. Otherwise
    every unit counts by itself.
    """
    if Y.ndim == 1 or softmax:
        right = a.argmax(axis=1) == (Y if Y.ndim == 1 else Y.argmax(axis=1))
    else:
        right = ((a >= 0.5) == (Y >= 0.5)).mean(axis=1)
    return float(np.average(right, weights=weights))


def r2(a: Array, Y: Array, weights: Array | None) -> float:
    """Return the mean over the outputs of 1 − Σ w (y − a)² / Σ w (y − ȳ)², with ȳ = Σ w y / Σ w.

    An output whose y are all equal counts 1 if it is right everywhere, else 0.
    """
    w = np.ones(len(Y)) if weights is None else weights / weights.max()
    y, a = Y[w > 0].astype(np.float64), a[w > 0].astype(np.float64)
    w = w[w > 0]
    if len(w) < 2:
        raise ValueError(
            f"r2 needs at least 2 examples of a weight above 0, got {len(w)}: a single target has no variance"
        )
    constant = (y == y[0]).all(axis=0)  # not by a spread of 0: the mean of equal y may be rounded
    exponent = np.frexp(np.abs(y).max(axis=0))[1]
    with np.errstate(over="ignore"):  # an infinite error makes an R² of minus infinity
        y, a = np.ldexp(y, -exponent), np.ldexp(a, -exponent)  # so that squares of large targets are finite
        error = w @ (y - a) ** 2
    spread = np.where(constant, 1.0, w @ (y - np.average(y, axis=0, weights=w)) ** 2)
    return float(np.where(constant, error == 0, 1 - error / spread).mean())


def refuse_not_finite(a: Array, weights: Sequence[Array], biases: Sequence[Array]) -> None:
    """Refuse outputs, (m, s(L)) or (s(L),), that are not finite: argmax takes NaN for the largest."""
    bad = ~np.isfinite(a)
    if not bad.any():
        return
    refuse_parameters(weights, biases)
    largest = max(float(np.abs(array).max()) for array in (*weights, *biases))
    row = f"row {int(bad.any(axis=1).argmax())}" if a.ndim == 2 else "the row"
    raise FloatingPointError(
        f"the outputs for {row} of X are not finite: sums overflow {a.dtype}, with numbers up to "
        f"{largest:.3g} among the parameters; scale X down"
    )


def refuse_parameters(weights: Sequence[Array], biases: Sequence[Array]) -> None:
    """Refuse parameters that are not finite, naming the first."""
    for name, arrays in (("weights", weights), ("biases", biases)):
        for layer, array in enumerate(arrays):
            bad = ~np.isfinite(array)
            if bad.any():
                first = np.unravel_index(bad.argmax(), bad.shape)
                raise FloatingPointError(
                    f"the parameters of the network are not finite: {name}[{layer}]"
                    f"[{', '.join(str(int(i)) for i in first)}] is {array[first].item()!r}"
                )
