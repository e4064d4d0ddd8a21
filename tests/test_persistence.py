"""save and load: the whole network, no pickle, and an error of its own for every other file."""

import collections
import copy
import datetime
import enum
import json
import math
import os
import pickle
import stat
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import cbp
from cbp.files import metadata


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
        ([3, 2], {"loss": "squared_error", "l2": 1e-30}),
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
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
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
    assert same(cbp.load(path).metadata, {"given": metadata})


class Text(str):
    pass


class Colour(enum.IntEnum):
    RED = 1


def itself():
    inner = []
    inner.append({"x": inner})
    return {"a": inner}


def deep(n):
    return {} if n == 0 else {"a": deep(n - 1)}


REFUSED_METADATA = {
    "int key": ({0: "cat"}, TypeError, "metadata has the key 0, an int, .*: use text, or a list of pairs"),
    "two keys": ({"1": "b", 1: "a"}, TypeError, "metadata has the key 1, an int"),
    "inner key": (
        {"a": [{"b": {1.5: 0}}]},
        TypeError,
        r"metadata\['a'\]\[0\]\['b'\] has the key 1.5, a float",
    ),
    "bool key": ({"a": {True: 1}}, TypeError, r"metadata\['a'\] has the key True, a bool"),
    "None key": ({None: 1}, TypeError, "metadata has the key None, a NoneType"),
    "tuple key": ({(1, 2): 1}, TypeError, r"metadata has the key \(1, 2\), a tuple"),
    "NumPy key": ({np.int64(3): 1}, TypeError, "metadata has the key .*3.*, a numpy.int64"),
    "key of a subclass": ({Text("a"): 1}, TypeError, "metadata has the key 'a', a .*Text"),
    "tuple": ({"shape": (1, 2)}, TypeError, r"metadata\['shape'\] is a tuple, .*: use a list$"),
    "inner tuple": ({"a": [0, [(1,)]]}, TypeError, r"metadata\['a'\]\[1\]\[0\] is a tuple"),
    "float64": (
        {"mean": np.float64(1.5)},
        TypeError,
        r"metadata\['mean'\] is a numpy.float64, .* its .item\(\)$",
    ),
    "float32": ({"mean": np.float32(1.5)}, TypeError, r"metadata\['mean'\] is a numpy.float32"),
    "int64": ({"classes": [np.int64(3)]}, TypeError, r"metadata\['classes'\]\[0\] is a numpy.int64"),
    "bool_": ({"a": np.True_}, TypeError, r"metadata\['a'\] is a numpy.bool"),
    "str_": ({"a": ["", np.str_("b")]}, TypeError, r"metadata\['a'\]\[1\] is a numpy.str_"),
    "array": ({"a": np.zeros(3)}, TypeError, r"metadata\['a'\] is a numpy.ndarray, .* use its .tolist\(\)$"),
    "array of none": ({"a": np.array(1)}, TypeError, r"metadata\['a'\] is a numpy.ndarray"),
    "bytes": ({"a": b"x"}, TypeError, r"metadata\['a'\] is a bytes, .*: use text"),
    "set": ({"a": {1}}, TypeError, r"metadata\['a'\] is a set, .*: use a sorted list"),
    "date": ({"a": datetime.date(2020, 1, 1)}, TypeError, r"metadata\['a'\] is a datetime.date, "),
    "path": ({"a": Path("x")}, TypeError, r"metadata\['a'\] is a pathlib\."),
    "complex": ({"a": 1j}, TypeError, r"metadata\['a'\] is a complex"),
    "object": ({"a": object()}, TypeError, r"metadata\['a'\] is an object"),
    "enum": ({"a": Colour.RED}, TypeError, r"metadata\['a'\] is a .*Colour, .*: use a plain int$"),
    "text of a subclass": ({"a": Text("a")}, TypeError, r"metadata\['a'\] is a .*Text, .*: use a plain str$"),
    "ordered": (
        {"a": collections.OrderedDict()},
        TypeError,
        r"is a collections.OrderedDict, .*: use a plain dict",
    ),
    "itself": (itself(), ValueError, r"metadata\['a'\]\[0\]\['x'\] contains itself"),
    "too deep": (deep(101), ValueError, r"metadata\['a'\]\['a'\].* lies more than 100 levels deep"),
    "much too deep": (deep(800), ValueError, "lies more than 100 levels deep"),
    "digits": ({"a": -(10**4300)}, ValueError, r"metadata\['a'\] is a whole number of more digits than"),
    "surrogates": ({"a": "\ud83d\ude00"}, ValueError, r"metadata\['a'\] has surrogates"),
    "surrogates in a key": (
        {"a": {"\ud83d\ude00": 1}},
        ValueError,
        r"a key of metadata\['a'\] has surrogates",
    ),
    "no dict": ([], TypeError, "metadata must be a dict, got list"),
    "another dict": (collections.defaultdict(int), TypeError, "metadata must be a dict, got defaultdict"),
}


@pytest.mark.parametrize(("metadata", "error", "message"), REFUSED_METADATA.values(), ids=REFUSED_METADATA)
def test_metadata_that_would_come_back_changed_is_refused_by_name(path, metadata, error, message):
    net = make()
    net.metadata = metadata
    with pytest.raises(error, match=message):
        net.save(path)
    assert list(path.parent.iterdir()) == []  # no file is begun
    net.metadata = {}
    net.save(path)
    before = path.read_bytes()
    net.metadata = metadata
    with pytest.raises(error, match=message):
        net.save(path)
    assert path.read_bytes() == before


def same(a, b):
    """Whether two values are equal with the types of all their parts, and the bits of numbers."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or struct.pack("d", a) == struct.pack("d", b)
    return a == b


@pytest.mark.parametrize(
    "value",
    [
        math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1, 1e308, 10**4000, -(10**4000), True, 1, 1.0, None,
        "", "\0",
        "\udcff", "\ude00\ud83d", "a\0", [], {}, [[], {}, [None]], {"": {"1": [True, 1, 1.0]}}, deep(96),
        [float(n) for n in range(1000)],
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_metadata_comes_back_with_its_types(path, value):
    net = make()
    shared = [value]
    net.metadata = {"given": value, "nested": [{"a": value}], "twice": [shared, shared]}
    net.save(path)
    assert same(cbp.load(path).metadata, net.metadata)


def test_a_file_of_version_1_still_loads(path):
    """Whatever its metadata was before it was saved, and an l2 that is 0 in single precision."""
    with open(path, "wb") as file:
        described(metadata={"1": "a", "shape": [1, 2]}, l2=1e-60)(file)
    net = cbp.load(path)
    assert net.metadata == {"1": "a", "shape": [1, 2]}
    assert net.l2 == 1e-60
    assert net.loss([[1, 2, 3]], [0]) == pytest.approx(math.log(2))


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


@pytest.mark.parametrize("sign", [1, -1])
def test_the_longest_whole_number_in_metadata(tmp_path, sign):
    net = cbp.Network([1, 1], output="identity", rng=0)
    longest = sign * (2**metadata.MOST_BITS - 1)
    net.metadata = {"a": longest}
    net.save(tmp_path / "net.npz")
    assert cbp.load(tmp_path / "net.npz").metadata == {"a": longest}
    net.metadata = {"a": longest + sign}
    with pytest.raises(ValueError, match="more digits than can be read"):
        net.save(tmp_path / "net.npz")
