"""Tables and arrays of examples turned into the numbers that a network takes, and its outputs turned back.

A :class:`Preprocessor` is two things: how inputs are scaled (:class:`Columns` for a table whose columns have
names, :class:`Arrays` for plain arrays), and what the target is (:class:`Classes` or :class:`Quantity`). Each
is a frozen record of plain values, fitted on the training examples, so that it can be saved beside the
network as JSON. :func:`load_examples` and :func:`load_inputs` make and use one for a file.

A *table* is any mapping of column names to one-dimensional arrays: a dict, or a data frame.
"""

from cbp.tabular.arrays import Arrays
from cbp.tabular.columns import Categorical, Columns, Numeric
from cbp.tabular.examples import Choices, Examples, load_examples, load_inputs
from cbp.tabular.preprocessor import Preprocessor
from cbp.tabular.targets import Classes, Quantity, fit_target

__all__ = [
    "Arrays",
    "Categorical",
    "Choices",
    "Classes",
    "Columns",
    "Examples",
    "Numeric",
    "Preprocessor",
    "Quantity",
    "fit_target",
    "load_examples",
    "load_inputs",
]
