"""Conversion of what users give to arrays that the kernels can read. No other module does this.

An array that is C-contiguous, aligned, native and of the network's dtype is passed on as it is.
"""

import mmap
import numbers
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

TIMES = "; convert times to numbers, such as (t - t.min()) / numpy.timedelta64(1, 's')"
DURATIONS = "; divide by a unit, such as numpy.timedelta64(1, 's')"
COMPLEX = "; give .real and .imag, or the magnitude, as columns of their own"
MISSING = "; fill missing values, or drop their rows, first"
CATEGORIES = "; encode categories as numbers, such as a column of 0 and 1 for each"
CLASSES = "; number the classes from 0, as numpy.unique(..., return_inverse=True) does"
TO_FLOAT = "; convert with .astype(float)"


def numeric(values: Any, name: str) -> Array:
    """Return the values as an array of real numbers, in the dtype and layout that they have."""
    if type(values) is not np.ndarray:
        refuse_lossy(values, name)
    array = as_array(values, name)
    kind = array.dtype.kind
    if kind in "biuf":
        return array
    if array.ndim == 0 and kind in "OUST":
        raise TypeError(f"{name} must hold numbers, got {type(values).__name__}{hint_for_holder(values)}")
    if kind == "O":
        return from_objects(array, getattr(values, "columns", None), name)
    raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}{hint_for_dtype(array)}")


def refuse_lossy(values: Any, name: str) -> None:
    """Refuse values that NumPy would turn into something else than was meant."""
    held = values if isinstance(values, (list, tuple)) else [values]
    if any(isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array) for array in held):
        raise TypeError(
            f"{name} must not have masked values, whose mask would be lost: "
            f"fill them first, with .filled(value)"
        )
    if held and callable(getattr(held[0], "toarray", None)):
        kind = f"{'a sparse' if held[0] is values else 'sparse'} {type(held[0]).__name__}"
        raise TypeError(f"{name} must be a dense array, got {kind}: convert with .toarray()")


def as_array(values: Any, name: str) -> Array:
    """Return the array that NumPy makes of the values, or raise an error that names the argument."""
    try:
        return np.asarray(values)
    except MemoryError:
        raise
    except Exception as error:  # of any kind: other libraries' arrays refuse in their own ways
        if isinstance(error, ValueError) and isinstance(values, (list, tuple)):
            raise ValueError(f"{name} must be a rectangular array, got {unequal(values)}") from None
        raise TypeError(f"{name} cannot be read as an array: {error}") from None


def unequal(values: Any) -> str:
    """Return which entry of a list has another length than the first, in words."""
    lengths = [len(entry) if hasattr(entry, "__len__") else None for entry in values]
    for i, length in enumerate(lengths):
        if length != lengths[0]:
            told = ["a single value" if n is None else f"length {n}" for n in (lengths[0], length)]
            return f"{told[0]} in row 0 and {told[1]} in row {i}"
    return "rows whose entries differ in shape"


def from_objects(array: Array, columns: Any, name: str) -> Array:
    """Return an array of Python's numbers as float64; `columns` are the names of its columns, or None."""
    for i, value in enumerate(array.flat):
        if not isinstance(value, (numbers.Real, np.bool_)):
            where = place(np.unravel_index(i, array.shape), columns)
            raise TypeError(
                f"{name} must hold numbers, got {short(value)} {where}{hint_for_value(value, array.ndim)}"
            )
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise ValueError(f"{name} must hold numbers that fit into float64") from None


def place(index: tuple[Any, ...], columns: Any = None) -> str:
    """Return where an entry of an array is, in words; `columns` are the names of its columns, or None."""
    if len(index) != 2:
        return f"at index {', '.join(str(int(i)) for i in index)}"
    row, column = int(index[0]), int(index[1])
    names = list(columns) if columns is not None else []
    called = f" ({names[column]!r})" if column < len(names) and isinstance(names[column], str) else ""
    return f"in row {row}, column {column}{called}"


def short(value: Any) -> str:
    """Return a value as Python writes it, on one line, and cut if it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def hint_for_holder(values: Any) -> str:
    """Return what to do with an object that is not an array, in words."""
    if hasattr(values, "__next__"):
        return "; collect what it yields with list(...)"
    if callable(getattr(values, "collect", None)):
        return "; compute it with .collect()"
    return ""


def hint_for_text(text: Any, ndim: int) -> str:
    """Return what to do with text: it may be numbers that were read as text, or categories."""
    try:
        float(text)
    except ValueError:
        return CLASSES if ndim == 1 else CATEGORIES
    return f"; text is not read as numbers{TO_FLOAT}"


def hint_for_dtype(array: Array) -> str:
    """Return what to do with an array whose dtype is not of real numbers."""
    kind = array.dtype.kind
    if kind in "UST":
        return hint_for_text(array.flat[0], array.ndim) if array.size else ""
    if array.dtype.names:
        return "; convert with numpy.lib.recfunctions.structured_to_unstructured"
    return {"c": COMPLEX, "M": TIMES, "m": DURATIONS, "V": "; convert with .astype('float32')"}.get(kind, "")


def hint_for_value(value: Any, ndim: int) -> str:
    """Return what to do with an object that is not a real number."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return MISSING
    if isinstance(value, (str, bytes)):
        return hint_for_text(value, ndim)
    if isinstance(value, numbers.Complex):
        return COMPLEX
    if isinstance(value, numbers.Number):  # decimal.Decimal
        return TO_FLOAT
    if isinstance(value, (np.ndarray, list, tuple)):
        return "; make one array of them with numpy.stack"
    # Durations come first, since those of pandas have both attributes.
    return DURATIONS if hasattr(value, "total_seconds") else TIMES if hasattr(value, "isoformat") else ""


def is_ready(array: Array, dtype: DTypeLike) -> bool:
    """Whether the kernels can read the array where it is."""
    return array.dtype == dtype and array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned


def convert(array: Array, dtype: DTypeLike) -> Array:
    """Return the array itself if it is ready, else a copy that is. Too large numbers become infinite."""
    if is_ready(array, dtype):
        return array
    with np.errstate(over="ignore"):
        return np.require(array, dtype=dtype, requirements=["C", "A"])


def is_mapped(array: Array) -> bool:
    """Whether the array is in a memory-mapped file."""
    base: Any = array
    while base is not None:
        if isinstance(base, mmap.mmap):  # np.memmap would not tell: copies in memory are of that class too
            return True
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return False
