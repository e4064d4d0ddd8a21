"""Going on with a training from its checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cbp import arguments, scalars
from cbp.architecture import Architecture
from cbp.examples import classes, split
from cbp.examples.arrays import Examples
from cbp.examples.conversion import Array
from cbp.files import checkpoint
from cbp.files.npz import ModelFileError
from cbp.functions import OwnLoss, is_own
from cbp.metrics import Metric, is_maximized, wanted
from cbp.network import Network
from cbp.optimizers.base import OptimizerState
from cbp.scalars import kind
from cbp.training.checkpoints import COMPLETE, Saver, digest
from cbp.training.history import Epoch, History
from cbp.training.plain import from_plain
from cbp.training.state import TrainingState
from cbp.training.stopping import Watch

if TYPE_CHECKING:
    from cbp.training.hooks import Step


def resume(
    path: str | os.PathLike[str],
    X: ArrayLike,
    Y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    validation_data: tuple[ArrayLike, ...] | None = None,
    metrics: Iterable[str | Callable[..., float]] | None = None,
    loss: OwnLoss | None = None,
    max_seconds: float | None = None,
    callbacks: Iterable[Callable[[Epoch], object]] = (),
    batch_callbacks: Iterable[Callable[[Step], object]] = (),
    progress: bool | None = None,
    n_threads: int | None = None,
) -> Network:
    """Go on with a training from the checkpoint that `fit` wrote, to the same bits as without a break.

    All settings of `fit` are in the file, but for what is given here again. The training goes on within the
    epoch where the checkpoint was written, with any number of threads, and writes further checkpoints to the
    same file. If it was complete, because it had all its epochs or early stopping ended it, there is nothing
    to do.

    Parameters
    ----------
    path : path-like
        The file. It must come from a source that you trust as much as a data file; it holds no code.
    X, Y, sample_weight
        As `fit` was given them. Others are refused, by their shapes and the values of up to 256 rows.
    validation_data : tuple, optional
        As `fit` was given it.
    metrics : iterable, optional
        As `fit` was given it, if there were functions among them.
    loss : object, optional
        The network's loss, if it is one of your own.
    max_seconds, callbacks, batch_callbacks, progress
        As for `fit`. They are not in the file.
    n_threads : int, optional
        As for `Network`.

    Returns
    -------
    Network
        The trained network, whose `history` has all epochs.

    Raises
    ------
    cbp.ModelFileError
        If the file is not a checkpoint, is damaged, or was written by a later version.
    ValueError
        If the data are others than those of the training.
    OSError
        If the file cannot be read, or written.
    TypeError, FloatingPointError, KeyboardInterrupt
        As `fit` does.

    Examples
    --------
    >>> import cbp, os, tempfile
    >>> digits = cbp.datasets.load_digits()
    >>> path = os.path.join(tempfile.mkdtemp(), "digits.checkpoint")
    >>> net = cbp.Network([64, 32, 10], rng=0)
    >>> history = net.fit(
    ...     digits.x_train,
    ...     digits.y_train,
    ...     epochs=3,
    ...     checkpoint=path,
    ...     callbacks=[lambda epoch: epoch.number == 2],  # stands for a break after two epochs
    ... )
    >>> resumed = cbp.resume(path, digits.x_train, digits.y_train)
    >>> len(history), len(resumed.history)
    (2, 3)
    """
    scalars.count_or_none(n_threads, "n_threads")
    if loss is not None and not is_own(loss):
        raise TypeError(f"loss must be an object with methods loss and error, or None, got {kind(loss)}")
    description, arrays = checkpoint.read(path)
    try:
        network, run = restored(description, arrays, loss, n_threads)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{os.fspath(path)} holds no whole checkpoint: {error}") from None
    if description["stopped"] in COMPLETE:
        return network
    settings, history, state = run
    columns = network.feature_names
    given = examples = network._examples(X, Y, sample_weight, columns, missing=settings["missing"])
    aside = network._validation_examples(validation_data, columns, settings["missing"])
    refuse_others("X, Y and sample_weight", digest(given), description["data"])
    refuse_others("validation_data", digest(aside), description["validation_data"])
    measured = metrics_again(settings["metrics"], metrics, network, given, settings["missing"])
    watch = None
    if (rule := settings["early_stopping"]) is not None:
        watch = Watch(rule, is_maximized(rule.monitor, rule.mode, measured))
        watch.waited, watch.parameters = description["waited"], arrays.get("best_parameters")
        watch.best = epoch_numbered(history, description["best"])
    saver = Saver(network, path, settings, given, aside)
    if history.validation_rows is not None:
        examples, aside = split.apart(examples, history.validation_rows)
    class_weight = settings["class_weight"]
    examples = classes.weighted(examples, class_weight, sample_weight, network.sizes[-1], network.output)
    network._fit(
        *(examples, aside, history, settings["optimizer"], settings["batch_size"], settings["shuffle"]),
        epochs=settings["epochs"],
        whole=examples.weight if settings["l2_per"] == "training_set" else 0.0,
        ema=settings["ema"] or 0.0,
        metrics=measured,
        callbacks=callbacks,
        batch_callbacks=batch_callbacks,
        state=state,
        progress=progress,
        watch=watch,
        saver=saver,
        max_seconds=arguments.seconds(max_seconds),
    )
    return network


Run = tuple[dict[str, Any], History, TrainingState]


def restored(
    description: dict[str, Any], arrays: dict[str, Array], loss: OwnLoss | None, n_threads: int | None
) -> tuple[Network, Run]:
    """Return the network of a checkpoint, and its settings, history and state."""
    what = Architecture.from_dict(description["architecture"])
    if loss is not None:
        what = what.changed(loss=loss)
    network = Network._of(what, n_threads=n_threads)
    network._shuffler = generator(from_plain(description["generator"]))
    network.parameters = arrays["at_rest"]
    network.metadata, network.feature_names = description["metadata"], description["feature_names"]
    settings = {name: from_plain(value) for name, value in description["settings"].items()}
    epochs = [from_plain(epoch) for epoch in description["history"]]
    if not all(isinstance(epoch, Epoch) for epoch in epochs):
        raise TypeError("its history has other things than epochs")
    history = History(epochs, validation_rows=arrays.get("validation_rows"))
    if description["stopped"] is not None:
        history.end(description["stopped"], epoch_numbered(history, description["best"]))
    network.history = history
    state = state_of(description["state"], arrays, settings["optimizer"])
    rest = state.optimizer
    moments = {name: rest.moments[name] for name in rest.optimizer.moments}
    network._state = OptimizerState(rest.optimizer, rest.updates, moments)
    return network, (settings, history, state)


def epoch_numbered(history: History, number: int | None) -> Epoch | None:
    """Return the epoch of a number, or None."""
    return None if number is None else next(epoch for epoch in history if epoch.number == number)


def metrics_again(
    saved: Iterable[Any], given: Any, network: Network, examples: Examples, missing: str
) -> tuple[Metric, ...]:
    """Return the metrics of the training; a name alone in a tuple is that of a function."""
    names = [each for each in saved if isinstance(each, str)]
    measured = wanted(names if given is None else given, network.output, examples, missing == "ignore")
    found = [each.name for each in measured]
    asked = [each if isinstance(each, str) else each[0] for each in saved]
    if lacking := [name for name in asked if name not in found]:
        raise ValueError(
            f"metrics must be given again, since a file holds no functions: {', '.join(lacking)}"
        )
    return measured


def state_of(values: Any, arrays: dict[str, Array], optimizer: Any) -> TrainingState:
    """Return the state of the training."""
    found = from_plain(values)
    moments = {
        name.removeprefix("moment "): array for name, array in arrays.items() if name.startswith("moment ")
    }
    return TrainingState(
        arrays["parameters"],
        OptimizerState(optimizer, found["updates"], moments),
        batch=found["batch"],
        epochs=found["epochs"],
        place=found["place"],
        seed=found["seed"],
        seconds=found["seconds"],
        plateau=found["plateau"],
        outputs=arrays.get("outputs"),
        order=arrays.get("order"),
        generator=found["generator"],
    )


def generator(state: Any) -> np.random.Generator:
    """Return a Generator in the state of a bit generator of NumPy."""
    kinds = {kind.__name__: kind for kind in np.random.BitGenerator.__subclasses__()}
    bits = kinds[state["bit_generator"]]()
    bits.state = state
    return np.random.Generator(bits)


def refuse_others(name: str, given: str | None, wanted: str | None) -> None:
    """Refuse data that are not those of the training."""
    if given == wanted:
        return
    if given is None or wanted is None:
        raise ValueError(
            f"{name} must be given as fit was given it: {'now it is' if wanted else 'then it was'} None"
        )
    raise ValueError(f"{name} must be those that the training began with, got others")
