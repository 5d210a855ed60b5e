"""What the next trials are expected to gain, and what they do: the stop rule `controller.min_gain` on replayed campaigns.

Campaigns of 140 trials: finals of recorded curves in random order (below $ARRL_SHARED; left out where that is unset), random draws,
draws with noise (where every new leader is measured three times, and gains are of true values), and Optuna's TPE on functions.
Scores are in units of the interquartile range of their source. First table: the mean gain of the next 10 trials, and the mean
predicted one divided by it, after so many trials; of `tail` and `record`, whose mean is the rule, too. Second table: trials spent and
score lost against all 140, by the rule at 0.01 and by named peers: patience, Optuna's BestValueStagnationEvaluator, and its
RegretBoundEvaluator (GP-UCB regret bound, needs torch; asked every 10 trials of the first campaigns of TPE) with an error of 0.01.

About 5 minutes. Run: python benchmarks/bench_expected_gain.py [CAMPAIGNS]
"""

from __future__ import annotations

import importlib.util
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import optuna
from optuna.terminator import BestValueStagnationEvaluator, RegretBoundEvaluator

from autoresearch_rl.controller.gain import ExpectedGain, _tail
from autoresearch_rl.controller.stopping import StopRule, no_improvement
from autoresearch_rl.history import HistoryLog
from autoresearch_rl.trial import Decision, Outcome, Proposal, Status, Trial
from benchmarks.recorded import recorded

Array = npt.NDArray[np.float64]
TRIALS, NEXT, LEAST = 140, 10, 0.01
MOMENTS = (20, 30, 50, 80, 120)
REGRET_CAMPAIGNS = 2


@dataclass(frozen=True, kw_only=True)
class Source:
    """Campaigns of one kind: `scores` [campaign, trial], lower is better; `noise` is the standard deviation of one measurement."""

    name: str
    scores: Sequence[Sequence[float]]
    noise: float = 0.0
    studies: Sequence[optuna.Study] = field(default=(), repr=False)


class Campaign:
    """One campaign, replayed: its history, and by number of trials the true score of the one that looks best."""

    def __init__(self, scores: Sequence[float], noise: float, rng: np.random.Generator) -> None:
        self.log = HistoryLog("minimize")
        self.true: list[float] = []
        self._scores, self._noise, self._rng = scores, noise, rng
        self._means: dict[int, float] = {}
        self._true: dict[int, float] = {}
        self._number = 0

    def run(self) -> Iterator[int]:
        """Settles trial after trial, repeats included; yields the number of candidates so far."""
        for score in self._scores:
            root = self._measure(score, None)
            if self._noise and (root == 0 or root == min(self._means, key=self._means.__getitem__)):
                for _ in range(2):
                    self._measure(score, root)
            best = min(self._means, key=self._means.__getitem__)
            self.log.decide(Decision(candidate=best, verdict="discard", reason="", leads=True))
            self.true.append(self._true[best])
            yield len(self.true)

    def _measure(self, score: float, root: int | None) -> int:
        number, self._number = self._number, self._number + 1
        trial = Trial(number=number, proposal=Proposal(params={}, repeat_of=root), seed=number)
        self.log.submit(trial)
        seen = score + self._noise * float(self._rng.normal()) if self._noise else score
        self.log.settle(trial, Outcome(status=Status.OK, score=seen))
        first = number if root is None else root
        candidate = self.log.view().candidate(first)
        assert candidate is not None
        assert candidate.mean is not None
        self._means[first] = candidate.mean
        self._true[first] = score
        return first


