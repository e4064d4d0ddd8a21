"""Inputs made of tables and arrays, and the record of how, in JSON and back."""

import json
import math
import re

import numpy as np
import pytest

from cbp.cli.data import Arrays
from cbp.tabular import Classes, Columns, Preprocessor
from cbp.tabular.choices import Choices, Remarks
from cbp.tabular.examples import load_examples
from cbp.tabular.forms import Form
from cbp.tabular.inputs import Categorical, Numeric
from cbp.tabular.targets import Quantity

pandas = pytest.importorskip("pandas")

TABLE = pandas.DataFrame(
    {
        "size": [1.0, 2.0, 3.0, 6.0],
        "colour": ["red", "blue", "red", "green"],
        "count": [5.0, 5.0, 5.0, 5.0],
        "flag": ["True", "False", "True", "True"],
    }
)


def told(columns, table):
    """Return what there is to remark on a table."""
    remarks = Remarks()
    columns.remark(table, remarks, unknown=True)
    return remarks.lines()


# --- columns ---------------------------------------------------------------------------------------------


def test_numbers_are_standardised_and_categories_become_one_input_each_in_sorted_order():
    columns = Columns.fit(TABLE)
    deviation = math.sqrt((4 + 1 + 0 + 9) / 4)
    assert columns.columns == [
        Numeric("size", 3.0, pytest.approx(deviation), 2.5),
        Categorical("colour", ["blue", "green", "red"], "red"),
        Categorical("flag", ["False", "True"], "True"),
    ]
    X = columns.transform(TABLE)
    assert X.shape == (4, columns.width) == (4, 6)
    np.testing.assert_allclose(X[:, 0], np.array([-2, -1, 0, 3]) / deviation)
    np.testing.assert_array_equal(X[:, 1:4], [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(X[:, 4:], [[0, 1], [1, 0], [0, 1], [0, 1]])


def test_scales_and_categories_come_from_the_training_rows_alone():
    columns = Columns.fit(TABLE.iloc[:2])
    assert columns.columns[0] == Numeric("size", 1.5, 0.5, 1.5)
    assert columns.columns[1] == Categorical("colour", ["blue", "red"], "red")


@pytest.mark.parametrize("seed", range(3))
def test_rows_held_out_decide_nothing(tmp_path, seed):
    """A number, a category and a gap that only they have change no input of the others."""
    rng = np.random.default_rng(seed)
    table = pandas.DataFrame(
        {"a": rng.normal(size=80), "b": rng.choice(["x", "y"], 80), "y": rng.normal(size=80)}
    )
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False)
    choices = Choices(test_fraction=0.3, seed=seed)
    before = load_examples(path, choices)
    held_out = [row for row in range(80) if not np.isin(table["y"][row].round(4), targets(before)).any()]
    assert len(held_out) == 24
    table.loc[held_out[0], "a"], table.loc[held_out[1], "b"], table.loc[held_out[2], "a"] = 1e6, "z", np.nan
    table.to_csv(path, index=False)
    after = load_examples(path, choices)
    np.testing.assert_array_equal(after.x_train, before.x_train)
    np.testing.assert_array_equal(after.y_train, before.y_train)
    np.testing.assert_allclose(before.x_train[:, 0].mean(), 0, atol=1e-6)
    np.testing.assert_allclose(before.x_train[:, 0].std(), 1, rtol=1e-6)


def targets(examples):
    """What is predicted of the examples to train on, as the table has it."""
    quantity = examples.table.target
    return (quantity.mean + quantity.scale * examples.y_train[:, 0].astype(float)).round(4)


def test_an_unseen_category_is_none_of_the_known_ones_and_is_told():
    columns = Columns.fit(TABLE.iloc[:3])
    np.testing.assert_array_equal(columns.transform(TABLE)[3, 1:3], 0)
    assert told(columns, TABLE) == [
        "colour: 'green' unknown to the model, taken for none of the known categories"
    ]
    assert told(Columns.fit(TABLE), TABLE) == []


def test_columns_are_found_by_name_in_any_order_and_others_are_not_looked_at():
    columns = Columns.fit(TABLE)
    shuffled = TABLE[TABLE.columns[::-1]].assign(more=None)
    np.testing.assert_array_equal(columns.transform(shuffled), columns.transform(TABLE))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_come_in_the_precision_asked_for(dtype):
    assert Columns.fit(TABLE).transform(TABLE, dtype).dtype == dtype


def test_a_few_gaps_are_filled_with_the_median_or_the_most_frequent_category():
    number = np.array([np.nan, *[1.0] * 50, *[2.0] * 49, *[9.0] * 100])
    text = np.array([*["a"] * 90, *["b"] * 109, None], object)
    table = pandas.DataFrame({"number": number, "text": text})
    columns = Columns.fit(table)
    assert columns.columns[0].fill == 9.0  # the median of 199 values: the 100th
    assert columns.columns[1] == Categorical("text", ["a", "b"], "b")
    X = columns.transform(table)
    assert X[0, 0] == X[-1, 0] == (9.0 - np.nanmean(number)) / np.nanstd(number)
    np.testing.assert_array_equal(X[-1, 1:], [0, 1])
    assert told(columns, table) == [
        "number (1): gaps filled with the median",
        "text (1): gaps filled with 'b'",
    ]


def test_more_gaps_are_told_to_the_network():
    table = pandas.DataFrame({"number": [1.0, np.nan, 4.0, 7.0], "text": ["a", "b", None, "a"]})
    columns = Columns.fit(table)
    assert columns.columns[0] == Numeric("number", 4.0, pytest.approx(6**0.5), 4.0, flag=True)
    assert columns.columns[1] == Categorical("text", ["", "a", "b"], "")
    X = columns.transform(table)
    np.testing.assert_allclose(X[:, 0] * 6**0.5, [-3, 0, 0, 3], atol=1e-12)
    np.testing.assert_array_equal(X[:, 1], [0, 1, 0, 0])
    np.testing.assert_array_equal(X[:, 2:], [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]])
    assert told(columns, table) == [
        "number (1): gaps filled with the median, and an input that says where",
        "text (1): gaps are a category of their own",
    ]


