"""How tables are read: pandas makes frames of texts, in a layout that the first lines of a file show."""

import csv
import io
import lzma
import re
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cbp.tabular.choices import Choices, Remarks
from cbp.tabular.forms import pandas_module, recognise

# The exceptions of pandas and NumPy for a file that is damaged, or in another format than its name says.
DAMAGED = (
    *(ValueError, LookupError, EOFError, NotImplementedError),
    *(csv.Error, zlib.error, lzma.LZMAError, zipfile.BadZipFile),
)

# The pandas functions for formats whose cells have types. Files with any other suffix are read as text.
TYPED = {".parquet": "read_parquet", ".feather": "read_feather", ".xlsx": "read_excel", ".xls": "read_excel"}

# These encodings are tried in this order until one can decode the file. The last one decodes any file.
ENCODINGS = ["utf-8-sig", "utf-16", "cp1252", "latin-1"]

# A character that no line of a table should hold: the record separator of ASCII.
SEPARATOR = "\x1e"

# How many lines are looked at to find out the layout of a table, and how many columns to find a header.
SAMPLE, FEW = 200, 30

# A number whose point or comma must be the decimal mark: one, two or more than three digits follow it, or
# only a zero precedes it. Before three digits it could also separate thousands.
DECIMAL = r"^\D*\d+([.,])(?:\d{1,2}|\d{4,}|(?<=\b0.)\d+)\D*$"


class Table(NamedTuple):
    """A table as it was read."""

    frame: Any  # texts; the index says in which line, or row, of the file each row begins
    choices: Choices  # of the user, completed by what was found out


def read_table(path: Path, choices: Choices, remarks: Remarks) -> Table:
    """Read a table from a file, or from standard input for ``-``; find out what ``choices`` leave open.

    Raise ValueError if the table is empty or damaged, OSError if the file cannot be read, and ImportError if
    a package that is needed to read it is not installed.
    """
    pandas = pandas_module()
    try:
        if reader := TYPED.get(path.suffix.lower()):
            frame = getattr(pandas, reader)(path).rename(columns=str)
            frame = frame.apply(lambda cells: cells.astype(object).where(cells.notna(), "").map(str))
            table = Table(frame.set_axis(range(1, len(frame) + 1)).rename_axis("row"), choices)
        else:
            table = parse(lines_of(path, choices, remarks), choices, remarks)
    except ImportError as error:
        raise ImportError(f"reading {path.suffix} needs another package: {error}") from error
    except DAMAGED as error:
        raise ValueError(f"{path}: {str(error).removeprefix('Error tokenizing data. C error: ')}") from error
    if not table.frame.columns.is_unique:
        raise ValueError(f"{path}: two columns have the same name")
    if not len(table.frame.columns):
        raise ValueError(f"{path}: no column has a name (--no-header, if the first line is an example)")
    if not len(table.frame):
        raise ValueError(f"{path} has a header and no rows")
    return table


def lines_of(path: Path, choices: Choices, remarks: Remarks) -> list[str]:
    """Return the lines of a file of text, compressed or not, in the encoding that it has."""
    piped = sys.stdin.buffer.read() if str(path) == "-" else None
    for encoding in ENCODINGS if choices.encoding is None else [choices.encoding]:
        source = path if piped is None else io.BytesIO(piped)
        try:
            # Each line is read as one cell, so that pandas opens the file, and decompresses it if need be.
            options = {"sep": SEPARATOR, "names": ["line", "rest"], "index_col": False}
            whole = read(source, encoding=encoding, quoting=csv.QUOTE_NONE, **options)
        except UnicodeError:
            continue
        if encoding not in (ENCODINGS[0], choices.encoding):
            remarks.add(f"the text is not UTF-8, and was read as {encoding} (--encoding NAME overrules)")
        if whole["rest"].any():
            raise ValueError(f"a line holds the control character {SEPARATOR!r}, which must be taken out")
        return list(whole["line"])
    raise ValueError(f"the text is not in {choices.encoding}: --encoding NAME tells another")


def parse(lines: list[str], choices: Choices, remarks: Remarks) -> Table:
    """Read a table from its lines."""
    if any("\0" in line for line in lines[:SAMPLE]):
        raise ValueError("it is not a table of text (--encoding NAME tells its encoding if it is)")
    if told := re.fullmatch(r' *"?sep=(.)"?', "".join(lines[:1])):  # tells Excel the delimiter
        lines[0] = ""
    delimiter = choices.delimiter or (told[1] if told else best_delimiter(lines[:SAMPLE], choices))
    rows = cells_of(lines[:SAMPLE], delimiter)
    full = [place for place, row in enumerate(rows) if any(row)]
    if not full:
        raise ValueError("the file is empty")
    usual = Counter(len(rows[place]) for place in full).most_common(1)[0][0]
    # The table starts at the first line with as many cells as usual: titles and comments above it have fewer.
    # The header may lack one cell, because R writes no name above the row names.
    top = next(place for place in full if len(rows[place]) >= usual - (usual > 2))
    if above := full.index(top):
        remarks.add(f"lines above the table that were left out: {above}")
    sep, width = r"\s+" if delimiter == " " else delimiter, max(usual, len(rows[top]))
    text = io.StringIO("".join(line + "\n" for line in lines))
    frame = read(text, sep=sep, names=range(width), skiprows=top, skipinitialspace=True)
    choices = replace(choices, usual_delimiter=delimiter)
    return with_names(placed(frame, lines, delimiter), len(rows[top]), choices, remarks)


