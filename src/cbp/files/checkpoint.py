"""Checkpoint files: a description in JSON and named arrays in one .npz file, without pickle."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from cbp.examples.conversion import Array
from cbp.files.npz import ModelFileError
from cbp.files.whole import write_whole

FORMAT = "cbp checkpoint"
VERSION = 1


def write(path: str | os.PathLike[str], description: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a checkpoint. A file of that name is replaced once the new one is complete and on the disk."""
    file = io.BytesIO()
    text = json.dumps({"format": FORMAT, "version": VERSION, **description})
    named: dict[str, Any] = {"description": np.array(text), **arrays}
    np.savez(file, **named)
    write_whole(path, file.getbuffer(), durable=True)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the description and the arrays of a checkpoint.

    Raises
    ------
    ModelFileError
        If the file is not a checkpoint, is damaged, or was written by a later version.
    OSError
        If it cannot be read.
    """
    name = os.fspath(path)
    with open(name, "rb") as stream:
        file = io.BytesIO(stream.read())
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        description = json.loads(str(arrays.pop("description")))
    except Exception as error:  # zipfile and NumPy raise a dozen kinds of errors for a damaged file
        raise ModelFileError(f"{name} is not a checkpoint of cbp: {error}") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        hint = "; cbp.load reads networks" if "sizes" in description else ""
        raise ModelFileError(f"{name} is not a checkpoint of cbp{hint}")
    if description.get("version") != VERSION:
        raise ModelFileError(
            f"{name} has version {description.get('version')!r} of the format; this cbp reads {VERSION}"
        )
    return description, arrays
