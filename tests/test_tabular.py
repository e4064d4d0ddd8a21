"""Inputs made of tables and arrays, and the record of how, in JSON and back."""

import json
import math

import numpy as np
import pytest

from cbp.tabular import (
    Arrays,
    Categorical,
    Classes,
    Columns,
    Numeric,
    Preprocessor,
    Quantity,
)

TABLE = {
    "size": np.array([1.0, 2.0, 3.0, 6.0]),
    "colour": np.array(["red", "blue", "red", "green"], object),
    "count": np.array([5, 5, 5, 5]),
    "flag": np.array([True, False, True, True]),
}


# --- columns ---------------------------------------------------------------------------------------------


def test_numbers_are_standardised_and_categories_become_one_input_each_in_sorted_order():
    columns = Columns.fit(TABLE)
    deviation = math.sqrt((4 + 1 + 0 + 9) / 4)
    assert columns.columns == [
        Numeric("size", 3.0, pytest.approx(deviation)),
        Categorical("colour", ["blue", "green", "red"]),
        Numeric("count", 5.0, 1.0),
        Categorical("flag", ["False", "True"]),
    ]
    X = columns.transform(TABLE)
    assert X.shape == (4, columns.width) == (4, 7)
    np.testing.assert_allclose(X[:, 0], np.array([-2, -1, 0, 3]) / deviation)
    np.testing.assert_array_equal(X[:, 1:4], [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(X[:, 4], 0)
    np.testing.assert_array_equal(X[:, 5:], [[0, 1], [1, 0], [0, 1], [0, 1]])


def test_scales_and_categories_come_from_the_training_rows_alone():
    columns = Columns.fit(TABLE, rows=np.array([0, 1]))
    assert columns.columns[0] == Numeric("size", 1.5, 0.5)
    assert columns.columns[1] == Categorical("colour", ["blue", "red"])


def test_an_unseen_category_is_none_of_the_known_ones_and_is_told():
    columns = Columns.fit(TABLE, rows=np.array([0, 1, 2]))
    np.testing.assert_array_equal(columns.transform(TABLE)[3, 1:3], 0)
    assert columns.unknown(TABLE) == {"colour": ["green"]}
    assert Columns.fit(TABLE).unknown(TABLE) == {}


def test_columns_are_found_by_name_in_any_order_and_others_are_not_looked_at():
    columns = Columns.fit(TABLE)
    shuffled = {"more": np.array([None] * 4)} | dict(reversed(TABLE.items()))
    np.testing.assert_array_equal(columns.transform(shuffled), columns.transform(TABLE))
    with pytest.raises(ValueError, match=r"^missing columns 'size', 'flag'$"):
        columns.transform({"colour": TABLE["colour"], "count": TABLE["count"]})


def test_a_constant_column_is_zero_even_where_its_mean_is_rounded():
    values = np.full(3, 0.1)
    assert values.mean() != 0.1
    assert Columns.fit({"a": values}).columns == [Numeric("a", 0.1, 1.0)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_come_in_the_precision_asked_for(dtype):
    assert Columns.fit(TABLE).transform(TABLE, dtype).dtype == dtype


def test_data_frames_are_tables():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(TABLE)
    frame["colour"] = frame["colour"].astype("category")
    assert Columns.fit(frame) == Columns.fit(TABLE)
    np.testing.assert_array_equal(Columns.fit(frame).transform(frame), Columns.fit(TABLE).transform(TABLE))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([1.0, np.nan]), "column 'a', row 2: missing value"),
        (np.array([-np.inf, 1.0]), "column 'a', row 1: infinite value"),
        (np.array(["x", None], object), "column 'a', row 2: missing value"),
        (np.array([math.nan, "x"], object), "column 'a', row 1: missing value"),
        (np.array([], object), "column 'a' is empty"),
        (np.array([[1.0]]), r"column 'a' has shape \(1, 1\), where one value a row is needed"),
        (np.array([1j, 2]), "column 'a' holds complex128, which is neither numbers nor text"),
        (np.array([1e308, -1e308]), "column 'a': the numbers are too large to be scaled"),
        (np.array([10**400, 1], object), "column 'a', row 1: 1000.*\\.\\.\\. is not a number"),
    ],
)
def test_cells_that_cannot_be_inputs_are_refused_by_column_and_row(values, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Columns.fit({"a": values})


def test_pandas_missing_values_are_missing():
    pandas = pytest.importorskip("pandas")
    for values in ([1, pandas.NA], ["x", pandas.NA], ["x", pandas.NaT]):
        with pytest.raises(ValueError, match="^column 'a', row 2: missing value$"):
            Columns.fit({"a": np.array(values, object)})


def test_text_in_a_column_of_numbers_is_refused_at_prediction():
    columns = Columns.fit({"a": np.array([1.0, 2.0])})
    np.testing.assert_array_equal(columns.transform({"a": np.array(["1", "2"], object)}), [[-1], [1]])
    with pytest.raises(ValueError, match="^column 'a', row 2: 'two' is not a number$"):
        columns.transform({"a": np.array([1, "two"], object)})


def test_running_text_and_spoilt_numbers_are_refused():
    names = np.array([f"name {i}" for i in range(41)], object)
    with pytest.raises(
        ValueError, match=r"^column 'a' holds text and not categories \(41 values in 41 rows\)"
    ):
        Columns.fit({"a": names})
    assert Columns.fit({"a": np.concatenate([names, names])}).width == 41
    spoilt = np.array([*map(str, range(40)), "4O"] * 3, object)
    with pytest.raises(ValueError, match="^column 'a', row 41: '4O' is not a number$"):
        Columns.fit({"a": spoilt})


def test_a_table_without_columns_is_refused():
    with pytest.raises(ValueError, match="there is no column to learn from"):
        Columns.fit({})


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


# --- the record ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inputs", [Columns.fit(TABLE), Arrays([28, 28], 0.0, 255.0), Arrays([2], [0.1, 0.2], [1 / 3, 3.0])]
)
@pytest.mark.parametrize(
    "target", [Classes("ÿ", ["ä", "b"]), Classes("y", [0, 2.5]), Quantity("y", 1 / 3, 2.0)]
)
def test_the_record_survives_json(inputs, target):
    record = Preprocessor(inputs, target)
    assert Preprocessor.from_dict(json.loads(json.dumps(record.to_dict()))) == record


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"inputs": {}, "target": {}},
        {"inputs": {"columns": [{}]}, "target": {"name": "y", "labels": []}},
        {"inputs": 3, "target": None},
        {"inputs": {"shape": [1], "mean": 0, "scale": 1, "more": 2}, "target": {"name": "y", "labels": []}},
    ],
)
def test_what_is_no_record_is_refused(record):
    with pytest.raises(ValueError, match="^no record of a preprocessor: "):
        Preprocessor.from_dict(record)
