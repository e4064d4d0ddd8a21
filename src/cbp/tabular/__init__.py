"""Tables and arrays of examples turned into the numbers that a network takes, and its outputs turned back.

A table is read as texts (readers); a form for each column says once and for all what they mean (forms); they
become inputs (inputs) and what is predicted (targets). A :class:`Preprocessor` is the record of all that, of
plain values that are saved beside the network as JSON (examples).
"""

from cbp.tabular.choices import Choices
from cbp.tabular.examples import Examples, Preprocessor, load_examples, load_inputs
from cbp.tabular.inputs import Arrays, Columns
from cbp.tabular.targets import Classes

__all__ = ["Arrays", "Choices", "Classes", "Columns", "Examples", "Preprocessor"]
__all__ += ["load_examples", "load_inputs"]
