"""Tables of examples turned into the numbers that a network takes, and its outputs turned back.

A table is read as texts (readers). A form for each column, recognised in the training data, says what its
texts mean (forms). The columns become inputs (inputs) and targets (targets). A :class:`Preprocessor` records
all that in plain values, which are saved with the network as JSON (examples).
"""

from cbp.tabular.choices import Choices, Remarks, listed
from cbp.tabular.examples import Examples, Inputs, Preprocessor, divided, load_examples, load_inputs
from cbp.tabular.inputs import Columns
from cbp.tabular.readers import DAMAGED
from cbp.tabular.targets import Classes, Target, fit_target, standard

__all__ = ["DAMAGED", "Choices", "Classes", "Columns", "Examples", "Inputs", "Preprocessor", "Remarks"]
__all__ += ["Target", "divided", "fit_target", "listed", "load_examples", "load_inputs", "standard"]
