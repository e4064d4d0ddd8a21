"""What it costs to depend on a library: time and memory of its import, and the first answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib import import_module
from statistics import median

import command
import harness
import predict
import report
from command import Options
from report import Part, figure
from rivals import TRAINERS
from rivals.training import Trainer
from worker import memory
from workloads import Workload

TITLE = "Imports, and the first fit and prediction"
MODULES = {"scikit-learn": "sklearn.neural_network"}  # imported instead of the package
NET = Workload("13", (64, 32, 10), batch=32, n=1_600)
ONE = Workload("13", (64, 32, 10), batch=1, n=1)


def child(name: str) -> dict[str, float]:
    """Return milliseconds and MB of each step, in a fresh process that has imported NumPy already."""
    trainer = next(r for r in TRAINERS if r.name == name)
    predictor = next(r for r in predict.RIVALS if r.name == name)
    found, started = {"numpy_mb": memory("VmRSS")}, time.perf_counter()

    def passed(step: str) -> None:
        nonlocal started
        found[f"{step}_ms"] = (time.perf_counter() - started) * 1e3
        found[f"{step}_mb"] = memory("VmRSS")
        started = time.perf_counter()

    import_module(MODULES.get(trainer.package, trainer.package))
    passed("import")
    first = trainer(NET, harness.n_cpus())
    first.load(first.initial)
    first.train(1)
    passed("fit")
    predictor(ONE, harness.n_cpus()).once()
    passed("predict")
    return found


def bare(module: str) -> dict[str, float]:
    """Return time and memory of an import in a process that has imported nothing else, not even NumPy."""
    code = (
        "import time; t = time.perf_counter()\n"
        f"import {module}\n"
        "t = time.perf_counter() - t\n"
        "mb = [int(l.split()[1]) / 1024 for l in open('/proc/self/status') if l.startswith('VmRSS')]\n"
        'print(\'{"ms": %f, "mb": %f}\' % (t * 1e3, mb[0]))'
    )
    return asked(code, {})


def asked(code: str, environment: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", code], env=harness.clean_environment(harness.n_cpus()) | environment,
        cwd=os.path.dirname(os.path.abspath(__file__)), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def steps(rival: type[Trainer]) -> dict[str, float]:
    environment = rival.environment(harness.n_cpus())
    module = MODULES.get(rival.package, rival.package)
    code = f"import imports, json; print(json.dumps(imports.child({rival.name!r})))"
    found = asked(code, environment)
    return found | {f"bare_{key}": value for key, value in bare(module).items()}


def run(options: Options) -> Part:
    rivals, absent = options.rivals(TRAINERS)
    part = Part("imports", TITLE, absent=absent)
    rounds: dict[str, list[dict[str, float]]] = {r.name: [] for r in rivals}
    for turn in range(options.timing.rounds):
        harness.say(f"imports: round {turn + 1} of {options.timing.rounds}")
        for rival in rivals:
            rounds[rival.name].append(steps(rival))  # type: ignore[arg-type]
    middle = {name: {key: median(found[key] for found in of) for key in of[0]} for name, of in rounds.items()}
    numpy = middle.get("NumPy", {"bare_ms": 0.0, "bare_mb": 0.0})
    rows = [row(name, m, numpy) for name, m in middle.items()]
    columns = [
        "package",
        "import, ms",
        "beyond NumPy's",
        "MB then",
        "beyond NumPy's",
        "first fit, ms",
        "first prediction, ms",
        "MB then",
    ]
    part.text += [
        "Medians of fresh processes whose files are in the system's cache. The first fit is one epoch of "
        "64-32-10 on 1,600 examples, with all that is made or compiled for it.",
        report.table(columns, rows),
    ]
    part.record.append(rounds)
    for step, label in (("bare_ms", "import"), ("fit_ms", "first fit"), ("predict_ms", "first prediction")):
        part.compared.append(
            {"case": label, "unit": "µs", "times": {n: m[step] * 1e3 for n, m in middle.items()}}
        )
    return part


def row(name: str, m: dict[str, float], numpy: dict[str, float]) -> list[str]:
    more = [m["bare_ms"] - numpy["bare_ms"], m["bare_mb"] - numpy["bare_mb"]]
    extra = ["-", "-"] if name == "NumPy" else [figure(max(value, 0)) for value in more]
    return [name, figure(m["bare_ms"]), extra[0], figure(m["bare_mb"]), extra[1], figure(m["fit_ms"]),
            figure(m["predict_ms"]), figure(m["predict_mb"])]  # fmt: skip


if __name__ == "__main__":
    command.start(__file__)
