"""Tables read as frames of texts by pandas, in a layout that their first lines show."""

from __future__ import annotations

import csv
import io
import lzma
import re
import sys
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from cbp.tabular.cells import Remarks
from cbp.tabular.choices import Choices
from cbp.tabular.forms import pandas_module

__all__ = ["Table", "read_table"]

# What pandas raises for a damaged file, or one that is not a table.
DAMAGED = (ValueError, LookupError, EOFError, csv.Error, zipfile.BadZipFile, zlib.error, lzma.LZMAError)

# The functions of pandas for tables whose cells have types. All other files are text.
TYPED = {".parquet": "read_parquet", ".feather": "read_feather", ".orc": "read_orc", ".dta": "read_stata"}
TYPED |= {".xlsx": "read_excel", ".xls": "read_excel", ".ods": "read_excel"}

# Tried in this order: all but the last one fail for some text in another encoding.
ENCODINGS = ["utf-8-sig", "utf-16", "cp1252", "latin-1"]

# How many lines are looked at to find out how a table is laid out.
SAMPLE = 200

NUMBER = re.compile(r"[-+(]?\W{0,2}\d[\d., ']*([eE][-+]?\d+)?\W{0,2}")

# One or two decimals, more than three, or a zero before them: not the three digits of a thousand.
DECIMAL = re.compile(r"\D{0,4}(?:\d+([.,])(?:\d{1,2}|\d{4,})|0([.,])\d+)\D{0,4}")


@dataclass(frozen=True)
class Table:
    """A table as it was read."""

    frame: Any  # of texts
    choices: Choices  # with what was found out
    first: int = 0  # the line of the file where the row of index 0 is; 0 if it has no lines

    def line(self, row: int) -> str:
        """Return where a row begins, as an editor counts lines, for messages."""
        above = self.frame.iloc[:row]
        breaks = sum(cell.count("\n") for name in above for cell in above[name]) if self.first else 1
        return f"{'line' if self.first else 'row'} {self.first + self.frame.index[row] + breaks}"


def read_table(path: Path, choices: Choices, remarks: Remarks) -> Table:
    """Read a table from a file, or from standard input for ``-``; find out what is open about its layout.

    ValueError, OSError or ImportError if it is empty or damaged, cannot be read, or needs another package.
    """
    pandas = pandas_module()
    try:
        if reader := TYPED.get(path.suffix.lower()):
            frame = getattr(pandas, reader)(path).reset_index(drop=True)
            frame = frame.apply(lambda cells: cells.astype(object).where(cells.notna(), "").map(str))
            table = Table(frame.rename(columns=str), choices)
        else:
            source = io.BytesIO(sys.stdin.buffer.read()) if str(path) == "-" else path
            table = decoded(source, choices, remarks)
    except ImportError as error:
        package = re.search(r"install (?:the )?(\w+)", str(error))
        needed = f"pip install {package[1]}" if package else str(error)
        raise ImportError(f"reading {path.suffix} needs another package: {needed}") from error
    except pandas.errors.ParserWarning as error:
        raise ValueError(f"{path}: the rows have more fields than the header") from error
    except DAMAGED as error:
        raise ValueError(f"{path}: {str(error).removeprefix('Error tokenizing data. C error: ')}") from error
    if not table.frame.columns.is_unique:
        raise ValueError(f"{path}: two columns have the same name")
    if not len(table.frame.columns):
        raise ValueError(f"{path}: no column has a name (--no-header, if the first line is an example)")
    if not len(table.frame):
        raise ValueError(f"{path} has a header and no rows")
    return table


def decoded(source: Any, choices: Choices, remarks: Remarks) -> Table:
    """Read a table of text in the encoding that it has."""
    for encoding in ENCODINGS if choices.encoding is None else [choices.encoding]:
        try:
            table = parse(source, replace(choices, encoding=encoding), remarks)
        except UnicodeError:
            continue
        if encoding not in (ENCODINGS[0], choices.encoding):
            remarks.add(f"the text is not UTF-8, and was read as {encoding} (--encoding NAME overrules)")
        return table
    raise ValueError(f"the text is not in {choices.encoding}: --encoding NAME tells another")


def parse(source: Any, choices: Choices, remarks: Remarks) -> Table:
    """Read a table of text in a known encoding."""
    # As lines, each in one cell, so that it is pandas that opens the file, whatever its compression.
    sample = read(source, choices, sep="\x1e", names=["line"], nrows=SAMPLE, quoting=csv.QUOTE_NONE)
    lines = sample["line"].tolist()
    if any("\0" in line for line in lines):
        raise ValueError("it is not a table of text (--encoding NAME tells its encoding if it is)")
    told = re.fullmatch(r'"?sep=(.)"?', "".join(lines[:1]))  # a line for Excel
    delimiter = choices.delimiter or (told[1] if told else best_delimiter(lines, choices))
    records = records_of(lines, delimiter)
    if not any(any(cells) for cells, _ in records):
        raise ValueError("the file is empty")
    if len(records) > 1 and len(lines) == SAMPLE:
        records.pop()  # its end may be missing
    width = Counter(len(cells) for cells, _ in records if any(cells)).most_common(1)[0][0]
    places = range(bool(told), len(records))
    top = next((place for place in places if may_be_first(records[place][0], width)), 0)
    head, *body = [cells for cells, _ in records[top:] if any(cells)]
    header = has_header(head, body) if choices.header is None else choices.header
    decimal = choices.decimal or usual_decimal([head, *body]) or ("," if delimiter == ";" else None)
    choices = replace(choices, delimiter=delimiter, decimal=decimal)
    frame = rows_below(source, choices, (head, body), top, width if not header else 0)
    if frame.columns[0] == "" or any(frame[name].any() for name in frame if is_unnamed(name)):
        remarks.add("a column without a name was left out")
    if above := sum(any(cells) for cells, _ in records[bool(told) : top]):
        remarks.add(f"lines above the table that were left out: {above}")
    if header and len(named := [name for name in head if name]) > len(set(named)):
        remarks.add("columns of the same name are numbered, as in 'x.1'")
    if not header and choices.header is None:
        remarks.add(
            f"no header: the columns are called '1' to '{width}' (--header takes them from the first row)"
        )
    blank = frame.index[frame.iloc[:, 0] == ""]
    blank = blank[~frame.loc[blank].any(axis=1).to_numpy(bool)]
    frame = frame.drop(index=blank, columns=[name for name in frame if is_unnamed(name)])
    start = top + header
    found = replace(choices, header=header, width=0 if header else width)
    return Table(frame, found, 1 + (records[start - 1][1] if start else 0))


