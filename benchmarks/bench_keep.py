"""What keep rules confirm: campaigns of 100 trials whose edits change nothing, or of which one in ten has a true effect.

On the virtual clock, through the real loop, against named peers: `strict` (what beats the leader is confirmed) and a t-test with
peeking (Welch's one-sided test at 5 % against the baseline, looked at after each of up to 5 repeats of every new leader). Shown are
the share of campaigns that ever confirmed a null edit, and with true effects the share that confirmed a better one, and the median
number of trials until then. About 4 minutes. Run: python benchmarks/bench_keep.py [CAMPAIGNS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.journal import Blobs
from autoresearch_rl.controller.keep import KeepRule
from autoresearch_rl.controller.keep.noise import NoiseRule
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.proposing import Proposer
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.events import Decide, SettledEvent, StartTrial
from autoresearch_rl.history import History
from autoresearch_rl.policy import Ask
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.testing.simulation import FakeRun, Simulation, opening
from autoresearch_rl.trial import Budget, Decision, Outcome, Proposal, Status
from benchmarks.rows import Row, report

TRIALS = 100
Draw = Callable[[np.random.Generator, int], float]


def _lopsided(rng: np.random.Generator, _: int) -> float:
    return float(rng.lognormal(0.0, 1.0) - np.exp(0.5)) / 2.16


# Noise of one score with mean 0 and, where it has one, a standard deviation of 1; the second argument is the candidate.
NOISES: dict[str, Draw] = {
    "normal": lambda rng, _: float(rng.normal()),
    "Student's t, 3 degrees": lambda rng, _: float(rng.standard_t(3)) / 3**0.5,
    "Cauchy": lambda rng, _: float(rng.standard_cauchy()),
    "lognormal": _lopsided,
    "negative lognormal": lambda rng, candidate: -_lopsided(rng, candidate),
    "rounded to steps of 1 sd": lambda rng, _: float(round(rng.normal())),
    "rounded to steps of 3 sd": lambda rng, _: 3.0 * round(rng.normal() / 3),
    "normal, sd 0.3 to 3 by candidate": lambda rng, candidate: float(rng.normal()) * 10 ** ((candidate * 7 % 11 - 5) / 10),
}


class PeekingTTest:
    """Welch's test after each repeat of a new leader, as if one had not looked before, nor at the others, nor chosen by the score.

    The baseline has as many seeds as a candidate gets at most, and as many trials in all go into repeats as with `NoiseRule`.
    """

    def __init__(self, alpha: float = 0.05, most: int = 5, share: float = 0.3) -> None:
        self._alpha, self._most, self._left = alpha, most, round(share * TRIALS)

    def trials_needed(self) -> float:
        """The baseline and one candidate, both measured twice."""
        return 4

    def __call__(self, history: History, budget: Budget) -> Sequence[Decision]:
        (last,) = history.last(1)
        number = last.trial.candidate
        if number == 0:
            repeats = self._repeats(0, self._most - 1 if len(history) == 1 else 0)
            return [Decision(candidate=0, verdict="keep", reason="baseline", leads=len(history) == 1, repeats=repeats)]
        mine, best = _scores(history, number), _scores(history, history.leader or 0)
        leads = number == history.leader or statistics.fmean(mine) > statistics.fmean(best)
        if not leads:
            return [Decision(candidate=number, verdict="discard", reason="no leader")]
        if number == history.confirmed or (len(set(mine)) > 1 and self._is_better(mine, _scores(history, 0))):
            return [Decision(candidate=number, verdict="keep", reason="significant", leads=True)]
        repeats = self._repeats(number, len(mine) < self._most)
        return [Decision(candidate=number, verdict="undecided", reason="not significant", leads=True, repeats=repeats)]

    def _repeats(self, number: int, count: int) -> tuple[int, ...]:
        count = min(count, self._left)
        self._left -= count
        return (number,) * count

    def _is_better(self, mine: Sequence[float], theirs: Sequence[float]) -> bool:
        from scipy.stats import ttest_ind

        return len(set(theirs)) > 1 and ttest_ind(mine, theirs, equal_var=False, alternative="greater").pvalue < self._alpha


def _scores(history: History, number: int) -> list[float]:
    candidate = history.candidate(number)
    return [] if candidate is None else [s.outcome.score for s in candidate.trials if s.outcome.score is not None]


RULES: dict[str, Callable[[], KeepRule]] = {
    "noise": lambda: NoiseRule("score"),
    "strict": lambda: StrictRule("score"),
    "t-test with peeking": PeekingTTest,
}


@dataclass(frozen=True)
class Result:
    """Of one campaign.

    Attributes:
        wrong: Whether a candidate that is no better than the baseline was ever confirmed.
        when: Trials that had settled when a better one was confirmed for the first time; None if none was.
        gain: How much better than the baseline the candidate that is confirmed at the end truly is.
        repeats: Trials that went into repeats.
    """

    wrong: bool
    when: int | None
    gain: float
    repeats: int


class Edits:
    """A policy whose every proposal is another edit."""

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        """As many as are asked for."""
        return [Proposal(params={"x": float(ask.rng.uniform())}, source="edits") for _ in range(ask.count)]


def campaign(rule: KeepRule, draw: Draw, seed: int, effect: float, shared: float = 0.0, concurrency: int = 1) -> Result:
    """One campaign; every tenth edit is better by `effect`. `shared`: part of the variance that all have in common by seed."""

    def truth(candidate: int) -> float:
        return effect if candidate and candidate % 10 == 0 else 0.0

    def run_trial(start: StartTrial) -> FakeRun:
        trial = start.trial
        candidate = trial.candidate
        own = draw(np.random.default_rng((seed, candidate, trial.seed)), candidate)
        common = draw(np.random.default_rng((seed, 10**6, trial.seed)), 0) if shared else 0.0
        score = truth(candidate) + (1 - shared) ** 0.5 * own + shared**0.5 * common
        return FakeRun(seconds=1.0 + trial.number * 1e-6, outcome=Outcome(status=Status.OK, score=score, elapsed_s=1.0))

    space = SearchSpace.from_config({"x": {"low": 0.0, "high": 1.0}})
    settings = Settings(keep=rule, max_trials=TRIALS, concurrency=concurrency, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        sources = Sources(Blobs(Path(folder)))
        loop = Campaign(settings, sources, direction="maximize", request={}, devices={})
        simulation = Simulation(loop, Proposer(Edits(), space, settings), run_trial)
        source = sources.add({"train.py": "\n"})
        simulation.run([opening(source, space.defaults, metric="score", direction="maximize", seed=seed)])
    return _result(simulation, truth)


def _result(simulation: Simulation, truth: Callable[[int], float]) -> Result:
    settled, wrong, when = 0, False, None
    for entry in simulation.entries:
        settled += isinstance(entry.record, SettledEvent)
        if isinstance(entry.record, Decide) and entry.record.decision.verdict == "keep" and entry.record.decision.candidate:
            better = truth(entry.record.decision.candidate) > 0
            wrong = wrong or not better
            when = settled if better and when is None else when
    history = simulation.campaign.log.view()
    repeats = sum(s.trial.proposal.repeat_of is not None for s in history.settled)
    return Result(wrong, when, truth(history.confirmed or 0), repeats)


def interval(hits: int, of: int) -> str:
    """A share with its 95 % Clopper-Pearson interval, in per cent."""
    from scipy.stats import binomtest

    low, high = binomtest(hits, of).proportion_ci()
    return f"{100 * hits / of:5.1f} % [{100 * low:4.1f}, {100 * high:5.1f}]"


def null_edits(campaigns: int) -> None:
    """Prints how often something is confirmed though no edit changes anything."""
    print(f"Null edits: share of campaigns of {TRIALS} trials that ever confirmed one, with its 95 % interval; alpha is 5 %")
    print(f"{'noise':34} {'rule':20} {'campaigns':>9} {'false confirmations':>22} {'repeats':>8}")
    shares: dict[str, float] = {}
    for noise, draw in NOISES.items():
        for shared in (0.0, 0.8) if noise == "normal" else (0.0,):
            name = noise if not shared else f"{noise}, {shared:.0%} shared by seed"
            for rule in RULES if noise == "normal" and not shared else ["noise"]:
                count = campaigns if noise == "normal" and not shared and rule == "noise" else campaigns // 4
                results = [campaign(RULES[rule](), draw, seed, 0.0, shared) for seed in range(count)]
                repeats = statistics.fmean(r.repeats for r in results)
                wrong = interval(sum(r.wrong for r in results), count)
                shares.setdefault(rule, 100 * statistics.fmean(r.wrong for r in results))
                print(f"{name:34} {rule:20} {count:9} {wrong:>22} {repeats:8.1f}", flush=True)
    for peer in ("strict", "t-test with peeking"):
        report(Row("keep: campaigns that confirm an edit that changes nothing, %", shares["noise"], peer, shares[peer]))


def true_effects(campaigns: int) -> None:
    """Prints how often and when a better candidate is confirmed where every tenth edit is better."""
    print(f"\nTrue effects: every tenth edit is better, the others change nothing; normal noise, {TRIALS} trials")
    head = f"{'effect':>6} {'shared':>6} {'rule':20} {'campaigns':>9} {'a better one confirmed':>24} {'after':>5}"
    print(f"{head} {'a null edit ever was':>22} {'better at end':>13} {'repeats':>8}")
    draw = NOISES["normal"]
    for effect in (0.5, 1.0, 2.0):
        for shared in (0.0, 0.8):
            for rule, make in RULES.items():
                results = [campaign(make(), draw, seed, effect, shared) for seed in range(campaigns)]
                when = [r.when for r in results if r.when is not None]
                found = f"{interval(len(when), campaigns):>24} {statistics.median(when) if when else '':>5}"
                wrong = interval(sum(r.wrong for r in results), campaigns)
                end = f"{100 * statistics.fmean(r.gain > 0 for r in results):11.1f} %"
                repeats = statistics.fmean(r.repeats for r in results)
                print(
                    f"{effect:4} σ {shared:6.0%} {rule:20} {campaigns:9} {found} {wrong:>22} {end:>13} {repeats:8.1f}", flush=True
                )


if __name__ == "__main__":
    campaigns = max(10, int(sys.argv[1])) if len(sys.argv) > 1 else 1000
    null_edits(campaigns)
    true_effects(campaigns // 10)
