"""How a network's inputs are made and what its outputs mean, in a record that goes to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from cbp.tabular.arrays import Arrays
from cbp.tabular.choices import Choices
from cbp.tabular.columns import Categorical, Columns, Numeric
from cbp.tabular.forms import Form
from cbp.tabular.targets import Classes, Quantity, Target

__all__ = ["Preprocessor"]


@dataclass(frozen=True)
class Preprocessor:
    """How the inputs of a network are made, and what its outputs mean."""

    inputs: Columns | Arrays
    target: Target
    forms: dict[str, Form] = field(default_factory=dict)  # how the columns of a table are written
    layout: dict[str, Any] = field(default_factory=dict)  # the Choices for tables to predict from

    def form(self, column: Numeric | Categorical) -> Form:
        """Return how a column is written; models of old have no record of it, and know plain forms alone."""
        return self.forms.get(column.name, Form("number" if isinstance(column, Numeric) else "text"))

    def to_dict(self) -> dict[str, Any]:
        """Return the record as dicts, lists, strings and numbers, all of which JSON keeps exactly."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_dict` has written; ValueError if it has not."""
        try:
            inputs, target, layout = (
                record["inputs"],
                record["target"],
                record.get("layout", {"header": True}),
            )
            Choices(**layout)
            columns = [
                (Categorical if "categories" in row else Numeric)(**row) for row in inputs.get("columns", ())
            ]
            return cls(
                Columns(columns) if "columns" in inputs else Arrays(**inputs),
                (Classes if "labels" in target else Quantity)(**target),
                {name: Form(**form) for name, form in record.get("forms", {}).items()},
                layout,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no record of a preprocessor: {error}") from error
