"""The parser of the command line: the subcommands, their arguments, and how each argument is read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from cbp import functions
from cbp.cli import commands, recipe
from cbp.cli.bench import bench
from cbp.cli.report import complain
from cbp.cli.values import character, fraction, layer_sizes, names, positive, positive_real, real, whole
from cbp.machine.versions import package_version

__all__ = ["build_parser"]

DESCRIPTION = "Train dense neural networks on the CPU, and predict with them."


FOUND_OUT = "Only needed where what cbp detects, and prints, is wrong."


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without the usage message."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("action", None, Once)
        self.register("action", "store", Once)

    def error(self, message: str) -> NoReturn:
        """Report a wrong argument, and end the program."""
        complain(ValueError(f"{message} ({self.prog} --help tells more)"))
        raise SystemExit(2)


class Once(argparse.Action):
    """Stores the value of an option, and reports an error if the option is given twice."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Store the value."""
        given = vars(namespace).setdefault("given", set())
        if option_string is not None and self.dest in given:
            raise argparse.ArgumentError(self, "it is there twice, and takes one value")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(prog="cbp", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and exit")
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(metavar="COMMAND", title="commands")
    add_train(subparsers)
    add_predict(subparsers)
    add_bench(subparsers)
    info = subparsers.add_parser(
        "info",
        help="print versions, instruction set and threads",
        description="Print the versions in use, the instruction set, and the number of threads and why.",
        allow_abbrev=False,
    )
    info.set_defaults(run=commands.info)
    return parser


class Version(argparse.Action):
    """Prints the version, which is looked up only when asked for, because the look-up is slow."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print the version, and end the program."""
        print("cbp", package_version())
        parser.exit()


def add_train(subparsers: argparse._SubParsersAction[Parser]) -> None:
    """Describe the arguments of ``cbp train``."""
    parser = subparsers.add_parser(
        "train",
        help="train a network on a data file, or on handwritten digits",
        description="Train a network, and test it on examples held out. Without FILE: on 1,797 images of "
        "handwritten digits that come with the package.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=commands.train)
    data = parser.add_argument_group("data")
    data.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        type=Path,
        help="a table, such as .csv, .tsv, .csv.gz or .parquet, or - for standard input; "
        "or .npz with x_train, y_train and, if there are any, x_test, y_test",
    )
    data.add_argument("--target", metavar="NAME", help="column of the table to predict (default: the last)")
    add_columns(data, "--ignore", "columns to leave out")
    add_columns(data, "--text", "columns to take as categories, whatever they look like")
    add_columns(data, "--number", "columns to take as numbers, whatever they look like")
    data.add_argument(
        "--task",
        choices=("classification", "regression"),
        help="default: classification if the target is text, or has two or few whole numbers",
    )
    data.add_argument(
        "--test-fraction",
        metavar="X",
        type=fraction,
        help="share of the examples to hold out for the test, of each class alike (default: 0.25)",
    )
    table = parser.add_argument_group("how the table is written", description=FOUND_OUT)
    add_layout(table)
    table.add_argument("--decimal", metavar="C", type=character, help="what separates decimals")
    table.add_argument(
        "--thousands", metavar="C", type=character, help="what separates groups of three digits"
    )
    table.add_argument("--date-format", metavar="FORMAT", help="as in %%d/%%m/%%Y")
    table.add_argument(
        "--missing-values",
        metavar="CELLS",
        type=names,
        action="extend",
        default=[],
        help="cells that are gaps, in columns of text too; among numbers NA, ?, - and the like always are",
    )
    add_network(parser.add_argument_group("network"))
    add_training(parser.add_argument_group("training"))
    add_output(parser.add_argument_group("output"))


def add_columns(group: argparse._ArgumentGroup, option: str, what: str) -> None:
    """Describe an option that takes names of columns."""
    group.add_argument(
        option,
        metavar="NAMES",
        action="append",
        default=[],
        help=f"{what}; commas between them, or the option again for each",
    )


def add_layout(group: argparse._ArgumentGroup) -> None:
    """Describe the arguments, of train and predict, that say how a table is laid out in its file."""
    group.add_argument(
        "--delimiter", metavar="C", type=character, help='between two cells: a character, "tab" or "space"'
    )
    group.add_argument("--encoding", metavar="NAME", help="of the text, such as cp1252 or utf-16")
    header = group.add_mutually_exclusive_group()
    for option, value, what in (("--header", True, "holds names"), ("--no-header", False, "is an example")):
        header.add_argument(
            option, dest="header", action="store_const", const=value, help=f"the first line {what}"
        )
    group.add_argument(
        "--gaps",
        choices=("impute", "drop", "error"),
        help="fill them with the median or the most frequent category of the training data, leave their rows "
        "out, or end with an error (default: impute; for predict: as in training)",
    )


def add_network(group: argparse._ArgumentGroup) -> None:
    """Describe the arguments that say what to train."""
    group.add_argument(
        "--hidden",
        metavar="N,N",
        type=layer_sizes,
        help='units of each hidden layer, or "none" (default: 128)',
    )
    group.add_argument(
        "--activation",
        metavar="NAME",
        type=names,
        help=f"of the hidden layers, or of each: {', '.join(functions.HIDDEN)} (default: "
        + tried([name for one in recipe.CANDIDATES for name in one.activation]),
    )
    group.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="precision (default: float32)"
    )


