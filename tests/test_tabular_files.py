"""Tables made examples, and what is refused."""

import numpy as np
import pytest

from cbp.tabular import Choices, Classes, Columns, Preprocessor, load_examples, load_inputs
from cbp.tabular.forms import Form
from cbp.tabular.inputs import Categorical, Numeric
from cbp.tabular.targets import Quantity


def numbered(header, row, count=40):
    """Return the text of a table of which row i is ``row(i)``."""
    return header + "\n" + "".join(row(i) + "\n" for i in range(count))


# --- examples from a table -------------------------------------------------------------------------------


def test_a_table_becomes_examples(csv_file):
    path = csv_file(numbered("size,colour,kind", lambda i: f"{i},{'red' if i % 2 else 'blue'},{'uv'[i % 2]}"))
    x_train, y_train, x_test, y_test, record, _ = load_examples(path, Choices())
    assert x_train.shape == (30, 3)
    assert x_test.shape == (10, 3)
    assert x_train.dtype == np.float32
    assert record.target == Classes("kind", ["u", "v"])
    assert record.inputs.columns[1].categories == ["blue", "red"]
    # Each kind has a colour of its own, so that rows and targets can be seen to belong together.
    for x, y in ((x_train, y_train), (x_test, y_test)):
        np.testing.assert_array_equal(x[:, 2], y)
    # Standardised by the training rows alone.
    assert abs(x_train[:, 0].mean()) < 1e-6
    assert x_train[:, 0].std() == pytest.approx(1, abs=1e-6)
    size = record.inputs.columns[0]
    rows = np.concatenate([x_train, x_test])[:, 0] * size.scale + size.mean
    np.testing.assert_allclose(np.sort(rows), np.arange(40), atol=1e-4)


def test_a_quantity_learns_its_scale_from_the_training_rows_and_classes_their_names_from_all(csv_file):
    examples = load_examples(csv_file(numbered("x,y", lambda i: f"{i / 7},{i * i / 9}")), Choices())
    assert examples.y_train.mean() == pytest.approx(0)
    assert examples.y_train.std() == pytest.approx(1)
    examples = load_examples(
        csv_file(numbered("x,y", lambda i: f"{i / 7},{'abcd'[i % 4]}", 8)), Choices(test_fraction=0.7)
    )
    assert len(set(examples.y_train)) < 4
    assert examples.table.target == Classes("y", ["a", "b", "c", "d"])


def test_the_choices_are_kept(csv_file):
    path = csv_file(numbered("a,id,b,c", lambda i: f"{i / 7},name {i},{i % 2},{i}"))
    choices = Choices(target="b", ignore=["id"], task="regression", test_fraction=0.1, dtype="float64")
    examples = load_examples(path, choices)
    assert examples.table.inputs.names == ["a", "c"]
    assert isinstance(examples.table.target, Quantity)
    assert examples.y_train.shape == (36, 1)
    assert examples.x_train.dtype == np.float64
    assert not np.array_equal(
        examples.x_test, load_examples(path, Choices(**vars(choices) | {"seed": 1})).x_test
    )
    everything = load_examples(path, Choices(**vars(choices) | {"test_fraction": 0.0}))
    assert (len(everything.y_train), len(everything.y_test)) == (40, 0)