def sources(campaigns: int) -> Iterator[Source]:
    """All sources, scores scaled."""
    rng = np.random.default_rng(0)
    if os.environ.get("ARRL_SHARED"):
        families: dict[str, list[list[float]]] = {}
        for pool in recorded("curves").load_pools("dev"):
            finals = pool.finals[np.isfinite(pool.finals)]
            if not pool.subset and len(finals) >= TRIALS and np.subtract(*np.percentile(finals, [75, 25])) > 0:
                drawn = [_scaled(finals)[rng.permutation(len(finals))[:TRIALS]].tolist() for _ in range(campaigns // 4)]
                families.setdefault(pool.family, []).extend(drawn)
        yield from (Source(name=family, scores=drawn) for family, drawn in families.items())
    draws: Mapping[str, Callable[[], Array]] = {
        "normal": lambda: rng.normal(size=TRIALS) / 1.35,
        "lognormal": lambda: rng.lognormal(size=TRIALS) / 1.45,
        "negative lognormal": lambda: -rng.lognormal(size=TRIALS) / 1.45,
        "uniform": lambda: rng.random(TRIALS) * 2,
    }
    for name, draw in draws.items():
        yield Source(name=name, scores=[draw().tolist() for _ in range(campaigns)])
    for noise in (0.5, 1.0, 2.0):
        drawn = [draws["normal"]().tolist() for _ in range(campaigns)]
        yield Source(name=f"normal, noise {noise:g} sd", scores=drawn, noise=noise / 1.35)
    for name, (function, size) in FUNCTIONS.items():
        studies = [_searched(function, size, seed) for seed in range(max(2, campaigns // 20))]
        values = [[trial.value or 0.0 for trial in study.trials] for study in studies]
        scale = float(np.subtract(*np.percentile([v[:10] for v in values], [75, 25])))
        yield Source(name=f"TPE, {name}", scores=[[v / scale for v in of] for of in values], studies=studies)


def _scaled(values: Array) -> Array:
    low, high = np.percentile(values, [25, 75])
    return values / float(high - low)


def _rosenbrock(x: Array) -> float:
    x = 4 * x - 2
    return float(np.log1p(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)))


FUNCTIONS: Mapping[str, tuple[Callable[[Array], float], int]] = {
    "sphere": (lambda x: float(np.sum((x - 0.3) ** 2)), 5),
    "log Rosenbrock": (_rosenbrock, 4),
    "Rastrigin": (lambda x: float(np.sum((6 * x - 3) ** 2 + 10 - 10 * np.cos(2 * np.pi * (6 * x - 3)))), 4),
}


def _searched(function: Callable[[Array], float], size: int, seed: int) -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(TRIALS):
        trial = study.ask()
        study.tell(trial, function(np.array([trial.suggest_float(f"x{i}", 0, 1) for i in range(size)])))
    return study


def calibration(source: Source) -> str:
    """One row: realised gain, and predicted divided by realised, of the rule, of its tail and of its record."""
    predicted: dict[int, list[tuple[float, float]]] = {n: [] for n in MOMENTS}
    realised: dict[int, list[float]] = {n: [] for n in MOMENTS}
    rng = np.random.default_rng(1)
    for scores in source.scores:
        campaign, rule = Campaign(scores, source.noise, rng), ExpectedGain(1e-300, NEXT)
        for n in campaign.run():
            rule(campaign.log.view(), 0.0)
            if n in predicted:
                predicted[n].append((rule.gain(), _tail(rule._ranked, n, NEXT) * rule._reliability()))
        for n in MOMENTS:
            realised[n].append(campaign.true[n - 1] - campaign.true[n + NEXT - 1])
    cells = [f"{source.name:24}"]
    for n in MOMENTS:
        real = float(np.mean(realised[n]))
        both, tail = np.mean(predicted[n], axis=0)
        cells.append(f"{real:7.4f} {both / real:5.2f} ({tail / real:4.2f} {(2 * both - tail) / real:4.2f})")
    return " | ".join(cells)


def stopped(source: Source, rules: Mapping[str, Callable[[], StopRule]]) -> str:
    """One row: by rule, trials spent and score lost."""
    spent: dict[str, list[tuple[int, float]]] = {name: [] for name in rules}
    for scores in source.scores:
        campaign, open_rules = Campaign(scores, source.noise, np.random.default_rng(2)), {n: r() for n, r in rules.items()}
        ends = dict.fromkeys(rules, TRIALS)
        for n in campaign.run():
            for name in [name for name, rule in open_rules.items() if rule(campaign.log.view(), 0.0) is not None]:
                ends[name] = n
                del open_rules[name]
        for name, n in ends.items():
            spent[name].append((n, campaign.true[n - 1] - campaign.true[-1]))
    return " | ".join([f"{source.name:24}", *(_spent(pairs) for pairs in spent.values()), *_optunas(source)])


def _spent(pairs: Sequence[tuple[int, float]]) -> str:
    trials, lost = np.mean(pairs, axis=0)
    return f"{trials:5.0f} {lost:7.3f}"


def _optunas(source: Source) -> Iterator[str]:
    """Optuna's own terminators on the studies of a source, where it has some."""
    evaluators = [(BestValueStagnationEvaluator(max_stagnation_trials=30), len(source.studies), 0.0, 1)]
    if importlib.util.find_spec("torch") is not None:
        evaluators.append((RegretBoundEvaluator(), REGRET_CAMPAIGNS, LEAST, 10))
    for evaluator, most, error, every in evaluators if source.studies else ():
        pairs = []
        for study, scores in list(zip(source.studies, source.scores, strict=True))[:most]:
            scale = (study.trials[0].value or 1.0) / scores[0]
            end = TRIALS
            for n in range(2 * NEXT, TRIALS, every):
                left = evaluator.evaluate(study.trials[:n], study.direction)
                if left < error * (scale if error else 1.0):
                    end = n
                    break
            pairs.append((end, min(scores[:end]) - min(scores)))
        yield _spent(pairs)


def main() -> None:
    """Prints both tables."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    every = list(sources(int(sys.argv[1]) if len(sys.argv) > 1 else 400))
    print(f"{'gain of the next 10 after':24} | " + " | ".join(f"{n:>3}: real pred/real (tail rec.)" for n in MOMENTS))
    for source in every:
        print(calibration(source), flush=True)
    rules: Mapping[str, Callable[[], StopRule]] = {
        f"min_gain={LEAST}": lambda: ExpectedGain(LEAST, NEXT),
        "min_gain=0.05": lambda: ExpectedGain(0.05, NEXT),
        "patience=20": lambda: no_improvement(20),
        "patience=40": lambda: no_improvement(40),
    }
    print(f"\n{'trials, score lost':24} | " + " | ".join([*(f"{name:>13}" for name in rules), "stagnation=30", "regret bound"]))
    for source in every:
        print(stopped(source, rules), flush=True)
    assert all(math.isfinite(score) for source in every for scores in source.scores for score in scores)


if __name__ == "__main__":
    main()
