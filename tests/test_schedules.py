"""The promise: schedules are PyTorch's formulas at every step, and training takes exactly these rates."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest

import cbp
from cbp.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    OneCycle,
    Plateau,
    Polynomial,
    StepDecay,
    WarmUp,
)

ALL = [
    Constant(0.1),
    StepDecay(0.1, step_size=7, gamma=0.5),
    Exponential(0.1, gamma=0.99),
    InverseScaling(0.1, power=0.7),
    Polynomial(0.1, power=2.0),
    Polynomial(0.1, total_iters=11),
    Cosine(0.1, eta_min=0.01),
    Cosine(0.1, T_max=13),
    Cosine(0.1, T_0=5, T_mult=2, eta_min=0.001),
    Cosine(0.1, T_0=4),
    OneCycle(0.1),
    OneCycle(0.1, pct_start=0.4, anneal_strategy="linear", three_phase=True, div_factor=10.0),
    WarmUp(6, Cosine(0.1)),
    WarmUp(6, 0.1),
]


# --- formulas -----------------------------------------------------------------------------------------------


def formula(schedule, t, n):
    """The rate of step t of n, in scalars."""
    lr = schedule.largest
    match schedule:
        case Constant() | Plateau():
            return lr
        case StepDecay():
            return lr * schedule.gamma ** (t // schedule.step_size)
        case Exponential():
            return lr * schedule.gamma**t
        case InverseScaling():
            return lr / (t + 1) ** schedule.power
        case Polynomial():
            whole = schedule.total_iters or n
            return lr * (1 - min(t, whole) / whole) ** schedule.power
        case Cosine():
            length, at = schedule.T_max or n, t
            if schedule.T_0 is not None:
                length = schedule.T_0
                while at >= length:
                    at, length = at - length, length * schedule.T_mult
            low = schedule.eta_min
            return low + (lr - low) * (1 + math.cos(math.pi * at / length)) / 2
        case WarmUp():
            then = (
                schedule.then
                if isinstance(schedule.then, cbp.schedules.Schedule)
                else Constant(schedule.then)
            )
            rest = n - schedule.steps
            if t < schedule.steps:
                return formula(then, 0, rest) * (t + 1) / schedule.steps
            return formula(then, t - schedule.steps, rest)
        case OneCycle():
            whole = schedule.total_steps or n
            first, up = lr / schedule.div_factor, schedule.pct_start * whole - 1
            last = first / schedule.final_div_factor
            phases = [(up, first, lr), (whole - 1, lr, last)]
            if schedule.three_phase:
                phases = [(up, first, lr), (2 * up, lr, first), (whole - 1, first, last)]
            start, t = 0.0, min(t, whole - 1)
            for end, low, high in phases:
                if t <= end:
                    share = (t - start) / (end - start)
                    if schedule.anneal_strategy == "linear":
                        return low + (high - low) * share
                    return high + (low - high) / 2 * (1 + math.cos(math.pi * share))
                start = end
    raise AssertionError(schedule)


@pytest.mark.parametrize("n", [1, 2, 10, 40, 101])
@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_formulas(schedule, n):
    if isinstance(schedule, WarmUp) and n <= schedule.steps:
        return
    rates = schedule.rates(n)
    assert rates.dtype == np.float64
    wanted = [formula(schedule, t, n) for t in range(n)]
    np.testing.assert_allclose(rates, wanted, rtol=1e-12, atol=1e-18)


def torch_rates(make, n, lr=0.1):
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([parameter], lr=lr)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    found = []
    for _ in range(n):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (StepDecay(0.1, step_size=7, gamma=0.5), lambda s, o: s.StepLR(o, step_size=7, gamma=0.5)),
        (Exponential(0.1, gamma=0.97), lambda s, o: s.ExponentialLR(o, gamma=0.97)),
        (Polynomial(0.1, total_iters=30, power=1.5), lambda s, o: s.PolynomialLR(o, 30, 1.5)),
        (Cosine(0.1, T_max=60, eta_min=0.01), lambda s, o: s.CosineAnnealingLR(o, T_max=60, eta_min=0.01)),
        (
            Cosine(0.1, T_0=5, T_mult=2, eta_min=0.01),
            lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=5, T_mult=2, eta_min=0.01),
        ),
        (OneCycle(0.1), lambda s, o: s.OneCycleLR(o, max_lr=0.1, total_steps=60)),
        (
            OneCycle(0.2, pct_start=0.4, anneal_strategy="linear", three_phase=True, div_factor=8.0),
            lambda s, o: s.OneCycleLR(
                o, 0.2, 60, pct_start=0.4, anneal_strategy="linear", three_phase=True, div_factor=8.0
            ),
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, cbp.schedules.Schedule) else "",
)  # fmt: skip
def test_the_same_as_in_torch(ours, theirs):
    n = 59 if isinstance(ours, OneCycle) else 60  # PyTorch's ends with an error after its last step
    rates = ours.rates(60)[:n]
    np.testing.assert_allclose(rates, torch_rates(theirs, n), rtol=1e-12, atol=1e-17)


VALUES = [
    1.0,
    0.9,
    0.95,
    0.91,
    0.92,
    0.8,
    0.85,
    0.86,
    0.87,
    0.88,
    0.9,
    0.7,
    0.71,
    0.72,
    0.73,
    math.nan,
    0.74,
    0.6,
]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("cooldown", [0, 2])
def test_plateau_is_torchs(mode, threshold_mode, cooldown):
    torch = pytest.importorskip("torch")
    from cbp.schedules.plateau import PlateauWatch

    rule = {"factor": 0.5, "patience": 2, "threshold": 0.01, "cooldown": cooldown, "min_lr": 0.02}
    rule["threshold_mode"] = threshold_mode
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, **rule)
    ours = PlateauWatch(Plateau(0.1, **rule), "loss", mode == "max")
    for value in (*VALUES, *VALUES[::-1]):
        theirs.step(value)
        ours.see(value)
        assert ours.rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


# --- training -----------------------------------------------------------------------------------------------


def data(m=70, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, 5)), rng.integers(0, 3, m)


@pytest.mark.parametrize("kind", [cbp.SGD, cbp.Adam, cbp.Nadam])
@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_training_takes_these_rates(schedule, kind):
    X, Y = data()
    net, twin = (cbp.Network([5, 7, 3], rng=1) for _ in range(2))
    seen = []
    history = net.fit(
        *(X, Y), epochs=4, batch_size=16, shuffle=False, optimizer=kind(schedule), l2_per="batch",
        batch_callbacks=[seen.append],
    )  # fmt: skip
    rates = schedule.rates(20)
    assert [step.learning_rate for step in seen] == rates.tolist()
    assert [epoch.learning_rate for epoch in history] == rates[4::5].tolist()
    for t, start in zip(range(20), itertools.cycle(range(0, 70, 16)), strict=False):
        rows = slice(start, start + 16)
        twin.partial_fit(X[rows], Y[rows], batch_size=16, shuffle=False, optimizer=kind(float(rates[t])))
    assert net.parameters.tobytes() == twin.parameters.tobytes()


def test_by_epochs():
    X, Y = data()
    seen = []
    schedule = StepDecay(0.1, step_size=2, gamma=0.5, per="epoch")
    net = cbp.Network([5, 7, 3], rng=1)
    net.fit(X, Y, epochs=5, batch_size=16, optimizer=cbp.SGD(schedule), batch_callbacks=[seen.append])
    assert [step.learning_rate for step in seen] == np.repeat(schedule.rates(5), 5).tolist()
    seen.clear()
    cosine = Cosine(0.1, per="epoch")
    net.fit(X, Y, epochs=5, batch_size=16, optimizer=cbp.SGD(cosine), batch_callbacks=[seen.append])
    assert [step.learning_rate for step in seen] == np.repeat(cosine.rates(5), 5).tolist()


def test_a_function_of_the_step():
    X, Y = data()
    asked, seen = [], []

    def rate(step):
        asked.append(step)
        return 0.1 / (step + 1)

    net = cbp.Network([5, 7, 3], rng=1)
    net.fit(X, Y, epochs=2, batch_size=16, optimizer=cbp.SGD(rate), batch_callbacks=[seen.append])
    assert asked == list(range(10))
    assert [step.learning_rate for step in seen] == [0.1 / (t + 1) for t in range(10)]


def test_partial_fit_goes_on_in_the_schedule():
    X, Y = data()
    schedule = Exponential(0.1, gamma=0.9)
    nets = [cbp.Network([5, 7, 3], rng=1) for _ in range(2)]
    for _ in range(3):
        nets[0].partial_fit(X, Y, batch_size=16, shuffle=False, optimizer=cbp.Adam(schedule))
    for t, start in zip(range(15), itertools.cycle(range(0, 70, 16)), strict=False):
        rows = slice(start, start + 16)
        rate = float(schedule.rates(15)[t])
        nets[1].partial_fit(X[rows], Y[rows], batch_size=16, shuffle=False, optimizer=cbp.Adam(rate))
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
    with pytest.raises(ValueError, match="T_max of Cosine must be given where the length .* for partial_fit"):
        nets[0].partial_fit(X, Y, optimizer=cbp.Adam(Cosine(0.1)))
    with pytest.raises(ValueError, match="Plateau is for fit"):
        nets[0].partial_fit(X, Y, optimizer=cbp.Adam(Plateau(0.1)))


def test_plateau_in_training():
    X, Y = data()
    net = cbp.Network([5, 7, 3], rng=1)
    schedule = Plateau(0.5, factor=0.5, patience=0, min_lr=0.1, monitor="accuracy")
    history = net.fit(X, Y, epochs=30, optimizer=cbp.SGD(schedule), metrics=["accuracy"])
    best, rate = -1.0, 0.5
    for epoch in history:
        assert epoch.learning_rate == rate
        if epoch["accuracy"] > best * (1 + 1e-4):
            best = epoch["accuracy"]
        else:
            rate = max(rate / 2, 0.1)
    assert rate == 0.1
    with pytest.raises(ValueError, match="Plateau monitors 'validation_loss', which is not recorded"):
        net.fit(X, Y, optimizer=cbp.SGD(Plateau(0.5, monitor="validation_loss")))


@pytest.mark.parametrize("schedule", [*ALL, Plateau(0.5, patience=0)], ids=str)
def test_resuming(schedule, tmp_path):
    X, Y = data()
    straight, net = (cbp.Network([5, 7, 3], rng=1) for _ in range(2))
    how = {"epochs": 8, "batch_size": 16, "optimizer": cbp.Adam(schedule)}
    straight.fit(X, Y, **how)
    path = tmp_path / "net"
    net.fit(X, Y, checkpoint=path, batch_callbacks=[lambda step: step.number == 23], **how)
    resumed = cbp.resume(path, X, Y)
    assert resumed.parameters.tobytes() == straight.parameters.tobytes()
    assert resumed.history.losses == straight.history.losses


# --- values and refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_they_are_values(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == schedule == copy.deepcopy(schedule)
    assert (
        eval(repr(schedule), {name: getattr(cbp.schedules, name) for name in cbp.schedules.__all__})
        == schedule
    )
    assert repr(cbp.SGD(schedule)).startswith(f"SGD(learning_rate={schedule!r}")
    assert schedule.rates(0).shape == (0,)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: StepDecay(-1, 3), ValueError, "learning_rate must be at least 0"),
        (lambda: StepDecay(1, 0), ValueError, "step_size must be at least 1"),
        (lambda: Exponential(1, -0.5), ValueError, "gamma must be at least 0"),
        (lambda: Polynomial(1, 2.5), TypeError, "total_iters must be a whole number"),
        (lambda: Cosine(1, T_max=3, T_0=3), ValueError, "T_max or T_0, not both"),
        (lambda: Cosine(1, per="batch"), ValueError, "per must be 'step' or 'epoch', got 'batch'"),
        (lambda: OneCycle(1, pct_start=2), ValueError, "pct_start must be from 0 to 1"),
        (
            lambda: OneCycle(1, anneal_strategy="cosine"),
            ValueError,
            "anneal_strategy must be 'cos' or 'linear'",
        ),
        (lambda: OneCycle(1, div_factor=0), ValueError, "div_factor must be above 0"),
        (lambda: WarmUp(0, 1.0), ValueError, "steps must be at least 1"),
        (lambda: WarmUp(1, "fast"), TypeError, "then must be a number"),
        (lambda: WarmUp(1, Plateau(1)), ValueError, "then must be a schedule by steps"),
        (lambda: Plateau(1, factor=1.0), ValueError, "factor must be above 0 and less than 1"),
        (lambda: Plateau(1, threshold_mode="r"), ValueError, "threshold_mode must be 'rel' or 'abs'"),
        (lambda: Plateau(1, mode="less"), ValueError, "mode must be 'min', 'max' or None"),
        (lambda: cbp.SGD(Cosine), TypeError, r"got a class; call it: Cosine\(\.\.\.\)"),
        (lambda: cbp.SGD("fast"), TypeError, "learning_rate must be a number"),
    ],
)
def test_refusals(make, kind, words):
    with pytest.raises(kind, match=words):
        make()


@pytest.mark.parametrize(
    ("rate", "kind", "words"),
    [
        (lambda step: "fast", TypeError, "learning_rate must return a number, got str for step 0"),
        (lambda step: 1.0 - step, ValueError, r"must be at least 0 and finite, got -1\.0 at step 2"),
        (Exponential(1.0, gamma=1e300), ValueError, "must be at least 0 and finite, got inf at step 2"),
    ],
)
def test_bad_rates_leave_the_network(rate, kind, words):
    X, Y = data()
    net = cbp.Network([5, 7, 3], rng=1)
    before = net.parameters.tobytes()
    with pytest.raises(kind, match=words), np.errstate(over="ignore"):
        net.fit(X, Y, optimizer=cbp.SGD(rate), epochs=2, batch_size=16)
    assert net.parameters.tobytes() == before
