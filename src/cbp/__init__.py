"""Fast training of dense neural networks on the CPU."""

from typing import TYPE_CHECKING

from cbp import installation

installation.check()  # first, because all that follows would fail, and say less

from cbp import datasets
from cbp.gradients import Gradient
from cbp.history import Epoch, History
from cbp.network import Network, load
from cbp.optimizers import SGD, Adam
from cbp.persistence import ModelFileError
from cbp.threads import get_num_threads, set_num_threads
from cbp.versions import show_versions

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name):
        # Looked up when asked for: importlib.metadata takes as long to import as all the rest.
        if name == "__version__":
            from cbp.versions import package_version

            return package_version()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
