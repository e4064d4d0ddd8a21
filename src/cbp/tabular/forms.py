"""How the cells of a column are written: as numbers in the manner of a country, as dates, or as text.

A :class:`Form` is recognised once, over a whole column of the training data, and saved with the model:
predictions read their columns by it, and recognise nothing anew.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cbp.tabular.cells import listed
from cbp.tabular.choices import Choices

__all__ = ["Form", "pandas_module", "recognise"]

# Gaps in a column of numbers or dates, in small letters. In a column of text None or NA may well be a name.
GAPS = [
    "",
    "na",
    "n/a",
    "#n/a",
    "#na",
    "<na>",
    "nan",
    "nat",
    "null",
    "none",
    "nil",
    "missing",
    "?",
    "-",
    "--",
]
GAPS += [".", "..", "inf", "+inf", "-inf", "infinity", "-infinity", "#div/0!", "#value!", "#ref!", "#num!"]

# Signs of currencies, their codes and abbreviations, before or after a number; and the percent sign.
CODES = "USD|EUR|GBP|JPY|CHF|CAD|AUD|SEK|NOK|DKK|PLN|CNY|INR|BRL|kr|Fr|Rs"
SYMBOLS = rf"(R\$|US\$|[$¢£¤¥₠-⃏%]|\b(?:{CODES})\b\.?)"

# Minus signs, blanks and apostrophes of printed numbers, as a keyboard has them.
TYPOGRAPHY = str.maketrans("−\u00a0\u2009\u202f\u2019", "-   '")

DAYS = ["%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d", "%d-%m-%Y"]
DAYS += ["%m-%d-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y"]
DAYS += ["%B %d %Y", "%b-%d-%Y", "%b %Y", "%B %Y", "%m/%Y"]
TIMES = ["", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p"]

# A column of few different cells is one of numbers if all are; of many, so large a share will do.
FEW_CELLS, MOST_CELLS = 20, 0.9

# A double does not tell larger whole numbers from their neighbours.
LARGEST = 2**53


@dataclass(frozen=True)
class Form:
    """How a column is written."""

    kind: Literal["number", "date", "text"]
    decimal: str = "."
    thousands: str = ""  # separates groups of three digits
    symbol: str = ""  # goes with every number
    date_format: str = ""  # as of strptime, or "ISO8601"
    missing: list[str] = field(default_factory=list)  # gaps, besides empty cells and the usual spellings

    def read(self, cells: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return a series of texts as an array with gaps, and which cells became gaps as not of this form."""
        if self == Form("number") and (quick := plain_numbers(cells)) is not None:
            return quick, np.zeros(len(quick), np.bool_)
        # Whatever a cell costs is paid for each different one alone.
        codes, different = pandas_module().factorize(cells)
        texts = pandas_module().Series(different, dtype=object).str.strip()
        gaps = self.gaps(texts)
        values: NDArray[Any] = texts.to_numpy(object, copy=True)
        values[gaps] = None
        if self.kind == "number":
            values = self.numbers(texts.mask(gaps, ""))
        elif self.kind == "date":
            values = dates(texts.mask(gaps, None), self.date_format).to_numpy("datetime64[s]")
        wrong = (values != values) & ~gaps if self.kind != "text" else np.zeros(len(gaps), np.bool_)
        return values[codes], wrong[codes]

    def gaps(self, texts: Any) -> NDArray[np.bool_]:
        """Return which texts are gaps."""
        usual = texts.str.lower().isin([""] if self.kind == "text" else GAPS)
        return np.asarray(usual | texts.isin(self.missing), np.bool_)

    def numbers(self, texts: Any) -> NDArray[np.float64]:
        """Return the numbers that texts spell, NaN for all others."""
        to_numeric = pandas_module().to_numeric
        found = to_numeric(texts, errors="coerce").to_numpy(np.float64, copy=True)
        # Where the usual manner will do it is much the quicker one.
        rest = np.isnan(found) | (self.decimal != "." or self.symbol != "")
        found[rest] = to_numeric(self.plain(texts[rest]), errors="coerce")
        return np.where(np.isfinite(found), found, np.nan)

    def plain(self, texts: Any) -> Any:
        """Return numbers as Python writes them, and "" for texts that are not written in this form."""
        bare = texts.str.translate(TYPOGRAPHY)
        if self.symbol:
            is_whole = bare.str.endswith("%") | (bare == "0") | (self.symbol != "%")
            bare = bare.where(is_whole, "").str.replace(self.symbol, "", n=1, regex=False).str.strip()
        # What accountants put in brackets is negative.
        bare = bare.str.replace(r"^\((.*)\)$", r"-\1", regex=True)
        point, comma = re.escape(self.decimal), re.escape(self.thousands)
        whole = rf"\d+|[1-9]\d{{0,2}}(?:{comma}\d{{2,3}})*{comma}\d{{3}}" if comma else r"\d+"
        pattern = rf"[+-]? ?(?:(?:{whole})(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?"
        bare = bare.where(bare.str.fullmatch(pattern), "")
        for mark in (" ", self.thousands):
            bare = bare.str.replace(mark, "", regex=False) if mark else bare
        return bare.str.replace(self.decimal, ".", regex=False)

    @property
    def words(self) -> str:
        """How numbers are written, in words."""
        facts = ["percent" if self.symbol == "%" else f"in {self.symbol}"] if self.symbol else []
        facts += ["decimal comma"] if self.decimal == "," else []
        facts += [f"thousands separated by {self.thousands!r}"] if self.thousands else []
        return ", ".join(facts) or f"decimal {self.decimal!r}"


