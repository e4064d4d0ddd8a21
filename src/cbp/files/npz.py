"""Saving and loading networks.

A file is a NumPy .npz with the parameters and a description in JSON. Pickles of earlier versions of cbp are
converted here too.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cbp.architecture import Architecture
from cbp.examples.conversion import Array
from cbp.files import metadata
from cbp.files.whole import write_whole
from cbp.optimizers.base import OptimizerState

FORMAT = "cbp network"
VERSION = 1


class ModelFileError(ValueError):
    """A file that does not hold a network, or holds one that this version of cbp cannot read."""


def save(
    path: str | os.PathLike[str],
    architecture: Architecture,
    parameters: Array,
    contents: Mapping[str, Any],
    feature_names: Sequence[str] | None,
) -> None:
    """Write a network to a file. An existing file is replaced only once the new one is whole.

    `contents` is the user's metadata.
    """
    if type(contents) is not dict:
        raise TypeError(f"metadata must be a dict, got {type(contents).__name__}")
    metadata.check(contents)
    description = {
        "format": FORMAT,
        "version": VERSION,
        **architecture.to_dict(),
        "metadata": contents,
    }
    if feature_names is not None:
        description["feature_names"] = feature_names
    file = io.BytesIO()
    np.savez(file, description=np.array(json.dumps(description)), parameters=parameters)
    write_whole(path, file.getvalue())


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Array]:
    """Return the description and the parameters from a file that `save` wrote.

    Raises
    ------
    ModelFileError
        If the file is not such a file, is damaged, or was written by a later version.
    OSError
        If it cannot be read.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        content = io.BytesIO(file.read())
    if not content.getvalue().startswith(b"PK"):  # NumPy's own error would be about pickles
        raise ModelFileError(f"{name} holds no cbp network: it is not an .npz file")
    try:
        with np.load(content, allow_pickle=False) as archive:
            description = json.loads(str(archive["description"]))
            parameters = archive["parameters"]
    except Exception as error:  # zipfile and NumPy raise a dozen kinds of errors for a damaged file
        raise ModelFileError(f"{name} holds no cbp network: {error}") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ModelFileError(f"{name} holds no cbp network: it is described as {str(description)[:80]}")
    if description.get("version") != VERSION:
        raise ModelFileError(
            f"{name} has version {description.get('version')!r} of the format; this cbp reads {VERSION}"
        )
    return description, parameters


def of_earlier_version(
    attributes: dict[str, Any], state: Any
) -> tuple[dict[str, Any], OptimizerState | None]:
    """Convert an earlier version's pickle, which had no `Architecture`, and a list of moments."""
    names = ("sizes", "hidden", "output", "loss", "l2", "dtype")  # there was no l1
    found = {name: value for name, value in attributes.items() if name.lstrip("_") not in names}
    found["_architecture"] = Architecture.from_dict({name: attributes[f"_{name}"] for name in names})
    if state is not None:
        moments = dict(zip(state.optimizer.moments, state.moments, strict=True))
        state = OptimizerState(state.optimizer, state.updates, moments)
    return found, state
