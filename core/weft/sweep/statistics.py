"""Scores over seeds: how well each setting does, how sure that is, and which settings can't be told apart from the best one.

Jobs that differ in their seeds only repeat one setting. Both `seed` and `split_seed` are such: a repetition is a pair of
them, and repetitions of two settings with equal pairs had the same split, and the same initial weights and order as far as
the settings allow. So they are compared pair by pair, which takes out what all settings owe to a lucky seed or an easy
split.

Which test. Seeds are few, three to ten. Wilcoxon's signed-rank test knows only the order of n differences: none of its
two-sided p is below 2/2**n, so that with fewer than six pairs nothing at all would be told apart at 0.05, corrected or not.
Student's t has no such floor, and holds its level down to n = 2 where differences are about normal (J. C. F. de Winter,
"Using the Student's t-test with extremely small sample sizes", Practical Assessment, Research & Evaluation 18(10), 2013).
Welch's, for settings without common seeds, needs no equal variances; C. Colas, O. Sigaud and P.-Y. Oudeyer advise it for
scores over seeds ("A Hitchhiker's Guide to Statistical Comparisons of Reinforcement Learning Algorithms", 2019).

How many comparisons. Each of k settings is held against the best one, and the k-1 p-values are corrected by Holm's steps
(S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979). The best
one is known from the same scores, so what is promised is this: the setting that is best in truth is the first, or is not
told apart from it, in at least 95 % of sweeps (S. S. Gupta's subset selection, Technometrics 7, 1965; 97 % in all draws of
ten settings that were tried). It is not promised that settings which are all equal look so: of ten such, the luckiest is
told apart from some other in an eighth of draws.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SEEDS = ("seed", "split_seed")
"""The keys that jobs which repeat one setting differ in."""
CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
FEW = 5
"""With fewer repetitions intervals are wide and tests weak: that is worth a warning."""
_ROUNDING = 1e-12
"""Differences below this share of the scores are those of rounding."""

Seeds = tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """What n scores say of a setting: their mean, their standard deviation (over n-1) and the 95 % confidence interval of the
    mean by Student's t, from `low` to `high`. NaN where n is too small for it."""

    n: int
    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """One setting against the best one: the test, paired or Welch; the repetitions that it goes by, of the smaller setting; its
    two-sided p, and that corrected for the number of comparisons."""

    test: str
    n: int
    p: float
    corrected: float

    @property
    def is_told_apart(self) -> bool:
        return self.corrected <= SIGNIFICANCE


def seeds(choices: Mapping[str, str]) -> Seeds:
    """Return which repetition a job is."""
    return tuple(choices.get(key, "") for key in SEEDS)


def grouped(jobs: Iterable[Mapping[str, str]]) -> list[list[int]]:
    """Return the places of jobs that differ in their seeds only, group by group, in the order of each group's first."""
    found: dict[frozenset[tuple[str, str]], list[int]] = {}
    for place, choices in enumerate(jobs):
        found.setdefault(frozenset(item for item in choices.items() if item[0] not in SEEDS), []).append(place)
    return list(found.values())


def by_seeds(jobs: Iterable[tuple[Seeds, float | None]]) -> dict[Seeds, float]:
    """Return one score for each repetition, without those that have none or none that is finite. Jobs of the same seeds are no
    repetitions of each other: they count once, with their mean."""
    found: dict[Seeds, list[float]] = {}
    for key, score in jobs:
        if score is not None and math.isfinite(score):
            found.setdefault(key, []).append(score)
    return {key: statistics.mean(scores) for key, scores in found.items()}


def warm() -> None:
    """Import what calculates."""
    import scipy.special  # noqa: F401


def estimate(scores: Iterable[float]) -> Estimate:
    """Return what finite scores say of their setting."""
    found = [*scores]
    if len(found) < 2:
        return Estimate(len(found), found[0] if found else math.nan, math.nan, math.nan, math.nan)
    from scipy.special import stdtrit

    mean, deviation = statistics.mean(found), statistics.stdev(found)
    half = float(stdtrit(len(found) - 1, (1 + CONFIDENCE) / 2)) * deviation / math.sqrt(len(found))
    return Estimate(len(found), mean, deviation, mean - half, mean + half)


def against_first(settings: Sequence[Mapping[Seeds, float]]) -> list[Comparison | None]:
    """Return each setting's comparison with the first, which is the best of them; None for the first itself and where there are
    too few scores to test.

    Two settings with two or more repetitions in common are compared by these, paired; others by Welch's test of all.
    """
    tests = [_tested(settings[0], other) for other in settings[1:]]
    corrected = iter(holm([p for _, _, p in filter(None, tests)]))
    return [None] * bool(settings) + [None if test is None else Comparison(*test, next(corrected)) for test in tests]


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values, in their order, corrected for how many they are by Holm's steps."""
    found = [math.nan] * len(values)
    highest = 0.0
    for step, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - step) * values[place]))
        found[place] = highest
    return found


def _tested(one: Mapping[Seeds, float], other: Mapping[Seeds, float]) -> tuple[str, int, float] | None:
    """Return the test, the repetitions that it goes by, and its p."""
    rounding = _ROUNDING * max(map(abs, [*one.values(), *other.values()]), default=0.0)
    common = [key for key in one if key in other]
    if len(common) >= 2:
        differences = [one[key] - other[key] for key in common]
        known = _certain(differences, [0.0], rounding)
        return "paired", len(common), _paired(differences) if known is None else known
    if min(len(one), len(other)) < 2:
        return None
    known = _certain([*one.values()], [*other.values()], rounding)
    p = _welch(estimate(one.values()), estimate(other.values())) if known is None else known
    return "Welch", min(len(one), len(other)), p


def _paired(differences: Sequence[float]) -> float:
    n = len(differences)
    return _two_sided(statistics.mean(differences) / statistics.stdev(differences) * math.sqrt(n), n - 1)


def _welch(one: Estimate, other: Estimate) -> float:
    """After B. L. Welch, "The generalization of 'Student's' problem", Biometrika 34, 1947."""
    errors = [one.deviation**2 / one.n, other.deviation**2 / other.n]
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / (one.n - 1) + errors[1] ** 2 / (other.n - 1))
    return _two_sided((one.mean - other.mean) / math.sqrt(sum(errors)), freedom)


def _two_sided(t: float, freedom: float) -> float:
    """Return how likely a t as far from zero is. `scipy.stats` says the same, and takes 0.7 s to import."""
    from scipy.special import stdtr

    return 2 * float(stdtr(freedom, -abs(t)))


def _certain(some: Sequence[float], others: Sequence[float], rounding: float) -> float | None:
    """Return p where seeds make no difference at all, so that there is nothing to test: 1 for equal scores, else 0."""
    if max(max(values) - min(values) for values in (some, others)) > rounding:
        return None
    return float(abs(some[0] - others[0]) <= rounding)
