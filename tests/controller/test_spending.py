"""Budgets on the virtual clock: what may be spent at most never exceeds a limit, whatever happens in whatever order."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.controller.resuming import replay, takeover_events
from autoresearch_rl.controller.spending import limits_of
from autoresearch_rl.events import (
    AskPolicy,
    Effect,
    Entry,
    Event,
    LlmCall,
    Opened,
    OrderTrial,
    Paused,
    Proposed,
    Released,
    Requested,
    SettledEvent,
    StartTrial,
    StopCampaign,
    Terms,
)
from autoresearch_rl.history import History
from autoresearch_rl.metering import MICRO, NOTHING, Meter
from autoresearch_rl.policy import Ask
from autoresearch_rl.testing.simulation import FakeRun, Simulation
from autoresearch_rl.trial import Budget, Curve, LlmReply, LlmRequest, Order, Outcome, Progress, StageSpan, Status
from tests.controller.campaigns import Condemning, Uniform, ok, opened, simulation

TIMEOUTS = {"train": 10.0, "predict": 2.0, "evaluate": 3.0}
HELD_S = 12.0
REPORTED = Curve(steps=(1.0,), elapsed_s=(1.0,), metrics={"loss": (1.0,)})


@dataclass
class Releasing(Simulation):
    """With what `run_trial` says of when a trial gives its GPU back."""

    released_s: dict[tuple[int, int], float] = field(default_factory=dict)

    def _carry_out(self, effect: Effect) -> None:
        super()._carry_out(effect)
        if isinstance(effect, StartTrial):
            number, attempt = effect.trial.number, effect.trial.attempt
            if (number, attempt) in self.released_s and "gpu" in effect.resources:
                after_s = self.released_s[number, attempt]
                self._later(self.now_s + after_s, Released(number=number, attempt=attempt, resources=("gpu",)))

    def _stale(self, event: Event) -> bool:
        if isinstance(event, Released):
            return (event.number, event.attempt) not in self._live or (event.number, event.attempt) in self._ordered
        return super()._stale(event)


class PauseSome(Condemning):
    """Pauses what begins badly, and takes it up again after every third trial."""

    def doomed(self, curve: Curve) -> Order | None:
        bad = len(curve.steps) == 1 and curve.metrics[self.metric][0] > 0.4
        return Order(kind="pause", reason="it begins badly") if bad else None

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        return sorted(paused) if ending or len(history) % 3 == 0 else ()


def made_up(released_s: dict[tuple[int, int], float], start: StartTrial, seed: int) -> FakeRun:
    """An attempt of any length within its timeouts, which may fail or be lost."""
    trial, rng = start.trial, np.random.default_rng((seed, start.trial.number, start.trial.attempt))
    train_s = round(float(rng.uniform(0.3, 1.0) ** 2 * (HELD_S - start.ran_s)), 6)
    evaluate_s = round(float(rng.uniform(0.0, TIMEOUTS["evaluate"])), 6)
    status = rng.choice([Status.OK, Status.OK, Status.FAILED, Status.LOST]) if trial.number else Status.OK
    outcome = ok(float(rng.uniform()), curve=REPORTED) if status is Status.OK else Outcome(status=status, message="made up")
    if status is Status.OK:
        released_s[trial.number, trial.attempt] = train_s
    seconds = train_s + evaluate_s if status is Status.OK else train_s
    step = 2.0 if start.ran_s else 1.0
    report = Progress(step=step, step_target=9.0, metrics={"loss": float(rng.uniform())})
    part = Outcome(status=Status.CANCELLED, spans=(StageSpan(stage="train", begun_s=0.0, ended_s=0.25 * train_s),))
    return FakeRun(seconds=seconds, outcome=outcome, reports={0.25 * train_s: report}, part=part)


def releasing(folder: Path, seed: int, driver: Mapping[str, Any] | None = None, **settings: Any) -> Releasing:
    released_s: dict[tuple[int, int], float] = {}
    more = {"ask_s": lambda _: 0.3, **(driver or {})}
    chosen = {"max_failure_rate": 1.0, "concurrency": 3, "resources": {"gpu": 2.0}, "cancel": PauseSome(), **settings}
    plain = simulation(folder, request={"gpu": 1.0}, devices={"gpu": (0, 1)}, **chosen)
    return Releasing(
        plain.campaign, plain.proposer, lambda start: made_up(released_s, start, seed), released_s=released_s, **more
    )


def begin(sim: Simulation, folder: Path, **terms: Any) -> Opened:
    chosen = {"timeouts": TIMEOUTS, "usd_per_h": 3600.0, "released_usd_per_h": 360.0, **terms}
    plain = opened(sim, folder)
    return replace(plain, checkpoints=True, terms=Terms(limits=limits_of(sim.campaign.settings), **chosen))


def followed(entries: Sequence[Entry]) -> Meter:
    """Follows the entries as a reader does, and looks at the limits after each event with its effects."""
    meter = Meter()
    for entry in entries:
        meter.feed(entry.record, entry.elapsed_s)
        for name in ("usd", "gpu_s"):
            most = meter.spent.get(name, 0) + sum(amounts.get(name, 0) for amounts in meter.reserved())
            assert most <= meter.limits.get(f"max_{name}", 1e9) * MICRO, f"{name} after line {entry.seq}"
    return meter


def by_hand(entries: Sequence[Entry]) -> tuple[float, float]:
    """USD and GPU-seconds, summed up over the attempts in the dullest way."""
    usd = gpu_s = 0.0
    began_s: dict[int, float] = {}
    released_s: dict[int, float] = {}
    for entry in entries:
        match entry.record:
            case StartTrial(trial=trial):
                began_s[trial.number] = entry.elapsed_s
            case Released(number=number):
                released_s[number] = entry.elapsed_s
            case SettledEvent(number=number) | Paused(number=number) if number in began_s:
                begun_s, end_s = began_s.pop(number), entry.elapsed_s
                held_until_s = released_s.pop(number, end_s)
                gpu_s += held_until_s - begun_s
                usd += held_until_s - begun_s + 0.1 * (end_s - held_until_s)
            case _:
                pass
    return usd, gpu_s


@given(
    seed=st.integers(0, 10**6),
    max_usd=st.none() | st.floats(13.0, 150.0),
    max_gpu_s=st.none() | st.floats(12.0, 150.0),
    cuts=st.lists(st.floats(0.05, 0.99), max_size=3),
    concurrency=st.integers(1, 4),
)
def test_nothing_may_ever_cost_more_than_is_left(
    seed: int, max_usd: float | None, max_gpu_s: float | None, cuts: list[float], concurrency: int
) -> None:
    settings: dict[str, Any] = {"max_usd": max_usd, "max_gpu_s": max_gpu_s, "concurrency": concurrency, "max_trials": 15}
    settings["max_attempts"] = 9  # a baseline that is lost with three controllers has failed by default
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sim = releasing(folder, seed, **settings)
        stop = sim.run([begin(sim, folder)])
        for share in cuts:  # the controller dies, and another one takes over
            kept = sim.entries[: max(1, int(share * len(sim.entries)))]
            sim = releasing(folder, seed, **settings)
            begin(sim, folder)
            sim.entries, sim.now_s = list(kept), kept[-1].elapsed_s
            for effect in replay(sim.campaign, kept):
                sim._write(effect)
            stop = sim.run(takeover_events(sim.entries, {}, lambda _: True))
        meter = followed(sim.entries)
        usd, gpu_s = by_hand(sim.entries)
        assert meter.spent["usd"] / MICRO == pytest.approx(usd, abs=1e-4)
        assert meter.spent["gpu_s"] / MICRO == pytest.approx(gpu_s, abs=1e-4)
        assert meter.spent == sim.campaign.spending.meter.spent
        assert not list(meter.reserved()), "what has ended holds nothing back"
        assert not stop.failed
        if len(sim.campaign.log.settled) < 15:
            assert "(controller.max_" in stop.reason
        fresh = releasing(folder, seed, **settings)

        def answer(effect: AskPolicy, elapsed_s: float) -> Proposed:
            return fresh.proposer.answer(effect, fresh.campaign.log.view(), fresh.campaign.budget(elapsed_s))

        assert replay(fresh.campaign, sim.entries, answer) == []


# ---------------------------------------------------------------- one thing at a time
def timed(seconds: float, **more: Any) -> Any:
    return lambda start: FakeRun(seconds=seconds, outcome=ok(1.0 / (1 + start.trial.number)), **more)


def one(
    folder: Path, run_trial: Any, *, driver: Mapping[str, Any] | None = None, terms: Any = None, **settings: Any
) -> Simulation:
    sim = simulation(folder, run_trial, driver=driver, **settings)
    sim.run([begin(sim, folder, released_usd_per_h=3600.0, **(terms or {}))])
    return sim


def reason(sim: Simulation) -> str:
    assert sim.stop is not None
    return sim.stop.reason


def test_the_end_is_one_sentence(tmp_path: Path) -> None:
    sim = one(tmp_path, timed(4.0), max_usd=25.0)
    assert reason(sim) == "12.00 of 25.00 USD are spent, and a trial may take 15.00 (controller.max_usd)"
    assert len(sim.campaign.log.settled) == 3
    assert sim.campaign.spending.meter.line(sim.now_s) == "12.00 of 25.00 USD"


def test_a_trial_waits_for_what_others_leave(tmp_path: Path) -> None:
    """Two places, but money for one and a half: the second one starts when the first has cost less than it might have."""
    sim = one(tmp_path, timed(4.0), max_usd=27.0, concurrency=2, lookahead=2)
    starts = [(e.record.trial.number, e.elapsed_s) for e in sim.entries if isinstance(e.record, StartTrial)]
    assert starts == [(0, 0.0), (1, 4.0), (2, 8.0), (3, 12.0)]
    asked = [e.record.count for e in sim.entries if isinstance(e.record, AskPolicy)]
    assert asked == [1, 1, 1], "nothing is proposed that there is no money for"


def test_a_person_is_served_before_those_for_whom_money_was_put_aside(tmp_path: Path) -> None:
    """While trial 1 runs, trial 2 has its place in the queue and its 15 USD; there is not as much for trial 3, a person's."""
    wish = Requested(request="enqueue", arguments={"params": {"x": 0.5}, "parent": 0})
    sim = one(tmp_path, timed(4.0), max_usd=44.0, max_trials=4, lookahead=1, driver={"at": [(5.0, wish)], "ask_s": lambda _: 0.1})
    starts = [entry.record.trial.number for entry in sim.entries if isinstance(entry.record, StartTrial)]
    assert starts == [0, 1, 3, 2]


