"""Tables read as texts: how a file is laid out, and what is refused."""

import gzip
import io
import sys
import zipfile
from pathlib import Path

import pytest

from cbp.tabular import Choices
from cbp.tabular.choices import Remarks
from cbp.tabular.readers import read_table


def cells_of(path, choices=None):
    """Return the cells of a table by column, and the remarks."""
    remarks = Remarks()
    frame = read_table(path, choices or Choices(), remarks).frame
    return {name: frame[name].str.strip().tolist() for name in frame.columns}, remarks.lines()


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x\n2,y\n",
        "a,b\r\n1,x\r\n2,y\r\n",
        "a,b\r1,x\r2,y\r",
        "\ufeffa,b\n1,x\n2,y",
        '"a","b"\n"1","x"\n"2","y"\n',
        "a, b\n1, x\n2, y\n",
        '"a" , "b"\n1 , x\n2 , y\n',
        "a;b\n1;x\n2;y\n",
        "a\tb\n1\tx\n2\ty\n",
        "a|b\n1|x\n2|y\n",
        "a b\n1 x\n2 y\n",
        " a   b\n 1\t x \n 2   y\n",
        "\n\na,b\n\n1,x\n  \n2,y\n\n",
        " \r\ra,b\r\r1,x\r2,y\r",
        "a,b\n1,x,\n2,y,\n",
        "a,b,\n1,x,\n2,y,\n",
        "sep=;\na;b\n1;x\n2;y\n",
        '"sep=|"\r\na|b\r\n1|x\r\n2|y\r\n',
    ],
    ids=[
        *(
            "plain",
            "crlf",
            "cr",
            "bom",
            "quoted",
            "spaces",
            "more spaces",
            "semicolons",
            "tabs",
            "bars",
            "blanks",
            "aligned",
        ),
        *("blank lines", "blank lines of cr", "trailing", "trailing in the header", "told", "told in quotes"),
    ],
)
def test_every_ordinary_way_to_write_a_table_is_read(csv_file, text):
    assert cells_of(csv_file(text)) == ({"a": ["1", "2"], "b": ["x", "y"]}, [])


@pytest.mark.parametrize("text", [",a,b\n7,1,x\n8,2,y\n", '"a" "b"\n"r1" 1 x\n"r2" 2 y\n'])
def test_names_of_rows_are_left_out(csv_file, text):
    found = {"a": ["1", "2"], "b": ["x", "y"]}
    assert cells_of(csv_file(text)) == (found, ["a column without a name was left out"])


def test_a_column_without_a_name_may_be_anywhere(csv_file):
    found = {"a": ["1", "2"], "b": ["x", "y"]}
    for text in ("a,,b\n1,7,x\n2,8,y\n", "a,b,\n1,x,7\n2,y,8\n", "a,b,Unnamed: 2\n1,x,7\n2,y,8\n"):
        assert cells_of(csv_file(text)) == (found, ["a column without a name was left out"])
    for text in ("a,b,\n1,x\n2,y\n", "a,b\n1,x,\n2,y,\n"):
        assert cells_of(csv_file(text)) == (found, [])


def test_leading_zeros_are_kept_beside_names_of_rows(csv_file):
    found, _ = cells_of(csv_file("code,kind\nr1,007,x\nr2,010,y\n"))
    assert found == {"code": ["007", "010"], "kind": ["x", "y"]}
    table = read_table(csv_file("code,kind\nr1,007,x\nr2,010,y\n"), Choices(), Remarks())
    assert table.frame.index.tolist() == [2, 3]


def test_comments_above_a_table_of_two_columns_are_no_header(csv_file):
    path = csv_file("# by hand\n\na,b\n1,x\n2,y\n")
    assert cells_of(path)[0] == {"a": ["1", "2"], "b": ["x", "y"]}
    assert read_table(path, Choices(), Remarks()).frame.index[1] == 5


