"""Data files read as they are: ``.csv`` tables and ``.npz`` arrays.

Whatever is wrong with a file is a ValueError that says so in a line, or the OSError of opening it.
"""

from __future__ import annotations

import csv
import importlib
import re
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_csv", "read_npz"]

# What a file that is no .npz, or a damaged one, makes NumPy raise.
NPZ_ERRORS = (ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)

# Stands, with its place, for the name that a column lacks; no text file has a column of this name.
UNNAMED = "\0"


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an ``.npz`` file; nothing in it is executed."""
    try:
        with open(path, "rb") as stream:
            # Asked first, because NumPy takes whatever is no archive for a pickle, and says so.
            if not zipfile.is_zipfile(stream):
                raise ValueError("it is no archive of arrays")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
    except NPZ_ERRORS as error:
        raise ValueError(f"{path} is no readable .npz file: {error}") from error


def read_csv(path: Path, text: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Read a table with a header as arrays of numbers, or of objects where a column is not numeric.

    Fields are separated by commas, or by semicolons or tabs if the header has more of these. Columns without
    a name, such as the row numbers that data frames are saved with, are left out.

    Parameters
    ----------
    path : Path
        The file, in UTF-8.
    text : sequence of str, default ()
        Columns to take as text, whatever they look like.

    Raises
    ------
    ValueError
        If the file is empty, has no header or no rows, names two columns alike, or is damaged.
    OSError
        If it cannot be read.
    ModuleNotFoundError
        If pandas is not installed.
    """
    try:
        pandas: Any = importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("reading .csv needs pandas: pip install 'cython-backprop[csv]'") from error
    try:
        names, separator = read_header(path)
        frame = parse(pandas, path, names, separator, text)
        # Booleans come back in a spelling of pandas' own: read them again as they were written.
        if spelt := [name for name in names if has_booleans(frame[name].to_numpy())]:
            frame = parse(pandas, path, names, separator, [*text, *spelt])
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8") from error
    except pandas.errors.ParserWarning as error:
        raise ValueError(f"{path}: the rows have more fields than the header") from error
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {str(error).removeprefix('Error tokenizing data. C error: ')}") from error
    if not len(frame):
        raise ValueError(f"{path} has a header and no rows")
    return {name: frame[name].to_numpy() for name in names if not name.startswith(UNNAMED)}


def read_header(path: Path) -> tuple[list[str], str]:
    """Return the names of a table's columns, and what separates them."""
    with open(path, encoding="utf-8-sig", newline="") as stream:
        line = next((line for line in stream if line.strip()), "")
        if not line:
            raise ValueError("the file is empty")
        separator = max(",;\t", key=re.sub(r'"[^"]*"', "", line).count)
        stream.seek(0)
        reader = csv.reader(stream, delimiter=separator, skipinitialspace=True)
        cells = next(row for row in reader if row)
    names = [cell.strip() or f"{UNNAMED}{place}" for place, cell in enumerate(cells)]
    if twice := next((name for place, name in enumerate(names) if name in names[:place]), None):
        raise ValueError(f"column {twice!r} is there twice")
    if all(name.startswith(UNNAMED) for name in names):
        raise ValueError("no column has a name: a header is needed")
    return names, separator


def has_booleans(values: NDArray[Any]) -> bool:
    """Return whether pandas has read some cells of a column as true or false."""
    if values.dtype.kind == "O":
        return any(isinstance(cell, bool) for cell in values)
    return values.dtype.kind == "b"


def parse(pandas: Any, path: Path, names: list[str], separator: str, text: Sequence[str]) -> Any:
    """Return the data frame of a file whose header is known."""
    with warnings.catch_warnings():
        # A row longer than the header is an error, as a field too many anywhere else is.
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        return pandas.read_csv(
            path,
            sep=separator,
            header=0,
            names=names,
            index_col=False,
            dtype=dict.fromkeys(text, str),
            skipinitialspace=True,
            encoding="utf-8-sig",
            # In one piece: in several, a column can become numbers here and text there.
            low_memory=False,
        )
