"""How much memory training takes beside the data and the parameters."""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from itertools import pairwise

import command
import harness
import report
from command import Options
from harness import Worker
from report import Part, figure
from rivals import in_cbp, in_jax, in_numpy, in_sklearn, in_torch
from rivals.training import Trainer
from worker import memory
from workloads import Workload

TITLE = "Memory while training"
CASES = (
    Workload("memory", (784, 128, 10), batch=32, n=16_000, optimizer="adam", learning_rate=1e-3),
    Workload("memory", (784, 1024, 1024, 10), batch=128, n=1_280, hidden="relu", optimizer="adam",
             learning_rate=1e-3),
    Workload("memory", (2, 4, 1), batch=1_000, n=1_000_000, output="sigmoid", shuffle=True),
)  # fmt: skip


class Watched(Trainer):
    """A trainer whose result is the most MB by which private memory grows in the first training.

    The memory is read every millisecond.
    """

    def result(self) -> float:  # type: ignore[override]
        self.load(self.initial)
        self.shuffle = self.w.shuffle
        done, seen = threading.Event(), [memory("RssAnon")]

        def watch() -> None:
            while not done.wait(1e-3):
                seen.append(memory("RssAnon"))

        watcher = threading.Thread(target=watch)
        watcher.start()
        self.train(3)
        done.set()
        watcher.join()
        return max(*seen, memory("RssAnon")) - seen[0]


class Cbp(Watched, in_cbp.Cbp):
    pass


class NumPy(Watched, in_numpy.NumPy):
    pass


class PyTorch(Watched, in_torch.PyTorch):
    pass


class Jax(Watched, in_jax.Jax):
    """The memory includes that for compilation."""


class ScikitLearn(Watched, in_sklearn.ScikitLearn):
    pass


RIVALS = (Cbp, NumPy, PyTorch, Jax, ScikitLearn)


def limit(w: Workload) -> float:
    """Return the limit in MB: 3 × parameters, optimiser's state, 16 MB, 8 bytes an example for the order."""
    n_parameters = sum(n_in * n_out + n_out for n_in, n_out in pairwise(w.sizes))
    moments = {"sgd": 0, "momentum": 1, "adam": 2}[w.optimizer]
    itemsize = {"float32": 4, "float64": 8}[w.dtype]
    return ((3 + moments) * n_parameters * itemsize + 8 * w.n) / 2**20 + 16


def growth(w: Workload, rival: type[Watched]) -> tuple[float | None, str]:
    """Return the growth in MB in a fresh process with all threads, and what went wrong."""
    worker = Worker(rival, [w], harness.n_cpus())
    with harness.closing([worker]):
        worker.attempt(lambda: worker.check([lambda mb: ({"mb": mb}, "")]))
    s = worker.settings[0]
    return s.errors.get("mb"), s.failure


def run(options: Options) -> Part:
    """Answer the question in float32, unless another dtype is asked for."""
    rivals, absent = options.rivals(RIVALS)
    part = Part("memory", TITLE, absent=absent)
    rows = []
    for w in CASES:
        w = replace(w, dtype=options.dtypes[0])
        harness.say(f"{w.name}: memory")
        grown = {}
        for rival in rivals:
            mb, failure = growth(w, rival)  # type: ignore[arg-type]
            grown[rival.name] = mb
            if failure:
                part.failures.append(f"{rival.name} on {w.name}: {failure}")
        mine, most = grown.get("cbp"), limit(w)
        if mine is not None and mine > most:
            part.failures.append(f"cbp on {w.name}: {mine:.1f} MB, more than {most:.1f}")
        shown = ["-" if mb is None else figure(mb) for mb in grown.values()]
        rows.append([f"{w.name}, {w.n:,} examples", *shown, figure(most)])
        part.record.append(asdict(w) | {"grown_mb": grown, "limit_mb": most})
    part.text += [
        "The most that private memory (RssAnon) grows by in three epochs, with all threads, MB; "
        "JAX's with its compilation. The limit for cbp is 3 × parameters + optimiser's state + 16 MB + 8 "
        "bytes an example.",
        report.table(["training", *(r.name for r in rivals), "limit"], rows),
    ]
    return part


if __name__ == "__main__":
    command.start(__file__)
