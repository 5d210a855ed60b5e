"""The controller dies around and within every write of every kind of campaign; whoever takes over goes on as if nothing had been."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.events import StartTrial
from autoresearch_rl.testing.simulation import FakeRun
from autoresearch_rl.trial import Outcome, Status
from tests.controller.campaigns import ok
from tests.faults.world import KINDS, Point, Scenario, Story

SCENARIOS = [Scenario(kind, *size) for kind in KINDS for size in ((1, 0), (3, 0), (2, 3), (3, "auto"))]
TORN = (0.0, 0.5, 1.0)  # its first byte, half of it, all but its end
HOWS = ("before", "after", *TORN)


@dataclass(frozen=True, slots=True)
class Fault:
    """Where the controllers of a campaign die, one after the other."""

    scenario: Scenario
    points: tuple[Point, ...]

    def __str__(self) -> str:
        return f"{self.scenario}:{'+'.join(map(str, self.points))}"


def point(write: int, how: str | float) -> Point:
    return Point(write, "torn", how) if isinstance(how, float) else Point(write, how)  # type: ignore[arg-type]


@cache
def writes(scenario: Scenario) -> int:
    """How many writes the first controller of a campaign makes if nothing goes wrong."""
    with tempfile.TemporaryDirectory() as folder:
        return Story(scenario, Path(folder)).live().writes[0]


def every_fault() -> Iterator[Fault]:
    for scenario in SCENARIOS:
        for write, how in itertools.product(range(1, writes(scenario) + 1), HOWS):
            yield Fault(scenario, (point(write, how),))
        for write, second in itertools.product(range(2, writes(scenario) + 1, 3), range(1, 8)):  # again, during the takeover
            yield Fault(scenario, (point(write, "after"), point(second, HOWS[(write + second) % len(HOWS)])))


def some_faults() -> list[Fault]:
    """Six of each scenario: all ways of dying in turn, spread over the campaign, two of them followed by a second one."""
    chosen = []
    for index, scenario in enumerate(SCENARIOS):
        for step in range(6):
            write = 1 + (step * writes(scenario) // 6 + index) % writes(scenario)
            first = point(write, HOWS[(index + step) % len(HOWS)])
            again = (point(1 + (index + step) % 7, HOWS[(index // 5 + step) % len(HOWS)]),) if step % 3 == 2 else ()
            chosen.append(Fault(scenario, (first, *again)))
    return chosen


SOME = some_faults()


def check(fault: Fault, run_dir: Path) -> None:
    story = Story(fault.scenario, run_dir).live(*fault.points)
    assert story.crashes >= 1
    story.check()


def test_the_faults_are_many_and_distinct() -> None:
    assert len(set(SOME)) >= 280
    ways = {(len(fault.points), fault.points[0].when, fault.points[0].torn) for fault in SOME}
    assert len(ways) == 2 * len(HOWS)


@pytest.mark.parametrize("fault", SOME, ids=str)
def test_a_crash(fault: Fault, tmp_path: Path) -> None:
    check(fault, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_every_crash(scenario: Scenario, tmp_path: Path) -> None:
    faults = [fault for fault in every_fault() if fault.scenario == scenario]
    for index, fault in enumerate(faults):
        folder = tmp_path / str(index)
        folder.mkdir()
        check(fault, folder)


POINTS = st.builds(point, st.integers(1, 60), st.sampled_from(HOWS))
STATUSES = st.sampled_from([Status.OK, Status.OK, Status.FAILED, Status.TIMEOUT, Status.LOST, Status.REJECTED])


@given(
    scenario=st.sampled_from(SCENARIOS),
    points=st.lists(POINTS, max_size=5),
    statuses=st.lists(STATUSES, min_size=12, max_size=12),
    seconds=st.lists(st.sampled_from([0.0, 0.1, 1.0, 1.0, 9.0]), min_size=12, max_size=12),
    obeys_s=st.sampled_from([0.0, 0.1, 5.0]),
)
def test_whatever_happens_in_whatever_order(
    scenario: Scenario, points: list[Point], statuses: list[Status], seconds: list[float], obeys_s: float
) -> None:
    def run_trial(start: StartTrial) -> FakeRun:
        number, attempt = start.trial.number, start.trial.attempt
        usual = scenario.run_trial(start)
        status = statuses[(number + attempt) % 12] if number else Status.OK
        outcome = usual.outcome if status is Status.OK else Outcome(status=status, message="made up")
        if usual.outcome.status is Status.LOST and status is Status.OK:
            outcome = ok(1.0)
        takes_s = seconds[number % 12]
        reports = {takes_s * share: report for share, report in zip((0.25, 0.5, 0.75), usual.reports.values(), strict=False)}
        return FakeRun(seconds=takes_s, outcome=outcome, reports=reports, obeys_s=obeys_s)

    with tempfile.TemporaryDirectory() as folder:
        Story(scenario, Path(folder), run_trial).live(*points).check()
