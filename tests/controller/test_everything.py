"""All features of a campaign at once and at random, on the virtual clock, with controllers that die and others that take over."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.cancel.forecast import ForecastRule
from autoresearch_rl.controller.cancel.halving import HalvingRule
from autoresearch_rl.controller.cancel.textbook import AshaRule, MedianRule
from autoresearch_rl.controller.keep.noise import NoiseRule
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.proposing import Proposer
from autoresearch_rl.controller.resuming import restore, takeover_events
from autoresearch_rl.controller.seen import Seen, follow
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.controller.spending import limits_of
from autoresearch_rl.events import (
    Entry,
    Event,
    Interrupted,
    Opened,
    OrderTrial,
    Requested,
    Resumed,
    StartTrial,
    StopCampaign,
    Terms,
)
from autoresearch_rl.metering import MICRO
from autoresearch_rl.policy import Ask
from autoresearch_rl.telemetry.tally import Tally
from autoresearch_rl.testing.simulation import FakeRun, opening
from autoresearch_rl.trial import Conditions, Curve, Order, Outcome, Progress, Proposal, StageSpan, Status
from tests.controller.campaigns import FILES, SPACE, ok
from tests.controller.test_spending import PauseSome
from tests.faults.world import (
    ASK_S,
    PATCH,
    CancelSome,
    Controller,
    DyingJournal,
    Point,
    RepeatOnce,
    Story,
    check_attempts,
    check_replay,
    check_waiting,
    wish,
)

TIMEOUTS = {"train": 12.0, "evaluate": 5.0}
STEPS = 8
CANCEL: dict[str, Callable[[], Any]] = {
    "off": lambda: None,
    "some": CancelSome,
    "pause": PauseSome,
    "halving": lambda: HalvingRule(rungs=(0.25, 0.5, 0.75), keep=(0.5, 0.25, 0.25), most=(0.8, 0.6, 0.5)),
    "asha": AshaRule,
    "median": MedianRule,
    "forecast": lambda: ForecastRule(below=0.3, min_reports=2, min_share=0.1, warmup_trials=1),
}
KEEP: dict[str, Callable[[], Any]] = {
    "strict": lambda: StrictRule("loss"),
    "noise": lambda: NoiseRule("loss", confirm_share=0.5, baseline_seeds=2),
    "repeats": RepeatOnce,
}


@dataclass(frozen=True)
class Moody:
    """Proposes uniformly, sometimes code; fails, or has nothing to propose, on a share of the asks."""

    fails: float
    idle: float

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        mood = ask.rng.uniform()
        if mood < self.fails:
            raise RuntimeError("no idea")
        count = int(ask.rng.integers(0, ask.count + 1)) if mood < self.fails + self.idle else ask.count
        memo = {"left": ask.budget.trials, "usd": ask.budget.usd, "leader": ask.history.leader}
        return [
            Proposal(params={"x": float(ask.rng.uniform())}, patch=PATCH if ask.rng.uniform() < 0.2 else "", memo=memo)
            for _ in range(count)
        ]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A campaign of any kind; has what `Story` and its checks ask of a scenario.

    Attributes:
        chosen: Settings that are plain values.
        changes: Limits that each resume changes, in turn.
        outside: What people do, by virtual second.
        mishaps: Share of attempts that are lost, that fail, that others keep from CPUs.
    """

    seed: int
    cancel: str
    keep: str
    checkpoints: bool
    time_budgeted: bool
    has_gpu: bool
    chosen: dict[str, Any]
    changes: tuple[dict[str, Any], ...]
    outside: tuple[tuple[float, Event], ...]
    mishaps: tuple[float, float, float]
    moods: tuple[float, float]

    @property
    def settings(self) -> Settings:
        resources = {"gpu": 1.0} if self.has_gpu else {}
        made = {"keep": KEEP[self.keep](), "cancel": CANCEL[self.cancel](), "resources": resources}
        return Settings(max_failure_rate=1.0, max_attempts=5, control_share=0.3, seed=self.seed, **made, **self.chosen)

    def campaign(self, sources: Sources) -> Campaign:
        devices = {"gpu": (0,)} if self.has_gpu else {}
        request = {"gpu": 0.5} if self.has_gpu else {}
        return Campaign(self.settings, sources, direction="minimize", request=request, devices=devices)

    def policy(self) -> Moody:
        return Moody(*self.moods)

    def opened(self, source: str) -> Opened:
        terms = Terms(limits=limits_of(self.settings), timeouts=TIMEOUTS, usd_per_h=3600.0, released_usd_per_h=360.0)
        return opening(
            source,
            SPACE.defaults,
            seed=self.seed,
            checkpoints=self.checkpoints,
            time_budgeted=self.time_budgeted,
            terms=terms,
            max_trials=self.settings.max_trials,
        )

    def run_trial(self, start: StartTrial) -> FakeRun:
        """Trains for as long as its number says, in all its attempts, reports eight times, is evaluated for up to two seconds."""
        trial = start.trial
        rng = np.random.default_rng((self.seed, trial.number))
        whole_s, x = float(rng.uniform(0.5, 9.0)), float(trial.proposal.params["x"])
        rng = np.random.default_rng((self.seed, trial.number, trial.attempt))
        lost, failed, disturbed = self.mishaps
        done_s = min(start.ran_s, 0.9 * whole_s)
        steps = [step for step in range(1, STEPS + 1) if step * whole_s / STEPS > done_s]
        told = {
            step * whole_s / STEPS - done_s: Progress(
                step=step, step_target=STEPS, metrics={"loss": x + 1.0 / step + 0.1 * float(rng.uniform())}
            )
            for step in steps
        }
        seconds, obeys_s = whole_s - done_s + float(rng.uniform(0.01, 1.9)), float(rng.choice([0.0, 0.1, 1.0]))
        if rng.uniform() < lost and (trial.number or trial.attempt < 2):
            gone_s = float(rng.uniform(0.0, seconds))
            return FakeRun(seconds=gone_s, outcome=Outcome(status=Status.LOST, message="gone"), reports=told, obeys_s=obeys_s)
        curve = Curve(
            steps=tuple(float(step) for step in steps),
            elapsed_s=tuple(told),
            metrics={"loss": tuple(progress.metrics["loss"] for progress in told.values())},
            step_target=float(STEPS),
        )
        conditions = Conditions(hardware="one", contention=0.5 if rng.uniform() < disturbed else 0.0)
        spans = (StageSpan(stage="train", begun_s=0.0, ended_s=whole_s - done_s),)
        outcome = ok((x - 0.3) ** 2 + 0.01 * (trial.seed % 7), curve=curve, conditions=conditions, spans=spans)
        if trial.number and rng.uniform() < failed:
            status = Status.TIMEOUT if rng.uniform() < 0.5 else Status.FAILED
            outcome = Outcome(status=status, message="made up", curve=curve, conditions=conditions)
        return FakeRun(seconds=seconds, outcome=outcome, reports=told, obeys_s=obeys_s)


