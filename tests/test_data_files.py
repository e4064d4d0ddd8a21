"""Data files of the command line: arrays of .npz made examples, and scores in words."""

import numpy as np
import pytest

from cbp.cli.data import Arrays, load_examples, load_inputs, read_npz
from cbp.cli.report import score
from cbp.tabular import Choices, Classes, Columns, Preprocessor
from cbp.tabular.inputs import Numeric
from cbp.tabular.targets import Quantity


@pytest.fixture
def npz_file(tmp_path):
    """Return a function that writes an .npz file of some arrays and returns its path."""

    def write(**arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return path

    return write


# --- .npz ------------------------------------------------------------------------------------------------

IMAGES = (np.arange(80 * 6) % 256).astype(np.uint8).reshape(80, 2, 3)
DIGITS = (np.arange(80) % 4).astype(np.uint8)
IMAGE_RECORD = Preprocessor(Arrays([2, 3], 0.0, 2.0), Quantity("y", 0.0, 1.0))


@pytest.mark.parametrize("shape", [(80,), (80, 1)])
def test_arrays_become_examples(npz_file, shape):
    path = npz_file(x_train=IMAGES, y_train=DIGITS.reshape(shape), x_test=IMAGES[:7], y_test=DIGITS[:7])
    x_train, y_train, x_test, y_test, record, _ = load_examples(path, Choices())
    np.testing.assert_allclose(x_train, IMAGES.reshape(80, 6) / 255, rtol=1e-6)
    np.testing.assert_allclose(x_test, x_train[:7])
    np.testing.assert_array_equal(y_train, DIGITS)
    np.testing.assert_array_equal(y_test, DIGITS[:7])
    assert record.inputs == Arrays([2, 3], 0.0, 255.0)
    assert record.target == Classes("y", [0, 1, 2, 3])


def test_some_arrays_are_held_out_where_there_are_none_to_test_with(npz_file):
    examples = load_examples(npz_file(x_train=IMAGES, y_train=DIGITS), Choices(test_fraction=0.5))
    assert (len(examples.y_train), len(examples.y_test)) == (40, 40)
    examples = load_examples(npz_file(x_train=IMAGES, y_train=DIGITS), Choices(test_fraction=0.0))
    assert examples.x_test.shape == (0, 6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": IMAGES}, "there is no x_train and no y_train among the arrays 'x'"),
        ({"x_train": IMAGES, "y_train": DIGITS, "x_test": IMAGES}, "there is no y_test among the arrays .*"),
        (
            {"x_train": IMAGES, "y_train": DIGITS[1:]},
            r"x_train and y_train have shapes \(80, 2, 3\) and \(79,\).*",
        ),
        ({"x_train": IMAGES, "y_train": IMAGES}, r"x_train and y_train have shapes .*"),
        (
            {"x_train": np.array(1), "y_train": np.array(1)},
            r"x_train and y_train have shapes \(\) and \(\).*",
        ),
        ({"x_train": IMAGES + 1j, "y_train": DIGITS}, "x_train holds complex128, where numbers are needed"),
        ({"x_train": IMAGES[:0], "y_train": DIGITS[:0]}, "y_train is empty"),
        (
            {"x_train": IMAGES, "y_train": DIGITS, "x_test": IMAGES[:, :1], "y_test": DIGITS},
            r"x_test has shape \(80, 1, 3\), where \(m, 2, 3\) is needed",
        ),
        (
            {"x_train": IMAGES, "y_train": DIGITS, "x_test": IMAGES, "y_test": DIGITS + 1},
            "y_test, row 4: 4 is none of the classes 0, 1, 2, 3",
        ),
    ],
)
def test_arrays_that_cannot_be_learnt_from_are_refused(npz_file, arrays, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        load_examples(npz_file(**arrays), Choices())


def test_choices_that_have_no_meaning_are_refused(npz_file):
    path = npz_file(x_train=IMAGES, y_train=DIGITS, x_test=IMAGES, y_test=DIGITS)
    with pytest.raises(ValueError, match=r"columns have names in tables only"):
        load_examples(path, Choices(target="y"))
    with pytest.raises(ValueError, match="the file has x_test and y_test"):
        load_examples(path, Choices(test_fraction=0.5))
    with pytest.raises(ValueError, match=r"columns have names in tables only"):
        load_examples(path, Choices(decimal=","))


@pytest.mark.parametrize("names", [("x_test", "x", "z"), ("x", "z"), ("whatever",)])
def test_inputs_are_x_test_or_x_or_the_only_array(npz_file, names):
    path = npz_file(**{name: IMAGES + place for place, name in enumerate(names)})
    X, skipped, remarks = load_inputs(path, IMAGE_RECORD, np.float64, Choices())
    np.testing.assert_array_equal(X, IMAGES.reshape(80, 6) / 2)
    assert not skipped.any()
    assert skipped.shape == (80,)
    assert not remarks


def test_inputs_that_cannot_be_found_are_refused(npz_file):
    with pytest.raises(ValueError, match="^there is no x_test and no x among the arrays 'a', 'b'$"):
        load_inputs(npz_file(a=IMAGES, b=IMAGES), IMAGE_RECORD, np.float64, Choices())
    record = Preprocessor(Columns([Numeric("a", 0.0, 1.0, 0.0)]), Quantity("y", 0.0, 1.0))
    with pytest.raises(ValueError, match="a table is needed, such as a .csv file$"):
        load_inputs(npz_file(a=IMAGES), record, np.float64, Choices())


def test_files_that_are_no_archive_of_arrays_are_refused(npz_file, tmp_path):
    whole = npz_file(x=IMAGES).read_bytes()
    spoilt = bytearray(whole)
    spoilt[200:250] = b"x" * 50
    objects = npz_file(x=np.array([1, None], object)).read_bytes()
    path = tmp_path / "bad.npz"
    for content in (b"", b"hello", whole[: len(whole) // 2], bytes(spoilt), objects):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.npz is no readable \.npz file: "):
            read_npz(path)
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "absent.npz")


def test_a_table_where_arrays_are_needed_is_refused(csv_file):
    with pytest.raises(ValueError, match="an .npz file is needed$"):
        load_inputs(csv_file("a\n1\n"), IMAGE_RECORD, np.float32, Choices())


# --- arrays ----------------------------------------------------------------------------------------------


def test_images_are_flattened_and_divided_by_their_largest_magnitude():
    x = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    inputs = Arrays.fit(x)
    assert inputs == Arrays([2, 4], 0.0, 23.0)
    X = inputs.transform(x, "float32")
    assert X.dtype == np.float32
    np.testing.assert_allclose(X, np.arange(24).reshape(3, 8) / 23, rtol=1e-6)
    np.testing.assert_array_equal(inputs.transform(x.reshape(3, 8), "float32"), X)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bool"])
def test_images_of_zeros_and_ones_stay_as_they_are(dtype):
    x = np.array([[[0, 1]], [[1, 0]]], dtype)
    assert Arrays.fit(x) == Arrays([1, 2], 0.0, 1.0)


def test_black_images_and_signed_ones_are_scaled_too():
    assert Arrays.fit(np.zeros((2, 3, 3), np.uint8)).scale == 1.0
    assert Arrays.fit(np.full((2, 3, 3), -4.0)).scale == 4.0


def test_columns_of_a_matrix_are_standardised_unless_scaled_already():
    x = np.array([[1.0, 10, 7], [3, 30, 7]])
    inputs = Arrays.fit(x)
    assert inputs == Arrays([3], [2.0, 20.0, 7.0], [1.0, 10.0, 1.0])
    np.testing.assert_array_equal(inputs.transform(x), [[-1, -1, 0], [1, 1, 0]])
    for scaled in ([[0.0, 0.5], [1.0, 0.2]], [[-1.0, 0.5], [1.0, 0.2]]):
        assert Arrays.fit(scaled) == Arrays([2], 0.0, 1.0)


def test_one_number_an_example_is_one_column():
    inputs = Arrays.fit(np.array([1.0, 3.0]))
    np.testing.assert_array_equal(inputs.transform(np.array([3.0, 5.0])), [[1], [3]])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array(["a"]), "x holds <U1, where numbers are needed"),
        (np.array([[1j]]), "x holds complex128, where numbers are needed"),
        (np.array(1.0), "x is a single number, where an array of examples is needed"),
        (np.empty((0, 3)), r"x is empty: its shape is \(0, 3\)"),
        (np.array([[1.0], [np.nan]]), "x, row 2: a value is not a finite number"),
    ],
)
def test_arrays_that_cannot_be_inputs_are_refused(x, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Arrays.fit(x)


def test_examples_of_another_shape_are_refused():
    inputs = Arrays.fit(np.ones((5, 2, 2)))
    with pytest.raises(ValueError, match=r"^x_test has shape \(5, 3\), where \(m, 2, 2\) is needed$"):
        inputs.transform(np.ones((5, 3)), where="x_test")
    with pytest.raises(ValueError, match="not a finite number"):
        inputs.transform(np.full((5, 4), np.inf))


# --- scores ---


def test_scores_are_those_of_the_textbook():
    assert score(Classes("y", ["a", "b"]), [[0.9, 0.1], [0.8, 0.2]], [0, 1]) == "accuracy 50.00% (1 of 2)"
    found = score(Quantity("y", 10.0, 2.0), [[0.0], [0.0]], [[-1.0], [1.0]])
    assert found == "RMSE 2, R² 0.0000"  # always the mean: no part of the spread is explained
    assert score(Quantity("y", 0.0, 1.0), [[1.0]], [[0.0]]) == "RMSE 1, R² undefined (all targets are equal)"


def test_an_accuracy_of_100_percent_is_all_of_them():
    outputs, targets = np.tile([0.9, 0.1], (20_001, 1)), np.zeros(20_001, int)
    assert score(Classes("y", ["a", "b"]), outputs, targets) == "accuracy 100.00% (20,001 of 20,001)"
    targets[7] = 1
    assert score(Classes("y", ["a", "b"]), outputs, targets) == "accuracy 99.99% (20,000 of 20,001)"
