"""save and load: the whole network, no pickle, and an error of its own for every other file."""

import copy
import json
import os
import pickle
import stat
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import cbp


def make(sizes=(3, 5, 2), **options):
    return cbp.Network(sizes, **{"rng": 0, **options})


def data(m=30):
    rng = np.random.default_rng(0)
    return rng.normal(size=(m, 3)), rng.integers(0, 2, size=m)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.npz"


# --- round trip ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ([1, 1], {"output": "sigmoid"}),
        ([3, 5, 2], {"hidden": "tanh", "l2": 0.1}),
        ([3, 5, 6, 7, 2], {"hidden": ["relu", "identity", "sigmoid"], "output": "tanh"}),
        ([3, 2], {"loss": "squared_error", "l2": 1e-300}),
    ],
)
def test_round_trip(path, sizes, options, dtype):
    net = make(sizes, dtype=dtype, **options)
    net.parameters[:] = np.random.default_rng(1).normal(size=net.n_parameters)
    net.save(path)
    again = cbp.load(path)
    assert type(again) is cbp.Network
    assert (again.sizes, again.hidden, again.output) == (net.sizes, net.hidden, net.output)
    assert (again.loss_name, again.l2, again.dtype) == (net.loss_name, net.l2, net.dtype)
    assert again.parameters.tobytes() == net.parameters.tobytes()
    assert again.metadata == {}
    x = np.random.default_rng(2).normal(size=(9, sizes[0]))
    np.testing.assert_array_equal(again.predict(x), net.predict(x))
    again.save(path)
    assert repr(cbp.load(path)) == repr(net)


