"""Columns of texts as people write them, recognised as numbers, dates or text."""

import pytest

from cbp.tabular import Choices, load_examples
from cbp.tabular.forms import Form, recognise

pandas = pytest.importorskip("pandas")

CODES = "leading zeros or more digits than a double holds, as in '{}': taken as text"


def recognised(cells, choices=None, kind=None):
    """Return the form of a column of texts, its values, None for gaps, and the remark."""
    series = pandas.Series(cells, dtype=object)
    form, words = recognise(series, choices or Choices(), kind)
    values, _ = form.read(series)
    return form, [None if value != value else value for value in values.tolist()], words


# --- numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "values", "words"),
    [
        (["1", "2.5", "-3e2", "+.5", "7."], [1, 2.5, -300, 0.5, 7], ""),
        ([" 1 ", "2\t", "", "NA"], [1, 2, None, None], ""),
        (["\u22121.5", "2"], [-1.5, 2], ""),  # a typeset minus
        (["3,14", "2,5", "1000"], [3.14, 2.5, 1000], "decimal comma"),
        (["0,123", "0,456"], [0.123, 0.456], "decimal comma"),
        (["1.234,5", "12.345.678,25"], [1234.5, 12345678.25], "decimal comma, thousands separated by '.'"),
        (["12,300", "1,234,567", "999"], [12300, 1234567, 999], "thousands separated by ','"),
        (["1,234.5", "999"], [1234.5, 999], "thousands separated by ','"),
        (["1.234.567", "999"], [1234567, 999], "decimal comma, thousands separated by '.'"),
        (["12,34,567", "1,00,000.5"], [1234567, 100000.5], "thousands separated by ','"),  # lakhs
        (["1 234,5", "999,25"], [1234.5, 999.25], "decimal comma, thousands separated by ' '"),
        (
            ["1\u00a0234,5", "2\u202f345\u202f678"],
            [1234.5, 2345678],
            "decimal comma, thousands separated by ' '",
        ),
        (["1'234.50", "999"], [1234.5, 999], 'thousands separated by "\'"'),
        (["1\u2019234", "999"], [1234, 999], 'thousands separated by "\'"'),
        (["12%", "7.5 %", "0"], [12, 7.5, 0], "percent"),
        (["12,5 %", "-7 %"], [12.5, -7], "percent, decimal comma"),
        (["$1,200", "-$35", "$-2.50", "$ 7"], [1200, -35, -2.5, 7], "in $, thousands separated by ','"),
        (["1.200,50 €", "35 €"], [1200.5, 35], "in €, decimal comma, thousands separated by '.'"),
        (["£5", "£6.5", "n/a"], [5, 6.5, None], "in £"),
        (["CHF 1'200.50", "CHF 3"], [1200.5, 3], 'in CHF, thousands separated by "\'"'),
        (["5 USD", "6.25 USD"], [5, 6.25], "in USD"),
        (["(1,234.5)", "5"], [-1234.5, 5], "thousands separated by ','"),
        (["($12)", "$5"], [-12, 5], "in $"),
        (["1e400", "inf", "3", "4"], [None, None, 3, 4], ""),
    ],
)
def test_numbers_as_people_write_them_are_numbers(cells, values, words):
    if cells[0] == "1e400":
        cells, values = [*cells, *map(str, range(40))], [*values, *range(40)]
    form, found, told = recognised(cells)
    assert (form.kind, found) == ("number", values)
    assert told.split(" (--decimal")[0] == words


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (["yes", "no", "yes"], ""),
        (["true", "FALSE"], ""),
        (["12 kg", "13 kg"], ""),
        (["$5", "€6", "€7"], ""),
        (["12%", "0.5", "13%"], ""),
        (["1,2", "1.2", "1;2"], ""),
        (["1.2.3", "4.5.6"], ""),
        (["192.168.0.1", "10.0.0.1"], ""),
        (["1_000", "2_000"], ""),
        (["0x10", "0x20"], ""),
        (["10-20", "20-30"], ""),
        (["1/2", "3/4"], ""),
        (
            ["01234", "1234"],
            f"{CODES.format('01234')} (--number NAME reads numbers)",
        ),
        (
            ["1000000000000000001", "1000000000000000002"],
            f"{CODES.format('1000000000000000001')} (--number NAME reads numbers)",
        ),
        *(
            ([one, f"{one[:-2]}9{one[-1]}"], f"{CODES.format(one)} (--number NAME reads numbers)")
            for one in (
                "9007199254740992",
                "1000000000000000001.0",
                "1,000,000,000,000,000,001",
                "-90071992547409931",
            )
        ),
    ],
)
def test_what_only_looks_like_numbers_is_text(cells, why):
    form, found, words = recognised(cells)
    assert (form.kind, found, words) == ("text", cells, why)


