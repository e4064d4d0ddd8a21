"""Data files: what is read from .csv and .npz, and what is refused."""

import sys

import numpy as np
import pytest

from cbp.tabular import (
    Arrays,
    Categorical,
    Choices,
    Classes,
    Columns,
    Numeric,
    Quantity,
    load_examples,
    load_inputs,
)
from cbp.tabular.readers import read_csv, read_npz


@pytest.fixture
def csv_file(tmp_path):
    """Return a function that writes a .csv file of some text and returns its path."""
    pytest.importorskip("pandas")

    def write(text, encoding="utf-8"):
        path = tmp_path / "data.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


@pytest.fixture
def npz_file(tmp_path):
    """Return a function that writes an .npz file of some arrays and returns its path."""

    def write(**arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return path

    return write


def numbered(header, row, count=40):
    """Return the text of a table of which row i is ``row(i)``."""
    return header + "\n" + "".join(row(i) + "\n" for i in range(count))


# --- .csv ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x\n2,y\n",
        "a,b\r\n1,x\r\n2,y\r\n",
        "\ufeffa,b\n1,x\n2,y",
        '"a","b"\n"1","x"\n"2","y"\n',
        "a, b\n1, x\n2, y\n",
        "a;b\n1;x\n2;y\n",
        "a\tb\n1\tx\n2\ty\n",
        "\n\na,b\n\n1,x\n2,y\n\n",
        ",a,b\n0,1,x\n1,2,y\n",
        "a,b,\n1,x,\n2,y,\n",
    ],
    ids=[
        "plain",
        "crlf",
        "bom",
        "quoted",
        "spaces",
        "semicolons",
        "tabs",
        "blank lines",
        "index",
        "trailing",
    ],
)
def test_every_ordinary_way_to_write_a_table_is_read(csv_file, text):
    table = read_csv(csv_file(text))
    assert list(table) == ["a", "b"]
    np.testing.assert_array_equal(table["a"], [1, 2])
    np.testing.assert_array_equal(table["b"], ["x", "y"])


def test_quotes_commas_line_ends_and_unicode_are_kept(csv_file):
    table = read_csv(csv_file('"naïve; name","x ""y"""\n"grün, hell\nund so",1\n"да",2\n'))
    assert list(table) == ["naïve; name", 'x "y"']
    assert table["naïve; name"].tolist() == ["grün, hell\nund so", "да"]


def test_text_keeps_its_spelling(csv_file):
    table = read_csv(csv_file("flag,code\ntrue,01\nFALSE,2\n"), text=["code"])
    assert table["flag"].tolist() == ["true", "FALSE"]
    assert table["code"].tolist() == ["01", "2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data.csv: the file is empty"),
        (" \n\n", "data.csv: the file is empty"),
        ("a,b\n", "data.csv has a header and no rows"),
        ("a,b,a\n1,2,3\n", "data.csv: column 'a' is there twice"),
        (",\n1,2\n", "data.csv: no column has a name: a header is needed"),
        ("a,b\n1,2\n1,2,3\n", "data.csv: Expected 2 fields in line 3, saw 3"),
        ("a,b\n1,2,3\n1,2,3\n", "data.csv: the rows have more fields than the header"),
        ('a,b\n"1,2\n', "data.csv: EOF inside string starting at row 1"),
        ("é,b\n1,2\n".encode("latin-1"), "data.csv is not text in UTF-8"),
        (b"a,b\n1,2\n3,\xff\n", "data.csv is not text in UTF-8"),
    ],
)
def test_files_that_are_no_table_are_refused(csv_file, text, message):
    with pytest.raises(ValueError) as caught:
        read_csv(csv_file(text))
    assert str(caught.value).strip().endswith(message)


def test_pandas_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"^reading .csv needs pandas: pip install 'cython-backprop\[csv\]'$"
    ):
        read_csv(tmp_path / "data.csv")


# --- examples from a table -------------------------------------------------------------------------------


