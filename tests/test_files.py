"""Every file that is written: whole or not at all, under any name the system allows, with clear errors."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

import cbp
from cbp.cli import main
from cbp.files.whole import write_whole


def history():
    return cbp.History([cbp.Epoch(1, 0.5, None, 0.25, 4000.0)])


WRITERS = {
    "bytes": lambda path: write_whole(path, b"content"),
    "network": lambda path: cbp.Network([2, 2], rng=0).save(path),
    "history": lambda path: history().to_csv(path),
}


@pytest.fixture(params=WRITERS.values(), ids=WRITERS)
def write(request):
    return request.param


def refuse(number):
    def call(*arguments):
        raise OSError(number, os.strerror(number), *arguments[:1], None, *arguments[1:2])

    return call


@pytest.mark.skipif(sys.platform == "win32", reason="modes are those of POSIX")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_a_file_saved_over_keeps_its_mode(write, tmp_path, mode):
    path = tmp_path / "x.npz"
    path.write_bytes(b"before")
    path.chmod(mode)
    write(path)
    assert path.stat().st_mode & 0o777 == mode
    assert path.read_bytes() != b"before"


# --- errors ----------------------------------------------------------------------------------------------


def test_an_error_names_the_path_given_and_nothing_else(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        write("absent/x.npz")
    assert str(caught.value) == f"[Errno {errno.ENOENT}] No such file or directory: 'absent/x.npz'"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"irectory|denied") as caught:
        write("folder")
    assert str(caught.value).endswith(": 'folder'")


@pytest.mark.parametrize("call", ["replace", "open"])
def test_a_full_disk_is_told_with_the_path_given(write, tmp_path, monkeypatch, call):
    path = tmp_path / "x.npz"
    path.write_bytes(b"before")
    if call == "replace":
        monkeypatch.setattr(os, "replace", refuse(errno.ENOSPC))
    else:
        monkeypatch.setattr("builtins.open", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left") as caught:
        write(path)
    monkeypatch.undo()
    assert str(caught.value) == f"[Errno {errno.ENOSPC}] No space left on device: '{path}'"
    assert caught.value.filename2 is None
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_with_words_of_its_own_keeps_them(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("the network drive is gone")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError) as caught:
        write_whole(tmp_path / "x", b"")
    assert str(caught.value) == "the network drive is gone"
    assert list(tmp_path.iterdir()) == []


# --- names -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows bounds the whole path")
@pytest.mark.parametrize("length", [1, 229, 230, 254, 255])
@pytest.mark.parametrize("letter", ["x", "ü", "\U0001f600"])
def test_names_as_long_as_the_system_allows(write, tmp_path, letter, length):
    n = len(letter.encode())
    path = tmp_path / (letter * (length // n) + "y" * (length % n))
    assert len(os.fsencode(path.name)) == length
    for _ in range(2):  # a new file, and one that is replaced
        write(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_size > 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows bounds the whole path")
def test_a_name_that_is_too_long_is_told(write, tmp_path):
    path = tmp_path / ("x" * 256)
    with pytest.raises(OSError, match="too long") as caught:
        write(path)
    assert str(caught.value).endswith(f": '{path}'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="names of bytes are POSIX's")
def test_a_path_may_be_bytes_and_no_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_whole(b"plain", b"1")
    write_whole(b"no \xff text", b"2")
    assert sorted(os.listdir(b".")) == [b"no \xff text", b"plain"]
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(b"absent/x", b"")
    assert caught.value.filename == b"absent/x"


# --- what the command line writes ------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path):
    rng = np.random.default_rng(0)
    arrays = tmp_path / "data.npz"
    x, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    np.savez(arrays, x_train=x, y_train=y, x_test=x, y_test=y)
    model = tmp_path / "model.npz"
    assert main(["train", str(arrays), "--hidden", "2", "--epochs", "1", "--save", str(model)]) == 0
    return model


def test_predictions_are_written_whole(model, tmp_path, monkeypatch, capsys):
    output = tmp_path / ("p" * 255)
    command = ["predict", str(model), str(tmp_path / "data.npz"), "--output", str(output)]
    assert main(command) == 0
    before = output.read_bytes()
    assert before.count(b"\n") > 2
    assert b"\r" not in before
    monkeypatch.setattr(os, "replace", refuse(errno.ENOSPC))
    capsys.readouterr()
    assert main(command) == 2
    assert capsys.readouterr().err == f"cbp: error: {output}: No space left on device\n"
    assert output.read_bytes() == before


def test_a_drawing_is_written_whole(model, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    plot = tmp_path / ("d" * 251 + ".PNG")
    command = ["train", str(tmp_path / "data.npz"), "--hidden", "2", "--epochs", "2", "--plot", str(plot)]
    assert main(command) == 0
    before = plot.read_bytes()
    assert before.startswith(b"\x89PNG")
    monkeypatch.setattr(os, "replace", refuse(errno.ENOSPC))
    assert main(command) == 2
    assert plot.read_bytes() == before


def test_a_path_that_cannot_be_written_is_told_as_it_was_given(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "cbp", "train", "--save", "absent/model.npz"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stderr == "cbp: error: absent/model.npz: No such file or directory\n"