def test_a_few_cells_among_many_numbers_are_gaps_and_told(tmp_path):
    rows = [f"{i / 7},{i}" for i in range(60)]
    rows[40] = "4O,40"
    (tmp_path / "data.csv").write_text("a,b\n" + "\n".join(rows) + "\n")
    examples = load_examples(tmp_path / "data.csv", Choices())
    assert examples.remarks == [
        "a (1): cells that are not numbers are taken for gaps, the first is '4O' in line 42",
        "a (1): gaps filled with the median, and an input that says where",
    ]
    with pytest.raises(ValueError, match=r"^column 'a', line 42: missing value \(--gaps impute"):
        load_examples(tmp_path / "data.csv", Choices(gaps="error"))
    # As text it differs from row to row.
    with pytest.raises(ValueError, match="^there is no column to learn from"):
        load_examples(tmp_path / "data.csv", Choices(text=["a"], ignore=["a"]))


@pytest.mark.parametrize(
    ("choices", "values"),
    [
        (Choices(), [1234, 5678]),
        (Choices(decimal=","), [1.234, 5.678]),
        (Choices(decimal="."), [1234, 5678]),
    ],
)
def test_what_may_be_thousands_or_decimals_is_told_and_can_be_chosen(choices, values):
    _, found, words = recognised(["1,234", "5,678"], choices)
    assert found == values
    if choices == Choices():
        assert words == "thousands separated by ',' (--decimal ',' is possible too)"
        assert recognised(["1.234", "5.678"])[2] == "decimal '.' (--decimal ',' is possible too)"
    # The option does not read a column that it does not fit.
    assert recognised(["1.5", "2.25"], choices)[1] == [1.5, 2.25]


@pytest.mark.parametrize(
    ("more", "values"), [("0,5", [1234, 5678]), ("0.5", [1.234, 5.678]), ("x", [1234, 5678])]
)
def test_what_other_columns_show_decides_what_a_column_leaves_open(tmp_path, more, values):
    path = tmp_path / "data.csv"
    path.write_text("a;b;y\n" + f"1.234;{more};u\n5.678;{more}1;v\n" * 8)
    column = load_examples(path, Choices()).table.inputs.columns[0]
    assert column.mean - column.scale * 1.5 < values[0] < column.mean < values[1]


def test_columns_are_numbers_or_text_as_the_user_says(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("zip,code,y\n" + "".join(f"0{i % 4},{i % 3},{i}\n" for i in range(40)))
    columns = load_examples(path, Choices(text=["code"], number=["zip"])).table.inputs.columns
    assert (columns[0].fill, columns[0].width) == (pytest.approx(1.5, abs=0.5), 1)
    assert columns[1].categories == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("cells", "merges"),
    [
        (["9007199254740992", "9007199254740993"], True),
        (["1000000000000000001.0", "1000000000000000002.0"], True),
        (["1,000,000,000,000,000,001", "1,000,000,000,000,000,002"], True),
        (["1.00000000000000000001e20", "1e20"], True),
        (["9007199254740992", "9007199254740994"], False),
        (["1e16", "10000000000000000", "10,000,000,000,000,000"], False),
    ],
)
def test_numbers_that_a_double_does_not_tell_apart_are_told(cells, merges):
    form, values, words = recognised(cells, kind="number")
    assert form.kind == "number"
    assert len(set(values)) == (1 if merges or "1e16" in cells else 2)
    assert ("different numbers become the same one" in words) == merges


