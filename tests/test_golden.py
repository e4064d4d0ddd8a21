"""The promise: bits stay from one version to the next, but where a commit changes them and says why.

tests/golden/ has the trainings, what they cover and the hashes of what they give.
"""

import sys
from pathlib import Path

import pytest

from cbp import functions, kernels

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))
try:
    import design
    import remake
finally:
    sys.path.remove(str(GOLDEN))


@pytest.mark.parametrize("isa", kernels.available())
def test_bits(isa):
    expected = remake.read().get(remake.owner(isa))
    if expected is None:
        pytest.skip(f"no hashes for {isa}: `python tests/golden/remake.py` writes those of this machine")
    changed = remake.differences(expected, remake.measured(isa, expected))
    if changed:
        message = [
            f"With {isa}, the bits of {len(changed)} of {len(expected)} trainings have changed:",
            *(f"  {line}" for line in changed),
            "Bits change only in a commit that says why; `python tests/golden/remake.py` writes new ones.",
        ]
        pytest.fail("\n".join(message), pytrace=False)


def test_any_two_levels_meet():
    names = next(iter(remake.read().values()))
    cases = {name: design.case_of(name) for name in names}
    assert [name for name, case in cases.items() if case is None] == []
    assert design.missing(cases.values()) == [], "`python tests/golden/remake.py` adds cases"


def test_every_activation_and_loss_is_covered():
    outputs = [output.split("+") for output in design.FACTORS["output"]]
    assert set(design.FACTORS["hidden"]) - {"none"} == set(functions.HIDDEN)
    assert {activation for activation, _ in outputs} >= {
        "softmax",
        "sigmoid",
        "tanh",
        "relu",
        "identity",
        "exp",
    }
    assert {loss for _, loss in outputs} == set(functions.LOSSES)
