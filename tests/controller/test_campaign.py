"""The reducer, driven by the virtual clock."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.controller.cancel.forecast import ForecastRule
from autoresearch_rl.controller.keep.noise import NoiseRule
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.events import (
    AskPolicy,
    Decide,
    Interrupted,
    OrderTrial,
    Proposed,
    Requested,
    SettledEvent,
    StartTrial,
    StopCampaign,
)
from autoresearch_rl.testing.simulation import FakeRun, Simulation
from autoresearch_rl.trial import Curve, Order, Outcome, Progress, Proposal, Status
from tests.controller.campaigns import Condemning, Scripted, Uniform, heavy_tail, ok, opened, records, simulation


def play(sim: Simulation, tmp_path: Path) -> StopCampaign:
    return sim.run([opened(sim, tmp_path)])


def most_at_once(sim: Simulation) -> int:
    running = most = 0
    for entry in sim.entries:
        running += isinstance(entry.record, StartTrial)
        running -= isinstance(entry.record, SettledEvent)
        most = max(most, running)
    return most


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_runs_all_trials_with_so_many_at_once(tmp_path: Path, concurrency: int) -> None:
    sim = simulation(tmp_path, concurrency=concurrency)
    stop = play(sim, tmp_path)
    assert stop.reason == "all 20 trials are done (controller.max_trials)"
    assert sorted(s.trial.number for s in sim.campaign.log.settled) == list(range(20))
    assert most_at_once(sim) == concurrency


def test_baseline_starts_alone_with_the_defaults_and_the_users_files(tmp_path: Path) -> None:
    sim = simulation(tmp_path, concurrency=4)
    play(sim, tmp_path)
    kinds = [type(entry.record) for entry in sim.entries[:5]]
    assert kinds[1] is StartTrial
    first = sim.entries[1].record
    assert isinstance(first, StartTrial)
    assert first.trial.number == 0
    assert first.trial.proposal.params == {"x": 0.5}
    assert kinds[2] is SettledEvent, "nothing starts beside the baseline"


def test_effects_follow_their_event_and_a_settlement_is_decided_before_the_next_ask(tmp_path: Path) -> None:
    sim = simulation(tmp_path)
    play(sim, tmp_path)
    for index, entry in enumerate(sim.entries):
        if isinstance(entry.record, SettledEvent):
            after = [type(e.record) for e in sim.entries[index + 1 : index + 3]]
            assert Decide in after
    for ask in records(sim, AskPolicy):
        position = next(i for i, e in enumerate(sim.entries) if e.record is ask)
        assert ask.seen < position


def test_same_seed_same_campaign(tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        sim = simulation(tmp_path, concurrency=3, seed=7)
        play(sim, tmp_path)
        runs.append(sim.entries)
    assert runs[0] == runs[1]
    other = simulation(tmp_path, concurrency=3, seed=8)
    play(other, tmp_path)
    assert other.entries != runs[0]


def test_repeats_share_seeds_by_index(tmp_path: Path) -> None:
    def again(ask: Any) -> list[Proposal]:
        number = len(ask.history)
        if number in (1, 4):  # a new candidate, then two measurements more of it
            return [Proposal(params={"x": 0.1 * number})]
        return [Proposal(params={"x": 0.1 * (1 if number < 4 else 4)}, repeat_of=1 if number < 4 else 4)]

    sim = simulation(tmp_path, policy=Scripted(again), max_trials=7)
    play(sim, tmp_path)
    seeds = [s.trial.seed for s in sim.campaign.log.settled]
    assert seeds[1:4] == seeds[4:7], "the k-th measurement of every candidate has the same seed"
    assert seeds[0] == seeds[1]
    assert len(set(seeds[1:4])) == 3
    candidate = sim.campaign.log.view().candidate(4)
    assert candidate is not None
    assert candidate.n == 3


def test_failed_baseline_ends_the_campaign(tmp_path: Path) -> None:
    sim = simulation(tmp_path, lambda _: FakeRun(seconds=1, outcome=Outcome(status=Status.FAILED, message="boom\nTraceback")))
    stop = play(sim, tmp_path)
    assert stop.failed
    assert stop.reason.startswith("the baseline (trial 0) has no score: boom")
    assert len(records(sim, StartTrial)) == 1


def test_failed_baseline_may_be_allowed(tmp_path: Path) -> None:
    def run_trial(start: StartTrial) -> FakeRun:
        failed = Outcome(status=Status.FAILED, message="boom")
        return FakeRun(seconds=1, outcome=failed) if start.trial.number == 0 else heavy_tail(start)

    sim = simulation(tmp_path, run_trial, require_baseline=False)
    assert not play(sim, tmp_path).failed
    assert len(sim.campaign.log.settled) == 20


def test_exhausted_space_ends_after_the_running_trials(tmp_path: Path) -> None:
    sim = simulation(tmp_path, policy=Uniform(left=6), concurrency=3, max_trials=None)
    assert play(sim, tmp_path).reason == "search space exhausted"
    assert len(sim.campaign.log.settled) == 6


def test_failure_rate_counts_failures_but_not_cancelled_or_lost(tmp_path: Path) -> None:
    def run_trial(status: Status) -> Any:
        def made_up(start: StartTrial) -> FakeRun:
            outcome = ok(1.0) if start.trial.number == 0 else Outcome(status=status, message="why")
            return FakeRun(seconds=1, outcome=outcome)

        return made_up

    failing = simulation(tmp_path, run_trial(Status.FAILED), max_trials=100, failure_window=5, max_failure_rate=0.5)
    stop = play(failing, tmp_path)
    assert "5 of the last 5 trials failed" not in stop.reason, "it ends as soon as the rate is passed"
    assert "of the last 5 trials failed (controller.max_failure_rate=0.5); the last one: why" in stop.reason
    cancelled = simulation(tmp_path, run_trial(Status.CANCELLED), max_trials=30, failure_window=5, max_failure_rate=0.5)
    assert play(cancelled, tmp_path).reason.startswith("all 30 trials are done")


def test_patience_and_wall_time(tmp_path: Path) -> None:
    flat = simulation(tmp_path, lambda _: FakeRun(seconds=1, outcome=ok(1.0)), max_trials=None, patience=7)
    assert play(flat, tmp_path).reason == "no improvement in the last 7 trials (controller.patience)"
    assert len(flat.campaign.log.settled) == 8
    timed = simulation(tmp_path, lambda _: FakeRun(seconds=1, outcome=ok(1.0)), max_trials=None, max_wall_s=10.5, concurrency=2)
    assert play(timed, tmp_path).reason == "10.5 s are over (controller.max_wall_s)"
    assert all(s.outcome.status is Status.OK for s in timed.campaign.log.settled), "running trials end normally"


def test_lost_trials_start_again_and_fail_after_max_attempts(tmp_path: Path) -> None:
    def run_trial(start: StartTrial) -> FakeRun:
        lost = Outcome(status=Status.LOST, message="host died")
        again = start.trial.number == 3 or (start.trial.number == 2 and start.trial.attempt < 3)
        return FakeRun(seconds=1, outcome=lost) if again else heavy_tail(start)

    sim = simulation(tmp_path, run_trial, concurrency=2)
    play(sim, tmp_path)
    by_number = {s.trial.number: s for s in sim.campaign.log.settled}
    assert len(by_number) == 20
    assert by_number[2].outcome.status is Status.OK
    assert by_number[2].trial.attempt == 3
    assert by_number[3].outcome.status is Status.FAILED
    assert by_number[3].outcome.message == "lost 3 times, the last time: host died"


def test_interrupt_orders_running_trials_to_stop_and_starts_no_more(tmp_path: Path) -> None:
    sim = simulation(
        tmp_path,
        lambda _: FakeRun(seconds=10, outcome=ok(1.0)),
        concurrency=3,
        driver={"at": [(25.0, Interrupted(signal=2))]},
    )
    stop = play(sim, tmp_path)
    assert (stop.interrupted, stop.signal, stop.failed) == (True, 2, False)
    assert {order.order.kind for order in records(sim, OrderTrial)} == {"stop"}
    assert len(records(sim, OrderTrial)) == 3
    lost = [e for e in records(sim, SettledEvent) if e.outcome.status is Status.LOST]
    assert len(lost) == 3
    assert all(event.interrupted for event in lost)
    assert {trial.attempt for trial in sim.campaign.log.view().pending} == {2}, "they wait for resume, and count as no loss"


def test_second_interrupt_kills(tmp_path: Path) -> None:
    def run_trial(start: StartTrial) -> FakeRun:
        return FakeRun(seconds=10, outcome=ok(1.0), obeys_s=1000)

    at = [(25.0, Interrupted(signal=15)), (26.0, Interrupted(signal=15, again=True))]
    sim = simulation(tmp_path, run_trial, concurrency=2, driver={"at": at})
    assert play(sim, tmp_path).signal == 15
    assert sim.now_s == 26.0
    assert [order.kill for order in records(sim, OrderTrial)] == [False, False, True, True]


def test_stop_request_ends_like_an_interrupt(tmp_path: Path) -> None:
    at = [(5.0, Requested(request="stop"))]
    sim = simulation(tmp_path, lambda _: FakeRun(seconds=10, outcome=ok(1.0)), driver={"at": at})
    stop = play(sim, tmp_path)
    assert (stop.reason, stop.interrupted, stop.signal) == ("stopped on request", True, 0)


def test_policy_errors_end_the_campaign_after_three_in_a_row(tmp_path: Path) -> None:
    def broken(_: Any) -> list[Proposal]:
        raise ValueError("no idea")

    def good(ask: Any) -> list[Proposal]:
        return [Proposal(params={"x": 0.1})]

    recovering = simulation(tmp_path, policy=Scripted(broken, broken, good, broken, broken, good), max_trials=5)
    assert not play(recovering, tmp_path).failed
    failing = simulation(tmp_path, policy=Scripted(broken))
    stop = play(failing, tmp_path)
    assert stop.failed
    assert stop.reason == "the policy failed 3 times in a row: ValueError: no idea"


@pytest.mark.parametrize("params", [{}, {"x": 2.0}, {"x": "a"}, {"x": 0.1, "y": 1}, {"x": float("nan")}])
def test_proposals_outside_the_space_are_errors(tmp_path: Path, params: dict[str, Any]) -> None:
    sim = simulation(tmp_path, policy=Scripted(lambda _: [Proposal(params=params)]))
    stop = play(sim, tmp_path)
    assert stop.failed
    assert "not in the search space" in stop.reason


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"parent": 99}, "parent=99, which is no trial"),
        ({"repeat_of": 99}, "repeat_of=99, which is no trial"),
        ({"memo": {"generation": np.int64(3)}}, "JSON cannot hold"),
        ({"patch": None}, "JSON cannot hold"),
    ],
)
def test_proposals_that_the_loop_could_not_take_are_errors_of_the_policy(tmp_path: Path, wrong: Any, said: str) -> None:
    sim = simulation(tmp_path, policy=Scripted(lambda _: [Proposal(params={"x": 0.1}, **wrong)]))
    stop = play(sim, tmp_path)
    assert stop.failed
    assert said in stop.reason


def test_a_policy_that_exits_has_failed(tmp_path: Path) -> None:
    def leaving(_: Any) -> list[Proposal]:
        raise SystemExit(2)

    stop = play(simulation(tmp_path, policy=Scripted(leaving)), tmp_path)
    assert stop.reason == "the policy failed 3 times in a row: SystemExit: 2"


def test_too_many_proposals_are_an_error(tmp_path: Path) -> None:
    sim = simulation(tmp_path, policy=Scripted(lambda ask: [Proposal(params={"x": 0.1})] * (ask.count + 1)))
    assert "proposals where" in play(sim, tmp_path).reason


def test_a_refused_patch_is_known_before_the_start_and_source_stays_the_parents(tmp_path: Path) -> None:
    patch = "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
    bad = "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-y = 1\n+y = 2\n"

    def run_trial(start: StartTrial) -> FakeRun:
        rejected = Outcome(status=Status.REJECTED, message=start.refusal)
        return FakeRun(seconds=0, outcome=rejected if start.refusal else ok(float(start.trial.number == 0)))

    policy = Scripted(lambda _: [Proposal(params={"x": 0.5}, patch=patch)], lambda _: [Proposal(params={"x": 0.5}, patch=bad)])
    sim = simulation(tmp_path, run_trial, policy=policy, max_trials=3)
    play(sim, tmp_path)
    base, patched, refused = sim.campaign.log.settled
    assert base.trial.source_hash != patched.trial.source_hash
    assert refused.trial.proposal.parent == 1, "the leader of that moment is the parent"
    assert refused.trial.source_hash == patched.trial.source_hash
    assert refused.outcome.status is Status.REJECTED
    assert refused.outcome.message.startswith("patch refused (")


def test_strict_rule_keeps_what_beats_the_leader(tmp_path: Path) -> None:
    scores = [1.0, 0.9, 0.95, 0.8]
    sim = simulation(tmp_path, lambda start: FakeRun(seconds=1, outcome=ok(scores[start.trial.number])), max_trials=4)
    play(sim, tmp_path)
    assert [(d.candidate, d.verdict) for d in sim.campaign.log.decisions] == [
        (0, "keep"),
        (1, "keep"),
        (2, "discard"),
        (3, "keep"),
    ]
    assert sim.campaign.log.decisions[2].reason == "loss 0.95 does not beat 0.9 of trial 1"
    view = sim.campaign.log.view()
    assert (view.leader, view.confirmed) == (3, 3)


class CancelBelow(Condemning):
    """Cancels what reports a loss above a bar."""

    def doomed(self, curve: Curve) -> Order | None:
        return Order(kind="cancel", reason="doomed") if curve.metrics[self.metric][-1] > 5 else None


def reporting(start: StartTrial) -> FakeRun:
    level = 9.0 if start.trial.number % 2 or start.trial.number == 0 else 1.0
    reports = {second: Progress(step=second, step_target=10, metrics={"loss": level}) for second in (1.0, 2.0, 3.0)}
    curve = __import__("autoresearch_rl").Curve(steps=(1.0,), elapsed_s=(1.0,), metrics={"loss": (level,)}, step_target=10)
    return FakeRun(seconds=10, outcome=ok(level, curve=curve), reports=reports)


def test_cancel_rule_reaches_a_running_trial_once_and_cancelled_frees_its_place(tmp_path: Path) -> None:
    sim = simulation(tmp_path, reporting, cancel=CancelBelow(), max_trials=7)
    stop = play(sim, tmp_path)
    assert stop.reason.startswith("all 7 trials are done")
    by_number = {s.trial.number: s.outcome.status for s in sim.campaign.log.settled}
    assert by_number[0] is Status.OK, "the baseline is never cancelled"
    assert {n: s for n, s in by_number.items() if s is Status.CANCELLED} == dict.fromkeys((1, 3, 5), Status.CANCELLED)
    assert len(records(sim, OrderTrial)) == 3, "one order a trial"


def test_reports_that_go_back_in_steps_do_not_end_the_campaign(tmp_path: Path) -> None:
    def run_trial(start: StartTrial) -> FakeRun:
        steps = [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6]
        reports = {float(i): Progress(step=s, step_target=20, metrics={"loss": 9 - s}) for i, s in enumerate(steps)}
        curve = Curve(steps=(1.0, 20.0), elapsed_s=(1.0, 2.0), metrics={"loss": (1.0, 0.1)}, step_target=20)
        return FakeRun(seconds=20, outcome=ok(float(start.trial.number), curve=curve), reports=reports)

    sim = simulation(tmp_path, run_trial, cancel=ForecastRule(warmup_trials=1), max_trials=4)
    assert play(sim, tmp_path).reason.startswith("all 4 trials are done")


def test_cancelling_without_reports_of_the_baseline_ends_the_campaign(tmp_path: Path) -> None:
    sim = simulation(tmp_path, cancel=CancelBelow())
    stop = play(sim, tmp_path)
    assert stop.failed
    assert "reported no 'loss', which controller.cancel needs" in stop.reason


def test_lookahead_keeps_slow_policies_from_idling_workers(tmp_path: Path) -> None:
    def busy(lookahead: Any) -> float:
        sim = simulation(
            tmp_path,
            lambda _: FakeRun(seconds=30, outcome=ok(1.0, elapsed_s=30.0)),
            concurrency=8,
            max_trials=200,
            lookahead=lookahead,
            driver={"ask_s": lambda _: 20.0},
        )
        play(sim, tmp_path)
        return 200 * 30 / (sim.now_s * 8)

    assert busy("auto") > 0.85
    assert busy(0) < 0.65


def test_devices_are_granted_concretely_and_never_twice(tmp_path: Path) -> None:
    sim = simulation(
        tmp_path, request={"gpu": 1.0}, devices={"gpu": (0, 1, 2)}, resources={"gpu": 3.0}, concurrency=8, max_trials=30
    )
    play(sim, tmp_path)
    held: dict[int, tuple[int, ...]] = {}
    for entry in sim.entries:
        if isinstance(entry.record, StartTrial):
            mine = entry.record.devices["gpu"]
            assert len(mine) == 1
            assert mine[0] not in {device for devices in held.values() for device in devices}
            held[entry.record.trial.number] = tuple(mine)
        elif isinstance(entry.record, SettledEvent):
            del held[entry.record.number]
    assert most_at_once(sim) == 3


def test_no_repeat_is_started_once_a_stop_rule_has_spoken(tmp_path: Path) -> None:
    rule = NoiseRule("loss", baseline_seeds=3)
    sim = simulation(tmp_path, lambda _: FakeRun(seconds=5.0, outcome=ok(1.0)), keep=rule, max_wall_s=4.0, concurrency=3)
    assert play(sim, tmp_path).reason == "4 s are over (controller.max_wall_s)"
    assert [entry.record.trial.number for entry in sim.entries if isinstance(entry.record, StartTrial)] == [0]
    assert [trial.number for trial in sim.campaign.log.view().pending] == [1, 2], "they wait for a resume"


def test_nothing_is_started_once_the_wall_time_is_over(tmp_path: Path) -> None:
    for ask_s, lookahead in ((15.0, 0), (0.0, 5)):  # an answer that comes too late; trials that wait for a place
        sim = simulation(
            tmp_path,
            lambda _: FakeRun(seconds=10, outcome=ok(1.0)),
            max_trials=None,
            max_wall_s=18.0,
            lookahead=lookahead,
            driver={"ask_s": lambda _, ask_s=ask_s: ask_s},
        )
        assert play(sim, tmp_path).reason == "18 s are over (controller.max_wall_s)"
        assert all(entry.elapsed_s < 18.0 for entry in sim.entries if isinstance(entry.record, StartTrial))


class AgainAndAgain(StrictRule):
    """Wants every candidate measured once more, each time one of its trials has settled."""

    def __call__(self, history: Any, budget: Any) -> list[Any]:
        return [replace(decision, repeats=(decision.candidate,)) for decision in super().__call__(history, budget)]


def test_repeats_and_proposals_together_keep_to_max_trials(tmp_path: Path) -> None:
    sim = simulation(
        tmp_path,
        lambda _: FakeRun(seconds=1, outcome=ok(1.0)),
        concurrency=3,
        max_trials=4,
        keep=AgainAndAgain("loss"),
        driver={"ask_s": lambda _: 1.5},
    )
    assert play(sim, tmp_path).reason.startswith("all 4 trials are done")
    assert len({start.trial.number for start in records(sim, StartTrial)}) == 4


@given(
    concurrency=st.integers(1, 6),
    max_trials=st.integers(1, 25),
    lookahead=st.sampled_from(["auto", 0, 1, 5]),
    outcomes=st.lists(st.sampled_from(list(Status)), min_size=1, max_size=25),
    seconds=st.lists(st.floats(0.01, 100), min_size=1, max_size=10),
    ask_s=st.floats(0, 50),
    interrupt_s=st.none() | st.floats(0, 500),
)
def test_whatever_happens_every_trial_settles_once_and_the_campaign_ends(
    tmp_path_factory: Any,
    concurrency: int,
    max_trials: int,
    lookahead: Any,
    outcomes: list[Status],
    seconds: list[float],
    ask_s: float,
    interrupt_s: float | None,
) -> None:
    tmp_path = tmp_path_factory.mktemp("blobs")

    def run_trial(start: StartTrial) -> FakeRun:
        number = start.trial.number
        status = Status.OK if number == 0 else outcomes[(number + start.trial.attempt) % len(outcomes)]
        outcome = ok(1.0 / (1 + number)) if status is Status.OK else Outcome(status=status, message="so it goes")
        return FakeRun(seconds=seconds[number % len(seconds)], outcome=outcome)

    at = [] if interrupt_s is None else [(interrupt_s, Interrupted(signal=2))]
    sim = simulation(
        tmp_path,
        run_trial,
        concurrency=concurrency,
        max_trials=max_trials,
        lookahead=lookahead,
        driver={"ask_s": lambda _: ask_s, "at": at},
    )
    stop = play(sim, tmp_path)
    numbers = [s.trial.number for s in sim.campaign.log.settled]
    assert len(set(numbers)) == len(numbers)
    assert most_at_once(sim) <= concurrency
    assert not records(sim, StopCampaign)[:-1], "it stops once"
    assert isinstance(sim.entries[-1].record, StopCampaign)
    if not stop.interrupted and stop.reason.startswith("all "):
        assert sorted(numbers) == list(range(max_trials))
    started = {(s.trial.number, s.trial.attempt) for s in records(sim, StartTrial)}
    ended = {(s.number, s.attempt) for s in records(sim, SettledEvent)}
    assert started == ended, "no child is left"
    assert len(records(sim, Proposed)) <= len(records(sim, AskPolicy))


@pytest.mark.slow
def test_ten_thousandth_trial_costs_what_the_first_did(tmp_path: Path) -> None:
    import time

    sim = simulation(tmp_path, concurrency=4, max_trials=4000)
    marks: list[float] = []
    inner = sim.run_trial

    def timed(start: StartTrial) -> FakeRun:
        marks.append(time.process_time())
        return inner(start)

    sim.run_trial = timed
    play(sim, tmp_path)
    early, late = marks[1000] - marks[200], marks[3900] - marks[3100]
    assert late < 3 * early, json.dumps({"early": early, "late": late})