@dataclass
class Watched(Controller):
    """A controller that is watched after each event by all who read journals, and held to what always is so."""

    seen: Seen | None = None
    begun_s: dict[tuple[int, int], float] = field(default_factory=dict)
    over: dict[str, int] = field(default_factory=dict)

    def post(self, event: Event) -> None:
        before = len(self.entries)
        super().post(event)
        for entry in self.entries[before:]:
            self._watch(entry)
        self._agree()

    def _watch(self, entry: Entry) -> None:
        record, campaign = entry.record, self.campaign
        if self.seen is None:
            self.seen = follow([entry], Path())
        else:
            if isinstance(record, OrderTrial):
                there = self.seen.tally.running.get(record.number) or self.seen.tally.paused.get(record.number)
                assert there is not None, f"nobody can obey {record}"
                assert there.trial.attempt == record.attempt
            self.seen.take(entry)
        if isinstance(record, StartTrial):
            limit_s = campaign.settings.max_wall_s
            assert limit_s is None or entry.elapsed_s < limit_s or not len(self.seen.log.view()), (
                "started after the end of its time"
            )
            assert len(self.seen.tally.running) <= campaign.settings.concurrency
        meter = self.seen.tally.meter
        for name in ("usd", "gpu_s"):
            limit = meter.limits.get(f"max_{name}")
            most = meter.spent.get(name, 0) + sum(amounts.get(name, 0) for amounts in meter.reserved())
            over = max(0, most - round(limit * MICRO)) if limit is not None else 0
            assert isinstance(record, Resumed) or over <= self.over.get(name, 0), f"{name} is overdrawn by {over}"
            self.over[name] = over

    def _agree(self) -> None:
        """The reducer and who reads the journal know the same."""
        seen, campaign = self.seen, self.campaign
        assert seen is not None
        assert {number: run.trial for number, run in seen.tally.running.items()} == campaign._running
        assert {number: run.trial for number, run in seen.tally.paused.items()} == campaign._race.paused
        assert seen.tally.meter.spent == campaign.spending.meter.spent
        assert (seen.log.view().leader, seen.log.view().confirmed) == (campaign.log.view().leader, campaign.log.view().confirmed)
        theirs = [(s.trial, s.outcome.status, s.outcome.score, s.outcome.curve) for s in campaign.log.settled]
        assert [(s.trial, s.outcome.status, s.outcome.score, s.outcome.curve) for s in seen.log.settled] == theirs
        waiting = seen.tally.waiting
        assert waiting.numbers + len(waiting.held) == campaign._numbering.count + len(campaign.held)
        late = set(range(waiting.numbers, campaign._numbering.count))  # what was kept back gets its number at the next entry
        assert {*waiting.trials, *late} == {*campaign._waiting}
        pending = {trial.number for trial in campaign.log.view().pending}
        assert pending == {*campaign._running, *campaign._race.paused, *campaign._waiting}
        assert not campaign._running.keys() & campaign._race.paused.keys()
        assert set(campaign._pool.holding) == set(campaign._running) - campaign._orphans

    def _carry_out(self, effect: Any) -> None:
        if isinstance(effect, StartTrial):
            self.begun_s[effect.trial.number, effect.trial.attempt] = self.now_s
        super()._carry_out(effect)

    def _give_order(self, number: int, attempt: int, order: Order, *, kill: bool) -> None:
        key = (number, attempt)
        if key in self._live:
            ran_s = self.now_s + self._live[key].obeys_s - self.begun_s[key]
            span = StageSpan(stage="train", begun_s=0.0, ended_s=round(ran_s, 6))
            self._live[key] = replace(self._live[key], part=Outcome(status=Status.CANCELLED, spans=(span,), elapsed_s=ran_s))
        super()._give_order(number, attempt, order, kill=kill)


