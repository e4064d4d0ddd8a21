"""Draws the pictures of the pages: python docs/draw.py, with cbp and matplotlib installed."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt

import cbp

HERE = Path(__file__).parent
STEPS = 1000


def blocks(page: str) -> dict:
    """Run the examples of a page; return what they define."""
    text = (HERE / page).read_text(encoding="utf-8")
    names: dict = {}
    for block in text.split("```python\n")[1:]:
        exec(block.partition("```")[0], names)
    return names


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(HERE / "pictures" / f"{name}.png", dpi=90)
    plt.close("all")


def schedules() -> None:
    s = cbp.schedules
    shown = [
        s.StepDecay(1.0, step_size=300, gamma=0.4),
        s.Exponential(1.0, gamma=0.997),
        s.Polynomial(1.0),
        s.WarmUp(100, s.Cosine(1.0)),
        s.Cosine(1.0, T_0=140, T_mult=2),
        s.OneCycle(1.0),
    ]
    figure, axes = plt.subplots(2, 3, figsize=(9, 4.2), sharex=True, sharey=True, layout="constrained")
    for ax, schedule in zip(axes.flat, shown, strict=True):
        ax.plot(schedule.rates(STEPS))
        ax.set_title(str(schedule).split("(")[0] if not isinstance(schedule, s.WarmUp) else "WarmUp, Cosine")
    axes[0, 2].set_title("Polynomial")
    axes[1, 1].set_title("Cosine, T_0=140, T_mult=2")
    figure.supxlabel("step")
    figure.supylabel("learning rate")
    save(figure, "schedules")


def losses() -> None:
    names = blocks("losses.md")
    X, Y = names["X"], names["Y"]
    figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
    ax.scatter(X[:, 0], Y, s=6, color="lightgrey", label="examples")
    grid = np.linspace(-3, 3, 200)[:, None]
    for label, loss in (("squared error", "squared_error"), ("asymmetric loss", names["Asymmetric"]())):
        net = cbp.Network([1, 30, 1], hidden="tanh", output="identity", loss=loss, rng=0)
        net.fit(X, Y, epochs=300, optimizer=cbp.Adam(0.01))
        ax.plot(grid[:, 0], net.predict(grid)[:, 0], label=label)
    ax.legend()
    save(figure, "losses")


def main() -> None:
    (HERE / "pictures").mkdir(exist_ok=True)
    save(blocks("stopping.md")["history"].plot().figure, "stopping")
    save(blocks("schedules.md")["found"].plot().figure, "range_test")
    schedules()
    losses()


if __name__ == "__main__":
    main()