def tried(names: list[str]) -> str:
    """Return the end of a help text, closing bracket included, about a default that the recipe chooses."""
    return (
        f"{' or '.join(dict.fromkeys(names))}, what is best for examples left out; {names[0]} where that "
        "would take long, or with --epochs)"
    )


def add_training(group: argparse._ArgumentGroup) -> None:
    """Describe the arguments that say how to train."""
    group.add_argument(
        "--epochs",
        metavar="N",
        type=positive,
        help="passes over all the data (default: as many as are best for examples left out: a fifth in turn, "
        "or a tenth once where that would take long; and the parameters are averages over the passes)",
    )
    group.add_argument("--batch-size", metavar="N", type=positive, help="examples a step (default: 32)")
    group.add_argument(
        "--loss",
        choices=[name for name, row in functions.LOSSES.items() if "identity" in row.outputs],
        metavar="NAME",
        help="of a number to predict: one of %(choices)s (default: squared_error)",
    )
    group.add_argument(
        "--optimizer",
        choices=list(recipe.OPTIMIZERS),
        metavar="NAME",
        default="adam",
        help="one of %(choices)s (default: adam)",
    )
    group.add_argument(
        "--lr",
        metavar="X",
        type=positive_real,
        help="learning rate (default: that of the optimizer in Python, but 0.003 for adam and adamw)",
    )
    group.add_argument("--momentum", metavar="X", type=fraction, help="of sgd and rmsprop (default: 0)")
    group.add_argument(
        "--l2",
        metavar="X",
        type=real,
        help="the penalty: X/(2b) times the sum of squared weights, for minibatches of b examples (default: "
        + tried([f"{one.l2:g}" for one in recipe.CANDIDATES]),
    )
    group.add_argument(
        "--seed",
        metavar="N",
        type=whole,
        default=0,
        help="of the initial weights, the order of the examples, and the part held out (default: 0)",
    )
    group.add_argument("--threads", metavar="N", type=positive, help="default: as cbp info says")


def add_output(group: argparse._ArgumentGroup) -> None:
    """Describe the arguments that say what to write."""
    group.add_argument("--save", metavar="MODEL", type=Path, help="save the network, to predict with (.npz)")
    group.add_argument("--plot", metavar="PNG", type=Path, help="draw the loss of each epoch")
    group.add_argument("--history", metavar="CSV", type=Path, help="write the losses of each epoch")
    group.add_argument("--quiet", action="store_true", help="print the results alone")


def add_predict(subparsers: argparse._SubParsersAction[Parser]) -> None:
    """Describe the arguments of ``cbp predict``."""
    parser = subparsers.add_parser(
        "predict",
        help="predict with a network that train --save has written",
        description="Predict, one line for each example: the name of a class, or a number; an empty cell for "
        "an example with gaps, unless they are filled. The output is .csv in UTF-8.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=commands.predict)
    parser.add_argument("model", metavar="MODEL", type=Path, help="what train --save has written")
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="a table with the columns of the training data, in any order, or - for standard input; "
        "or .npz with x_test, x or one array",
    )
    add_layout(parser.add_argument_group("how the table is written", description=FOUND_OUT))
    parser.add_argument(
        "--probabilities", action="store_true", help="write the probability of each class, a column each"
    )
    parser.add_argument("--output", metavar="CSV", type=Path, help="where to write (default: stdout)")


def add_bench(subparsers: argparse._SubParsersAction[Parser]) -> None:
    """Describe the arguments of ``cbp bench``."""
    parser = subparsers.add_parser(
        "bench",
        help="measure how fast this machine trains",
        description="Measure how fast this machine trains networks of several sizes, by plain SGD on "
        "synthetic data, and predicts with one; beside the peak of multiply-adds that it reaches.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=bench)
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="precision (default: float32)"
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=positive,
        help="measure with one and with N (default: with one and with as many as cbp info says)",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every round of every network")
    parser.add_argument(
        "--seconds", metavar="X", type=positive_real, default=10.0, help="time to measure for (default: 10)"
    )
