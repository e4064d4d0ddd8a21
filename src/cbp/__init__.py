"""Fast training of dense neural networks on the CPU."""

from typing import TYPE_CHECKING

from cbp.machine import installation

installation.check()  # first: the imports below would fail too, with a less helpful message

from cbp import datasets
from cbp.derivatives import Gradient
from cbp.files.npz import ModelFileError
from cbp.machine.threads import get_num_threads, set_num_threads
from cbp.machine.versions import show_versions
from cbp.network import Network, load
from cbp.optimizers.adam import Adam
from cbp.optimizers.sgd import SGD
from cbp.training.history import Epoch, History

if TYPE_CHECKING:
    from cbp import schedules
    from cbp.optimizers.kin import AdamW, Nadam
    from cbp.optimizers.scaled import Adagrad, RMSprop
    from cbp.range_test import RangeTest, find_learning_rate
    from cbp.resuming import resume
    from cbp.training.checkpoints import Every
    from cbp.training.hooks import Step
    from cbp.training.stopping import EarlyStopping

    __version__: str
else:
    # Imported when first used: each of these dataclasses would add a twentieth to the time of `import cbp`,
    # and so would importlib.metadata.
    _LATER = {
        "AdamW": "optimizers.kin",
        "Nadam": "optimizers.kin",
        "Adagrad": "optimizers.scaled",
        "RMSprop": "optimizers.scaled",
        "EarlyStopping": "training.stopping",
        "Every": "training.checkpoints",
        "RangeTest": "range_test",
        "find_learning_rate": "range_test",
        "resume": "resuming",
        "schedules": "schedules",
        "Step": "training.hooks",
    }

    def __getattr__(name):
        if name == "__version__":
            from cbp.machine.versions import package_version

            return package_version()
        if name in _LATER:
            from importlib import import_module

            if name == "schedules":
                return import_module("cbp.schedules")
            return getattr(import_module(f"cbp.{_LATER[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "EarlyStopping",
    "Epoch",
    "Every",
    "Gradient",
    "History",
    "ModelFileError",
    "Nadam",
    "Network",
    "RMSprop",
    "RangeTest",
    "Step",
    "__version__",
    "datasets",
    "find_learning_rate",
    "get_num_threads",
    "load",
    "resume",
    "schedules",
    "set_num_threads",
    "show_versions",
]
