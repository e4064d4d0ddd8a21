"""The promise: cbp shares a process with others that bring an OpenMP runtime, in any order of import.

Each has a copy of its own: libgomp in a wheel of cbp, others in PyTorch's and scikit-learn's, and OpenBLAS's
threads in NumPy's. CBP_NEIGHBOURS names those to be tested; each takes seconds to import, so by default one.
"""

import itertools
import os
import subprocess
import sys

import pytest

NEIGHBOURS = os.environ.get("CBP_NEIGHBOURS", "numpy").split()

# Each library computes on threads of its own, before and after cbp, whose bits must not notice.
PROGRAM = """
import sys
names = sys.argv[1].split(",")
for name in names:
    __import__(name)
import cbp, hashlib, numpy as np

def torch_works():
    import torch
    a = torch.ones(300, 300, requires_grad=True)
    (a @ a).sum().backward()
    assert torch.all(a.grad == 600)

def sklearn_works():
    from sklearn.ensemble import HistGradientBoostingClassifier
    y = np.arange(600) % 2
    x = y.reshape(-1, 1)
    assert HistGradientBoostingClassifier(max_iter=3).fit(x, y).score(x, y) == 1

def numpy_works():
    a = np.ones((300, 300))
    assert (a @ a == 300).all()

work = {"torch": torch_works, "sklearn": sklearn_works, "numpy": numpy_works, "cbp": lambda: None}
rng = np.random.default_rng(0)
X, y = rng.normal(size=(3000, 60)).astype("f4"), rng.integers(0, 10, 3000)
digest = hashlib.sha256()
net = cbp.Network([60, 90, 10], rng=1, n_threads=3)
for batch in (64, 700):
    for name in names:
        work[name]()
    net.fit(X, y, epochs=2, batch_size=batch)
    digest.update(net.parameters.tobytes() + net.predict(X).tobytes())
for name in names:
    work[name]()
print(digest.hexdigest())
"""


def result(names):
    """What the program prints; sixty seconds are for a machine that others use too."""
    command = [sys.executable, "-c", PROGRAM, ",".join(names)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def alone():
    return result(["cbp"])


@pytest.mark.unsanitized  # the others are not built for it
@pytest.mark.parametrize("names", list(itertools.permutations(["cbp", *NEIGHBOURS])), ids="-".join)
def test_same_bits_in_any_order_of_import(names, alone):
    assert result(names) == alone
