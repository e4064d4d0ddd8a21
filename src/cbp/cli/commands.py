"""The subcommands train, predict and info; `bench.py` has the fourth."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import re
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

import cbp
from cbp.cli import trainer
from cbp.cli.data import Arrays, load_examples, load_inputs
from cbp.cli.outputs import Outputs, check_writable
from cbp.cli.recipe import Asked, Candidate, Recipe
from cbp.cli.report import describe_data, describe_network, describe_training, note, say_score, say_speed
from cbp.cli.trainer import Trained
from cbp.datasets import load_digits
from cbp.files.whole import write_whole
from cbp.tabular import Choices, Classes, Columns, Examples, Preprocessor

__all__ = ["INTERRUPTED", "info", "predict", "train"]

# The options that describe a data file, and so need one. Each is also a field of Choices.
DATA_OPTIONS = ["target", "ignore", "text", "number", "task", "test_fraction", "delimiter", "encoding"]
DATA_OPTIONS += ["header", "decimal", "thousands", "date_format", "missing_values", "gaps"]

INTERRUPTED = 128 + 2  # the exit status that a shell reports for a program ended by SIGINT


def train(args: argparse.Namespace) -> int:
    """Train a network, report how well it does, and write what was asked for; return the exit status."""
    outputs = Outputs(args.save, args.plot, args.history)
    outputs.check(args.file)
    asked = Asked(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Asked)})
    examples = digits(args) if args.file is None else load_examples(args.file, choices(args))
    table = examples.table
    recipe = Recipe.choose(len(examples.y_train), table.inputs.width, table.target.width, asked)
    nets = [make_network(args, recipe, one, table) for one in recipe.candidates]
    if not args.quiet:
        source = "handwritten digits" if args.file is None else args.file.name
        is_table = isinstance(table.inputs, Columns)
        describe_data(source, examples, last_column=is_table and args.target is None)
        describe_network(nets[0], recipe)

    started = time.perf_counter()
    trained = fit(nets, recipe, examples, args)
    seconds = time.perf_counter() - started

    if not args.quiet:
        describe_training(recipe, trained)
    written = outputs.write(trained.net, table)
    say_score(trained.net, examples)
    say_speed(trained.net, seconds)
    return INTERRUPTED if not trained.finished else 0 if written else 2


def fit(nets: Sequence[cbp.Network], recipe: Recipe, examples: Examples, args: argparse.Namespace) -> Trained:
    """Train the networks by the recipe; print a note if training was interrupted or did not help."""
    trained = trainer.train(
        nets,
        recipe,
        examples.x_train,
        examples.y_train,
        test=(examples.x_test, examples.y_test) if len(examples.y_test) else None,
        seed=args.seed,
        progress=False if args.quiet else None,  # None: if there is a terminal
    )
    if not trained.finished:
        note(f"interrupted in epoch {len(trained.net.history) + 1}: the network is as far as it got")
    elif not trained.epochs:
        note("training does not clearly help to predict examples left out: all are now predicted alike")
    return trained


def choices(args: argparse.Namespace) -> Choices:
    """Return what the arguments say about a data file."""
    given: dict[str, Any] = {name: getattr(args, name) for name in (*DATA_OPTIONS, "seed", "dtype")}
    for name in [name for name, value in given.items() if isinstance(value, list)]:
        given[name] = tuple(given[name])  # argparse collects repeated options in lists
    return Choices(**{name: value for name, value in given.items() if value is not None})


def digits(args: argparse.Namespace) -> Examples:
    """Return the handwritten digits of the package as examples; ValueError for an option about a file."""
    for option in DATA_OPTIONS:
        if getattr(args, option) not in (None, []):
            name = "no-header" if args.header is False and option == "header" else option.replace("_", "-")
            raise ValueError(f"--{name} needs a FILE to train on")
    data = load_digits(dtype=args.dtype, rng=args.seed)
    # The pixels lie between 0 and 1 already, so they are not scaled.
    return Examples(*data, Preprocessor(Arrays([8, 8], 0.0, 1.0), Classes("digit", list(range(10)))))


def make_network(
    args: argparse.Namespace, recipe: Recipe, candidate: Candidate, table: Preprocessor
) -> cbp.Network:
    """Return an untrained network for the data that ``table`` describes."""
    names, output = candidate.activation, table.target.output
    if args.loss is not None and output != "identity":
        raise ValueError("--loss is for numbers to predict, and the target has classes")
    try:
        return cbp.Network(
            [table.inputs.width, *recipe.hidden, table.target.width],
            # A single name applies to all hidden layers; several names are one for each layer.
            hidden=names[0] if len(names) == 1 else names,
            output=output,
            loss=args.loss,
            l2=candidate.l2,
            dtype=args.dtype,
            rng=args.seed,
            n_threads=args.threads,
        )
    except ValueError as error:
        # cbp.Network calls the activations `hidden`; the command line calls them --activation.
        raise ValueError(re.sub(r"^hidden\b", "--activation", str(error))) from error


def predict(args: argparse.Namespace) -> int:
    """Write the predictions of a saved network; return the exit status."""
    if args.output is not None:
        check_writable(args.output, [args.model, args.file])
    net = cbp.load(args.model)
    table = preprocessor_of(net, args.model)
    if args.probabilities and not isinstance(table.target, Classes):
        raise ValueError(f"--probabilities needs classes, where {table.target.name!r} is a number")
    given = {name: getattr(args, name) for name in ("delimiter", "encoding", "header", "gaps")}
    chosen = Choices(**table.layout | {name: value for name, value in given.items() if value is not None})
    X, skipped, remarks = load_inputs(args.file, table, net.dtype, chosen)
    for remark in remarks:
        note(remark)
    outputs = net._finite_outputs(X)  # raises for NaN, which argmax would decode as the first class
    cells = ([value] for value in table.target.decode(outputs))
    names = [table.target.name]
    if args.probabilities and isinstance(table.target, Classes):
        names += [str(label) for label in table.target.labels]
        cells = ([*row, *shares] for row, shares in zip(cells, outputs.tolist(), strict=True))
    rows = ([""] * len(names) if gap else row for row, gap in zip(cells, skipped, strict=True))
    if args.output is None:
        write_rows(in_utf8(sys.stdout), [names, *rows])
    else:
        text = io.StringIO()
        write_rows(text, [names, *rows])
        write_whole(args.output, text.getvalue().encode())
    return 2 if chosen.gaps == "error" and skipped.any() else 0


def preprocessor_of(net: cbp.Network, path: Path) -> Preprocessor:
    """Return the preprocessor that was saved with a network; ValueError if there is none that fits."""
    if "table" not in net.metadata:
        raise ValueError(f"{path} was not written by train --save: it has no scaling of inputs")
    try:
        table = Preprocessor.from_dict(net.metadata["table"], others=Arrays)
    except ValueError as error:
        words = f"{path} was written by another version of train --save, and must be trained anew"
        raise ValueError(f"{words} ({error})") from error
    if (table.inputs.width, table.target.width) != (net.sizes[0], net.sizes[-1]):
        raise ValueError(f"{path} is damaged: its scaling is of other inputs and outputs")
    return table


def in_utf8(stream: TextIO) -> TextIO:
    """Return a standard stream, set to write UTF-8 whatever the locale, and to leave line ends unchanged."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", newline="")
    return stream


def write_rows(stream: TextIO, rows: Iterable[Sequence[object]]) -> None:
    """Write the rows of a .csv file."""
    csv.writer(stream, lineterminator="\n").writerows(rows)


def info(args: argparse.Namespace) -> int:
    """Print versions, instruction set and threads; return the exit status."""
    cbp.show_versions()
    return 0
