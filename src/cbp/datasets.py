"""Real data to try a network on, without a download."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["Digits", "load_digits"]

# A pixel counts the dark cells among the 4 x 4 that it stands for.
DARKEST = 16


class Digits(NamedTuple):
    """The handwritten digits, split into a part to train on and a part to test with.

    Parameters
    ----------
    x_train : ndarray of shape (1348, 64)
        Images to train on, one a row, row-major from the top left; from 0 (paper) to 1 (ink).
    y_train : ndarray of shape (1348,), int64
        The digit that each image shows, 0 to 9.
    x_test : ndarray of shape (449, 64)
        The images held out.
    y_test : ndarray of shape (449,), int64
        Their digits.
    """

    x_train: NDArray[np.floating[Any]]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.floating[Any]]
    y_test: NDArray[np.int64]


def load_digits(*, dtype: DTypeLike = "float32", rng: int | np.random.Generator | None = 0) -> Digits:
    """Load 1,797 images of handwritten digits, 8 x 8 pixels each, a quarter of them held out.

    These are the test images of the UCI set [1]_, written by 13 people.

    Parameters
    ----------
    dtype : dtype, default "float32"
        Floating-point type of the images. Their values are sixteenths, hence exact in any.
    rng : int, numpy.random.Generator or None, default 0
        Source of the random numbers that decide which images are held out, and the order of all. An int is a
        seed; a Generator is used, not copied; None draws a different split each time. A given seed means the
        same split with any version of NumPy.

    Returns
    -------
    Digits
        The arrays ``x_train, y_train, x_test, y_test``: new, contiguous and writable.

    Raises
    ------
    ValueError
        If ``dtype`` is not a floating-point type.
    FileNotFoundError
        If the images are not there, as in a program that was frozen without them.

    References
    ----------
    .. [1] E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
       Repository, 1998. https://doi.org/10.24432/C50P49. Licensed under CC BY 4.0.

    Examples
    --------
    >>> digits = load_digits()
    >>> digits.x_train.shape, digits.x_test.shape
    ((1348, 64), (449, 64))
    >>> digits.x_train.dtype
    dtype('float32')
    >>> x_train, y_train, x_test, y_test = load_digits(dtype="float64", rng=1)
    """
    real = np.dtype(dtype)
    if not np.issubdtype(real, np.floating):
        raise ValueError(f"dtype: expected a floating-point type such as float32 or float64, got {real}")

    images, labels = read_digits()
    order = shuffled(len(labels), np.random.default_rng(rng))
    held_out = len(labels) // 4
    x = (images[order] / DARKEST).astype(real)
    y = labels[order].astype(np.int64)
    # Copies: views would share their memory, and each would keep the memory of both parts alive.
    return Digits(x[held_out:].copy(), y[held_out:].copy(), x[:held_out].copy(), y[:held_out].copy())


def read_digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the images, (1797, 64) from 0 to 16, and the labels, (1797,), in the order of the source."""
    # Imported here, because few programs that import the package load the digits.
    from importlib.resources import files

    from cbp.machine import installation

    try:
        content = files("cbp").joinpath("data", "digits.npz").read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(installation.missing_data("cbp/data/digits.npz")) from error
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return arrays["images"], arrays["labels"]


def shuffled(count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the numbers below ``count`` in random order."""
    # NumPy promises the raw stream of a bit generator for all its versions, but not what `permutation` makes
    # of it.
    keys = rng.bit_generator.random_raw(count)
    return np.argsort(keys, kind="stable")
