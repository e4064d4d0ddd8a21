"""What the subcommands do: train, predict, info."""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import cbp
from cbp.cli.outputs import Outputs, check_writable
from cbp.cli.report import describe_data, describe_network, note, say_score, say_speed
from cbp.datasets import load_digits
from cbp.scores import refuse_not_finite
from cbp.tabular import Arrays, Choices, Classes, Columns, Examples, Preprocessor, load_examples, load_inputs

__all__ = ["EPOCHS", "INTERRUPTED", "info", "predict", "train"]

# Without --epochs: as many as make so many steps, that small data are learnt too, but at least EPOCHS.
EPOCHS = 15
STEPS = 3000

# What can be said about a data file alone.
DATA_OPTIONS = ["target", "ignore", "text", "number", "task", "test_fraction", "delimiter", "encoding"]
DATA_OPTIONS += ["header", "decimal", "thousands", "date_format", "missing_values", "gaps"]

INTERRUPTED = 128 + 2  # the exit status of a program that SIGINT ended


def train(args: argparse.Namespace) -> int:
    """Train a network, report how well it does, and write what was asked for; return the exit status."""
    outputs = Outputs(args.save, args.plot, args.history)
    outputs.check(args.file)
    optimizer = make_optimizer(args)
    examples = digits(args) if args.file is None else load_examples(args.file, choices(args))
    net = make_network(args, examples.table)
    if not args.quiet:
        source = "handwritten digits" if args.file is None else args.file.name
        is_table = isinstance(examples.table.inputs, Columns)
        describe_data(source, examples, last_column=is_table and args.target is None)
        describe_network(net, args.activation)

    started = time.perf_counter()
    finished = fit(net, examples, args, optimizer)
    seconds = time.perf_counter() - started

    written = outputs.write(net, examples.table)
    say_score(net, examples)
    say_speed(net, len(examples.y_train), seconds)
    return INTERRUPTED if not finished else 0 if written else 2


def fit(
    net: cbp.Network, examples: Examples, args: argparse.Namespace, optimizer: cbp.SGD | cbp.Adam
) -> bool:
    """Train, and return whether that went on to its end."""
    steps = -(-len(examples.y_train) // args.batch_size)
    try:
        net.fit(
            examples.x_train,
            examples.y_train,
            epochs=args.epochs or max(EPOCHS, -(-STEPS // steps)),
            batch_size=args.batch_size,
            optimizer=optimizer,
            validation_data=(examples.x_test, examples.y_test) if len(examples.y_test) else None,
            progress=not args.quiet,
        )
    except KeyboardInterrupt:
        note(f"interrupted in epoch {len(net.history) + 1}: the network is as far as it got")
        return False
    return True


def choices(args: argparse.Namespace) -> Choices:
    """Return what the arguments say about a data file."""
    return Choices(
        target=args.target,
        ignore=tuple(args.ignore),
        text=tuple(args.text),
        number=tuple(args.number),
        task=args.task,
        test_fraction=args.test_fraction,
        seed=args.seed,
        dtype=args.dtype,
        delimiter=args.delimiter,
        encoding=args.encoding,
        header=args.header,
        decimal=args.decimal,
        thousands=args.thousands,
        date_format=args.date_format,
        missing=tuple(args.missing_values),
        gaps=args.gaps or "impute",
    )


def digits(args: argparse.Namespace) -> Examples:
    """Return the digits of the package as examples."""
    for option in DATA_OPTIONS:
        if getattr(args, option) not in (None, []):
            name = "no-header" if args.header is False and option == "header" else option.replace("_", "-")
            raise ValueError(f"--{name} needs a FILE to train on")
    data = load_digits(dtype=args.dtype, rng=args.seed)
    # Images from 0 to 1 already.
    return Examples(*data, Preprocessor(Arrays([8, 8], 0.0, 1.0), Classes("digit", list(range(10)))))


def make_optimizer(args: argparse.Namespace) -> cbp.SGD | cbp.Adam:
    """Return the optimiser that the arguments describe."""
    rate = {} if args.lr is None else {"learning_rate": args.lr}
    if args.optimizer == "sgd":
        return cbp.SGD(**rate, momentum=args.momentum or 0.0)
    if args.momentum is not None:
        raise ValueError("--momentum goes with --optimizer sgd")
    return cbp.Adam(**rate)


def make_network(args: argparse.Namespace, table: Preprocessor) -> cbp.Network:
    """Return a fresh network for some data."""
    try:
        return cbp.Network(
            [table.inputs.width, *args.hidden, table.target.width],
            # One name is for all hidden layers, however many; several are one for each.
            hidden=args.activation[0] if len(args.activation) == 1 else args.activation,
            output=table.target.output,
            l2=args.l2,
            dtype=args.dtype,
            rng=args.seed,
            n_threads=args.threads,
        )
    except ValueError as error:
        # The activations, which are called `hidden` there, and --activation here.
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
    outputs = net.predict(X)
    refuse_not_finite(outputs, net)  # the class of NaN would be the first
    cells = ([value] for value in table.target.decode(outputs))
    names = [table.target.name]
    if args.probabilities and isinstance(table.target, Classes):
        names += [str(label) for label in table.target.labels]
        cells = ([*row, *shares] for row, shares in zip(cells, outputs.tolist(), strict=True))
    rows = ([""] * len(names) if gap else row for row, gap in zip(cells, skipped, strict=True))
    if args.output is None:
        write_rows(in_utf8(sys.stdout), [names, *rows])
    else:
        with open(args.output, "w", encoding="utf-8", newline="") as stream:
            write_rows(stream, [names, *rows])
    return 2 if chosen.gaps == "error" and skipped.any() else 0


def preprocessor_of(net: cbp.Network, path: Path) -> Preprocessor:
    """Return how a saved network's inputs are made; ValueError if that was not saved with it."""
    try:
        table = Preprocessor.from_dict(net.metadata["table"])
    except (KeyError, ValueError):
        raise ValueError(f"{path} was not written by train --save: it has no scaling of inputs") from None
    if (table.inputs.width, table.target.width) != (net.sizes[0], net.sizes[-1]):
        raise ValueError(f"{path} is damaged: its scaling is of other inputs and outputs")
    return table


def in_utf8(stream: TextIO) -> TextIO:
    """Return a standard stream that writes UTF-8, whatever the locale, and line ends as they are."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", newline="")
    return stream


def write_rows(stream: TextIO, rows: Iterable[Sequence[object]]) -> None:
    """Write the rows of a .csv file."""
    csv.writer(stream, lineterminator="\n").writerows(rows)


def info(args: argparse.Namespace) -> int:
    """Print what there is to know about the installation; return the exit status."""
    cbp.show_versions()
    return 0
