"""How a network's inputs are made and what its outputs mean, in a record that goes to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from cbp.tabular.arrays import Arrays
from cbp.tabular.columns import Categorical, Columns, Numeric
from cbp.tabular.targets import Classes, Quantity, Target

__all__ = ["Preprocessor"]


@dataclass(frozen=True)
class Preprocessor:
    """How the inputs of a network are made, and what its outputs mean.

    Parameters
    ----------
    inputs : Columns or Arrays
        How the inputs are scaled.
    target : Classes or Quantity
        What is predicted.

    Examples
    --------
    >>> table = Preprocessor(Columns.fit({"size": [1.0, 3.0]}), Classes("animal", ["cat", "dog"]))
    >>> Preprocessor.from_dict(table.to_dict()) == table
    True
    """

    inputs: Columns | Arrays
    target: Target

    def to_dict(self) -> dict[str, Any]:
        """Return the record as dicts, lists, strings and numbers, all of which JSON keeps exactly."""
        return {"inputs": asdict(self.inputs), "target": asdict(self.target)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_dict` has written.

        Raises
        ------
        ValueError
            If it has not.
        """
        try:
            inputs, target = record["inputs"], record["target"]
            return cls(
                columns_from(inputs["columns"]) if "columns" in inputs else Arrays(**inputs),
                Classes(**target) if "labels" in target else Quantity(**target),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no record of a preprocessor: {error}") from error


def columns_from(records: list[dict[str, Any]]) -> Columns:
    """Return the columns that some records describe."""
    kinds = [Categorical if "categories" in record else Numeric for record in records]
    return Columns([kind(**record) for kind, record in zip(kinds, records, strict=True)])
