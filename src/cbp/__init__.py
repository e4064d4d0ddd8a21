"""Fast training of dense neural networks on the CPU."""

from cbp import datasets
from cbp.gradients import Gradient
from cbp.history import Epoch, History
from cbp.network import Network, load
from cbp.optimizers import SGD, Adam
from cbp.persistence import ModelFileError
from cbp.threads import get_num_threads, set_num_threads
from cbp.versions import package_version as _package_version
from cbp.versions import show_versions

__version__ = _package_version()

__all__ = [
    "SGD",
    "Adam",
    "Epoch",
    "Gradient",
    "History",
    "ModelFileError",
    "Network",
    "__version__",
    "datasets",
    "get_num_threads",
    "load",
    "set_num_threads",
    "show_versions",
]
