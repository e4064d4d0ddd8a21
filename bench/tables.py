"""How well `cbp train` predicts on small public tables as it is, beside scikit-learn's MLP as it is."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

import cbp.cli
import command
import harness
import report
from cbp.tabular import Choices, load_examples
from command import Options
from public import CLASSES, KEPT_BACK, TUNING, Table
from report import Part, figure

TITLE = "Small tables, all defaults"
SPLITS = 10
OURS = "cbp train"
SCALED, BOTH = "MLP", "MLP, y too"  # scikit-learn's, with inputs, or inputs and targets, standardised
AVERAGE = "average"
NAMES = (OURS, SCALED, BOTH, AVERAGE)
RESULT = re.compile(r"test (?:accuracy .*\((?P<right>[\d,]+) of (?P<all>[\d,]+)\)|RMSE (?P<error>\S+),)")
Errors = dict[str, float]


@dataclass
class Found:
    """The errors on a table, one for each split: the share of wrong classes, or the RMSE."""

    table: Table
    rows: int
    columns: int
    errors: dict[str, list[float]] = field(default_factory=dict)

    def mean(self, name: str) -> float:
        return mean(self.errors[name])

    def at_most(self, rival: str) -> bool:
        """Whether our mean error is at most a rival's."""
        return self.mean(OURS) <= self.mean(rival)


def ours(path: Path, table: Table, seed: int) -> float:
    """Return the error that `cbp train` prints."""
    printed = io.StringIO()
    arguments = ["train", str(path), "--task", table.task, "--seed", str(seed), "--quiet"]
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        status = cbp.cli.main(arguments)
    found = RESULT.search(printed.getvalue())
    if status or found is None:
        raise RuntimeError(f"cbp {' '.join(arguments)} ended with {status}")
    if found["error"]:
        return float(found["error"].replace(",", ""))
    right, count = (int(found[name].replace(",", "")) for name in ("right", "all"))
    return (count - right) / count  # the same bits as a mean of wrong classes, unlike 1 - right / count


def theirs(path: Path, table: Table, seed: int) -> Errors:
    """Return the errors of scikit-learn's MLP with its defaults, and of predicting the average.

    The MLP is trained on standardised inputs, and once more with numeric targets standardised too.
    """
    examples = load_examples(path, Choices(task=table.task, seed=seed))
    X, X_test = examples.x_train, examples.x_test
    if table.task == CLASSES:
        y, y_test = examples.y_train, examples.y_test
        found = {AVERAGE: float((y_test != np.bincount(y).argmax()).mean())}
        y_scaled = y
    else:
        target = examples.table.target
        y, y_test = (np.array(target.decode(part)) for part in (examples.y_train, examples.y_test))
        found = {AVERAGE: rmse(y.mean(), y_test)}
        y_scaled = (y - y.mean()) / y.std()
    if not find_spec("sklearn"):
        return found
    found[SCALED] = mlp_error(table, seed, X, y, X_test, y_test)
    if table.task == CLASSES:
        return found | {BOTH: found[SCALED]}
    scaled_test = (y_test - y.mean()) / y.std()
    return found | {BOTH: float(y.std()) * mlp_error(table, seed, X, y_scaled, X_test, scaled_test)}


def mlp_error(table: Table, seed: int, X: Any, y: Any, X_test: Any, y_test: Any) -> float:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if table.task == CLASSES:
            return float((MLPClassifier(random_state=seed).fit(X, y).predict(X_test) != y_test).mean())
        return rmse(MLPRegressor(random_state=seed).fit(X, y).predict(X_test), y_test)


def rmse(predicted: Any, y: Any) -> float:
    return float(np.sqrt(np.mean((predicted - y) ** 2)))


def compare(table: Table) -> Found:
    """Train all on the same splits: the rows that `cbp train --seed` holds out, a quarter of them."""
    frame = table.frame()
    found = Found(table, len(frame), frame.shape[1] - 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        frame.to_csv(path, index=False)
        for seed in range(SPLITS):
            errors = {OURS: ours(path, table, seed)} | theirs(path, table, seed)
            for name, error in errors.items():
                found.errors.setdefault(name, []).append(error)
    return found


def row(found: Found) -> list[str]:
    def cell(name: str) -> str:
        if name not in found.errors:
            return "-"
        return f"{found.mean(name):.1%}" if found.table.task == CLASSES else figure(found.mean(name))

    wins = [
        f"{sum(a <= b for a, b in zip(found.errors[OURS], found.errors[name], strict=True))}"
        if name in found.errors
        else "-"
        for name in (SCALED, BOTH)
    ]
    return [found.table.title, f"{found.rows:,}", str(found.columns), *map(cell, NAMES), " / ".join(wins)]


def verdict(results: list[Found]) -> str:
    names = [name for name in (SCALED, BOTH, AVERAGE) if all(name in found.errors for found in results)]
    counts = [f"`{name}` on {sum(found.at_most(name) for found in results)}" for name in names]
    return f"The mean error of {OURS} is, of {len(results)} tables, at most that of {', of '.join(counts)}."


def wanted(tables: tuple[Table, ...], options: Options, part: Part) -> Iterator[Table]:
    """Yield the tables that were asked for and whose package is installed."""
    for table in tables:
        if options.workloads and table.title.split(":")[0].lower() not in options.workloads:
            continue
        if find_spec(table.source):
            yield table
        else:
            part.left_out.append(f"{table.title}: {table.source} is not installed")


def run(options: Options) -> Part:
    """Compare on ten splits of each table; the options for rounds and competitors have no effect."""
    part = Part("tables", TITLE, absent=[] if find_spec("sklearn") else ["scikit-learn"])
    part.text.append(
        f"The test error, on average over {SPLITS} splits, the same for all: wrong classes in per cent, else "
        f"RMSE. `{SCALED}` is scikit-learn's MLPClassifier or MLPRegressor, its inputs standardised, "
        f"`{BOTH}` with numeric targets standardised as well; `{AVERAGE}` predicts the most frequent class, "
        f"or the mean. *Splits* says in how many {OURS} does no worse than `{SCALED}` and than `{BOTH}`."
    )
    if not find_spec("pandas"):
        part.left_out.append("everything: pandas is not installed")
        return part
    for title, tables in (("Kept back", KEPT_BACK), ("The recipe was chosen on these", TUNING)):
        results = []
        for table in wanted(tables, options, part):
            harness.say(f"{table.title}: {SPLITS} splits")
            results.append(compare(table))
        if results:
            head = ["table: target", "rows", "columns", *NAMES, "splits"]
            part.text += [f"### {title}", report.table(head, map(row, results)), verdict(results)]
            part.record += [{"table": f.table.title, "rows": f.rows, "errors": f.errors} for f in results]
    return part


if __name__ == "__main__":
    command.start(__file__)