def test_without_limits_nothing_is_held_back(tmp_path: Path) -> None:
    sim = one(tmp_path, timed(4.0), max_trials=5, concurrency=2)
    assert reason(sim) == "all 5 trials are done (controller.max_trials)"
    assert sim.campaign.spending.meter.line(sim.now_s) == "20.00 USD"
    assert sim.campaign.budget(0.0) == Budget(trials=0)


def test_what_policies_see(tmp_path: Path) -> None:
    seen: list[Budget] = []

    class Curious(Uniform):
        def propose(self, ask: Ask) -> Any:
            seen.append(ask.budget)
            return super().propose(ask)

    one(tmp_path, timed(4.0), policy=Curious(), max_usd=50.0, max_tokens=10, max_trials=4, concurrency=2)
    # After the baseline 46 are left; while one runs, what it may take is not.
    assert [(budget.trials, budget.usd, budget.tokens) for budget in seen] == [(3, 46.0, 10.0), (1, 27.0, 10.0)]


def test_what_the_target_reports_counts(tmp_path: Path) -> None:
    def run_trial(start: StartTrial) -> FakeRun:
        return FakeRun(seconds=4.0, outcome=ok(1.0, usage={"usd": 5.03, "gpu_s": 1.0}))

    sim = one(tmp_path, run_trial, terms={"usd_per_h": None}, max_usd=5.0, max_trial_usd=5.0)
    assert reason(sim) == "5.03 of 5.00 USD, 0.03 over, are spent (controller.max_usd)"