@dataclass
class Life(Story):
    """What becomes of a case over all of its controllers."""

    scenario: Any
    resumes: int = 0

    def _control(self, journal: DyingJournal) -> StopCampaign:
        case, entries, sources = self.scenario, self.entries, Sources(journal.blobs)
        now_s = entries[-1].elapsed_s if entries else 0.0
        campaign = case.campaign(sources)
        controller = Watched(
            campaign,
            Proposer(case.policy(), SPACE, case.settings),
            case.run_trial,
            ask_s=lambda _: ASK_S,
            at=[(at, event) for at, event in case.outside if at > now_s],
            now_s=now_s,
            journal=journal,
            world=self.world,
        )
        source = sources.add(FILES)
        if not entries:
            return controller.run([case.opened(source)], most_events=5_000)
        limits = case.changes[self.resumes] if self.resumes < len(case.changes) else {}
        self.resumes += 1
        past = restore(campaign, entries, journal)
        controller.entries, controller.seen = list(past), follow(past, self.run_dir)
        controller._agree()
        events = takeover_events(past, limits, lambda t: (t.number, t.attempt) in self.world.spawned)
        return controller.run(events, most_events=20_000)

    def check(self) -> None:
        entries, stop = self.entries, self.stop
        campaign = check_replay(self.scenario, self.run_dir, entries)
        assert stop is not None
        assert not campaign._running, "what ran has settled"
        assert not campaign._race.paused, "at the end what is paused is given up"
        assert not list(campaign.spending.meter.reserved()), "what has ended holds nothing back"
        if stop.reason.startswith(("nothing left", "search space")):
            assert not campaign._waiting, "nothing is left to do"
        check_attempts(entries, self.scenario.settings.max_attempts)
        check_waiting(entries)
        tally = Tally()
        rows = [tally.feed(entry) for entry in entries if tally.is_new(entry)]
        told = [(row.trial.number, row.outcome.status) for row in [*rows, tally.close()] if row is not None]
        assert told == [(s.trial.number, s.outcome.status) for s in campaign.log.settled]
        assert not tally.running
        assert not tally.paused


