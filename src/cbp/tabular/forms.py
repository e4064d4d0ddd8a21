"""How the cells of a column are written: as numbers in the notation of a country, as dates, or as text.

A :class:`Form` is recognised once, from a whole column of the training data, and saved with the model. Tables
to predict from are read by the saved forms.
"""

import importlib
import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import product
from typing import Any, Literal

import numpy as np

from cbp.tabular.choices import Choices, listed

# Gaps in a column of numbers or dates, in small letters. In a column of text None or NA may well be a name.
GAPS = ["", "na", "n/a", "#n/a", "#na", "<na>", "nan", "nat", "null", "none", "nil", "missing", "?", "-"]
GAPS += ["--", ".", "..", "inf", "+inf", "-inf", "infinity", "-infinity", "#div/0!", "#value!", "#ref!"]

# Signs of currencies, their codes and abbreviations, before or after a number; and the percent sign.
CODES = "USD|EUR|GBP|JPY|CHF|CAD|AUD|SEK|NOK|DKK|PLN|CNY|INR|BRL|kr|Fr|Rs"
SYMBOLS = rf"(R\$|US\$|[$¢£¤¥₠-⃏%]|\b(?:{CODES})\b\.?)"

# Replaces the minus signs, spaces and apostrophes of printed numbers by those of a keyboard.
TYPOGRAPHY = str.maketrans("−\u00a0\u2009\u202f\u2019", "-   '")

# A number whose point or comma may separate either thousands or decimals, such as 1.234.
OPEN = re.compile(r"\D*[1-9]\d{0,2}[.,]\d{3}\D*")