@pytest.mark.parametrize("usage", [{}, {"usd": float("nan")}, {"usd": -1.0}])
def test_what_nobody_knows_counts_as_declared(tmp_path: Path, usage: Mapping[str, float]) -> None:
    def run_trial(_: StartTrial) -> FakeRun:
        return FakeRun(seconds=4.0, outcome=ok(1.0, usage=usage))

    sim = one(tmp_path, run_trial, terms={"usd_per_h": None}, max_usd=5.0, max_trial_usd=2.0)
    assert reason(sim) == "4.00 of 5.00 USD are spent, and a trial may take 2.00 (controller.max_usd)"


def test_an_attempt_that_never_ran_costs_nothing(tmp_path: Path) -> None:
    def run_trial(start: StartTrial) -> FakeRun:
        refused = Outcome(status=Status.REJECTED, message="no", usage=NOTHING)
        return FakeRun(seconds=1.0, outcome=refused if start.trial.number else ok(1.0))

    sim = one(tmp_path, run_trial, terms={"usd_per_h": None}, max_usd=5.0, max_trial_usd=2.0, max_trials=9, max_failure_rate=1.0)
    assert len(sim.campaign.log.settled) == 9
    assert sim.campaign.spending.meter.spent["usd"] == 2 * MICRO


def test_lost_attempts_are_paid_for_and_obey(tmp_path: Path) -> None:
    def run_trial(start: StartTrial) -> FakeRun:
        lost = Outcome(status=Status.LOST, message="gone")
        return FakeRun(seconds=10.0, outcome=lost if start.trial.number else ok(1.0))

    sim = one(tmp_path, run_trial, max_usd=40.0)
    assert reason(sim) == "30.00 of 40.00 USD are spent, and a trial may take 15.00 (controller.max_usd)"
    assert [trial.attempt for trial in sim.campaign.log.view().pending] == [3], "its third attempt waits for a higher limit"