TIMES = st.integers(1, 500).map(lambda tenths: tenths / 10)
SHARES = st.sampled_from([0.0, 0.0, 0.15, 0.5])
LIMITS = {
    "concurrency": st.integers(1, 4),
    "max_trials": st.integers(1, 24),
    "max_wall_s": st.none() | st.floats(5.0, 60.0),
    "max_usd": st.none() | st.floats(18.0, 200.0),
    "patience": st.none() | st.integers(2, 6),
    "min_gain": st.sampled_from([None, 0.001, 0.1]),
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    has_gpu = draw(st.booleans())
    rare = st.fixed_dictionaries(
        {
            "concurrency": LIMITS["concurrency"],
            "max_trials": LIMITS["max_trials"],
            "lookahead": st.sampled_from([0, 0, 2, "auto"]),
        },
        optional={
            "max_usd": LIMITS["max_usd"],
            "max_wall_s": LIMITS["max_wall_s"],
            "patience": LIMITS["patience"],
            "min_gain": LIMITS["min_gain"],
            "gain_trials": st.integers(1, 3),
            **({"max_gpu_s": st.floats(7.0, 60.0)} if has_gpu else {}),
        },
    )
    person = st.one_of(
        st.builds(wish, st.floats(0.0, 1.0), st.sampled_from(["", PATCH])),
        st.just(Requested(request="note", arguments={"request": "note", "text": "so"})),
        st.just(Requested(request="stop", arguments={"request": "stop"})),
        st.builds(Interrupted, signal=st.just(2), again=st.booleans()),
    )
    return Case(
        seed=draw(st.integers(0, 10**6)),
        cancel=draw(st.sampled_from([*sorted(CANCEL), "halving", "pause", "pause"])),
        keep=draw(st.sampled_from(sorted(KEEP))),
        checkpoints=draw(st.sampled_from([True, True, False])),
        time_budgeted=draw(st.booleans()),
        has_gpu=has_gpu,
        chosen=draw(rare),
        changes=tuple(draw(st.lists(st.fixed_dictionaries({}, optional=LIMITS), max_size=3))),
        outside=tuple(draw(st.lists(st.tuples(TIMES, person), max_size=5))),
        mishaps=(draw(SHARES), draw(SHARES), draw(SHARES)),
        moods=(draw(st.sampled_from([0.0, 0.0, 0.3])), draw(st.sampled_from([0.0, 0.0, 0.3]))),
    )


POINTS = st.builds(Point, st.integers(2, 80), st.sampled_from(["before", "after", "torn"]), st.just(0.5))


@given(case=cases(), points=st.lists(POINTS, max_size=3))
def test_whatever_happens_in_whatever_order(case: Case, points: list[Point]) -> None:
    with tempfile.TemporaryDirectory() as name:
        life = Life(case, Path(name))
        life.live(*points)
        life.check()
