"""The check of a network's `metadata`: it may hold only what JSON gives back equal and of the same type."""

import json
from typing import Any

import numpy as np

MOST_LEVELS = 100  # of nesting: a file with more could exceed Python's recursion limit when it is read
MOST_BITS = 14_000  # of a whole number: Python reads no more than 4300 digits
HINTS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (tuple, "use a list"),
    ((set, frozenset), "use a sorted list"),
    (np.ndarray, "use its .tolist()"),
    (np.generic, "use its .item()"),
    ((bytes, bytearray, memoryview), "use text, such as its .hex()"),
    ((dict, list, str, int, float), "use a plain {}"),
)


def check(value: Any, path: str = "metadata", within: tuple[int, ...] = ()) -> None:
    """Refuse, by name, values that a file would not give back unchanged.

    Parameters
    ----------
    value : object
        The metadata, or a part of it.
    path : str
        Where it is, for the error.
    within : tuple of int
        The identities, by `id`, of the dicts and lists that contain it.

    Raises
    ------
    TypeError
        If a value is not exactly a dict, list, str, int, float, bool or None, or a key is not a str.
    ValueError
        If text has surrogates that JSON would join, a whole number has too many digits, or something contains
        itself or goes too deep.
    """
    kind = type(value)
    if kind is dict or kind is list:
        if id(value) in within:
            raise ValueError(f"{path} contains itself, which a file cannot")
        if len(within) == MOST_LEVELS:
            raise ValueError(f"{path} lies more than {MOST_LEVELS} levels deep")
        for key, part in value.items() if kind is dict else enumerate(value):
            if kind is dict:
                check_key(key, path)
            check(part, f"{path}[{key!r}]", (*within, id(value)))
    elif kind is str:
        check_text(value, path)
    elif kind is int:
        if value.bit_length() > MOST_BITS:
            raise ValueError(f"{path} is a whole number of more digits than can be read from a file")
    elif value is not None and kind is not float and kind is not bool:
        raise TypeError(f"{path} is {named(kind)}, which a file would not give back as it is{hint(value)}")


def check_key(key: Any, path: str) -> None:
    """Refuse a key that JSON would turn into text, or change."""
    if type(key) is not str:
        raise TypeError(
            f"{path} has the key {key!r}, {named(type(key))}, where a file has texts alone: "
            f"use text, or a list of pairs"
        )
    check_text(key, f"a key of {path}")


def check_text(value: str, path: str) -> None:
    """Refuse text with two surrogates in a row that JSON would read as one character."""
    if not value.isascii() and json.loads(json.dumps(value)) != value:
        raise ValueError(f"{path} has surrogates that a file would join to other characters")


def named(kind: type) -> str:
    """Return the name of a type with its article, and with its module if it is not built in."""
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def hint(value: Any) -> str:
    """Return what to use instead of a value, in words, if that is known."""
    for kinds, words in HINTS:
        if isinstance(value, kinds):
            plain = next(
                (base.__name__ for base in type(value).__mro__ if base in (dict, list, str, int, float)), ""
            )
            return ": " + words.format(plain)
    return ""