def placed(frame: Any, lines: Sequence[str], delimiter: str) -> Any:
    """Return the frame, read down to the last of the lines, with the line where each row begins as its index.

    Rows of blank lines are left out, but for a single column, where they are missing values.
    """
    texts = ["".join(row) for row in frame.to_numpy()]
    # A row whose cells contain line ends takes up several lines.
    heights = np.array([1 + text.count("\n") for text in texts])
    begins = len(lines) - heights[::-1].cumsum()[::-1]
    frame = frame.set_axis(begins + 1).rename_axis("line")
    if len(frame.columns) == 1:
        return frame  # a blank line is a gap in the only column
    # A line of empty cells, as in ``,,``, is an example, but a blank line is not. Both are rows of empty
    # texts, so the lines must tell which they are.
    spaces = " " if delimiter == "\t" else None
    return frame[[text + lines[at].strip(spaces) != "" for text, at in zip(texts, begins, strict=True)]]


def with_names(frame: Any, count: int, choices: Choices, remarks: Remarks) -> Table:
    """Return a table with named columns: by the first row, which has ``count`` cells, if it is a header."""
    sample = frame.iloc[:SAMPLE]
    marks = pandas_module().Series(sample.to_numpy().ravel()).str.extract(DECIMAL, expand=False).mode()
    decimal = choices.decimal or (marks[0] if len(marks) else "," if choices.usual_delimiter == ";" else None)
    choices, found_out = replace(choices, decimal=decimal), choices.header is None
    if not (has_header(sample, choices) if found_out else choices.header):
        if found_out:
            words = f"no header: the columns are called '1' to '{len(frame.columns)}'"
            remarks.add(f"{words} (--header takes them from the first row)")
        choices = replace(choices, header=False, width=len(frame.columns))
        return Table(frame.set_axis([str(place + 1) for place in frame], axis=1), choices)
    head, frame = frame.iloc[0].str.strip(), frame.iloc[1:]
    if count < len(head) and frame.iloc[:, -1].any():
        head = head.shift(fill_value="")  # the column of row names has no name
    is_named = ~head.str.fullmatch(r"(Unnamed: \d+)?")
    if frame.loc[:, ~is_named].any(axis=None):
        remarks.add("a column without a name was left out")
    head, frame = head[is_named], frame.loc[:, is_named]
    copies = head.groupby(head).cumcount()
    if copies.any():
        remarks.add("columns of the same name are numbered, as in 'x.1'")
    names = head.where(copies == 0, head + "." + copies.astype(str))
    return Table(frame.set_axis(names.tolist(), axis=1), replace(choices, header=True))


def has_header(sample: Any, choices: Choices) -> bool:
    """Return whether the first row holds names: texts above numbers, or texts that mostly do not recur."""
    head, body = sample.iloc[0, :FEW], sample.iloc[1:, :FEW]
    forms = {place: recognise(body[place], choices)[0] for place in body}
    cells = [form.read(head[[place]]) for place, form in forms.items() if form.kind != "text"]
    if any(wrong.any() for _, wrong in cells):
        return True
    if any(values.notna().any() for values, _ in cells):
        return False
    again = [(body[place] == head[place]).any() for place in body if head[place]]
    return bool(sum(again) <= len(again) / 2)


def read(source: Any, **options: Any) -> Any:
    """Return a frame of texts, one row for each record; an empty line is a record too."""
    options |= {"dtype": object, "na_filter": False, "skip_blank_lines": False}
    return pandas_module().read_csv(source, header=None, **options)


def cells_of(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Return the cells of every record."""
    texts = (line.replace("\t", " ").strip() if delimiter == " " else line.strip(" ") for line in lines)
    return list(csv.reader((line + "\n" for line in texts), delimiter=delimiter, skipinitialspace=True))


def best_delimiter(lines: Sequence[str], choices: Choices) -> str:
    """Return the delimiter that yields the most known columns, then equally many cells in the most lines."""

    def quality(delimiter: str) -> tuple[int, bool, float, bool, int]:
        rows = [row for row in cells_of(lines, delimiter) if any(row)] or [[""]]
        width, count = Counter(map(len, rows)).most_common(1)[0]
        known = max(len(set(choices.columns).intersection(map(str.strip, row))) for row in rows)
        shape = (count / len(rows), delimiter != ",", width) if width > 1 else (0.0, False, 0)
        return known, delimiter == choices.usual_delimiter, *shape

    # A comma may also be a decimal mark, so any other delimiter that does as well wins over it. Spaces may
    # follow commas, so they are tried only if there is no comma.
    candidates = (choices.usual_delimiter or "") + ",;\t|" + " " * all("," not in line for line in lines)
    return max(candidates, key=quality)