def rows_below(source: Any, choices: Choices, sample: tuple[Any, Any], top: int, width: int) -> Any:
    """Return the rows of a table from a record on, and below a header where no width is given."""
    head, body = sample
    layout = {"names": [str(place + 1) for place in range(width)]} if width else {"header": 0}
    longer = [cells for cells in body if len(cells) == len(head) + 1]
    # A delimiter too many at the end of each row, or, as R writes tables, row names without a name above.
    at_end = all(not cells[-1].strip() for cells in longer)
    shifted = not width and not at_end and 2 * len(longer) > len(body)
    with warnings.catch_warnings():
        # A row longer than the header is an error otherwise.
        warnings.simplefilter(
            "ignore" if longer and at_end else "error", pandas_module().errors.ParserWarning
        )
        sep = r"\s+" if choices.delimiter == " " else choices.delimiter
        frame = read(source, choices, sep=sep, skiprows=top, index_col=None if shifted else False, **layout)
    if frame.index.nlevels > 1:
        raise ValueError("the rows have more fields than the header")
    frame.columns = frame.columns.str.strip()
    return frame.rename_axis("").reset_index() if shifted else frame


def is_unnamed(name: str) -> bool:
    """Return whether a column has no name in the file."""
    return not name or name.startswith("Unnamed: ")


def may_be_first(cells: Sequence[str], width: int) -> bool:
    """Return whether a table of so many columns can begin with this row: above may be titles and comments."""
    is_comment = bool(cells) and cells[0].startswith("#") and len(cells) != width
    # The names may be one less: R leaves that of the row names out.
    return any(cells) and len(cells) >= width - 1 and not is_comment


def read(source: Any, choices: Choices, **options: Any) -> Any:
    """Return a frame of texts, one row for each record, empty lines among them."""
    if isinstance(source, io.BytesIO):
        source.seek(0)
    as_text = {"encoding": choices.encoding, "dtype": object, "na_filter": False, "skip_blank_lines": False}
    options = {"header": None, "index_col": False, "skipinitialspace": True, **as_text, **options}
    return pandas_module().read_csv(source, **options)


def records_of(lines: Sequence[str], delimiter: str) -> list[tuple[list[str], int]]:
    """Return the cells of every record, and the number of its last line."""
    texts = (line.replace("\t", " ").strip() if delimiter == " " else line.strip(" ") for line in lines)
    reader = csv.reader((line + "\n" for line in texts), delimiter=delimiter, skipinitialspace=True)
    return [(cells, reader.line_num) for cells in reader]


def best_delimiter(lines: Sequence[str], choices: Choices) -> str:
    """Return what separates the cells: where the most lines have the same number of it."""

    def quality(delimiter: str) -> tuple[int, bool, float, bool, int]:
        rows = [cells for cells, _ in records_of(lines, delimiter) if any(cells)] or [[""]]
        width, count = Counter(map(len, rows)).most_common(1)[0]
        known = max(len(set(choices.columns).intersection(map(str.strip, row))) for row in rows)
        # Commas may also be decimal ones, and blanks may follow commas.
        has_commas = delimiter == " " and any("," in line for line in lines)
        shape = (count / len(rows), delimiter != "," and not has_commas, width * (not has_commas))
        return known, delimiter == choices.usual_delimiter, *(shape if width > 1 else (0.0, False, 0))

    known_ones: list[str] = [choices.usual_delimiter or ",", *",;\t| "]
    return max(known_ones, key=quality)


def has_header(head: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row holds names: texts over numbers, or texts that do not turn up again."""
    columns = [[row[place] for row in body if place < len(row) and row[place]] for place in range(len(head))]
    numeric = [sum(map(is_number, cells)) > 0.8 * len(cells) for cells in columns]
    over_numbers = [cell for cell, is_numeric in zip(head, numeric, strict=True) if is_numeric and cell]
    if any(not is_number(cell) and len(cell) > 1 for cell in over_numbers):
        return True
    if numbers := [cell for cell in over_numbers if is_number(cell)]:
        # Years and the like as names of columns, or those that pandas counts from 0 on.
        counted = all(a.isdigit() and b.isdigit() and int(b) == int(a) + 1 for a, b in pairwise(numbers))
        return len(numbers) > 2 and counted and (len(numbers) < len(head) or numbers[0] == "0")
    again = [cell in cells for cell, cells in zip(head, columns, strict=True) if cell]
    return sum(again) <= len(again) / 2


def is_number(cell: str) -> bool:
    """Return whether a cell looks like a number, however it is written."""
    return NUMBER.fullmatch(cell.strip()) is not None


def usual_decimal(rows: Sequence[Sequence[str]]) -> str | None:
    """Return what separates decimals in most cells where nothing else can be meant."""
    found = Counter(
        match[1] or match[2] for row in rows for cell in row if (match := DECIMAL.fullmatch(cell.strip()))
    )
    return found.most_common(1)[0][0] if found else None
