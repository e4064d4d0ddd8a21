"""What the golden trainings cover: a covering design, in which any two levels of different factors meet.

A case is one level of each factor; its name lists them in the order of FACTORS. When a level is added, the
cases there are stay, and `completed` adds what is missing: so bits can be compared from version to version.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

FACTORS = {
    # The way of a minibatch through the kernels: see partition.pxi, and WAYS of trainings.py.
    "way": (
        "small",  # one tile, updated at once
        "one",  # a minibatch of one example
        "rows",  # direct, by rows of W
        "chains",  # … with more than one chain of examples
        "columns",  # the first W by columns, with a team of two
        "partials",  # one round of partial sums
        "rounds",  # by rows, with several rounds and several segments
        "segments",  # … with rounds as long as a segment
        "partial_rounds",  # partial sums with several rounds
        "partial_segments",  # … and several segments
    ),
    "hidden": (
        *("sigmoid", "tanh", "relu", "identity", "none"),
        *("leaky_relu", "elu", "selu", "softplus", "silu", "gelu"),
    ),
    "output": (
        "softmax+cross_entropy",
        "softmax+squared_error",
        "sigmoid+cross_entropy",
        "sigmoid+squared_error",
        "tanh+squared_error",
        "relu+squared_error",
        "identity+squared_error",
        "exp+poisson",
        "exp+gamma",
        "identity+absolute_error",
        "identity+huber",
        "identity+log_cosh",
        "identity+quantile",
        "silu+squared_error",
    ),
    "targets": ("labels", "matrix"),
    "optimizer": ("sgd", "momentum", "nesterov", "adam", "adamw", "nadam", "rmsprop", "adagrad"),
    "dtype": ("float32", "float64"),
    "weights": ("unweighted", "weighted"),
    "penalty": ("free", "l2"),
    "order": ("ordered", "shuffled"),
    # Arrays of the dtype, of another, or of another and memory-mapped.
    "source": ("ready", "cast", "mapped"),
    # Numbers of units: multiples of STRIP or of whole vectors, and one less or more; or one output.
    "width": ("under", "exact", "over", "unit"),
    "call": ("fit", "partial_fit"),
}
# Levels that exclude each other.
IMPOSSIBLE = {
    frozenset(pair)
    for pair in (
        (("targets", "labels"), ("width", "unit")),
        (("output", "softmax+cross_entropy"), ("width", "unit")),
        (("output", "softmax+squared_error"), ("width", "unit")),
        (("targets", "labels"), ("output", "exp+gamma")),  # whose targets are above 0
        # Without a hidden layer, these networks would be too small for their way …
        (("way", "chains"), ("hidden", "none")),
        (("way", "columns"), ("hidden", "none")),
        (("way", "segments"), ("hidden", "none")),
        (("way", "partial_rounds"), ("hidden", "none")),
        # … and a small network goes by rows where its examples are read by parts.
        (("way", "rounds"), ("source", "ready")),
        (("way", "rounds"), ("source", "cast")),
        (("way", "segments"), ("source", "mapped")),
        (("way", "partial_rounds"), ("source", "mapped")),
        (("way", "partial_segments"), ("source", "mapped")),
    )
}
# Ways that take many examples meet each level of these factors only, which keeps the suite quick.
LONG = ("rounds", "segments", "partial_rounds", "partial_segments")
MET_BY_LONG = ("dtype", "weights")
# What came later, and does nothing but what a row of a table says, meets the levels of these.
FIRST = {"hidden": 5, "output": 7, "optimizer": 4}
MET_BY_LATER = ("way", "dtype")
LATER = [(factor, level) for factor, n in FIRST.items() for level in FACTORS[factor][n:]]

Level = tuple[str, str]  # factor, level
Case = dict[str, str]  # factor: level


def wanted_pairs() -> list[frozenset[Level]]:
    """Pairs of levels that must meet."""
    levels = [(factor, level) for factor in FACTORS for level in FACTORS[factor]]
    return [frozenset(pair) for pair in combinations(levels, 2) if is_wanted(*pair)]


def is_wanted(first: Level, second: Level) -> bool:
    if first[0] == second[0] or frozenset((first, second)) in IMPOSSIBLE:
        return False
    for level, other in ((first, second), (second, first)):
        if level in LATER and other[0] not in MET_BY_LATER:
            return False
    return first not in [("way", way) for way in LONG] or second[0] in MET_BY_LONG


def name_of(case: Case) -> str:
    return " ".join(case[factor] for factor in FACTORS)


def case_of(name: str) -> Case | None:
    """The case of a name; None where it is not one of this design."""
    levels = name.split()
    if len(levels) != len(FACTORS) or any(
        level not in FACTORS[factor] for factor, level in zip(FACTORS, levels, strict=True)
    ):
        return None
    case = dict(zip(FACTORS, levels, strict=True))
    return None if IMPOSSIBLE & set(pairs_of(case)) else case


def pairs_of(case: Case) -> Iterator[frozenset[Level]]:
    return map(frozenset, combinations(case.items(), 2))


def missing(cases: Iterable[Case]) -> list[frozenset[Level]]:
    """Wanted pairs that meet in none of the cases."""
    met = {pair for case in cases for pair in pairs_of(case)}
    return [pair for pair in wanted_pairs() if pair not in met]


def completed(cases: Sequence[Case]) -> list[Case]:
    """The cases, and as many more as it takes for all wanted pairs to meet."""
    result = list(cases)
    used = Counter(level for case in result for level in case.items())
    left = missing(result)
    while left:
        result.append(next_case(left, used))
        used.update(result[-1].items())
        met = set(pairs_of(result[-1]))
        left = [pair for pair in left if pair not in met]
    return result


def next_case(left: list[frozenset[Level]], used: Counter[Level]) -> Case:
    """A case for the first pair that is left, and for many others.

    Factor by factor, it takes the level that meets the most of the levels taken before, in pairs that are
    left; among equals, the one that was used least.
    """
    open_pairs = set(left)
    case = dict(left[0])
    for factor in FACTORS:
        if factor not in case:
            ranks = {level: rank((factor, level), case, open_pairs, used) for level in FACTORS[factor]}
            case[factor] = max(ranks, key=ranks.__getitem__)
    return {factor: case[factor] for factor in FACTORS}


def rank(
    level: Level, case: Case, open_pairs: set[frozenset[Level]], used: Counter[Level]
) -> tuple[int, int, int]:
    met = [frozenset((level, other)) for other in case.items()]
    return -len(IMPOSSIBLE.intersection(met)), len(open_pairs.intersection(met)), -used[level]
