"""Epoch and History: a sequence, a table, a plot and a CSV file."""

import copy
import csv
import dataclasses
import io
import math
import os
import pickle
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cbp.training.history import Epoch, History


def make_history(count: int, *, validated: bool = True) -> History:
    """Return a history whose loss halves with every epoch."""
    return History(
        Epoch(
            number=number,
            loss=2.0**-number,
            validation_loss=1.5 * 2.0**-number if validated else None,
            seconds=0.25,
            examples_per_second=4000.0,
        )
        for number in range(1, count + 1)
    )


NAN_HISTORY = History([Epoch(1, 0.5, math.inf, 0.0, math.inf), Epoch(2, math.nan, math.nan, 0.0, math.inf)])


# --- Epoch -----------------------------------------------------------------------------------------------


def test_epoch_is_frozen_and_has_no_other_attributes():
    epoch = Epoch(1, 0.5, None, 0.25, 4000.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        epoch.loss = 0.0
    assert not hasattr(epoch, "__dict__")
    assert pickle.loads(pickle.dumps(epoch)) == epoch
    assert copy.deepcopy(epoch) == epoch


# --- a sequence ------------------------------------------------------------------------------------------


def test_is_a_sequence_of_epochs():
    history = make_history(3)
    assert isinstance(history, Sequence)
    assert len(history) == 3
    assert [epoch.number for epoch in history] == [1, 2, 3]
    assert [epoch.number for epoch in reversed(history)] == [3, 2, 1]
    assert history[0].number == 1
    assert history[-1].number == 3
    assert history[1] in history
    with pytest.raises(IndexError):
        history[3]


def test_a_slice_is_a_history_of_its_own():
    history = make_history(5)
    part = history[1:4:2]
    assert isinstance(part, History)
    assert [epoch.number for epoch in part] == [2, 4]
    part.append(history[4])
    assert len(history) == 5


def test_the_given_epochs_are_copied():
    epochs = list(make_history(2))
    history = History(epochs)
    epochs.clear()
    assert len(history) == 2


def test_an_empty_history_is_false():
    assert not History()
    assert make_history(1)


def test_append_keeps_the_order():
    history = History()
    for epoch in make_history(3):
        history.append(epoch)
    assert history == make_history(3)


def test_equality_goes_by_content():
    assert make_history(3) == make_history(3)
    assert make_history(3) != make_history(2)
    assert make_history(3) != make_history(3, validated=False)
    assert History() == History()
    assert make_history(1) != list(make_history(1))
    with pytest.raises(TypeError):
        hash(History())


@pytest.mark.parametrize("count", [0, 1, 30])
def test_pickle_and_deepcopy(count):
    history = make_history(count)
    for twin in (
        pickle.loads(pickle.dumps(history)),
        pickle.loads(pickle.dumps(history, protocol=2)),
        copy.deepcopy(history),
    ):
        assert twin == history
        twin.append(Epoch(99, 0.0, None, 0.0, 0.0))
        assert len(history) == count


# --- read while it grows ---------------------------------------------------------------------------------


class Growing(Epoch):
    """An epoch whose history has one epoch more after each look at it, as if another thread were training."""

    def __getattribute__(self, name):
        grown = Growing.history
        if grown is not None and len(grown) < 100:  # else whoever followed the growth would never end
            grown.append(Epoch(len(grown) + 1, 0.5, 0.5, 0.25, 4000.0))
        return super().__getattribute__(name)


READERS = {
    "str": str,
    "repr": repr,
    "html": History._repr_html_,
    "losses": lambda history: history.losses,
    "validation losses": lambda history: history.validation_losses,
    "seconds": lambda history: history.seconds,
    "iteration": lambda history: [(epoch.number, epoch.loss) for epoch in history],
    "a slice": lambda history: repr(history[:]),
    "copy": lambda history: repr(copy.copy(history)),
    "deepcopy": lambda history: repr(copy.deepcopy(history)),
    "pickle": lambda history: repr(pickle.loads(pickle.dumps(history))),
}


@pytest.fixture
def growing():
    """A function that makes a history of two epochs, which grows when the first of them is looked at."""

    def make():
        Growing.history = None
        history = History([Growing(1, 0.5, None, 0.25, 4000.0), *make_history(2)[1:]])
        Growing.history = history
        return history

    yield make
    Growing.history = None


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_what_is_read_is_what_was_complete_at_first(read, growing):
    history = growing()
    found = read(history)
    Growing.history = None
    assert len(history) > 2
    assert found == read(history[:2])


def test_a_file_has_what_was_complete_at_first(tmp_path, growing):
    growing().to_csv(tmp_path / "history.csv")
    assert len(read_csv(tmp_path / "history.csv")) == 1 + 2


def test_a_plot_has_what_was_complete_at_first(growing):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    lines = growing().plot(figure.subplots()).get_lines()
    assert [len(line.get_xdata()) for line in lines] == [2, 1]


# --- its columns -----------------------------------------------------------------------------------------


def test_losses():
    history = make_history(3)
    assert history.losses == [0.5, 0.25, 0.125]
    assert history.validation_losses == [0.75, 0.375, 0.1875]
    assert history.seconds == 0.75


def test_columns_of_an_empty_history():
    history = History()
    assert history.losses == []
    assert history.validation_losses == []
    assert history.seconds == 0.0
    assert isinstance(history.seconds, float)


def test_validation_losses_are_empty_without_validation():
    assert make_history(3, validated=False).validation_losses == []


def test_validation_losses_keep_step_with_losses():
    history = History([Epoch(1, 0.5, None, 0.1, 1.0), Epoch(2, 0.25, 0.75, 0.1, 1.0)])
    first, second = history.validation_losses
    assert math.isnan(first)
    assert second == 0.75


# --- the table -------------------------------------------------------------------------------------------


def test_table_with_validation():
    assert str(make_history(3)).splitlines() == [
        "epoch    loss  validation loss  seconds  examples/s",
        "    1  0.5000           0.7500    0.250       4,000",
        "    2  0.2500           0.3750    0.250       4,000",
        "    3  0.1250           0.1875    0.250       4,000",
    ]


def test_table_without_validation():
    assert str(make_history(1, validated=False)).splitlines() == [
        "epoch    loss  seconds  examples/s",
        "    1  0.5000    0.250       4,000",
    ]


def test_table_of_an_empty_history_is_its_header():
    assert str(History()) == "epoch  loss  seconds  examples/s"


def test_table_with_some_epochs_validated():
    history = History([Epoch(1, 0.5, None, 0.1, 1.0), Epoch(2, 0.25, 0.75, 0.1, 1.0)])
    assert [line.split()[2] for line in str(history).splitlines()[1:]] == ["-", "0.7500"]


def test_table_of_losses_that_are_not_finite():
    rows = [line.split() for line in str(NAN_HISTORY).splitlines()[1:]]
    assert rows == [["1", "0.5000", "inf", "0.000", "inf"], ["2", "nan", "nan", "0.000", "inf"]]


@pytest.mark.parametrize("count", [1, 25, 26, 1000, 12345])
def test_table_is_aligned_and_short(count):
    lines = str(make_history(count)).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 79
    assert len(lines) == (count + 1 if count <= 25 else 22)
    assert lines[-1].split()[0] == str(count)


def test_table_of_a_long_history_shows_its_ends():
    first_cells = [line.split()[0] for line in str(make_history(100)).splitlines()]
    assert first_cells == [
        "epoch",
        *(str(number) for number in range(1, 11)),
        "...",
        *(str(number) for number in range(91, 101)),
    ]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.3, 0.012346], ["2.30000", "0.01235"]),
        ([1234.5, 999.9], ["1234.5", "999.9"]),
        ([123456.0, 0.5], ["123456.0000", "0.5000"]),
        ([1e-9, 0.5], ["1.000e-09", "5.000e-01"]),
        ([1e30, -0.5], ["1.000e+30", "-5.000e-01"]),
        ([0.0, 0.5], ["0.0000", "0.5000"]),
        ([0.0, 0.0], ["0.0000", "0.0000"]),
    ],
)
def test_losses_are_readable_at_any_size(losses, expected):
    history = History(Epoch(1, loss, None, 0.1, 1.0) for loss in losses)
    assert [line.split()[1] for line in str(history).splitlines()[1:]] == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.000021, "0.000021"), (1e-9, "0.000000"), (0.0123, "0.0123"), (1.5, "1.50"), (754.2, "754")],
)
def test_seconds_are_readable_at_any_size(seconds, expected):
    history = History([Epoch(1, 0.5, None, seconds, 12345678.9)])
    assert str(history).splitlines()[1].split()[2:] == [expected, "12,345,679"]


