"""What the command line prints: results on stdout; remarks and errors, one line each, on stderr."""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import cbp
from cbp import flops
from cbp.cli.recipe import HELD_OUT, Recipe
from cbp.cli.trainer import Trained
from cbp.functions import in_words
from cbp.machine.threads import count, processors
from cbp.machine.versions import peak_gflops
from cbp.tabular import Classes, Columns, Examples, Target, listed

__all__ = [
    "complain",
    "counted",
    "describe_data",
    "describe_network",
    "describe_training",
    "note",
    "put",
    "say",
    "say_score",
    "say_speed",
]

# Names of columns and options are not broken at the end of a line, so that they can be found and copied.
WHOLE_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}

LEAST_WIDTH = 40  # lines are not cut shorter than this: a narrower terminal wraps them


def width() -> int:
    """Return how long a line may be: a column less than the terminal has, or 79 without a terminal."""
    return max(LEAST_WIDTH, shutil.get_terminal_size((80, 24)).columns - 1)


def say(subject: str, words: str) -> None:
    """Print a line with a subject and words about it, cut to the width of the terminal."""
    put(f"{subject:<10}" + textwrap.shorten(words, width() - 10, placeholder=" ..."))


def put(line: str) -> None:
    """Print a line at once, so that it comes before the progress on stderr."""
    try:
        print(line, flush=True)
    except UnicodeEncodeError:
        print(line.encode("ascii", "backslashreplace").decode("ascii"), flush=True)


def note(remark: str) -> None:
    """Print a remark on stderr."""
    # If stderr is closed, the remark is lost: the program goes on, and does not write it to stdout instead.
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        print("cbp:", " ".join(remark.split()), file=sys.stderr, flush=True)


def complain(error: BaseException) -> None:
    """Print an error as one line on stderr."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror is not None:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    elif isinstance(error, MemoryError):
        text = text or "out of memory"
    note(f"error: {text or type(error).__name__}")


def describe_data(source: str, examples: Examples, *, last_column: bool) -> None:
    """Print what the data are; ``last_column``: the target is the last column because none was chosen."""
    train, test = len(examples.y_train), len(examples.y_test)
    say("data", f"{source}: {counted(train, 'example')} to train on, {test:,} to test with")
    inputs, target = examples.table.inputs, examples.table.target
    columns = f", from {counted(len(inputs.columns), 'column')}" if isinstance(inputs, Columns) else ""
    say("inputs", f"{inputs.width:,}{columns}")
    place = " (the last column)" if last_column else ""
    say("target", f"{target.name}{place}: {summary(target)}")
    for remark in examples.remarks:
        put(textwrap.fill(f"{'note':<10}{remark}", width(), subsequent_indent=" " * 10, **WHOLE_WORDS))


def describe_network(net: cbp.Network, recipe: Recipe) -> None:
    """Print what is trained: the network's sizes, and its activations unless they have yet to be chosen."""
    sizes = "-".join(map(str, net.sizes))
    known = len(net.sizes) > 2 and not recipe.chooses_activation
    output = in_words(net.output)
    functions = " and ".join([*recipe.candidates[0].activation, output] if known else [output])
    threads = counted(threads_of(net), "thread")
    say("network", f"{sizes}, {functions}; {net.n_parameters:,} parameters in {net.dtype}, {threads}")


def describe_training(recipe: Recipe, trained: Trained) -> None:
    """Print how the network was trained, and what decided when to stop."""
    rule, net = recipe.optimizer, trained.net
    steps = f"{type(rule).__name__.lower()} {rule.learning_rate:g}, batches of {recipe.batch_size:,}"
    penalty = f", l2 {net.l2:g}" if isinstance(net.l2, float) and net.l2 else ""
    epochs = counted(trained.epochs, "epoch")
    if not trained.finished:
        epochs += " until it was interrupted"
    elif recipe.refit:
        by = f"{recipe.folds} folds" if recipe.folds > 1 else f"by {HELD_OUT:.0%} held out"
        epochs = f"{trained.epochs:,} of {recipe.epochs:,} epochs, {by}"
        if recipe.chooses_activation:
            epochs = f"{net.hidden[0]}, {epochs}"
    elif recipe.folds:
        epochs = f"best epoch {trained.epochs:,} of {len(net.history):,}, by {HELD_OUT:.0%} held out"
    say("recipe", f"{steps}{penalty}; {epochs}")


def say_score(net: cbp.Network, examples: Examples) -> None:
    """Print the score of the network on the test examples; without any, on the training examples."""
    part, x, y = "test", examples.x_test, examples.y_test
    if not len(y):
        part, x, y = "training", examples.x_train, examples.y_train
    say("result", f"{part} {score(examples.table.target, net._finite_outputs(x), y)}")


def summary(target: Target) -> str:
    """Return in words what the network predicts."""
    if isinstance(target, Classes):
        return f"{target.width} classes, {listed(target.labels)}"
    return f"a number, {target.mean:.4g} on average"


def score(target: Target, outputs: ArrayLike, targets: ArrayLike) -> str:
    """Return in words how well outputs fit encoded targets: accuracy, or the RMSE, in their unit, and R²."""
    if isinstance(target, Classes):
        right = np.argmax(outputs, axis=1) == np.asarray(targets)
        # Rounded down, so that it is 100 % only if all are right.
        share = np.floor(10_000 * np.mean(right)) / 100
        return f"accuracy {share:.2f}% ({np.count_nonzero(right):,} of {right.size:,})"
    outputs, targets = np.asarray(outputs, np.float64), np.asarray(targets, np.float64)
    error, spread = float(np.mean((outputs - targets) ** 2)), float(np.var(targets))
    explained = f"{1 - error / spread:.4f}" if spread else "undefined (all targets are equal)"
    return f"RMSE {target.scale * error**0.5:.4g}, R² {explained}"


def say_speed(net: cbp.Network, seconds: float) -> None:
    """Print how long training took, how fast it was, and its share of the machine's peak."""
    epochs = len(net.history)
    say("time", f"{seconds:.2f} s, {counted(epochs, 'epoch')}")
    if not epochs:
        return
    rate = sum(epoch.examples_per_second * epoch.seconds for epoch in net.history) / net.history.seconds
    gflops = rate * flops.training(net.sizes) / 1e9
    # The peak of one thread is multiplied by the number of threads: a measurement with several threads would
    # be too low whenever other programs use the CPUs.
    peak = peak_gflops(str(net.dtype)) * min(threads_of(net), processors())
    threads = counted(threads_of(net), "thread")
    say("speed", f"{rate:,.0f} examples/s")
    say("share", f"{gflops / peak:.1%} of the machine's peak: {gflops:.3g} of {peak:.3g} GFLOP/s, {threads}")


def threads_of(net: cbp.Network) -> int:
    """Return how many threads a network may use."""
    return count(net.n_threads)[0]


def counted(number: int, thing: str) -> str:
    """Return a number of things, in the singular where it is one."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
