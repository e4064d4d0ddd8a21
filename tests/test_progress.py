"""Progress: when it is shown, what it writes and where, and that it never disturbs the training."""

import importlib
import io
import math
import os
import subprocess
import sys
import time
from types import ModuleType, SimpleNamespace

import pytest

from cbp.training import progress as module
from cbp.training.history import Epoch
from cbp.training.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def no_tqdm(monkeypatch):
    for name in ("tqdm", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def tqdm(monkeypatch):
    tqdm = pytest.importorskip("tqdm")
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    return tqdm


def make_epoch(number: int, *, loss: float = 0.125, validation_loss: float | None = None) -> Epoch:
    return Epoch(number, loss, validation_loss, 0.5, 52_000.0)


def train(progress: Progress, clock: Clock, *, epochs: int, examples: int, seconds: float) -> None:
    """Act as a training loop whose epochs take ``seconds`` each, in slices of 50 ms."""
    slices = max(1, round(seconds / 0.05))
    for number in range(1, epochs + 1):
        for _ in range(slices):
            clock.now += seconds / slices
            progress.advance(examples // slices)
        progress.finish_epoch(make_epoch(number))


# --- when it is shown ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_tqdm")
@pytest.mark.parametrize(
    ("enabled", "stream", "is_shown"),
    [
        (True, io.StringIO, True),
        (True, Terminal, True),
        (False, io.StringIO, False),
        (False, Terminal, False),
        (None, io.StringIO, False),
        (None, Terminal, True),
    ],
)
def test_enabled(clock, enabled, stream, is_shown):
    text = stream()
    with Progress(enabled, epochs=5, examples=100, stream=text) as progress:
        train(progress, clock, epochs=5, examples=100, seconds=1.0)
    assert bool(text.getvalue()) == is_shown


@pytest.mark.parametrize("delay", [0.5, 2.0])
def test_none_waits_for_the_delay(clock, tqdm, delay):
    text = Terminal()
    with Progress(None, epochs=10, examples=100, delay=delay, stream=text) as progress:
        clock.now += delay - 0.01
        progress.advance(50)
        progress.finish_epoch(make_epoch(1))
        assert text.getvalue() == ""
        clock.now += 0.02
        progress.advance(50)
        assert text.getvalue().strip().startswith("epoch 2/10:  15%|")


@pytest.mark.parametrize("without", ["tqdm", "nothing"])
def test_short_runs_stay_silent_and_import_nothing(clock, monkeypatch, without):
    if without == "tqdm":
        monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(module, "choose_display", lambda *_: pytest.fail("nothing is to be shown"))
    text = Terminal()
    with Progress(None, epochs=3, examples=100, stream=text) as progress:
        train(progress, clock, epochs=3, examples=100, seconds=0.5)
    assert text.getvalue() == ""


def test_true_starts_at_once(clock, tqdm):
    text = io.StringIO()
    with Progress(True, epochs=10, examples=100, stream=text):
        assert "epoch 1/10:   0%" in text.getvalue()


@pytest.mark.parametrize(("epochs", "examples"), [(0, 100), (100, 0), (0, 0)])
def test_an_empty_run_shows_nothing(clock, epochs, examples):
    text = Terminal()
    with Progress(True, epochs=epochs, examples=examples, stream=text) as progress:
        progress.advance(0)
        clock.now += 100.0
        progress.advance(0)
    assert text.getvalue() == ""


# --- is anybody looking? ---------------------------------------------------------------------------------


def fake_ipython(shell: object) -> ModuleType:
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    return ipython


@pytest.mark.parametrize(
    ("ipython", "is_notebook"),
    [
        (None, False),
        (ModuleType("IPython"), False),
        (fake_ipython(None), False),
        (fake_ipython(SimpleNamespace()), False),
        (fake_ipython(SimpleNamespace(kernel=object())), True),
    ],
)
def test_notebook(monkeypatch, ipython, is_notebook):
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert module.is_notebook() is is_notebook
    assert module.is_watched(io.StringIO()) is is_notebook
    assert module.is_watched(None) is is_notebook
    assert module.is_watched(Terminal()) is True


def test_closed_and_strange_streams_are_not_watched():
    closed = io.StringIO()
    closed.close()
    assert module.is_watched(closed) is False
    assert module.is_watched(object()) is False

    class Broken(io.StringIO):
        def isatty(self) -> bool:
            raise OSError("gone")

    assert module.is_watched(Broken()) is False


# --- streams that cannot be written to ------------------------------------------------------------------


@pytest.mark.parametrize("enabled", [True, None])
def test_without_stderr(clock, monkeypatch, enabled):
    monkeypatch.setattr(sys, "stderr", None)
    with Progress(enabled, epochs=5, examples=100) as progress:
        train(progress, clock, epochs=5, examples=100, seconds=1.0)


@pytest.mark.parametrize("enabled", [True, None])
@pytest.mark.parametrize("with_tqdm", [True, False])
def test_closed_stderr(clock, monkeypatch, request, enabled, with_tqdm):
    request.getfixturevalue("tqdm" if with_tqdm else "no_tqdm")
    closed = Terminal()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    with Progress(enabled, epochs=5, examples=100) as progress:
        train(progress, clock, epochs=5, examples=100, seconds=1.0)


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_stream_that_breaks_silences_the_progress(clock, request, with_tqdm):
    request.getfixturevalue("tqdm" if with_tqdm else "no_tqdm")

    class Pipe(io.StringIO):
        attempts = 0
        is_broken = False

        def write(self, text: str) -> int:
            if self.is_broken:
                self.attempts += 1
                raise BrokenPipeError(32, "Broken pipe")
            return super().write(text)

    pipe = Pipe()
    with Progress(True, epochs=50, examples=100, stream=pipe) as progress:
        train(progress, clock, epochs=2, examples=100, seconds=1.0)
        assert pipe.getvalue()
        pipe.is_broken = True
        for number in range(3, 51):
            clock.now += 1.0
            progress.advance(100)
            progress.finish_epoch(make_epoch(number))
    assert 1 <= pipe.attempts <= 5


# --- plain lines -----------------------------------------------------------------------------------------


def lines_of(text: io.StringIO) -> list[str]:
    assert "\r" not in text.getvalue()
    assert text.getvalue().endswith("\n")
    return text.getvalue().splitlines()


@pytest.mark.usefixtures("no_tqdm")
def test_plain_lines(clock):
    text = io.StringIO()
    with Progress(True, epochs=3, examples=100, stream=text) as progress:
        for number in (1, 2, 3):
            clock.now += 1.5
            progress.advance(100)
            progress.finish_epoch(make_epoch(number, validation_loss=0.145 if number > 1 else None))
    assert lines_of(text) == [
        "epoch 1/3  loss 0.125  52,000 examples/s",
        "epoch 2/3  loss 0.125  validation 0.145  52,000 examples/s",
        "epoch 3/3  loss 0.125  validation 0.145  52,000 examples/s",
    ]


@pytest.mark.usefixtures("no_tqdm")
def test_plain_lines_come_once_a_second_and_at_the_end(clock):
    text = io.StringIO()
    with Progress(True, epochs=505, examples=100, stream=text) as progress:
        train(progress, clock, epochs=505, examples=100, seconds=0.01)
    lines = lines_of(text)
    assert 5 <= len(lines) <= 6
    assert lines[-1].startswith("epoch 505/505  ")


@pytest.mark.usefixtures("no_tqdm")
def test_a_short_run_that_was_asked_for_gets_one_line(clock):
    text = io.StringIO()
    with Progress(True, epochs=20, examples=100, stream=text) as progress:
        train(progress, clock, epochs=20, examples=100, seconds=0.01)
    assert lines_of(text) == ["epoch 20/20  loss 0.125  52,000 examples/s"]


@pytest.mark.usefixtures("no_tqdm")
def test_a_line_within_a_long_epoch(clock):
    text = io.StringIO()
    with Progress(True, epochs=2, examples=800, stream=text) as progress:
        train(progress, clock, epochs=2, examples=800, seconds=40.0)
    lines = lines_of(text)
    assert 6 <= len(lines) <= 10
    assert lines[0] == "epoch 1/2  25%  20 examples/s"
    assert any(line.startswith("epoch 2/2  ") and "%" in line for line in lines)
    assert lines[-1] == "epoch 2/2  loss 0.125  52,000 examples/s"


@pytest.mark.usefixtures("no_tqdm")
def test_plain_lines_fit_80_columns(clock):
    text = io.StringIO()
    epochs = 10**9
    with Progress(True, epochs=epochs, examples=10**9, stream=text) as progress:
        clock.now += 60.0
        progress.advance(10**6)
        clock.now += 60.0
        progress.finish_epoch(Epoch(epochs, -1.234e-100, -1.234e-100, 1e-9, 1.234e15))
        clock.now += 60.0
        progress.finish_epoch(Epoch(epochs, math.nan, math.inf, 0.0, math.inf))
    lines = lines_of(text)
    assert len(lines) == 3
    assert max(len(line) for line in lines) < 80
    assert "loss -1.234e-100" in lines[1]
    assert lines[2] == f"epoch {epochs}/{epochs}  loss nan  validation inf  inf examples/s"


@pytest.mark.usefixtures("no_tqdm")
def test_nothing_before_the_first_epoch_has_ended(clock):
    text = io.StringIO()
    with Progress(True, epochs=3, examples=100, stream=text) as progress:
        progress.advance(10)
    assert text.getvalue() == ""


# --- the bar ---------------------------------------------------------------------------------------------


def last_line(text: io.StringIO) -> str:
    assert text.getvalue().endswith("\n")
    return text.getvalue().rstrip("\n").rpartition("\r")[2].rstrip()


def test_bar_counts_the_examples_of_all_epochs(clock, tqdm):
    text = Terminal()
    with Progress(True, epochs=4, examples=100, stream=text) as progress:
        for number in (1, 2):
            clock.now += 1.0
            progress.advance(100)
            progress.finish_epoch(make_epoch(number, validation_loss=0.145))
        clock.now += 1.0
        progress.advance(50)
        assert "epoch 3/4:  62%" in text.getvalue()
    assert last_line(text).startswith("epoch 3/4:  62%|")
    assert last_line(text).endswith("examples/s, loss 0.125, validation 0.145")
    assert text.getvalue().count("\n") == 1


def test_bar_of_a_finished_run(clock, tqdm):
    text = Terminal()
    with Progress(True, epochs=4, examples=100, stream=text) as progress:
        train(progress, clock, epochs=4, examples=100, seconds=1.0)
    assert last_line(text).startswith("epoch 4/4: 100%|")
    assert "validation" not in text.getvalue()


def test_bar_writes_its_last_state_once(clock, tqdm):
    text = Terminal()
    with Progress(True, epochs=2, examples=100, stream=text) as progress:
        clock.now += 1.0
        progress.advance(100)
        progress.finish_epoch(make_epoch(1))
        clock.now += 0.01  # so that the next redraw is not due
        progress.advance(100)
        progress.finish_epoch(make_epoch(2, loss=0.0625))
    assert text.getvalue().count("epoch 2/2: 100%|") == 1
    assert last_line(text).endswith("examples/s, loss 0.0625")


def test_bar_of_a_run_that_stopped_early_names_the_epoch_it_reached(clock, tqdm):
    text = Terminal()
    with Progress(True, epochs=100, examples=100, stream=text) as progress:
        train(progress, clock, epochs=37, examples=100, seconds=1.0)
    assert last_line(text).startswith("epoch 37/100:  37%|")


def test_bar_goes_on_where_examples_were_skipped(clock, tqdm):
    text = Terminal()
    with Progress(True, epochs=2, examples=100, stream=text) as progress:
        clock.now += 1.0
        progress.advance(30)
        progress.finish_epoch(make_epoch(1))
        clock.now += 1.0
        progress.advance(170)
        progress.finish_epoch(make_epoch(2))
    assert last_line(text).startswith("epoch 2/2: 100%|")


def test_bar_counts_time_from_the_start_of_training(clock, tqdm):
    text = Terminal()
    with Progress(None, epochs=10, examples=1000, delay=100.0, stream=text) as progress:
        clock.now += 110.0
        progress.advance(1000)
    assert "01:50<" in last_line(text)


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_bar_fits_the_terminal(clock, tqdm, monkeypatch, columns):
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda _: (columns, 24))
    text = Terminal()
    with Progress(True, epochs=1000, examples=100, stream=text) as progress:
        for number in range(1, 30):
            clock.now += 1.0
            progress.advance(100)
            progress.finish_epoch(make_epoch(number, loss=1.234e-5, validation_loss=1.234e-5))
    lines = [line for line in text.getvalue().replace("\n", "\r").split("\r") if line]
    assert lines
    assert max(len(line) for line in lines) <= columns
    assert last_line(text).startswith("epoch 29/1000:")


@pytest.mark.parametrize(("stream", "expected"), [(Terminal, 100), (io.StringIO, 10)])
def test_bar_redraws_ten_times_a_second_and_once_in_a_file(clock, tqdm, stream, expected):
    text = stream()
    with Progress(True, epochs=1, examples=100_000, stream=text) as progress:
        for _ in range(10_000):
            clock.now += 0.001
            progress.advance(10)
    # A few more: the first and the last are drawn twice.
    assert expected <= text.getvalue().count("\r") <= expected + 5


def test_bar_starts_no_thread_and_leaves_no_bar_behind(tqdm):
    import threading

    before = threading.active_count()
    instances = set(tqdm.std.tqdm._instances)
    with Progress(True, epochs=2, examples=100, stream=Terminal()) as progress:
        progress.advance(10)
        assert threading.active_count() == before
    assert set(tqdm.std.tqdm._instances) == instances
    assert tqdm.std.tqdm.monitor_interval != 0


def test_bar_that_tqdm_was_told_to_hide(clock, tqdm, monkeypatch):
    class Hidden(importlib.import_module("tqdm.auto").tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **{**kwargs, "disable": True})

    monkeypatch.setattr("tqdm.auto.tqdm", Hidden)
    text = Terminal()
    with Progress(True, epochs=2, examples=100, stream=text) as progress:
        train(progress, clock, epochs=2, examples=100, seconds=1.0)
    assert text.getvalue() == ""


# --- both ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_stdout_stays_untouched(clock, request, capsys, with_tqdm):
    request.getfixturevalue("tqdm" if with_tqdm else "no_tqdm")
    with Progress(True, epochs=3, examples=100) as progress:
        train(progress, clock, epochs=3, examples=100, seconds=2.0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "epoch 3/3" in captured.err


@pytest.mark.parametrize("error", [FloatingPointError, KeyboardInterrupt])
@pytest.mark.parametrize("with_tqdm", [True, False])
def test_an_exception_closes_the_line_and_passes(clock, request, error, with_tqdm):
    request.getfixturevalue("tqdm" if with_tqdm else "no_tqdm")
    text = Terminal()

    def run() -> None:
        with Progress(True, epochs=3, examples=100, stream=text) as progress:
            train(progress, clock, epochs=1, examples=100, seconds=2.0)
            progress.advance(10)
            raise error

    with pytest.raises(error):
        run()
    assert text.getvalue().endswith("\n")
    assert "loss 0.125" in text.getvalue()


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_close_twice_and_advance_after_it(clock, request, with_tqdm):
    request.getfixturevalue("tqdm" if with_tqdm else "no_tqdm")
    text = Terminal()
    progress = Progress(True, epochs=3, examples=100, stream=text)
    with progress:
        train(progress, clock, epochs=2, examples=100, seconds=2.0)
    written = text.getvalue()
    progress.close()
    clock.now += 100.0
    progress.advance(100)
    progress.finish_epoch(make_epoch(3))
    progress.close()
    assert text.getvalue() == written


@pytest.mark.parametrize("enabled", [False, None])
def test_advance_costs_next_to_nothing(enabled):
    with Progress(enabled, epochs=10, examples=10**6, stream=io.StringIO()) as progress:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(10_000):
                progress.advance(1)
            times.append(time.perf_counter() - start)
    # Called some twenty times a second: even on a slow, busy machine a few microseconds are nothing.
    assert min(times) / 10_000 < 5e-6


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("columns", "shown"), [(80, "epoch 1/2:  50%|"), (0, "epoch 1/2  loss 0.125")])
def test_in_a_real_terminal(tqdm, columns, shown):
    import pty
    import termios

    code = (
        "import time\n"
        "from cbp.training.history import Epoch\n"
        "from cbp.training.progress import Progress\n"
        "with Progress(None, epochs=2, examples=10, delay=0.05) as progress:\n"
        "    time.sleep(0.1)\n"
        "    progress.advance(10)\n"
        "    progress.finish_epoch(Epoch(1, 0.125, None, 0.1, 100.0))\n"
        "    raise SystemExit('stopped')\n"
    )
    controller, terminal = pty.openpty()
    try:
        termios.tcsetwinsize(terminal, (24 if columns else 0, columns))
        result = subprocess.run(
            [sys.executable, "-c", code], stderr=terminal, stdout=subprocess.PIPE, check=False, timeout=60
        )
        written = os.read(controller, 65536).decode()
    finally:
        os.close(controller)
        os.close(terminal)
    assert result.stdout == b""
    assert shown in written
    # The message stands on a line of its own, below the bar.
    assert written.replace("\r", "\n").rstrip("\n").splitlines()[-1] == "stopped"