@given(
    metadata=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example({"": "\x00'\"\\ü\ud7ff\U0001f600"})
def test_metadata_round_trip(path, metadata):
    net = make()
    net.metadata = {"given": metadata}
    net.save(path)
    assert cbp.load(path).metadata == {"given": metadata}


def test_metadata_that_is_no_json(path):
    net = make()
    net.save(path)
    before = path.read_bytes()
    net.metadata = {"array": np.zeros(3)}
    with pytest.raises(TypeError, match="not JSON serializable"):
        net.save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_is_taken_as_given(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    for name in ("no ending", "net.npz", "ü.model"):
        make().save(kind(name))
        assert Path(name).is_file()
        assert cbp.load(kind(name)).sizes == (3, 5, 2)
    assert len(list(tmp_path.iterdir())) == 3  # nothing temporary is left


def test_random_state_is_not_saved(path):
    net = make()
    net.fit(*data(), epochs=1)
    net.save(path)

    def trained(rng):
        again = cbp.load(path, rng=rng)
        again.fit(*data(), epochs=2, batch_size=7)
        return again.parameters

    np.testing.assert_array_equal(trained(5), trained(5))
    np.testing.assert_array_equal(trained(np.random.default_rng(5)), trained(5))
    assert (trained(6) != trained(5)).any()
    assert (trained(None) != trained(None)).any()
    with pytest.raises(ValueError, match="rng must be a seed of at least 0, got -1"):
        cbp.load(path, rng=-1)
    rng = np.random.default_rng(7)
    before = copy.deepcopy(rng.bit_generator.state)
    cbp.load(path, rng=rng)
    assert rng.bit_generator.state == before  # for shuffling alone: no weights are drawn


def test_history_and_optimizer_state_are_not_saved(path):
    net = make()
    net.fit(*data(), epochs=1)
    net.save(path)
    again, twin = cbp.load(path), make()
    assert len(again.history) == 0
    twin.parameters = net.parameters
    for network in (again, twin):
        network.partial_fit(*data(), shuffle=False)
    np.testing.assert_array_equal(again.parameters, twin.parameters)


# --- the file --------------------------------------------------------------------------------------------


def test_the_file_is_an_ordinary_npz_without_pickles(path):
    net = make()
    net.metadata = {"classes": ["no", "yes"]}
    net.save(path)
    with np.load(path, allow_pickle=False) as archive:
        assert sorted(archive) == ["description", "parameters"]
        np.testing.assert_array_equal(archive["parameters"], net.parameters)
        description = json.loads(str(archive["description"]))
    assert description == {
        "format": "cbp network", "version": 1, "sizes": [3, 5, 2], "hidden": ["sigmoid"], "output": "softmax",
        "loss": "cross_entropy", "l2": 0.0, "dtype": "float32", "metadata": {"classes": ["no", "yes"]},
    }  # fmt: skip


def test_a_failure_keeps_the_old_file(path, monkeypatch):
    make().save(path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        make([4, 4]).save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_the_file_has_the_usual_permissions(path):
    usual = path.with_name("usual")
    usual.write_bytes(b"")
    make().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_files_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError):
        make().save(tmp_path / "missing" / "net.npz")
    with pytest.raises(OSError, match="directory"):
        make().save(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- other files -----------------------------------------------------------------------------------------


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        cbp.load(tmp_path / "missing.npz")
    with pytest.raises(IsADirectoryError if os.name == "posix" else OSError):
        cbp.load(tmp_path)


def archive_of(**arrays):
    return lambda file: np.savez(file, **arrays)


def described(parameters=np.zeros(8, np.float32), **changes):  # noqa: B008, it is only read
    """A file whose description differs from a good one's; None leaves an entry out."""
    description = {
        "format": "cbp network", "version": 1, "sizes": [3, 2], "hidden": [], "output": "softmax",
        "loss": "cross_entropy", "l2": 0.0, "dtype": "float32", "metadata": {}, **changes,
    }  # fmt: skip
    text = json.dumps({name: value for name, value in description.items() if value is not None})
    return archive_of(description=np.array(text), parameters=parameters)


OTHER_FILES = {
    "empty": lambda file: None,
    "text": lambda file: file.write(b"no network\n" * 100),
    "npy": lambda file: np.save(file, np.zeros(8)),
    "pickle": lambda file: pickle.dump({"sizes": [3, 2]}, file),
    "objects": lambda file: np.savez(file, description=np.array({}, object), parameters=np.zeros(8)),
    "zip": lambda file: zipfile.ZipFile(file, "w").writestr("description", "x"),
    "other arrays": archive_of(weights=np.zeros(8)),
    "no parameters": archive_of(description=np.array("{}")),
    "no JSON": archive_of(description=np.array("cbp"), parameters=np.zeros(8)),
    "JSON of a number": archive_of(description=np.array("5"), parameters=np.zeros(8)),
    "number": archive_of(description=np.array(5), parameters=np.zeros(8)),
    "another format": described(format="something else"),
    "no version": described(version=None),
    "later version": described(version=2),
    "no sizes": described(sizes=None),
    "other sizes": described(sizes=[3, 3]),
    "odd sizes": described(sizes="3, 2"),
    "negative sizes": described(sizes=[-3, 2]),
    "huge sizes": described(sizes=[2**62, 2**62]),
    "large sizes": described(sizes=[10**9, 10**8]),
    "unknown activation": described(output="swish"),
    "wrong loss": described(output="tanh"),
    "half": described(dtype="float16"),
    "negative l2": described(l2=-1),
    "odd l2": described(l2=[]),
    "odd metadata": described(metadata=5),
    "parameters of a matrix": described(np.zeros((2, 4), np.float32)),
    "complex parameters": described(np.zeros(8, complex)),
    "texts for parameters": described(np.array(["0"] * 8)),
}


@pytest.mark.parametrize("write", OTHER_FILES.values(), ids=OTHER_FILES)
def test_files_that_hold_no_network(path, write):
    with open(path, "wb") as file:
        write(file)
    with pytest.raises(cbp.ModelFileError, match="net.npz"):
        cbp.load(path)


def test_a_model_file_error_is_a_value_error():
    assert issubclass(cbp.ModelFileError, ValueError)


def test_a_description_that_is_good_would_load(path):
    with open(path, "wb") as file:
        described()(file)
    assert cbp.load(path).sizes == (3, 2)


def test_truncated_files(path):
    make().save(path)
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(cbp.ModelFileError):
            cbp.load(path)


@pytest.mark.parametrize("flip", [0x01, 0xFF])
def test_damaged_files(path, flip):
    """Every byte, changed, is an error, or one of those that say nothing, such as the time."""
    net = make()
    net.save(path)
    whole = path.read_bytes()
    survived = 0
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ flip]) + whole[i + 1 :])
        try:
            again = cbp.load(path)
        except cbp.ModelFileError:
            continue
        assert repr(again) == repr(net)
        np.testing.assert_array_equal(again.parameters, net.parameters)
        survived += 1
    assert survived < len(whole) / 3