def recognise(cells: Any, choices: Choices, kind: str | None = None) -> tuple[Form, str]:
    """Decide how a series of texts is written; return the form and a remark, perhaps empty.

    ``kind`` is what the user says that it holds, "number" or "text".
    """
    text, number = (Form(name, missing=list(choices.missing)) for name in ("text", "number"))
    if kind is None and choices.decimal != "," and number == Form("number") and is_plain(cells, choices):
        return number, ""
    different = pandas_module().Series(cells.unique(), dtype=object).str.strip().drop_duplicates()
    usual = different[number.gaps(different) & ~text.gaps(different)]
    words = (
        f"{listed(usual)} taken for categories (--missing-values makes gaps of them)" if len(usual) else ""
    )
    texts = different[~number.gaps(different)]
    if kind == "text" or texts.empty:
        return (number, "") if kind == "number" else (text, words)
    needed = 1.0 if len(texts) <= FEW_CELLS else MOST_CELLS
    if kind is None and texts.str.contains(r"\d").mean() < needed:
        return text, words
    form, values, manner = best_number(texts, choices, number)
    if kind == "number":
        return form, manner
    if np.isfinite(values).mean() < needed:
        date, share, manner = best_date(texts, choices, text)
        return (date, manner) if share >= needed else (text, words)
    zeros = texts[texts.str.fullmatch(r"0\d+")]
    why = f"leading zeros ({listed(zeros[:1])})" if len(zeros) else ""
    if texts[np.abs(values) > LARGEST].str.fullmatch(r"[+-]?\d+").any():
        why = "numbers of more digits than a double holds"
    return (text, f"{why}: taken as text (--number NAME reads numbers)") if why else (form, manner)


def plain_numbers(cells: Any) -> NDArray[np.float64] | None:
    """Return a series of texts as numbers if all are plain ones, which is quickly found out."""
    values: NDArray[np.float64] = pandas_module().to_numeric(cells, errors="coerce").to_numpy(np.float64)
    return values if np.isfinite(values).all() else None


def is_plain(cells: Any, choices: Choices) -> bool:
    """Return whether a column holds plain numbers, and nothing that may be codes or groups of digits."""
    values = plain_numbers(cells)
    doubtful = re.compile(r"\s*0\d" if choices.decimal else r"\s*0\d|.*\.")
    is_small = values is not None and len(values) > 0 and np.abs(values).max() <= LARGEST
    return bool(is_small) and not any(map(doubtful.match, cells.unique()))


def best_number(texts: Any, choices: Choices, plain: Form) -> tuple[Form, NDArray[np.float64], str]:
    """Return the way to write numbers that most texts fit, the numbers, and a remark."""
    symbols = texts.str.extract(SYMBOLS, expand=False).dropna()
    symbol = symbols.mode().iloc[0] if 2 * len(symbols) > len(texts) else ""
    # A point or a comma with three digits behind it separates thousands or decimals.
    is_open = choices.decimal is None and texts.str.contains(r"^\D*[1-9]\d{0,2}[.,]\d{3}\D*$").all()
    found: list[tuple[Form, NDArray[np.float64]]] = []
    decimals = dict.fromkeys([choices.decimal or ".", ".", ","])
    groups = dict.fromkeys([choices.thousands or "", "", ",", ".", " ", "'"])
    for decimal, thousands in product(decimals, groups):
        if decimal != thousands:
            form = replace(plain, decimal=decimal, thousands=thousands, symbol=symbol)
            found.append((form, form.numbers(texts)))
            if np.isfinite(found[-1][1]).all() and not is_open:
                break
    form, values = max(found, key=lambda way: np.isfinite(way[1]).sum())
    words = "" if np.array_equal(values, plain.numbers(texts), equal_nan=True) else form.words
    for other, others in found:
        if np.isfinite(others).all() and (others != values).any():
            words = f"{form.words} (--decimal {other.decimal!r} is possible too)"
    return form, values, words


def best_date(texts: Any, choices: Choices, text: Form) -> tuple[Form, float, str]:
    """Return the format of dates that most texts fit, the share of them that do, and a remark."""
    formats = [choices.date_format] if choices.date_format else []
    formats += ["ISO8601"] if texts.str.match(r"\d{4}-\d").mean() >= MOST_CELLS else []
    days = sorted(DAYS, key=lambda day: day.startswith("%m") and choices.decimal == ",")
    formats += [day + time for day in days for time in TIMES]
    good = [way for way in formats if dates(texts[:FEW_CELLS], way).notna().mean() >= MOST_CELLS]
    if not good:
        return text, 0.0, ""
    found = {way: dates(texts, way) for way in good}
    best = max(found, key=lambda way: found[way].notna().sum())
    others = [way for way, values in found.items() if values.notna().all() and (values != found[best]).any()]
    choice = f"; {best} or, by --date-format, {others[0]}" if others else ""
    words = f"dates, as days and parts of the year, week and day (--ignore NAME leaves them out{choice})"
    return replace(text, kind="date", date_format=best), float(found[best].notna().mean()), words


def dates(texts: Any, date_format: str) -> Any:
    """Return texts as a series of times, NaT for those that do not have this format."""
    found = pandas_module().to_datetime(texts, format=date_format, errors="coerce", utc=True)
    return found.dt.tz_localize(None)


def pandas_module() -> Any:
    """Return pandas, which is needed for tables alone."""
    try:
        return importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        hint = "pip install 'cython-backprop[csv]'"
        raise ModuleNotFoundError(f"reading tables needs pandas: {hint}") from error
