"""The embedded digits: the values of the source, and a split that never moves."""

import hashlib
from importlib.metadata import distribution
from importlib.resources import files

import numpy as np
import pytest

from cbp.datasets import Digits, load_digits, read_digits

# As the source's own description counts them.
IMAGES_OF_EACH_DIGIT = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]

# The image that the source begins with, a zero.
FIRST_IMAGE = """
    0  0  5 13  9  1  0  0
    0  0 13 15 10 15  5  0
    0  3 15  2  0 11  8  0
    0  4 12  0  0  8  8  0
    0  5  8  0  0  9  8  0
    0  4 11  0  1 12  7  0
    0  2 14  5 10 12  0  0
    0  0  6 13 10  0  0  0
"""


def test_embedded_values():
    images, labels = read_digits()
    assert images.shape == (1797, 64)
    assert labels.shape == (1797,)
    assert images.dtype == labels.dtype == np.uint8
    assert images.min() == 0
    assert images.max() == 16
    assert images.sum(dtype=np.int64) == 561_718
    assert np.bincount(labels).tolist() == IMAGES_OF_EACH_DIGIT
    assert images[0].tolist() == [int(pixel) for pixel in FIRST_IMAGE.split()]
    assert labels[:10].tolist() == list(range(10))
    assert hashlib.sha256(np.ascontiguousarray(images)).hexdigest() == (
        "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
    )
    assert hashlib.sha256(np.ascontiguousarray(labels)).hexdigest() == (
        "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0"
    )


def test_embedded_values_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    images, labels = read_digits()
    assert np.array_equal(images, theirs.data)
    assert np.array_equal(labels, theirs.target)


def test_the_file_is_small_and_names_its_source_and_licence():
    assert len((files("cbp") / "data" / "digits.npz").read_bytes()) < 50_000
    (licence,) = (file for file in distribution("cython-backprop").files if file.name == "LICENSE.md")
    notice = licence.read_text()
    for words in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "What was changed"):
        assert words in notice


def test_shapes_and_types():
    digits = load_digits()
    assert isinstance(digits, Digits)
    assert digits._fields == ("x_train", "y_train", "x_test", "y_test")
    x_train, y_train, x_test, y_test = digits
    assert x_train.shape == (1348, 64)
    assert x_test.shape == (449, 64)
    assert y_train.shape == (1348,)
    assert y_test.shape == (449,)
    assert x_train.dtype == x_test.dtype == np.float32
    assert y_train.dtype == y_test.dtype == np.int64
    for array in digits:
        assert array.flags.c_contiguous
        assert array.flags.aligned
        assert array.flags.writeable
        assert array.flags.owndata


def test_inputs_are_sixteenths_from_0_to_1():
    for x in (load_digits().x_train, load_digits().x_test):
        assert x.min() == 0.0
        assert x.max() == 1.0
        assert np.array_equal(16 * x, np.rint(16 * x))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", np.float64, np.dtype(">f4")])
def test_dtype(dtype):
    digits = load_digits(dtype=dtype)
    assert digits.x_train.dtype == digits.x_test.dtype == np.dtype(dtype)
    assert np.array_equal(digits.x_train, load_digits().x_train)


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64", object, "U3"])
def test_a_dtype_that_cannot_hold_the_inputs_is_refused(dtype):
    with pytest.raises(ValueError, match=r"dtype: expected a floating-point type .* got"):
        load_digits(dtype=dtype)


def test_the_default_split_is_pinned():
    digits = load_digits()
    assert digits.y_train[:10].tolist() == [4, 7, 9, 7, 1, 6, 5, 0, 2, 9]
    assert digits.y_test[:10].tolist() == [0, 6, 3, 8, 1, 8, 4, 1, 5, 8]
    assert np.bincount(digits.y_test).tolist() == [42, 43, 49, 44, 38, 43, 43, 46, 42, 59]
    assert 16 * digits.x_train.sum(dtype=np.float64) == 421_215
    assert 16 * digits.x_test.sum(dtype=np.float64) == 140_503


@pytest.mark.parametrize("rng", [0, 7])
def test_the_parts_together_are_the_whole(rng):
    digits = load_digits(rng=rng)
    images, labels = read_digits()
    whole = np.column_stack([images, labels]).tolist()
    x = np.concatenate([digits.x_train, digits.x_test])
    y = np.concatenate([digits.y_train, digits.y_test])
    assert sorted(np.column_stack([16 * x, y]).astype(int).tolist()) == sorted(whole)


def test_the_seed_decides_the_split():
    first, again, other = load_digits(rng=1), load_digits(rng=1), load_digits(rng=2)
    assert np.array_equal(first.x_train, again.x_train)
    assert np.array_equal(first.y_test, again.y_test)
    assert not np.array_equal(first.y_test, other.y_test)


def test_a_generator_is_used_and_not_copied():
    generator = np.random.default_rng(1)
    first, second = load_digits(rng=generator), load_digits(rng=generator)
    assert np.array_equal(first.x_train, load_digits(rng=1).x_train)
    assert not np.array_equal(first.y_test, second.y_test)
    legacy = np.random.Generator(np.random.MT19937(1))
    assert load_digits(rng=legacy).x_train.shape == (1348, 64)


def test_every_call_returns_arrays_of_its_own():
    first = load_digits()
    first.x_train[:] = -1.0
    first.y_train[:] = -1
    assert load_digits().x_train.min() == 0.0
    assert load_digits().y_train.min() == 0
    assert first.x_test.min() == 0.0