def test_a_table_becomes_examples(csv_file):
    path = csv_file(numbered("size,colour,kind", lambda i: f"{i},{'red' if i % 2 else 'blue'},{'uv'[i % 2]}"))
    x_train, y_train, x_test, y_test, record = load_examples(path, Choices())
    assert x_train.shape == (30, 3)
    assert x_test.shape == (10, 3)
    assert x_train.dtype == np.float32
    assert record.target == Classes("kind", ["u", "v"])
    assert record.inputs.columns[1] == Categorical("colour", ["blue", "red"])
    # Each kind has a colour of its own, so that rows and targets can be seen to belong together.
    for x, y in ((x_train, y_train), (x_test, y_test)):
        np.testing.assert_array_equal(x[:, 2], y)
    # Standardised by the training rows alone.
    assert abs(x_train[:, 0].mean()) < 1e-6
    assert x_train[:, 0].std() == pytest.approx(1, abs=1e-6)
    size = record.inputs.columns[0]
    rows = np.concatenate([x_train, x_test])[:, 0] * size.scale + size.mean
    np.testing.assert_allclose(np.sort(rows), np.arange(40), atol=1e-4)


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
        ("a,b\n1,2\n", {"ignore": ["A"]}, "there is no column 'A': did you mean 'a'?"),
        ("a,b\n1,2\n", {"ignore": ["b"]}, "column 'b' is the target, and cannot be ignored"),
        ("b\n1\n2\n", {}, "there is no column to learn from"),
        ("a,b\n1,2\n", {}, "of 1 examples in all, 25% cannot be held out for the test"),
        ("a,b\n1,x\n,y\n", {}, "column 'a', row 2: missing value"),
        ("a,b\nx,1\nNA,2\n", {}, "column 'a', row 2: missing value"),
        ("a,b\n1,1\n2,\n", {}, "column 'b', row 2: missing value"),
        ("a,b\n1,1\ninf,2\n", {}, "column 'a', row 2: infinite value"),
        ("a,b\n1,x\n2,x\n", {}, "column 'b' is 'x' in every row: there is nothing to tell apart"),
    ],
)
def test_tables_that_cannot_be_learnt_from_are_refused(csv_file, text, choices, message):
    with pytest.raises(ValueError) as caught:
        load_examples(csv_file(text), Choices(**choices))
    assert str(caught.value) == message


def test_inputs_are_read_by_name_and_new_categories_told(csv_file):
    columns = Columns([Numeric("a", 1.0, 2.0), Categorical("code", ["1", "2"])])
    X, remarks = load_inputs(csv_file("more,code,a\n?,2,1\n?,7,3\n"), columns, np.float32)
    np.testing.assert_array_equal(X, [[0, 0, 1], [1, 0, 0]])
    assert X.dtype == np.float32
    assert remarks == ["column 'code': '7' unknown to the model, taken for none of the known categories"]
    with pytest.raises(ValueError, match="^missing column 'code'$"):
        load_inputs(csv_file("a\n1\n"), columns, np.float32)
    with pytest.raises(ValueError, match="an .npz file is needed$"):
        load_inputs(csv_file("a\n1\n"), Arrays([1], 0.0, 1.0), np.float32)


# --- .npz ------------------------------------------------------------------------------------------------

IMAGES = (np.arange(80 * 6) % 256).astype(np.uint8).reshape(80, 2, 3)
DIGITS = (np.arange(80) % 4).astype(np.uint8)


@pytest.mark.parametrize("shape", [(80,), (80, 1)])
def test_arrays_become_examples(npz_file, shape):
    path = npz_file(x_train=IMAGES, y_train=DIGITS.reshape(shape), x_test=IMAGES[:7], y_test=DIGITS[:7])
    x_train, y_train, x_test, y_test, record = load_examples(path, Choices())
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
        ({"x_train": IMAGES, "y_train": DIGITS, "x_test": IMAGES}, "x_test and y_test go together: .*"),
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
        ({"x_train": IMAGES[:0], "y_train": DIGITS[:0]}, "of 0 examples in all, 25% cannot be held out.*"),
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
    with pytest.raises(ValueError, match=r"columns have names in \.csv files only"):
        load_examples(path, Choices(target="y"))
    with pytest.raises(ValueError, match="the file has x_test and y_test"):
        load_examples(path, Choices(test_fraction=0.5))
    with pytest.raises(ValueError, match=r"data: a \.csv or \.npz file is needed$"):
        load_examples(path.with_suffix(""), Choices())


@pytest.mark.parametrize("names", [("x_test", "x", "z"), ("x", "z"), ("whatever",)])
def test_inputs_are_x_test_or_x_or_the_only_array(npz_file, names):
    path = npz_file(**{name: IMAGES + place for place, name in enumerate(names)})
    X, remarks = load_inputs(path, Arrays([2, 3], 0.0, 2.0), np.float64)
    np.testing.assert_array_equal(X, IMAGES.reshape(80, 6) / 2)
    assert not remarks


def test_inputs_that_cannot_be_found_are_refused(npz_file):
    with pytest.raises(ValueError, match="^there is no x_test and no x among the arrays 'a', 'b'$"):
        load_inputs(npz_file(a=IMAGES, b=IMAGES), Arrays([2, 3], 0.0, 2.0), np.float64)
    with pytest.raises(ValueError, match="a .csv file is needed$"):
        load_inputs(npz_file(a=IMAGES), Columns([Numeric("a", 0.0, 1.0)]), np.float64)


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
