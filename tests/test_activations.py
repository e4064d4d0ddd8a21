"""exp, sigmoid, tanh and log1p of the kernels, against wider arithmetic."""

import numpy as np
import pytest

from cbp import _probes, kernels

DTYPES = ["float32", "float64"]
WIDER = {"float32": np.float64, "float64": np.longdouble}
MOST_ULP = 3.0


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1) / (1 + e)


EXACT = {"exp": np.exp, "sigmoid": sigmoid, "tanh": np.tanh, "log1p_unit": np.log1p}


def computed(function, x):
    """As the kernels compute it."""
    out = np.empty_like(x)
    _probes.elementwise(kernels.table(x.dtype.name), x.itemsize, _probes.FUNCTIONS[function], out, x)
    return out


def ulp(function, x):
    """Each result's distance from the exact one, in units of the last place of that."""
    with np.errstate(over="ignore", under="ignore"):
        exact = EXACT[function](x.astype(WIDER[x.dtype.name]))
        rounded = exact.astype(x.dtype)
    got = computed(function, x)
    assert np.array_equal(np.isinf(got), np.isinf(rounded))
    finite = np.isfinite(rounded)
    distance = np.abs(got[finite].astype(exact.dtype) - exact[finite]) / np.spacing(np.abs(rounded[finite]))
    return distance.astype(float)


def whole_range(dtype):
    """Every exponent and sign, with random digits, and a dense grid where exp does not over- or underflow."""
    info = np.finfo(dtype)
    rng = np.random.default_rng(0)
    spread = np.ldexp(
        rng.uniform(1, 2, size=(info.maxexp - info.minexp + info.nmant, 64)).T,
        np.arange(info.minexp - info.nmant, info.maxexp),
    ).ravel()
    top = float(np.log(info.max))
    bottom = float(np.log(info.smallest_subnormal)) - 2
    dense = np.concatenate([np.linspace(bottom, top, 300_001), np.linspace(-2, 2, 100_001)])
    edges = [0.0, info.smallest_subnormal, info.smallest_normal, info.max, top, bottom]
    x = np.concatenate([spread, -spread, dense, -dense, edges, np.negative(edges)])
    with np.errstate(over="ignore"):
        return x.astype(dtype)[np.isfinite(x.astype(dtype))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", ["exp", "sigmoid", "tanh"])
def test_at_most_3_ulp_over_the_whole_range(function, dtype):
    if np.finfo(WIDER[dtype]).nmant <= np.finfo(dtype).nmant:
        pytest.skip("no wider arithmetic here")
    distance = ulp(function, whole_range(dtype))
    assert distance.max() <= MOST_ULP


@pytest.mark.parametrize("dtype", DTYPES)
def test_log1p_on_the_unit_interval(dtype):
    if np.finfo(WIDER[dtype]).nmant <= np.finfo(dtype).nmant:
        pytest.skip("no wider arithmetic here")
    x = whole_range(dtype)
    assert ulp("log1p_unit", x[(x >= 0) & (x <= 1)]).max() <= MOST_ULP


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits_are_exact(dtype):
    x = np.array([-np.inf, np.inf, 0.0, np.finfo(dtype).max, np.finfo(dtype).min], dtype=dtype)
    with np.errstate(all="raise"):
        assert computed("exp", x).tolist() == [0, np.inf, 1, np.inf, 0]
        assert computed("sigmoid", x).tolist() == [0, 1, 0.5, 1, 0]
        assert computed("tanh", x).tolist() == [-1, 1, 0, 1, -1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", ["exp", "sigmoid", "tanh"])
def test_nan_stays_nan(function, dtype):
    x = np.array([np.nan, -np.nan, 1.0], dtype=dtype)
    assert np.isnan(computed(function, x)).tolist() == [True, True, False]


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_keeps_small_numbers_and_the_sign_of_zero(dtype):
    info = np.finfo(dtype)
    x = np.array(
        [-0.0, 0.0, info.smallest_subnormal, -info.smallest_subnormal, info.smallest_normal], dtype=dtype
    )
    got = computed("tanh", x)
    assert got.tobytes() == x.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_result_does_not_depend_on_its_lane(dtype):
    x = np.random.default_rng(1).normal(scale=20, size=67).astype(dtype)
    for function in ("exp", "sigmoid", "tanh"):
        together = computed(function, x)
        alone = np.concatenate([computed(function, x[i : i + 1].copy()) for i in range(len(x))])
        assert together.tobytes() == alone.tobytes()
