"""Crash anywhere, resume, and the campaign goes on as if nothing had happened; replay finds what is not as it was."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoresearch_rl.controller.journal import Journal, read
from autoresearch_rl.controller.keep.noise import NoiseRule
from autoresearch_rl.controller.resuming import replay, restore, takeover_events
from autoresearch_rl.errors import JournalError
from autoresearch_rl.events import AskPolicy, Decide, Entry, Interrupted, Proposed, Resumed, SettledEvent, StartTrial
from autoresearch_rl.testing.simulation import FakeRun, Simulation
from autoresearch_rl.trial import Outcome, Status, Trial
from tests.controller.campaigns import heavy_tail, ok, opened, simulation

SIZES: list[dict[str, Any]] = [
    {"concurrency": 1, "max_trials": 8, "lookahead": 0},
    {"concurrency": 3, "max_trials": 12, "lookahead": 0},
    {"concurrency": 2, "max_trials": 10, "lookahead": 3},
]


def spawned(_: Trial) -> bool:
    return True


def whole(tmp_path: Path, run_trial: Any = heavy_tail, **settings: Any) -> Simulation:
    sim = simulation(tmp_path, run_trial, **settings, driver={"ask_s": lambda _: 0.3})
    sim.run([opened(sim, tmp_path)])
    return sim


def taken_up(
    tmp_path: Path, entries: Sequence[Entry], run_trial: Any = heavy_tail, limits: Any = None, **settings: Any
) -> Simulation:
    """The campaign after a crash that left these entries, taken up on the virtual clock but not yet run."""
    sim = simulation(tmp_path, run_trial, **settings, driver={"ask_s": lambda _: 0.3})
    opened(sim, tmp_path)
    missing = replay(sim.campaign, entries)
    sim.entries = list(entries)
    sim.now_s = entries[-1].elapsed_s
    for effect in missing:
        sim._write(effect)
    sim.begin = takeover_events(sim.entries, limits or {}, spawned)  # type: ignore[attr-defined]
    return sim


def go_on(sim: Simulation) -> Simulation:
    sim.run(sim.begin)  # type: ignore[attr-defined]
    return sim


def check_replays(tmp_path: Path, sim: Simulation, **settings: Any) -> None:
    fresh = simulation(tmp_path, **settings)
    opened(fresh, tmp_path)

    def answer(effect: AskPolicy, elapsed_s: float) -> Proposed:
        return fresh.proposer.answer(effect, fresh.campaign.log.view(), fresh.campaign.budget(elapsed_s))

    assert replay(fresh.campaign, sim.entries, answer) == []


def story(sim: Simulation) -> list[tuple[int, float, str]]:
    """What was tried and decided, in order."""
    found = {s.trial.number: s for s in sim.campaign.log.settled}
    return [(d.candidate, float(found[d.candidate].trial.proposal.params["x"]), d.reason) for d in sim.campaign.log.decisions]


@pytest.mark.parametrize("size", SIZES)
def test_a_crash_after_any_journal_line(tmp_path: Path, size: dict[str, Any]) -> None:
    straight = whole(tmp_path, **size)
    for cut in range(1, len(straight.entries) + 1):
        before = straight.entries[:cut]
        sim = go_on(taken_up(tmp_path, before, **size))
        numbers = sorted(s.trial.number for s in sim.campaign.log.settled)
        assert numbers == list(range(size["max_trials"])), f"cut after {cut}"
        assert sim.entries[:cut] == before, "nothing that was written changes"
        check_replays(tmp_path, sim, **size)
        if size["concurrency"] == 1:
            assert story(sim) == story(straight), f"cut after {cut}"


def test_many_crashes_in_a_row(tmp_path: Path) -> None:
    size = SIZES[1]
    entries = whole(tmp_path, **size).entries[:2]
    for crash in range(40):
        sim = taken_up(tmp_path, entries, max_attempts=10**6, **size)
        try:
            sim.run(sim.begin, most_events=len(sim.entries) + 4 + crash)  # type: ignore[attr-defined]
            break
        except AssertionError:
            entries = sim.entries
    else:
        sim = go_on(taken_up(tmp_path, entries, max_attempts=10**6, **size))
    assert sorted(s.trial.number for s in sim.campaign.log.settled) == list(range(12))
    check_replays(tmp_path, sim, max_attempts=10**6, **size)


def test_after_an_interrupt_nothing_counts_as_lost(tmp_path: Path) -> None:
    size = {"concurrency": 2, "max_trials": 9, "max_attempts": 1}
    sim = simulation(tmp_path, **size, driver={"at": [(4.0, Interrupted(signal=2))]})
    assert sim.run([opened(sim, tmp_path)]).interrupted
    again = go_on(taken_up(tmp_path, sim.entries, **size))
    assert sorted(s.trial.number for s in again.campaign.log.settled) == list(range(9))
    assert {s.outcome.status for s in again.campaign.log.settled} == {Status.OK}


def test_limits_can_be_raised_and_hold_after_the_next_resume(tmp_path: Path) -> None:
    size = SIZES[0]
    straight = whole(tmp_path, **size)
    longer = go_on(taken_up(tmp_path, straight.entries, limits={"max_trials": 12, "concurrency": 3}, **size))
    assert len(longer.campaign.log.settled) == 12
    check_replays(tmp_path, longer, **size)
    again = go_on(taken_up(tmp_path, longer.entries, **size))
    assert len(again.campaign.log.settled) == 12
    assert again.stop is not None
    assert again.stop.reason.startswith("all 12 trials are done")


def running_alone(entries: Sequence[Entry]) -> bool:
    running: set[int] = set()
    for entry in entries:
        if isinstance(entry.record, StartTrial):
            running.add(entry.record.trial.number)
            if len(running) > 1:
                return False
        elif isinstance(entry.record, SettledEvent):
            running.discard(entry.record.number)
    return True


def runs_until_the_host_dies(sim: Simulation, begin: Sequence[Any]) -> bool:
    """Runs to the end (True), or until trial 3 has run for a second, which kills the host (False)."""
    for event in begin:
        sim.post(event)
    begun_s = math.inf
    while sim.stop is None:
        if 3 not in sim.campaign._running:
            begun_s = math.inf
        elif begun_s == math.inf:
            begun_s = sim.now_s
        if sim._heap[0][0] > begun_s + 1.0:
            return False
        sim.now_s, _, event = heapq.heappop(sim._heap)
        if not sim._stale(event):
            sim.post(event)
    return True


def test_a_trial_that_takes_the_host_down_fails_alone(tmp_path: Path) -> None:
    """Trial 3 kills the host whenever it has run for a second; its neighbours must not be condemned with it."""
    size = {"concurrency": 3, "max_trials": 8, "lookahead": 0}

    def run_trial(start: StartTrial) -> FakeRun:
        return FakeRun(seconds=50.0 if start.trial.number == 3 else 5.0, outcome=ok(1.0, elapsed_s=5.0))

    sim = simulation(tmp_path, run_trial, **size)
    begin: Sequence[Any] = [opened(sim, tmp_path)]
    crashes = 0
    while not runs_until_the_host_dies(sim, begin):
        crashes += 1
        assert crashes < 10
        sim = taken_up(tmp_path, sim.entries, run_trial, **size)
        begin = sim.begin  # type: ignore[attr-defined]
    by_number = {s.trial.number: s.outcome.status for s in sim.campaign.log.settled}
    assert by_number[3] is Status.FAILED
    assert [n for n, status in by_number.items() if status is not Status.OK] == [3]
    assert crashes == 3
    third = [i for i, e in enumerate(sim.entries) if isinstance(e.record, Resumed)][1]
    until = next(i for i, e in enumerate(sim.entries) if i > third and isinstance(e.record, Resumed))
    assert running_alone(sim.entries[third:until]), "after the second loss the suspects run one at a time"


@pytest.mark.parametrize("kind", [Decide, StartTrial, AskPolicy, Proposed, SettledEvent])
def test_replay_names_the_first_difference(tmp_path: Path, kind: type[Any]) -> None:
    sim = whole(tmp_path, **SIZES[0])
    index = [i for i, e in enumerate(sim.entries) if isinstance(e.record, kind)][2]
    record = sim.entries[index].record
    changed: Any
    match record:
        case Decide(decision=decision):
            changed = replace(record, decision=replace(decision, verdict="undecided"))
        case StartTrial(trial=trial):
            changed = replace(record, trial=replace(trial, seed=7))
        case AskPolicy():
            changed = replace(record, count=5)
        case Proposed(proposals=proposals):
            changed = replace(record, proposals=tuple(replace(p, params={"x": 0.123}) for p in proposals))
        case _:
            changed = replace(record, outcome=Outcome(status=Status.OK, score=-9.0, metrics={"loss": -9.0}))
    entries = [*sim.entries[:index], replace(sim.entries[index], record=changed), *sim.entries[index + 1 :]]
    fresh = simulation(tmp_path, **SIZES[0])
    opened(fresh, tmp_path)

    def answer(effect: AskPolicy, elapsed_s: float) -> Proposed:
        return fresh.proposer.answer(effect, fresh.campaign.log.view(), fresh.campaign.budget(elapsed_s))

    line = index + 1 if not isinstance(record, SettledEvent) else index + 2
    with pytest.raises(JournalError, match=rf"^line {line}: "):
        replay(fresh.campaign, entries, answer)


def test_a_missing_effect_in_the_middle_is_named(tmp_path: Path) -> None:
    sim = whole(tmp_path, **SIZES[0])
    index = next(i for i, e in enumerate(sim.entries) if isinstance(e.record, Decide))
    entries = sim.entries[:index] + sim.entries[index + 1 :]
    fresh = simulation(tmp_path, **SIZES[0])
    opened(fresh, tmp_path)
    with pytest.raises(JournalError, match="the same events now lead to"):
        replay(fresh.campaign, entries)


def test_restore_writes_what_was_decided_and_not_yet_written(tmp_path: Path) -> None:
    size = SIZES[0]
    straight = whole(tmp_path, **size)
    index = next(i for i, e in enumerate(straight.entries) if isinstance(e.record, Decide))
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with Journal(run_dir) as journal:
        for entry in straight.entries[:index]:
            journal.append(entry.record, entry.elapsed_s)
    fresh = simulation(tmp_path, **size)
    opened(fresh, tmp_path)
    with Journal(run_dir) as journal:
        entries = restore(fresh.campaign, list(read(run_dir)), journal)
    assert [e.record for e in entries[index:]] == [e.record for e in straight.entries[index : index + 2]]
    assert [e.record for e in read(run_dir)] == [e.record for e in entries]


def noisy(start: StartTrial) -> FakeRun:
    """Every fourth candidate is better; the noise depends on candidate and seed."""
    trial = start.trial
    candidate = trial.candidate
    noise = float(np.random.default_rng((candidate, trial.seed)).normal())
    return FakeRun(seconds=1.0 + trial.number % 3, outcome=ok(noise - (5.0 if candidate % 4 == 3 else 0.0), elapsed_s=1.0))


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_crash_among_repeats(tmp_path: Path, concurrency: int) -> None:
    rule = NoiseRule("loss", alpha=0.5, confirm_share=0.6)
    size = {"concurrency": concurrency, "max_trials": 18, "lookahead": 0, "keep": rule}
    straight = whole(tmp_path, noisy, **size)
    assert straight.campaign.log.view().confirmed in (3, 7, 11)
    for cut in range(1, len(straight.entries) + 1):
        sim = go_on(taken_up(tmp_path, straight.entries[:cut], noisy, **size))
        numbers = sorted(s.trial.number for s in sim.campaign.log.settled)
        assert numbers == list(range(18)), f"cut after {cut}"
        check_replays(tmp_path, sim, **size)
        if concurrency == 1:
            assert story(sim) == story(straight), f"cut after {cut}"


def test_with_more_trials_the_keep_rule_has_more_to_spend(tmp_path: Path) -> None:
    size = {"concurrency": 1, "max_trials": 24, "lookahead": 0, "keep": NoiseRule("loss")}
    short = whole(tmp_path, noisy, **size)
    assert short.campaign.log.view().confirmed == 0
    longer = go_on(taken_up(tmp_path, short.entries, noisy, limits={"max_trials": 80}, **size))
    assert longer.campaign.log.view().confirmed != 0
    check_replays(tmp_path, longer, **size)


def test_a_resume_with_fewer_trials_than_are_done_says_how_many_there_are(tmp_path: Path) -> None:
    straight = whole(tmp_path, max_trials=6)
    lower = go_on(taken_up(tmp_path, straight.entries, limits={"max_trials": 4}, max_trials=6))
    assert lower.stop is not None
    assert lower.stop.reason == "6 trials are done already, and controller.max_trials=4 allows no more"
    same = go_on(taken_up(tmp_path, lower.entries, limits={"max_trials": 6}, max_trials=6))
    assert same.stop is not None
    assert same.stop.reason == "all 6 trials are done (controller.max_trials)"
    check_replays(tmp_path, same, max_trials=6)
