"""Evidence of paired scores: at most 1 on average where the edit changes nothing, whenever one stops."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.controller.keep.evidence import Evidence, threshold

SIZES = st.lists(st.floats(0, 1e6) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=7)


def after(differences: Iterable[float]) -> Evidence:
    found = Evidence()
    for difference in differences:
        found.add(difference)
    return found


def evidence(differences: Iterable[float]) -> float:
    return after(differences).value


@given(SIZES)
def test_its_mean_over_all_signs_is_one(sizes: list[float]) -> None:
    """So it is a martingale for every symmetric distribution, whatever the sizes."""
    signs = itertools.product((-1, 1), repeat=len(sizes))
    values = [evidence([sign * size for sign, size in zip(chosen, sizes, strict=True)]) for chosen in signs]
    assert sum(values) / len(values) == pytest.approx(1.0)


@given(SIZES, st.floats(0, 1e6), st.data())
def test_a_worse_last_difference_is_less_evidence(sizes: list[float], worse: float, data: st.DataObject) -> None:
    differences = [data.draw(st.sampled_from([-1, 1])) * size for size in sizes]
    assert evidence([*differences[:-1], differences[-1] - worse]) <= evidence(differences) * (1 + 1e-12)


@given(SIZES, st.floats(0.001, 1000))
def test_the_unit_does_not_matter(sizes: list[float], unit: float) -> None:
    scaled = [size * unit for size in sizes]
    if all(size == 0 or size > 1e-100 for size in scaled + sizes):
        assert evidence(scaled) == pytest.approx(evidence(sizes))


def test_no_pair_and_equal_pairs_say_nothing() -> None:
    assert evidence([]) == evidence([0.0, 0.0]) == 1.0
    assert evidence([1.0, 0.0]) == evidence([1.0])


@pytest.mark.parametrize("draw", ["normal", "standard_cauchy", "laplace"])
def test_the_chance_of_ever_reaching_a_threshold_keeps_to_it(draw: str) -> None:
    rng = np.random.default_rng(0)
    runs, bar = 1500, 10.0
    reached = 0
    for differences in getattr(rng, draw)(size=(runs, 30)):
        so_far = list(differences)
        reached += any(evidence(so_far[:count]) >= bar for count in range(1, 31))
    assert reached / runs <= 1 / bar + 3 * math.sqrt(0.1 * 0.9 / runs)


@given(st.lists(st.floats(-10, 10), max_size=6), st.floats(1.5, 1e4))
def test_the_wins_needed_are_enough_and_no_fewer_are(differences: list[float], bar: float) -> None:
    wins = int(after(differences).wins_needed(bar))
    size = math.sqrt(sum(d * d for d in differences) / len(differences)) if any(differences) else 1.0
    if wins and (size > 1e-3) and 0.0 not in differences:
        assert evidence([*differences, *[size] * wins]) >= bar * (1 - 1e-9)
        assert evidence([*differences, *[size] * (wins - 1)]) < bar * (1 + 1e-9)
    if not wins:
        assert evidence(differences) >= bar


def test_after_too_many_losses_no_wins_are_enough() -> None:
    lost = after([*[0.01, -0.01] * 250, -1e9])
    assert lost.value == 0.0
    assert lost.wins_needed(40.0) == math.inf


def test_tests_share_alpha() -> None:
    shares = [Fraction(1, round(threshold(1.0, test))) for test in range(1, 1000)]
    assert sum(shares) == 1 - Fraction(1, 1000)
    assert threshold(0.05, 1) == pytest.approx(40)