def test_numbers_alike_as_doubles_are_not_called_the_same_in_every_row(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("id,a,y\n" + "".join(f"900719925474099{2 + i % 2},{i % 3},{i}\n" for i in range(40)))
    remarks = load_examples(path, Choices(number=["id"])).remarks
    assert any(remark.startswith("id: different numbers become the same one") for remark in remarks)
    assert "id: left out, the same in every row to the digits that a double holds" in remarks


@pytest.mark.parametrize(
    ("choices", "unused"),
    [
        ({"decimal": "~"}, "--decimal '~'"),
        ({"decimal": "."}, ""),
        ({"thousands": "'"}, '--thousands "\'"'),
        ({"thousands": ","}, ""),
        ({"date_format": "%Y/%m/%d"}, "--date-format '%Y/%m/%d'"),
        ({"date_format": "%d.%m.%Y"}, ""),
    ],
)
def test_a_way_of_writing_that_fits_no_column_is_told(tmp_path, choices, unused):
    path = tmp_path / "data.csv"
    rows = (f'{i}.5,"{i},000",{1 + i % 28}.12.2020,{i}\n' for i in range(1, 41))
    path.write_text("a,b,c,y\n" + "".join(rows))
    remarks = load_examples(path, Choices(**choices)).remarks
    found = [remark for remark in remarks if "fits no column" in remark]
    assert found == ([f"{unused} fits no column, and has no effect"] if unused else [])


# --- dates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "date_format"),
    [
        (["2020-02-29", "2021-12-01"], "ISO8601"),
        (["2020-02-29T12:30:00Z", "2021-12-01T00:00:00+01:00"], "ISO8601"),
        (["2020-02", "2021-12"], "ISO8601"),
        (["29.02.2020", "1.12.2021"], "%d.%m.%Y"),
        (["29.2.20 08:15", "1.12.21 18:30"], "%d.%m.%y %H:%M"),
        (["02/29/2020", "12/1/2021"], "%m/%d/%Y"),
        (["29/02/2020", "1/12/2021"], "%d/%m/%Y"),
        (["2/29/20 9:15 PM", "12/1/21 1:00 AM"], "%m/%d/%y %I:%M %p"),
        (["29-Feb-2020", "01-Dec-2021"], "%d-%b-%Y"),
        (["February 29, 2020", "December 1, 2021"], "%B %d, %Y"),
    ],
)
def test_dates_as_people_write_them_are_dates(cells, date_format):
    form, _, words = recognised(cells)
    assert form == Form("date", date_format=date_format)
    assert words.startswith("dates, ")
    days = form.read(pandas.Series(cells, dtype=object))[0].dt.strftime("%Y-%m-%d")
    assert days[0] in ("2020-02-29", "2020-02-01")
    assert days[1] in ("2021-12-01", "2021-11-30")  # the day before, in Greenwich


def test_an_open_order_of_day_and_month_is_told_and_can_be_chosen():
    cells = ["01/02/2020", "03/04/2020"]
    form, _, words = recognised(cells)
    assert (form.date_format, "--date-format %d/%m/%Y is possible too" in words) == ("%m/%d/%Y", True)
    assert recognised(cells, Choices(decimal=","))[0].date_format == "%d/%m/%Y"
    assert recognised(cells, Choices(date_format="%d/%m/%Y"))[0].date_format == "%d/%m/%Y"


@pytest.mark.parametrize(
    "cells", [["May", "June"], ["12:30", "9:15"], ["v1.2.2020", "x"], ["31.02.2020", "1.1.x"]]
)
def test_what_only_looks_like_dates_is_text(cells):
    assert recognised(cells)[0].kind == "text"


# --- gaps ---------------------------------------------------------------------------------------------


def test_na_is_a_gap_among_numbers_and_a_name_among_texts():
    assert recognised(["1", "NA", "?", "-", "n/a", "null", "", "NaN", "None"])[1] == [1] + [None] * 8
    found = recognised(["NA", "DE", "", "None"])
    assert found[1] == ["NA", "DE", None, "None"]
    assert found[2] == "'NA', 'None' taken for categories (--missing-values makes gaps of them)"
    chosen = Choices(missing_values=("NA", "-999"))
    assert recognised(["NA", "DE", "", "None"], chosen)[1] == [None, "DE", None, "None"]
    assert recognised(["1", "-999", "NA"], chosen)[1] == [1, None, None]