@pytest.mark.parametrize(
    ("text", "choices", "message"),
    [
        ("a,kind\n1,2\n", {"target": "Kinds"}, "there is no column 'Kinds': did you mean 'kind'?"),
        ("a,kind\n1,2\n", {"target": "zzz"}, "there is no column 'zzz' among 'a', 'kind'"),
        ("a,kind\n1,2\n", {"target": ""}, "there is no column '' among 'a', 'kind'"),
        ("a,kind\n1,2\n", {"target": ","}, "there is no column ',' among 'a', 'kind'"),
        ("a,bb,kind\n1,2,3\n", {"target": "a,bb"}, "there is no column 'a,bb': did you mean 'bb'?"),
        (
            "a,b\n1,2\n",
            {"text": ["a"], "number": ["a,b"]},
            "column 'a' is named by --text and by --number: leave one of them out",
        ),
        (
            "a;b\n1;2\n",
            {"delimiter": "|"},
            "there is only the column 'a;b', and none to predict it from "
            "(--delimiter tells what stands between two cells)",
        ),
        ("a,b\n1,2\n", {"ignore": ["A"]}, "there is no column 'A': did you mean 'a'?"),
        ("a,b\n1,2\n", {"ignore": ["b"]}, "column 'b' is the target, and cannot be ignored"),
        (
            "b,c\n1,2\n1,3\n",
            {},
            "there is no column to learn from; c: too few rows to learn the classes 2, 3, fewer than 5 each; "
            "b: left out, the same in every row",
        ),
        (
            "ab,b\n1,2.5\n",
            {"task": "regression"},
            "of 1 examples in all, 25% cannot be held out for the test",
        ),
        ("ab,b\n1,\n2,\n", {}, "every row has a gap: --target NAME chooses another"),
        (
            "ab,b\n1,1\n2,\n",
            {"gaps": "error"},
            "column 'b', line 3: missing value (--gaps impute fills it in, drop leaves the row out)",
        ),
        (
            "ab,b\n1,x\n\n2,y\nNA,y\n",
            {"gaps": "error"},
            "column 'ab', line 5: missing value (--gaps impute fills it in, drop leaves the row out)",
        ),
        (
            "ab,c,b\n1,,x\n,2,y\n",
            {"gaps": "drop"},
            "every row has a gap: --gaps impute fills them in",
        ),
        (
            "ab,b\n1,x\n2,x\n",
            {},
            "column 'b' is 'x' in every row: there is nothing to tell apart (--target NAME chooses another)",
        ),
        (
            "ab,b\n1,2020-01-01\n2,2020-01-02\n",
            {},
            "column 'b' holds dates, which are not predicted (--target NAME chooses another)",
        ),
    ],
)
def test_tables_that_cannot_be_learnt_from_are_refused(csv_file, text, choices, message):
    with pytest.raises(ValueError) as caught:
        load_examples(csv_file(text), Choices(**choices))
    assert str(caught.value) == message


def test_a_name_may_have_commas_and_names_may_stand_together(csv_file):
    path = csv_file(numbered('"a, b",a,b,c,y', lambda i: f"{i / 7},{i / 3},{i % 5},{i % 3},{i}"))
    inputs = [["a, b"], ["a,b"], ["a, b", "a,b"], ["a", "c"]]
    names = [load_examples(path, Choices(ignore=ignore)).table.inputs.names for ignore in inputs]
    assert names == [["a", "b", "c"], ["a, b", "c"], ["c"], ["a, b", "b"]]


def test_the_same_share_of_every_class_is_held_out(csv_file):
    kinds = ["a"] * 160 + ["b"] * 30 + ["c"] * 8 + ["d", "e"]
    path = csv_file(numbered("x,kind", lambda i: f"{i / 7},{kinds[i]}", 200))
    for seed in range(20):
        examples = load_examples(path, Choices(seed=seed, test_fraction=0.25))
        train, test = np.bincount(examples.y_train, minlength=5), np.bincount(examples.y_test, minlength=5)
        np.testing.assert_array_equal(train + test, [160, 30, 8, 1, 1])
        assert test[0] in (39, 40, 41)
        assert test[1] in (7, 8)
        assert test[2] in (1, 2, 3)
        # What is there once is learnt.
        assert test[3] == test[4] == 0
    assert examples.remarks == ["kind: too few rows to learn the classes 'd', 'e', fewer than 5 each"]


def test_rows_without_a_target_and_on_request_rows_with_gaps_are_left_out(csv_file):
    path = csv_file(numbered("a,b,y", lambda i: f"{i / 7 if i % 4 else ''},{i % 3},{i if i % 10 else 'n/a'}"))
    for gaps, kept in (
        ("impute", [i for i in range(40) if i % 10]),
        ("drop", [i for i in range(40) if i % 10 and i % 4]),
    ):
        x_train, y_train, x_test, y_test, table, remarks = load_examples(
            path, Choices(gaps=gaps, dtype="float64")
        )
        targets = np.concatenate([y_train, y_test])[:, 0] * table.target.scale + table.target.mean
        np.testing.assert_allclose(np.sort(targets), kept)
        assert len(x_train) + len(x_test) == len(kept)
        assert remarks[0].startswith("y (4)")
    assert remarks == ["y (4), a (10): rows without a value are left out"]


def test_a_column_that_is_left_out_costs_no_row_its_place(csv_file):
    text = numbered("a,remark,y", lambda i: f"{i / 7},{f'No. {i}' if i % 2 else ''},{i}", 80)
    examples = load_examples(csv_file(text), Choices(gaps="drop"))
    assert len(examples.y_train) + len(examples.y_test) == 80