def llm(usd: float | None, tokens: int) -> LlmCall:
    return LlmCall(
        ask=1, request=LlmRequest(messages=()), reply=LlmReply(texts=("x",), tokens_in=tokens - 1, tokens_out=1, usd=usd)
    )


@pytest.mark.parametrize(
    ("call", "limit", "said"),
    [
        (llm(None, 10_000), {"max_tokens": 10_000}, "10,000 of 10,000 tokens are used (controller.max_tokens)"),
        (llm(0.25, 12_345), {"max_tokens": 10_000}, "12,345 of 10,000 tokens, 2,345 over, are used (controller.max_tokens)"),
        (llm(0.25, 10), {"max_usd": 0.2}, "0.25 of 0.20 USD, 0.05 over, are spent (controller.max_usd)"),
    ],
)
def test_language_models_count(tmp_path: Path, call: LlmCall, limit: Any, said: str) -> None:
    free = {"usd_per_h": 0.0} if "max_usd" in limit else {}
    sim = simulation(tmp_path, timed(4.0), driver={"at": [(5.0, call)]}, **limit)
    sim.run([replace(begin(sim, tmp_path), terms=Terms(limits=limit, timeouts=TIMEOUTS, **free))])
    assert reason(sim) == said
    assert len(sim.campaign.log.settled) == 2, "what ran when it was used up ends, and counts"


def test_a_raised_limit_goes_on_where_it_ended(tmp_path: Path) -> None:
    sim = one(tmp_path, timed(4.0), max_usd=25.0, lookahead=2)
    again = simulation(tmp_path, timed(4.0), max_usd=25.0, lookahead=2)
    replay(again.campaign, sim.entries)
    again.entries, again.now_s = list(sim.entries), sim.now_s
    again.run(takeover_events(sim.entries, {"max_usd": 33.0}, lambda _: True))
    assert reason(again) == "20.00 of 33.00 USD are spent, and a trial may take 15.00 (controller.max_usd)"
    assert again.campaign.spending.meter.spent["usd"] == 20 * MICRO


def test_the_best_paused_one_can_be_finished(tmp_path: Path) -> None:
    """Trial 1 is paused after 2 of 10 s of training: new ones leave the 13 USD that it may need, and it is finished at the end."""

    def run_trial(start: StartTrial) -> FakeRun:
        part = Outcome(status=Status.CANCELLED, spans=(StageSpan(stage="train", begun_s=0.0, ended_s=2.0),))
        bad = start.trial.number == 1 and start.trial.attempt == 1
        report = Progress(step=2.0 if start.ran_s else 1.0, step_target=9.0, metrics={"loss": 0.9 if bad else 0.1})
        return FakeRun(seconds=6.0, outcome=ok(1.0), reports={1.9: report}, part=part)

    class AtTheEnd(PauseSome):
        def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
            return sorted(paused) if ending else ()

    sim = simulation(tmp_path, run_trial, cancel=AtTheEnd(), max_usd=46.0)
    baseline = FakeRun(seconds=6.0, outcome=ok(1.0, curve=REPORTED))
    sim.run_trial = lambda start: run_trial(start) if start.trial.number else baseline
    sim.run([begin(sim, tmp_path, released_usd_per_h=3600.0)])
    # 6 the baseline, 2 the part, 6 for trial 2, 6 for trial 3; then 26 are left, of which a new one may take 15 and trial 1 13.
    assert reason(sim) == (
        "20.00 of 46.00 USD are spent, and a trial may take 15.00 beside 13.00 that the best paused one may need (controller.max_usd)"
    )
    last = sim.campaign.log.settled[-1]
    assert (last.trial.number, last.trial.attempt, last.outcome.status) == (1, 2, Status.OK)
    assert not any(isinstance(e.record, OrderTrial) and e.record.order.kind == "cancel" for e in sim.entries)
    assert sim.campaign.spending.meter.spent["usd"] == 26 * MICRO
    assert isinstance(sim.entries[-1].record, StopCampaign)