@pytest.mark.parametrize("title", ["# by hand\n# twice\n", "Animals of 2020\n\nFrom: us\n"])
def test_titles_and_comments_above_a_table_are_left_out_and_told(csv_file, title):
    found, remarks = cells_of(csv_file(title + "a,b,c\n1,x,5\n2,y,6\n"))
    assert found == {"a": ["1", "2"], "b": ["x", "y"], "c": ["5", "6"]}
    assert remarks == ["lines above the table that were left out: 2"]


def test_names_that_are_there_twice_are_told_apart(csv_file):
    found, remarks = cells_of(csv_file("a,b,a,a\n1,2,3,4\n"))
    assert found == {"a": ["1"], "b": ["2"], "a.1": ["3"], "a.2": ["4"]}
    assert remarks == ["columns of the same name are numbered, as in 'x.1'"]
    found, _ = cells_of(csv_file("a,b,a \n1,2,3\n"))
    assert found == {"a": ["1"], "b": ["2"], "a.1": ["3"]}
    with pytest.raises(ValueError, match="data.csv: two columns have the same name$"):
        cells_of(csv_file("a,a.1,a\n1,2,3\n"))


def test_quotes_commas_line_ends_and_unicode_are_kept(csv_file):
    found, _ = cells_of(csv_file('"naïve; name","x ""y"""\n"grün, hell\nund so",1\n"да",2\n'))
    assert found == {"naïve; name": ["grün, hell\nund so", "да"], 'x "y"': ["1", "2"]}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_end_within_a_cell_is_the_same_in_every_file(csv_file, end):
    path = csv_file(end.join(['"by', 'hand"', "a,b,c", '"1', '1",x,7', "2,y,8", ""]))
    found, _ = cells_of(path)
    assert found == {"a": ["1\n1", "2"], "b": ["x", "y"], "c": ["7", "8"]}
    assert read_table(path, Choices(), Remarks()).frame.index.tolist() == [4, 6]


@pytest.mark.parametrize(
    ("text", "has_header"),
    [
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n6.3,3.3,virginica\n", False),
        ("?,3.5,1\n4.9,3.0,2\n6.3,3.3,1\n", False),
        ("p,x,s\ne,x,s\ne,b,y\np,x,s\n", False),
        ("1,2,3\n4,5,6\n", False),
        ('"1,5";"2,5"\n"3,5";"4,5"\n', False),
        ("1.5 2.5\n3.5 4.5\n", False),
        ("height,weight\n1,2\n3,4\n", True),
        ("state,county\nOhio,Adams\nOhio,Allen\n", True),
        ("day,kind\n2020-01-01,x\n2020-01-02,x\n", True),
        ("2020-01-01,x\n2020-01-02,x\n", False),
        ("a,b\n", True),
    ],
)
def test_a_header_is_told_from_an_example(csv_file, text, has_header):
    path = csv_file(text)
    choices = Choices()
    if text == "a,b\n":
        with pytest.raises(ValueError, match="has a header and no rows"):
            read_table(path, choices, Remarks())
        return
    table = read_table(path, choices, remarks := Remarks())
    assert table.choices.header is has_header
    assert len(table.frame) == text.count("\n") - has_header
    width = len(table.frame.columns)
    told = [f"no header: the columns are called '1' to '{width}' (--header takes them from the first row)"]
    assert remarks.lines() == ([] if has_header else told)
    for header in (True, False):
        forced = read_table(path, Choices(header=header), remarks := Remarks())
        assert len(forced.frame) == text.count("\n") - header
        assert remarks.lines() == []


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-8", []),
        ("utf-8-sig", []),
        ("utf-16", ["the text is not UTF-8, and was read as utf-16 (--encoding NAME overrules)"]),
        ("cp1252", ["the text is not UTF-8, and was read as cp1252 (--encoding NAME overrules)"]),
    ],
)
def test_encodings_are_recognised(csv_file, encoding, told):
    rows = "".join(f"{i};3 €\n" for i in range(500))
    path = csv_file(f"größe;preis\n{rows}9;“ü”\n", encoding)
    found, remarks = cells_of(path)
    assert (found["größe"][-1], found["preis"][-2:], remarks) == ("9", ["3 €", "“ü”"], told)