def test_inputs_are_read_by_name_and_new_categories_told(csv_file):
    columns = Columns([Numeric("a", 1.0, 2.0, 1.0), Categorical("code", ["1", "2"], "1")])
    record = Preprocessor(columns, Quantity("y", 0.0, 1.0), {"a": Form("number"), "code": Form("text")})
    X, skipped, remarks = load_inputs(csv_file("more,code,a\n?,2,1\n?,7,3\n"), record, np.float32, Choices())
    np.testing.assert_array_equal(X, [[0, 0, 1], [1, 0, 0]])
    assert X.dtype == np.float32
    assert not skipped.any()
    assert remarks == ["code: '7' unknown to the model, taken for none of the known categories"]
    told = r"^missing column 'code' \(found 'a'; --delimiter and --no-header tell how to read it\)$"
    with pytest.raises(ValueError, match=told):
        load_inputs(csv_file("a\n1\n"), record, np.float32, Choices())


@pytest.mark.parametrize(("gaps", "skipped"), [("impute", [0, 0, 0]), ("drop", [0, 1, 0])])
def test_a_row_without_a_cell_is_predicted_from_too(csv_file, gaps, skipped):
    path = csv_file(numbered("x,k,y", lambda i: f"{i},{'ab'[i % 2]},{'uv'[i % 2]}"))
    record = load_examples(path, Choices()).table
    X, found, _ = load_inputs(csv_file("x,k\n0.5,a\n , \n0.6,b\n"), record, np.float32, Choices(gaps=gaps))
    assert len(X) == 3
    assert found.tolist() == skipped


@pytest.mark.parametrize("rows", [[1], [1, 3]])
def test_rows_that_are_not_predicted_are_counted(csv_file, rows):
    path = csv_file(numbered("x,k,y", lambda i: f"{i},{'ab'[i % 2]},{'uv'[i % 2]}"))
    record = load_examples(path, Choices()).table
    path = csv_file(numbered("x,k", lambda i: f"{'' if i in rows else i},a", 5))
    words = "1 row with a gap is" if len(rows) == 1 else "2 rows with gaps are"
    *_, remarks = load_inputs(path, record, np.float32, Choices(gaps="drop"))
    assert remarks == [f"{words} not predicted, the first in line 3"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", ["1e300", "-1e300", "1e40"])
def test_a_number_too_large_for_the_precision_is_told_with_its_place(csv_file, value):
    path = csv_file(numbered("k,x,y", lambda i: f"{'ab'[i % 2]},{i},{'uv'[i % 2]}"))
    record = load_examples(path, Choices()).table
    # The row above the blank line has no prediction, and must not shift the place.
    path = csv_file(f"k,x\n,1\n\na,2\nb,{value}\n")
    with pytest.raises(ValueError, match=f"^column 'x', line 5: '{value}' is too far .* for float32 "):
        load_inputs(path, record, np.float32, Choices(gaps="drop"))
    X, _, _ = load_inputs(path, record, np.float64, Choices())
    x = record.inputs.columns[1]
    assert X[2, 2] == (float(value) - x.mean) / x.scale


def test_the_delimiter_of_a_table_to_predict_from_is_found_by_its_columns(csv_file):
    text = numbered("city;size;y", lambda i: f"{('New York', 'Los Angeles')[i % 2]};{i / 8},0;{i % 2}")
    record = load_examples(csv_file(text), Choices(ignore=["size"])).table
    assert record.layout["usual_delimiter"] == ";"
    choices = Choices(**record.layout)
    for text in (
        "city\nNew York\nLos Angeles\n",
        "size,city\n1,New York\n2,Los Angeles\n",
        "size;city\n1,2;New York\n3,4;Los Angeles\n",
    ):
        X, _, remarks = load_inputs(csv_file(text), record, np.float64, choices)
        np.testing.assert_array_equal(X, [[0, 1], [1, 0]])
        assert remarks == []


def test_a_table_without_names_may_lack_its_target(csv_file):
    text = "".join(f"{'uv'[i % 2]},{i / 7},{i % 5}\n" for i in range(40))
    x_train, _, x_test, _, record, _ = load_examples(csv_file(text), Choices(target="1", dtype="float64"))
    choices = Choices(**record.layout)
    X, _, remarks = load_inputs(csv_file(text), record, np.float64, choices)
    np.testing.assert_array_equal(np.sort(X, axis=0), np.sort(np.concatenate([x_train, x_test]), axis=0))
    assert remarks == []
    without = "".join(line.split(",", 1)[1] + "\n" for line in text.splitlines())
    X_without, _, remarks = load_inputs(csv_file(without), record, np.float64, choices)
    np.testing.assert_array_equal(X_without, X)
    assert remarks == ["the columns are taken for those of the training data without '1'"]