DAYS = ["%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d", "%d-%m-%Y"]
DAYS += ["%m-%d-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y"]
DAYS += ["%B %d %Y", "%b-%d-%Y", "%b %Y", "%B %Y", "%m/%Y"]
TIMES = ["", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p"]

# A column with at most FEW_CELLS distinct cells is numbers, or dates, if all of them are; with more, if at
# least the share MOST_CELLS of them are.
FEW_CELLS, MOST_CELLS = 20, 0.9


@dataclass(frozen=True)
class Form:
    """How a column is written."""

    kind: Literal["number", "date", "text"]
    decimal: str = "."
    thousands: str = ""  # separates groups of three digits
    symbol: str = ""  # a currency or %, written with the numbers
    date_format: str = ""  # in the notation of strptime, or "ISO8601"
    missing: list[str] = field(default_factory=list)  # gaps besides empty cells and, unless text, GAPS

    def read(self, cells: Any) -> tuple[Any, Any]:
        """Return the values of a series of texts, and which cells became gaps because they lack this form."""
        # Equal cells are read only once, which saves time.
        codes, different = pandas_module().factorize(cells)
        texts = pandas_module().Series(different, dtype=object).str.strip()
        gaps = self.gaps(texts)
        values = self.values(texts.mask(gaps))
        wrong = values.isna() & ~gaps
        return values[codes].set_axis(cells.index), wrong[codes].set_axis(cells.index)

    def gaps(self, texts: Any) -> Any:
        """Return which texts are gaps."""
        usual = texts == "" if self.kind == "text" else texts.str.lower().isin(GAPS)
        return usual | texts.isin(self.missing)

    def values(self, texts: Any) -> Any:
        """Return the values of texts, NaN or NaT for texts that are not of this form."""
        pandas = pandas_module()
        if self.kind == "text":
            return texts
        if self.kind == "date":
            found = pandas.to_datetime(texts, format=self.date_format, errors="coerce", utc=True)
            return found.dt.tz_localize(None)
        found = pandas.to_numeric(texts, errors="coerce").astype(np.float64)
        # pandas reads plain numbers much faster than `plain`, which is left with the other texts.
        rest = found.isna() | (self.decimal != "." or self.symbol != "")
        if rest.any():
            found[rest] = pandas.to_numeric(self.plain(texts[rest]), errors="coerce")
        return found.where(np.isfinite(found))

    def plain(self, texts: Any) -> Any:
        """Return numbers as Python writes them, and "" for texts that are not written in this form."""
        bare = texts.str.translate(TYPOGRAPHY)
        if self.symbol:
            is_whole = bare.str.endswith("%") | (bare == "0") | (self.symbol != "%")
            bare = bare.where(is_whole, "").str.replace(self.symbol, "", n=1, regex=False).str.strip()
        # Accountants put negative numbers in brackets.
        bare = bare.str.replace(r"^\((.*)\)$", r"-\1", regex=True)
        point, comma = re.escape(self.decimal), re.escape(self.thousands)
        whole = rf"\d+|[1-9]\d{{0,2}}(?:{comma}\d{{2,3}})*{comma}\d{{3}}" if comma else r"\d+"
        pattern = rf"[+-]? ?(?:(?:{whole})(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?"
        plain = str.maketrans({" ": "", self.thousands or " ": "", self.decimal: "."})
        return bare.where(bare.str.fullmatch(pattern), "").str.translate(plain)

    @property
    def words(self) -> str:
        """How the cells are written, in words."""
        if self.kind == "date":
            return f"dates, {self.date_format}, as days and phases of the year, week and day"
        facts = ["percent" if self.symbol == "%" else f"in {self.symbol}"] if self.symbol else []
        facts += ["decimal comma"] if self.decimal == "," else []
        facts += [f"thousands separated by {self.thousands!r}"] if self.thousands else []
        return ", ".join(facts) or f"decimal {self.decimal!r}"


def recognise(cells: Any, choices: Choices, kind: str | None = None) -> tuple[Form, str]:
    """Decide how a series of texts is written; return the form and a remark, perhaps empty.

    ``kind``, if given, is what the user says that the series holds, "number" or "text".
    """
    text, number = (Form(name, missing=list(choices.missing_values)) for name in ("text", "number"))
    different = cells.drop_duplicates().str.strip().drop_duplicates()
    is_gap = number.gaps(different)
    texts, usual = different[~is_gap], different[is_gap & ~text.gaps(different)]
    as_text = f"{listed(usual)} taken for categories (--missing-values makes gaps of them)" * bool(len(usual))
    if kind == "text" or texts.empty:
        return (number, "") if kind == "number" else (text, as_text)
    needed = 0.0 if kind else 1.0 if len(texts) <= FEW_CELLS else MOST_CELLS
    if texts.str.contains(r"\d").mean() < needed:
        return text, as_text
    ways = [way for way in ways_to_write(texts, choices, number) if kind in (None, way.kind)]
    form, values, words = best_way(texts, ways, choices)
    if values.notna().mean() < needed:
        return text, as_text
    if form.kind == "date":
        return form, words
    # Only numbers of this size can have more digits than a double holds.
    plain = form.plain(texts[values.abs() >= 1e15]).loc[lambda found: found != ""]
    is_code = texts.str.fullmatch(r"0\d+")
    is_code[plain.index] |= plain.str.fullmatch(r"[+-]?\d{16}(\d+(\.\d*)?|(\.0*)?)")
    if kind is None and is_code.any():
        why = f"leading zeros or more digits than a double holds, as in {texts[is_code].iloc[0]!r}"
        return text, f"{why}: taken as text (--number NAME reads numbers)"
    if plain.map(Decimal).nunique() > values[plain.index].nunique():
        merged = "different numbers become the same one, for want of digits in a double"
        words = "; ".join(filter(None, [words, f"{merged} (--text NAME keeps them)"]))
    return form, words


def ways_to_write(texts: Any, choices: Choices, number: Form) -> list[Form]:
    """Return the forms of numbers and dates that texts may have, likelier ones first."""
    symbols = texts.str.extract(SYMBOLS, expand=False).dropna()
    symbol = symbols.mode()[0] if 2 * len(symbols) > len(texts) else ""
    marks = product([choices.decimal or ".", ".", ","], [choices.thousands or "", "", ",", ".", " ", "'"])
    days = sorted(DAYS, key=lambda day: day.startswith("%m") and choices.decimal == ",")
    formats = [choices.date_format or "ISO8601", "ISO8601", *(day + time for day in days for time in TIMES)]
    return [
        *(replace(number, decimal=one, thousands=two, symbol=symbol) for one, two in marks if one != two),
        *(replace(number, kind="date", date_format=date_format) for date_format in formats),
    ]


def best_way(texts: Any, ways: list[Form], choices: Choices) -> tuple[Form, Any, str]:
    """Return the form that fits the most texts, their values, and a remark, empty for plain numbers."""
    is_open = choices.decimal is None and all(map(OPEN.fullmatch, texts))
    found = [(ways[0], ways[0].values(texts))]
    for way in ways[1:]:
        if found[-1][0].kind == "number" and found[-1][1].notna().all() and not is_open:
            break
        # The first few texts are enough to rule out most forms.
        if way.values(texts[:FEW_CELLS]).notna().mean() >= 0.5:
            found.append((way, way.values(texts)))
    form, values = max(found, key=lambda pair: pair[1].count())
    words = "" if values.equals(Form("number").values(texts)) else form.words
    for other, others in found:
        if others.notna().all() and not others.equals(values):
            option = f"date-format {other.date_format}" if other.date_format else f"decimal {other.decimal!r}"
            words = f"{form.words} (--{option} is possible too)"
    return form, values, words


def pandas_module() -> Any:
    """Import pandas, which only tables need, and return it."""
    try:
        return importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        hint = "pip install 'cython-backprop[csv]'"
        raise ModuleNotFoundError(f"reading tables needs pandas: {hint}") from error