def test_the_encoding_can_be_chosen(csv_file):
    path = csv_file("имя,a\nЖ,1\n", "cp1251")
    assert cells_of(path, Choices(encoding="cp1251")) == ({"имя": ["Ж"], "a": ["1"]}, [])
    with pytest.raises(ValueError, match="the text is not in utf-8: --encoding NAME tells another$"):
        cells_of(path, Choices(encoding="utf-8"))
    with pytest.raises(ValueError, match="unknown encoding: klingon$"):
        cells_of(path, Choices(encoding="klingon"))


@pytest.mark.parametrize("suffix", ["tsv", "txt", "csv.gz", "csv.zip", "csv.bz2", "csv.xz"])
def test_compressed_tables_are_read(tmp_path, suffix):
    pandas = pytest.importorskip("pandas")
    path = tmp_path / f"data.{suffix}"
    pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}).to_csv(path, sep="\t", index=False)
    assert cells_of(path) == ({"a": ["1", "2"], "b": ["x", "y"]}, [])


def test_damaged_archives_are_refused(tmp_path):
    pytest.importorskip("pandas")
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 10_000)
    path = tmp_path / "data.csv.gz"
    for content in (b"a,b\n1,2\n", whole[:40]):
        path.write_bytes(content)
        with pytest.raises((ValueError, OSError)):
            cells_of(path)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name in ("a", "b"):
            archive.writestr(name, "a,b\n1,2\n")
    with pytest.raises(ValueError, match="Multiple files found in ZIP file"):
        cells_of(tmp_path / "two.zip")


def test_standard_input_is_read(monkeypatch):
    pytest.importorskip("pandas")
    stdin = io.TextIOWrapper(io.BytesIO("größe,b\n1,x\n".encode("cp1252")))
    monkeypatch.setattr(sys, "stdin", stdin)
    found, remarks = cells_of(Path("-"))
    assert found == {"größe": ["1"], "b": ["x"]}
    assert len(remarks) == 1


def test_typed_tables_become_text(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(
        {
            "number": [1.5, None, 1e-300],
            "whole": [2**62 + 1, 2, 3],
            "flag": [True, False, True],
            "when": pandas.to_datetime(["2020-01-01 00:00", "2020-01-02 03:04", None]),
            "kind": pandas.Categorical(["a", None, "b"]),
        }
    )
    frame.to_parquet(tmp_path / "data.parquet")
    found, _ = cells_of(tmp_path / "data.parquet")
    assert found == {
        "number": ["1.5", "", "1e-300"],
        "whole": [str(2**62 + 1), "2", "3"],
        "flag": ["True", "False", "True"],
        "when": ["2020-01-01 00:00:00", "2020-01-02 03:04:00", ""],
        "kind": ["a", "", "b"],
    }


def test_the_package_for_a_kind_of_file_is_named(tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas")

    def refuse(path):
        raise ImportError("Missing optional dependency 'pyarrow'. Use pip or conda to install pyarrow.")

    monkeypatch.setattr(pandas, "read_parquet", refuse)
    with pytest.raises(ImportError, match=r"^reading \.parquet needs another package: .*install pyarrow"):
        cells_of(tmp_path / "data.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data.csv: the file is empty"),
        (" \n\n", "data.csv: the file is empty"),
        (",,,\n,,,\n", "data.csv: the file is empty"),
        ('""\n', "data.csv: the file is empty"),
        ("sep=;\n", "data.csv: the file is empty"),
        ('"Unnamed: 1"\nx\ny\n', "no column has a name (--no-header, if the first line is an example)"),
        ("a b\n1 2 3 4\n1 2 3\n1 2 3\n", "data.csv: Expected 3 fields in line 2, saw 4"),
        ('"a\n' + "b\n" * 300, "data.csv: EOF inside string starting at row 0"),
        ("a,b\n", "data.csv has a header and no rows"),
        (",\n1,2\n", "data.csv has a header and no rows"),
        ("a,b\n1,2\n1,2,3\n", "data.csv: Expected 2 fields in line 3, saw 3"),
        ("# x\n\na,b\n1,2\n3,4\n5,6,7\n", "data.csv: Expected 2 fields in line 6, saw 3"),
        ('a,b\n"1,2\n', "data.csv: EOF inside string starting at row 1"),
    ],
)
def test_files_that_are_no_table_are_refused(csv_file, text, message):
    with pytest.raises(ValueError) as caught:
        cells_of(csv_file(text))
    assert str(caught.value).strip().endswith(message)