def test_dates_are_days_and_phases_of_the_year_the_week_and_the_day():
    hours = np.datetime64("1970-01-01T00", "s") + np.arange(0, 3 * 365 * 24, 7) * np.timedelta64(3600, "s")
    times = hours.copy()
    times[5] = np.datetime64("NaT", "s")
    table = pandas.DataFrame({"when": times})
    columns = Columns.fit(table)
    (column,) = columns.columns
    assert column.cycles == [365.2425, 7.0, 1.0]
    assert columns.width == 7
    X = columns.transform(table)
    days = np.arange(0, 3 * 365 * 24, 7) / 24
    days[5] = column.fill
    np.testing.assert_allclose(X[:, 0], (days - column.mean) / column.scale)
    for place, length in enumerate((365.2425, 7, 1)):
        np.testing.assert_allclose(X[:, 1 + 2 * place], np.sin(2 * np.pi * days / length), atol=1e-9)
        np.testing.assert_allclose(X[:, 2 + 2 * place], np.cos(2 * np.pi * days / length), atol=1e-9)


@pytest.mark.parametrize(
    ("step", "count", "cycles"),
    [(1, 10, []), (1, 14, []), (1, 15, [7.0]), (7, 80, []), (7, 120, [365.2425]), (1, 800, [365.2425, 7.0])],
)
def test_only_cycles_that_were_seen_twice_and_vary_are_inputs(step, count, cycles):
    days = np.datetime64("2020-01-01", "D") + np.arange(count) * step
    assert Columns.fit(pandas.DataFrame({"when": days.astype("datetime64[s]")})).columns[0].cycles == cycles


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("a", np.full(30, 0.1), "the same in every row"),
        ("a", np.array(["x"] * 30), "the same in every row"),
        ("a", np.full(30, np.nan), "empty"),
        ("a", np.array([None] * 30), "empty"),
        (
            "a",
            np.array([f"name {i}" for i in range(30)]),
            "text that differs from row to row (--text NAME .*)",
        ),
        ("id", np.arange(30.0) * 7, "numbers of the rows (--number NAME keeps it)"),
        ("Patient_ID", np.arange(30.0), "numbers of the rows (--number NAME keeps it)"),
        ("rownames", np.arange(30.0), "numbers of the rows (--number NAME keeps it)"),
    ],
)
def test_columns_of_no_use_are_left_out_and_told(name, values, reason):
    remarks = Remarks()
    table = pandas.DataFrame({"b": np.arange(30.0), name: values})
    assert Columns.fit(table, remarks=remarks).names == ["b"]
    words = re.escape(reason).replace(r"\.\*", ".*")
    assert re.fullmatch(f"{name}: left out, {words}", *remarks.lines())
    if "keeps" in reason or "--text" in reason:
        assert Columns.fit(table, keep=[name]).names == ["b", name]
    with pytest.raises(ValueError, match=f"^there is no column to learn from; {name}: left out, {words}$"):
        Columns.fit(table[[name]])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("width", np.arange(30.0)),  # not by name
        ("id", np.arange(30.0) // 2),  # not one for each row
        ("id", np.arange(30.0) / 7),  # not whole
        ("a", np.array([f"name {i % 15}" for i in range(30)])),
        ("a", np.array([1.0, *[np.nan] * 29])),  # where the one value is says something
    ],
)
def test_columns_of_perhaps_little_use_are_kept(name, values):
    assert Columns.fit(pandas.DataFrame({name: values})).names == [name]


