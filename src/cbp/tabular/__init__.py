"""Tables and arrays of examples turned into the numbers that a network takes, and its outputs turned back.

A table is read as texts; a :class:`Form` for each column says once and for all what they mean, and
:class:`Columns` how they become inputs. A :class:`Preprocessor` is the record of both and of the target, of
plain values that are saved beside the network as JSON. :func:`load_examples` and :func:`load_inputs` make and
use one for a file.
"""

from cbp.tabular.arrays import Arrays
from cbp.tabular.choices import Choices
from cbp.tabular.columns import Columns
from cbp.tabular.examples import Examples, load_examples, load_inputs
from cbp.tabular.preprocessor import Preprocessor
from cbp.tabular.targets import Classes

__all__ = [
    "Arrays",
    "Choices",
    "Classes",
    "Columns",
    "Examples",
    "Preprocessor",
    "load_examples",
    "load_inputs",
]