def test_binary_files_are_refused(csv_file):
    pandas = pytest.importorskip("pandas")
    if pandas.read_csv(io.StringIO("a\n\0b\n")).loc[0, "a"] != "\0b":
        pytest.skip("this pandas drops what follows a zero byte")
    told = r"data\.csv: it is not a table of text \(--encoding NAME tells its encoding if it is\)$"
    with pytest.raises(ValueError, match=told):
        cells_of(csv_file(b"a,b\n\0\0\0,2\n"))


@pytest.mark.parametrize(
    ("text", "cells", "lines"),
    [
        ("x,k\n0.5,a\n,\n\n0.6,b\n , \n   \n", ["0.5", "", "0.6", ""], [2, 3, 5, 6]),
        ('x,k,l\n1,a,2\n,,\n"b\n\n",2,3\n\n,,\n', ["1", "", "b", ""], [2, 3, 4, 8]),
        ('x;k\n1;2\n\n"";""\n;\n', ["1", "", ""], [2, 4, 5]),
        ("x\tk\n1\t2\n\t\n\n3\t4\n", ["1", "", "3"], [2, 3, 5]),
        ("x k\n1 2\n\t\n \n3 4\n", ["1", "3"], [2, 5]),
        ("x,k\r\n1,2\r\n,\r\n\r\n3,4\r\n", ["1", "", "3"], [2, 3, 5]),
        ("x\n1\n\n2\n\n", ["1", "", "2", ""], [2, 3, 4, 5]),
    ],
    ids=["commas", "quotes", "semicolons", "tabs", "blanks", "crlf", "one column"],
)
def test_every_line_with_a_delimiter_is_a_row_and_blank_lines_are_not(csv_file, text, cells, lines):
    table = read_table(csv_file(text), Choices(), Remarks())
    assert table.frame["x"].str.strip().tolist() == cells
    assert (table.frame.index.name, table.frame.index.tolist()) == ("line", lines)


def test_rows_are_found_by_the_line_where_they_begin(csv_file):
    text = 'sep=,\na,"b\nb"\n\n1,x\n"2\n2\n2",y\n  \n\n3,"z\n"\n4,""\n'
    table = read_table(csv_file(text), Choices(), Remarks())
    lines = text.splitlines()
    assert table.frame.index.tolist() == [5, 6, 11, 13]
    assert [lines[line - 1][:2] for line in (5, 6, 11, 13)] == ["1,", '"2', "3,", "4,"]


def test_pandas_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"^reading tables needs pandas: pip install 'cython-backprop\[csv\]'$"
    ):
        cells_of(tmp_path / "data.csv")


@pytest.mark.parametrize("text", ["a,b\n1,x\x1ey\n2,z\n", "a\x1e,b\n1,2\n", "tit\x1ele\na,b\n1,2\n"])
def test_the_character_that_parts_lines_is_refused(csv_file, text):
    with pytest.raises(ValueError, match=r"control character '\\x1e', which must be taken out$"):
        cells_of(csv_file(text))


def test_other_control_characters_are_text(csv_file):
    assert cells_of(csv_file("a,b\n1,x\a\n2,y\n")) == ({"a": ["1", "2"], "b": ["x\a", "y"]}, [])