def test_only_the_most_frequent_of_many_categories_are_inputs():
    # Each fourth one is there five times, the others four: the former are exactly a hundred.
    numbers = np.repeat(np.arange(400), np.where(np.arange(400) % 4 == 0, 5, 4))
    table = pandas.DataFrame({"a": [f"{number:03}" for number in numbers]})
    remarks = Remarks()
    columns = Columns.fit(table, remarks=remarks)
    assert columns.columns[0].categories == [f"{i:03}" for i in range(0, 400, 4)]
    assert remarks.lines() == ["a: the 100 most frequent of 400 categories are inputs"]
    assert told(columns, table) == []
    np.testing.assert_array_equal(columns.transform(table).sum(axis=1), numbers % 4 == 0)
    remarks = Remarks()
    Columns.fit(table[numbers % 4 == 0], remarks=remarks)
    assert remarks.lines() == []


def test_numbers_that_are_too_large_are_refused():
    with pytest.raises(ValueError, match="^column 'a': the numbers are too large to be scaled$"):
        Columns.fit(pandas.DataFrame({"a": [1e308, -1e308]}))


def test_a_table_without_columns_is_refused():
    with pytest.raises(ValueError, match="there is no column to learn from"):
        Columns.fit(pandas.DataFrame())


def test_remarks_on_the_same_are_one_line():
    remarks = Remarks()
    for place in range(10):
        remarks.add("decimal comma", f"x{place}")
    remarks.add("no header")
    assert remarks.lines() == ["x0, x1, x2, x3, x4, x5, x6, x7 and 2 more: decimal comma", "no header"]


# --- the record ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inputs", [Columns.fit(TABLE), Arrays([28, 28], 0.0, 255.0), Arrays([2], [0.1, 0.2], [1 / 3, 3.0])]
)
@pytest.mark.parametrize(
    "target", [Classes("ÿ", ["ä", "b"]), Classes("y", [0, 2.5]), Quantity("y", 1 / 3, 2.0)]
)
def test_the_record_survives_json(inputs, target):
    record = Preprocessor(inputs, target, {"a": Form("number", ",", ".")}, {"header": False, "width": 3})
    assert Preprocessor.from_dict(json.loads(json.dumps(record.to_dict())), others=Arrays) == record


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"inputs": {}, "target": {}},
        {"inputs": {"columns": [{}]}, "target": {"name": "y", "labels": []}},
        {"inputs": 3, "target": None},
        {"inputs": {"columns": []}, "target": {"name": "y", "labels": []}},
        {"inputs": {"columns": []}, "target": {"name": "y", "labels": []}, "layout": {"colour": 1}},
        {
            "inputs": {"columns": []},
            "target": {"name": "y", "labels": []},
            "forms": {"a": {"kind": "x", "y": 1}},
        },
        {"inputs": {"shape": [1], "mean": 0, "scale": 1, "more": 2}, "target": {"name": "y", "labels": []}},
    ],
)
def test_what_is_no_record_is_refused(record):
    with pytest.raises(ValueError, match="^no record of a preprocessor: "):
        Preprocessor.from_dict(record)