def test_repr_is_one_line():
    assert repr(History()) == "History(0 epochs)"
    assert repr(make_history(1, validated=False)) == "History(1 epoch, loss 0.5, 0.25 s)"
    assert repr(make_history(3)) == (
        "History(3 epochs, loss 0.5 -> 0.125, validation loss 0.75 -> 0.1875, 0.75 s)"
    )
    assert repr(NAN_HISTORY) == "History(2 epochs, loss 0.5 -> nan, validation loss inf -> nan, 0 s)"
    half_validated = History([Epoch(1, 0.5, None, 0.1, 1.0), Epoch(2, 0.25, 0.75, 0.1, 1.0)])
    assert repr(half_validated) == "History(2 epochs, loss 0.5 -> 0.25, validation loss 0.75, 0.2 s)"
    assert repr(make_history(80_000)).endswith(", 20,000 s)")


def test_html_holds_the_same_cells_as_the_table():
    history = make_history(100)
    html = history._repr_html_()
    rows = [re.findall(r"<t[hd]>(.*?)</t[hd]>", line) for line in html.splitlines()]
    cells = [[cell.replace("validation loss", "validation_loss") for cell in row] for row in rows if row]
    assert cells == [
        line.replace("validation loss", "validation_loss").split() for line in str(history).splitlines()
    ]
    assert html.startswith("<svg ")
    assert html.endswith("</table>")
    assert "<table>" in History()._repr_html_()


