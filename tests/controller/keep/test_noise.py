"""The keep rule for noisy scores, in whole campaigns on the virtual clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.controller.cancel import CancelRule
from autoresearch_rl.controller.keep import REPEAT
from autoresearch_rl.controller.keep.noise import NoiseRule
from autoresearch_rl.errors import ConfigError
from autoresearch_rl.events import AskPolicy, Decide, StartTrial
from autoresearch_rl.policy.static import Static
from autoresearch_rl.testing.simulation import FakeRun, Simulation
from autoresearch_rl.trial import Curve, Decision, Order, Outcome, Progress, Status
from tests.controller.campaigns import SPACE, Condemning, Uniform, ok, opened, simulation

Score = Callable[[int, int], float | Status]  # by candidate and seed, to be minimised


def noisy(effects: dict[int, float] | None = None, seed: int = 0) -> Score:
    """Normal noise with sd 1, less the effect of a candidate."""
    return lambda c, s: float(np.random.default_rng((seed, c, s)).normal()) - (effects or {}).get(c, 0.0)


def play(tmp_path: Path, score: Score, rule: NoiseRule | None = None, **settings: Any) -> Simulation:
    def run_trial(start: StartTrial) -> FakeRun:
        found = score(start.trial.candidate, start.trial.seed)
        outcome = Outcome(status=found, message="so it goes") if isinstance(found, Status) else ok(found, elapsed_s=1.0)
        return FakeRun(seconds=1.0 + 0.01 * (start.trial.number * 7 % 5), outcome=outcome)

    sim = simulation(tmp_path, run_trial, **{"keep": rule or NoiseRule("loss"), "max_trials": 100, **settings})
    sim.run([opened(sim, tmp_path)])
    return sim


def repeats_of(sim: Simulation) -> Counter[int]:
    settled = sim.campaign.log.settled
    return Counter(s.trial.candidate for s in settled if s.trial.proposal.source == REPEAT)


def last_said(sim: Simulation, candidate: int) -> Decision:
    return [d for d in sim.campaign.log.decisions if d.candidate == candidate][-1]


def confirmed(sim: Simulation) -> list[int]:
    """In the order confirmed, the baseline first."""
    kept = [d.candidate for d in sim.campaign.log.decisions if d.verdict == "keep"]
    return list(dict.fromkeys(kept))


def under_test(sim: Simulation) -> list[int]:
    """Candidates that came under test, in that order."""
    return list(dict.fromkeys(d.candidate for d in sim.campaign.log.decisions if "pairs" in d.evidence))


def test_a_large_effect_is_confirmed_on_pairs_measured_after_it_was_chosen(tmp_path: Path) -> None:
    sim = play(tmp_path, noisy({20: 6.0}))
    assert confirmed(sim) == [0, 20]
    said = last_said(sim, 20)
    assert "is confirmed to be better than trial 0: e-value" in said.reason
    assert said.reason.startswith("loss -")
    history = sim.campaign.log.view()
    mine, theirs = history.candidate(20), history.candidate(0)
    assert mine is not None
    assert theirs is not None
    seeds = [[s.trial.seed for s in sorted(c.trials, key=lambda s: s.trial.number)] for c in (mine, theirs)]
    assert seeds[0][: len(seeds[1])] == seeds[1][: len(seeds[0])], "pairs have the same seed"
    proofs = [d for d in sim.campaign.log.decisions if d.candidate == 20 and "pairs" in d.evidence]
    assert proofs[0].evidence["pairs"] == 0, "the score that it was chosen for is no evidence"
    assert proofs[0].evidence["needed"] == pytest.approx([40, 120, 240][under_test(sim).index(20)])


def test_the_leader_moves_before_anything_is_confirmed(tmp_path: Path) -> None:
    sim = play(tmp_path, noisy({5: 4.0, 9: 7.0}), max_trials=24)
    leaders = [d.candidate for d in sim.campaign.log.decisions if d.leads]
    assert leaders[-1] == 9
    assert 5 in leaders
    assert confirmed(sim) == [0]


def test_a_second_one_is_proven_against_the_first(tmp_path: Path) -> None:
    sim = play(tmp_path, noisy({10: 8.0, 60: 30.0}), max_trials=150)
    assert confirmed(sim) == [0, 10, 60]
    assert "better than trial 10" in last_said(sim, 60).reason
    assert "beaten by trial 10" in last_said(sim, 0).reason
    assert last_said(sim, 10).verdict == "discard"
    assert last_said(sim, 60).verdict == "keep"
    assert sim.campaign.log.view().confirmed == 60


@pytest.mark.parametrize("trials", [1, 3, 10, 24, 39])
def test_too_small_a_budget_spends_nothing_but_the_noise_and_says_so(tmp_path: Path, trials: int) -> None:
    sim = play(tmp_path, noisy({1: 9.0}), max_trials=trials)
    assert repeats_of(sim) == Counter({0: min(2, int(0.3 * trials))})
    first = sim.campaign.log.decisions[0]
    assert f"takes 12 repeats at least, and controller.keep.confirm_share=0.3 of {trials} trials allows" in first.reason
    assert len(sim.campaign.log.settled) == trials


def test_forty_trials_are_enough(tmp_path: Path) -> None:
    sim = play(tmp_path, noisy({20: 30.0}), max_trials=40)
    assert "nothing can be confirmed" not in sim.campaign.log.decisions[0].reason
    assert confirmed(sim) == [0, 20]
    assert repeats_of(sim) == Counter({20: 6, 0: 6})


def test_why_the_leader_is_not_confirmed_is_said_against_what_is_confirmed_now(tmp_path: Path) -> None:
    apart = 0
    for seed in range(8):
        sim = play(tmp_path, noisy(dict.fromkeys(range(8, 48), 20.0), seed), max_trials=48)
        history = sim.campaign.log.view()
        if history.confirmed and history.leader != history.confirmed and history.leader is not None:
            apart += 1
            assert f"of trial {history.confirmed}" in last_said(sim, history.leader).reason
    assert apart >= 3


@pytest.mark.parametrize(("alpha", "share", "seeds"), [(0.05, 0.3, 3), (0.2, 0.3, 2), (0.01, 0.5, 5), (0.05, 1.0, 3)])
def test_how_many_trials_it_takes_is_known_before(tmp_path: Path, alpha: float, share: float, seeds: int) -> None:
    def played(trials: int) -> list[int]:
        (tmp_path / str(trials)).mkdir()
        rule = NoiseRule("loss", alpha, share, seeds)
        return confirmed(play(tmp_path / str(trials), noisy(dict.fromkeys(range(1, 60), 30.0)), rule, max_trials=trials))

    needed = NoiseRule("loss", alpha, share, seeds).trials_needed()
    assert needed == int(needed)
    assert len(played(int(needed))) == 2
    assert played(int(needed) - 1) == [0]


def test_without_repeats_no_number_of_trials_is_enough() -> None:
    assert NoiseRule("loss", confirm_share=0.0).trials_needed() == float("inf")


@pytest.mark.parametrize("seed", range(4))
def test_a_test_is_finished_although_others_that_were_measured_once_look_better(tmp_path: Path, seed: int) -> None:
    """Many are as good and the first seed is kind to all: who is measured again falls behind those who are not."""
    lucky: list[int] = []

    def score(candidate: int, under: int) -> float:
        lucky.append(under)
        return float(noisy({}, seed)(candidate, under)) - (30.0 if candidate >= 5 else 0.0) + (0.0 if under == lucky[0] else 4.0)

    sim = play(tmp_path, score, max_trials=48)
    assert len(confirmed(sim)) == 2
    assert len(under_test(sim)) == 1


@given(
    seed=st.integers(0, 10**6),
    concurrency=st.integers(1, 6),
    lookahead=st.sampled_from([0, 3, "auto"]),
    max_trials=st.integers(1, 70),
    share=st.sampled_from([0.0, 0.2, 0.3, 0.6, 1.0]),
    baseline_seeds=st.integers(2, 5),
    effects=st.dictionaries(st.integers(1, 40), st.sampled_from([1.0, 5.0, 50.0]), max_size=4),
    bad=st.dictionaries(st.integers(1, 80), st.sampled_from([s for s in Status if s is not Status.OK]), max_size=10),
)
def test_whatever_happens_the_budget_holds_and_all_trials_are_used(
    tmp_path_factory: Any,
    seed: int,
    concurrency: int,
    lookahead: Any,
    max_trials: int,
    share: float,
    baseline_seeds: int,
    effects: dict[int, float],
    bad: dict[int, Status],
) -> None:
    score = noisy(effects, seed)

    def run_trial(start: StartTrial) -> FakeRun:
        number = start.trial.number
        status = bad.get(number)
        outcome = ok(score(start.trial.candidate, start.trial.seed)) if status is None else Outcome(status=status, message="no")  # type: ignore[arg-type]
        return FakeRun(seconds=0.1 + np.random.default_rng((seed, number)).random(), outcome=outcome)

    tmp_path = tmp_path_factory.mktemp("blobs")
    rule = NoiseRule("loss", confirm_share=share, baseline_seeds=baseline_seeds)
    settings = {"max_trials": max_trials, "concurrency": concurrency, "lookahead": lookahead, "max_failure_rate": 1.0}
    stories = []
    for _ in range(2):
        sim = simulation(tmp_path, run_trial, keep=rule, **settings, driver={"ask_s": lambda _: 0.4})
        stop = sim.run([opened(sim, tmp_path)])
        stories.append(sim.entries)
    assert stories[0] == stories[1], "the same instance begins anew, and decides the same"
    assert stop.reason.startswith(f"all {max_trials} trials are done")
    assert sum(repeats_of(sim).values()) <= share * max_trials + 1e-9
    log = sim.campaign.log
    failed = {s.trial.candidate for s in log.settled if s.outcome.score is None and s.trial.number != s.trial.candidate}
    assert failed.isdisjoint({log.view().leader} - {0} - set(confirmed(sim)))
    by_number = [d.candidate for d in log.decisions]
    assert {s.trial.candidate for s in log.settled} == set(by_number), "something is said of each"
    assert all(d.verdict != "keep" or d.candidate in (0, *effects) or d.evidence["n"] > 5 for d in log.decisions)


def test_no_policy_gets_what_is_reserved(tmp_path: Path) -> None:
    sim = play(tmp_path, noisy(seed=3), concurrency=4, lookahead=8)
    asked = 0
    for entry in sim.entries:
        asked += entry.record.count if isinstance(entry.record, AskPolicy) else 0
        if isinstance(entry.record, Decide) and len(entry.record.decision.repeats) > 2:  # the last part has begun
            break
    assert 60 <= asked <= 69, "the baseline, these, and 30 repeats"


def test_without_a_limit_of_trials_a_share_of_those_so_far_is_spent(tmp_path: Path) -> None:
    sim = play(tmp_path, noisy({8: 40.0}), max_trials=None, policy=Uniform(left=90))
    assert confirmed(sim) == [0, 8]
    spent = 0
    for count, settled in enumerate(sim.campaign.log.settled, start=1):
        spent += settled.trial.proposal.source == REPEAT
        assert spent <= max(2, 0.3 * (count + 2)), "the baseline's two come first"


# ---------------------------------------------------------------- seeds that are ignored
def test_where_no_score_varies_a_strict_improvement_is_confirmed_after_as_many_seeds_as_the_baseline(tmp_path: Path) -> None:
    sim = play(tmp_path, lambda c, _: 1.0 - 0.01 * (c % 7), max_trials=40)
    assert confirmed(sim)[:2] == [0, 3]
    kept = next(d for d in sim.campaign.log.decisions if d.verdict == "keep" and d.candidate == 3)
    assert "(the same under 3 seeds: seed_ignored) is confirmed to be better than trial 0: scores do not vary" in kept.reason
    assert kept.evidence["seed_ignored"] == 1.0
    assert sum(repeats_of(sim).values()) <= 12
    assert set(repeats_of(sim).values()) == {2}, "two more seeds each"


def test_a_candidate_with_a_seed_of_its_own_counts_once_and_is_never_confirmed(tmp_path: Path) -> None:
    noise = noisy()
    sim = play(tmp_path, lambda c, s: -9.0 if c == 12 else noise(c, s))
    assert confirmed(sim) == [0]
    assert repeats_of(sim)[12] == 2, "three equal scores are enough to see it"
    said = last_said(sim, 12)
    assert "seed_ignored" in said.reason
    assert "all its scores count as one" in said.reason
    assert said.evidence["seed_ignored"] == 1.0


def test_one_score_that_varies_ends_the_trust_in_equal_ones(tmp_path: Path) -> None:
    noise = noisy()
    sim = play(tmp_path, lambda c, s: noise(c, s) - 3 if c == 5 else -9.0 if c > 20 else 0.0, max_trials=60)
    assert repeats_of(sim)[5] >= 1
    assert all(number in (0, 5) for number in confirmed(sim))


# ---------------------------------------------------------------- repeats that end badly
@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.TIMEOUT, Status.TAMPERED, Status.LOST])
def test_a_candidate_whose_repeat_has_no_score_is_out(tmp_path: Path, status: Status) -> None:
    noise, seen = noisy(), set[int]()

    def score(candidate: int, seed: int) -> float | Status:
        first = candidate not in seen
        seen.add(candidate)
        return (noise(candidate, seed) - 9.0 if first else status) if candidate == 15 else noise(candidate, seed)

    sim = play(tmp_path, score)
    assert confirmed(sim) == [0]
    assert repeats_of(sim)[15] == 1
    log = sim.campaign.log
    assert 15 in [d.candidate for d in log.decisions if d.leads]
    assert log.view().leader != 15
    reason = next(d.reason for d in log.decisions if d.candidate == 15 and d.verdict == "discard")
    said = "failed: lost 3 times, the last time: so it goes" if status is Status.LOST else f"{status}: so it goes"
    assert reason.startswith("trial ")
    assert reason.endswith(f", which measures it again: {said}")


def test_pairs_that_the_baseline_fails_are_left_out(tmp_path: Path) -> None:
    noise, seeds = noisy({15: 20.0}), list[int]()

    def score(candidate: int, seed: int) -> float | Status:
        if candidate == 0:
            seeds.append(seed)
        return Status.FAILED if candidate == 0 and len(seeds) in (2, 5) else noise(candidate, seed)

    sim = play(tmp_path, score)
    assert confirmed(sim) == [0, 15]
    baseline, candidate = (sim.campaign.log.view().candidate(n) for n in (0, 15))
    assert baseline is not None
    assert candidate is not None
    assert baseline.n == len(baseline.trials) - 2
    assert candidate.n >= 8, "six pairs and the first score, and the one whose pair is missing"


def test_without_a_score_of_the_baseline_the_first_one_takes_its_place(tmp_path: Path) -> None:
    noise = noisy({20: 30.0})
    sim = play(tmp_path, lambda c, s: Status.FAILED if c == 0 else noise(c, s), require_baseline=False)
    assert confirmed(sim) == [1, 20]
    assert sim.campaign.log.decisions[0].reason == "failed: so it goes"
    assert sim.campaign.log.decisions[1].reason.endswith("is the first score")
    assert repeats_of(sim)[1] >= 2


class CancelAll(Condemning):
    """Every report condemns."""

    def doomed(self, curve: Curve) -> Order | None:
        return Order(kind="cancel", reason="doomed")


def test_repeats_are_never_cancelled(tmp_path: Path) -> None:
    def run_trial(start: StartTrial) -> FakeRun:
        curve = Curve(steps=(1.0,), elapsed_s=(0.5,), metrics={"loss": (1.0,)}, step_target=2.0)
        report = Progress(step=1, step_target=2, metrics={"loss": 1.0})
        return FakeRun(seconds=1, outcome=ok(1.0, curve=curve), reports={0.5: report})

    rule: CancelRule = CancelAll()
    sim = simulation(tmp_path, run_trial, keep=NoiseRule("loss"), cancel=rule, control_share=0.0, max_trials=10)
    sim.run([opened(sim, tmp_path)])
    statuses = {s.trial.number: s.outcome.status for s in sim.campaign.log.settled}
    assert [statuses[n] for n in range(3)] == [Status.OK] * 3
    assert set(list(statuses.values())[3:]) == {Status.CANCELLED}


def test_repeats_that_a_policy_asks_for_count_for_the_mean_but_not_as_the_rules_own(tmp_path: Path) -> None:
    policy = Static(space=SPACE, params=[{"x": 0.1}, {"x": 0.2}], repeats=3)
    sim = play(tmp_path, noisy({1: 3.0}), max_trials=12, policy=policy)
    assert set(repeats_of(sim)) == {0}
    assert any("n=3" in d.reason for d in sim.campaign.log.decisions if d.candidate not in (0,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("alpha", v) for v in (0, 1, -0.1, float("nan"))),
        *(("confirm_share", v) for v in (-0.1, 1.1, float("nan"))),
        *(("baseline_seeds", v) for v in (1, 6, 2.5, True)),
    ],
)
def test_values_out_of_range_are_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"controller\.keep\.{name} is {value!r}"):
        NoiseRule("loss", **{name: value})


@pytest.mark.slow
def test_null_edits_are_confirmed_no_more_often_than_alpha(tmp_path: Path) -> None:
    wrong = sum(
        len(confirmed(play(tmp_path, noisy(seed=seed), NoiseRule("loss", alpha=0.2), seed=seed))) > 1 for seed in range(100)
    )
    assert wrong <= 20 + 12, "0.2 and three standard errors"