# --- the CSV file ----------------------------------------------------------------------------------------


def read_csv(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_csv_round_trip_keeps_every_bit(tmp_path):
    path = tmp_path / "history.csv"
    epoch = Epoch(1, 0.1 + 0.2, 1 / 3, 2.0**-40, 1e22 / 3)
    History([epoch, Epoch(2, math.nan, None, 0.0, math.inf)]).to_csv(path)
    header, first, second = read_csv(path)
    assert header == ["epoch", "loss", "validation_loss", "seconds", "examples_per_second", "learning_rate"]
    assert Epoch(int(first[0]), *(float(cell) for cell in first[1:5])) == epoch
    assert second == ["2", "nan", "", "0.0", "inf", ""]


def test_csv_bytes(tmp_path):
    path = tmp_path / "history.csv"
    make_history(1, validated=False).to_csv(str(path))
    assert path.read_bytes() == (
        b"epoch,loss,validation_loss,seconds,examples_per_second,learning_rate\n1,0.5,,0.25,4000.0,\n"
    )


def test_csv_of_an_empty_history_is_its_header(tmp_path):
    path = tmp_path / "history.csv"
    History().to_csv(path)
    assert len(read_csv(path)) == 1


def test_csv_replaces_a_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("something longer than what is about to be written" * 100)
    make_history(2).to_csv(path)
    assert len(read_csv(path)) == 3
    assert list(tmp_path.iterdir()) == [path]


def test_csv_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    path.write_text("before")

    def fail(source, destination):
        raise OSError(28, "No space left on device", source, None, destination)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        make_history(2).to_csv(path)
    assert caught.value.filename == str(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_csv_error_names_the_given_path(tmp_path):
    path = tmp_path / "missing" / "history.csv"
    with pytest.raises(FileNotFoundError) as caught:
        make_history(1).to_csv(path)
    assert caught.value.filename == str(path)
    with pytest.raises(IsADirectoryError if os.name == "posix" else PermissionError):
        make_history(1).to_csv(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links and devices as POSIX has them")
def test_csv_follows_a_link_and_keeps_a_device(tmp_path):
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    link.symlink_to(target)
    make_history(1).to_csv(link)
    assert link.is_symlink()
    assert len(read_csv(target)) == 2
    make_history(1).to_csv(os.devnull)
    assert not Path(os.devnull).is_file()


def test_pandas_makes_a_frame_of_it():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(make_history(3))
    assert frame["loss"].tolist() == [0.5, 0.25, 0.125]
    metric = {"accuracy": 0.5}
    history = History([Epoch(1, 0.5, None, 1.0, 2.0, metric, 0.1), Epoch(2, 0.25, 0.75, 1.0, 2.0)])
    frame = history.to_frame()
    assert frame.index.tolist() == [1, 2]
    assert frame.index.name == "epoch"
    assert (
        list(frame.columns)
        == list(history.to_dict())[1:]
        == [*("loss", "validation_loss", "seconds", "examples_per_second", "accuracy", "learning_rate")]
    )
    assert frame["accuracy"].isna().tolist() == [False, True]


def test_columns_of_metrics():
    history = History(
        [
            Epoch(1, 0.5, None, 1.0, 2.0, {"accuracy": 0.5}, 0.1),
            Epoch(2, 0.25, 0.75, 1.0, 2.0, {"accuracy": 0.75, "validation_accuracy": 0.625}, 0.05),
        ]
    )
    columns = history.to_dict()
    assert columns["validation_accuracy"] == [None, 0.625]
    assert columns["learning_rate"] == [0.1, 0.05]
    assert "accuracy 0.5 -> 0.75, validation accuracy 0.625" in repr(history)
    header, first, second = str(history).splitlines()
    assert header.split("  ")[-2:] != []
    assert [word in header for word in ("accuracy", "validation accuracy")] == [True, True]
    assert first.split() == ["1", "0.5000", "-", "0.5000", "-", "1.00", "2"]
    assert second.split() == ["2", "0.2500", "0.7500", "0.7500", "0.6250", "1.00", "2"]


def test_names_of_an_epoch():
    epoch = Epoch(1, 0.5, None, 1.0, 2.0, {"accuracy": 0.75})
    assert epoch.names == ("loss", "accuracy")
    assert (epoch["loss"], epoch["accuracy"]) == (0.5, 0.75)
    for name in ("validation_loss", "seconds", "r2"):
        with pytest.raises(KeyError, match=f"'{name}' is not recorded; there are loss, accuracy"):
            epoch[name]
    assert hash(epoch) == hash(Epoch(1, 0.5, None, 1.0, 2.0))


def test_the_picture_in_notebooks_is_well_formed():
    from xml.etree import ElementTree

    for history in (make_history(100), make_history(2, validated=False), make_history(1), History()):
        picture = history._repr_html_().partition("<table>")[0]
        lines = [] if not picture else ElementTree.fromstring(f"<x>{picture}</x>").findall(".//{*}polyline")
        assert len(lines) == (0 if len(history) < 2 else 2 if history[0].validation_loss is not None else 1)
    flat = History([Epoch(1, 0.5, None, 1.0, 2.0), Epoch(2, 0.5, math.nan, 1.0, 2.0)])
    assert "nan" not in flat._repr_html_().partition("<table>")[0]


# --- the plot --------------------------------------------------------------------------------------------


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.mark.usefixtures("pyplot")
def test_plot_with_validation():
    ax = make_history(10).plot()
    loss, validation = ax.get_lines()
    assert loss.get_xdata().tolist() == list(range(1, 11))
    assert loss.get_ydata().tolist() == make_history(10).losses
    assert validation.get_ydata().tolist() == make_history(10).validation_losses
    assert ax.get_xlabel() == "epoch"
    assert ax.get_ylabel() == "loss"
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "loss",
        "validation loss",
        "best: epoch 10",
    ]


@pytest.mark.usefixtures("pyplot")
def test_plot_without_validation_has_no_legend():
    ax = make_history(2, validated=False).plot()
    assert len(ax.get_lines()) == 1
    assert ax.get_legend() is None
    assert ax.get_yscale() == "linear"


@pytest.mark.usefixtures("pyplot")
def test_plot_of_one_epoch_is_visible():
    (line,) = make_history(1, validated=False).plot().get_lines()
    assert line.get_marker() == "o"


@pytest.mark.usefixtures("pyplot")
def test_plot_passes_over_epochs_that_were_not_validated():
    history = History(
        Epoch(number, 0.5, 0.75 if number % 2 == 0 else None, 0.1, 1.0) for number in range(1, 7)
    )
    _, validation = history.plot().get_lines()
    assert validation.get_xdata().tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    "history",
    [
        History(),
        NAN_HISTORY,
        History([Epoch(1, 0.0, -1e9, 0.0, 0.0)]),
        History([Epoch(1, -1.0, 1e3, 0.0, 0.0)]),
    ],
)
def test_plot_of_an_awkward_history_can_be_saved(pyplot, history):
    ax = history.plot()
    assert ax.get_yscale() == "linear"
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG")


def test_plot_on_given_axes_makes_no_figure(pyplot, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax = figure.subplots()
    monkeypatch.setattr(pyplot, "show", lambda *_, **__: pytest.fail("plot() must not show the figure"))
    assert make_history(3).plot(ax=ax) is ax
    assert make_history(3).plot(ax) is ax
    assert len(ax.get_lines()) == 4
    assert pyplot.get_fignums() == []
    make_history(3).plot()
    assert len(pyplot.get_fignums()) == 1


def test_plot_without_matplotlib_says_what_to_install(monkeypatch):
    for name in ("matplotlib", "matplotlib.ticker", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=re.escape("pip install 'cython-backprop[plot]'")):
        make_history(1).plot()
