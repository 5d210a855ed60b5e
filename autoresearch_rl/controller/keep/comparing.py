"""Sequential tests of candidates against the one that was confirmed last."""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from autoresearch_rl.controller.keep.evidence import Evidence, threshold
from autoresearch_rl.history import History
from autoresearch_rl.trial import Candidate, Settled


class Scores:
    """Scores of candidates by seed, in the order settled, None where a trial has none. Each trial is read once."""

    def __init__(self) -> None:
        self._known: dict[int, dict[int, float | None]] = {}  # of candidates that were measured again

    def of(self, candidate: Candidate) -> Mapping[int, float | None]:
        """Those of a candidate, which has grown since it was given before."""
        known = {} if len(candidate.trials) == 1 else self._known.setdefault(candidate.number, {})
        for settled in candidate.trials[len(known) :]:
            known[settled.trial.seed] = settled.outcome.score
        return known


@dataclass(slots=True)
class Test:
    """One candidate against another.

    Attributes:
        needed: Evidence that confirms.
        after: Only trials of the candidate with a higher number count: those before are why it was chosen.
        read: Settled trials of the candidate that are taken into account.
        evidence: From the pairs that are complete, up to the first that is not.
        unpaired: The candidate's trials from there on, by number.
    """

    needed: float
    after: int
    read: int
    evidence: Evidence = field(default_factory=Evidence)
    unpaired: list[Settled] = field(default_factory=list)


@dataclass
class Comparisons:
    """The tests of one campaign.

    Attributes:
        alpha: Shared by all tests.
        seeds: Under how many seeds a score must be the same to be taken as independent of the seed.
        reference: The baseline, or the first trial with a score.
        confirmed: What candidates are compared with.
        proof: Why that is confirmed, the end of a sentence.
        beaten: Who was confirmed against whom.
        tests: By candidate, all against `confirmed`.
        opened: How many tests there were, those against earlier ones included.
        varied: Whether any candidate scored differently under another seed.
        scores: Of all candidates.
    """

    alpha: float
    seeds: int
    reference: int
    confirmed: int
    proof: str
    beaten: dict[int, int] = field(default_factory=dict)
    tests: dict[int, Test] = field(default_factory=dict)
    opened: int = 0
    varied: bool = False
    scores: Scores = field(default_factory=Scores)
    _pending: tuple[History, Counter[int]] | None = None  # pending measurements by candidate, of the history looked at last

    def open(self, number: int, history: History) -> None:
        """Begins to test a candidate, if it is not under test yet."""
        if number not in self.tests:
            self.opened += 1
            trials = scored(history, number)[0].trials
            newest = max(settled.trial.number for settled in trials)
            self.tests[number] = Test(threshold(self.alpha, self.opened), newest, len(trials))

    def touched_by(self, number: int, history: History) -> list[int]:
        """Candidates under test of which something is new when a trial of candidate `number` has settled."""
        touched = []
        for tested, test in self.tests.items():
            before = test.evidence.pairs
            if tested == number or (number == self.confirmed and self._evidence(tested, history).pairs > before):
                touched.append(tested)
        return touched

    def is_proven(self, number: int, history: History) -> bool:
        """Whether a candidate under test is proven to be better than the confirmed one."""
        mine, mean = scored(history, number)
        if self._is_fixed_for(mine, history):
            return mine.n >= self.seeds and history.better(mean, scored(history, self.confirmed)[1])
        return not ignores_seed(mine) and self._evidence(number, history).value >= self.tests[number].needed

    def confirm(self, number: int, history: History) -> None:
        """From now on candidates are compared with this one."""
        said, _ = self.so_far(number, history)
        self.proof = f"is confirmed to be better than trial {self.confirmed}: {said}"
        self.beaten[self.confirmed] = number
        self.confirmed, self.tests = number, {}

    def so_far(self, number: int, history: History) -> tuple[str, dict[str, float]]:
        """What a test has shown, as a part of a sentence and as numbers."""
        mine, _ = scored(history, number)
        if self._is_fixed_for(mine, history):
            return f"scores do not vary with the seed ({mine.n} of {self.seeds} seeds seen), so there is nothing to average", {}
        if ignores_seed(mine):
            return "it ignores the seed while others do not, so all its scores count as one", {}
        evidence, needed = self._evidence(number, history), self.tests[number].needed
        value, pairs = evidence.value, evidence.pairs
        said = f"e-value {value:.3g} of {needed:.4g} needed after {pairs} pair{'' if pairs == 1 else 's'}"
        return said, {"e_value": value, "needed": needed, "pairs": float(pairs)}

    def wins_needed(self, number: int, history: History) -> float:
        """The least number of further pairs that can prove a candidate better, infinite if none can."""
        mine, _ = scored(history, number)
        if self._is_fixed_for(mine, history):
            return max(1, self.seeds - mine.n)
        if ignores_seed(mine) and mine.n >= self.seeds:
            return math.inf
        if number not in self.tests:
            return self._wins_of_a_new_one()
        return self._evidence(number, history).wins_needed(self.tests[number].needed)

    def cost(self, number: int, pairs: float, history: History) -> float:
        """Repeats that so many further pairs take, of the candidate and of the one that it is compared with."""
        return pairs + max(0, self._measured(number, history) + pairs - self._measured(self.confirmed, history))

    def cost_of_a_new_one(self, history: History) -> float:
        """The least number of repeats that can confirm a candidate that was measured once."""
        fixed = self._is_fixed(history)
        pairs = self.seeds - 1 if fixed else self._wins_of_a_new_one()
        return pairs + max(0, 1 + pairs - max(self.seeds, self._measured(self.confirmed, history)))

    def _measured(self, number: int, history: History) -> int:
        """Measurements of a candidate, pending ones included."""
        if self._pending is None or self._pending[0] is not history:
            self._pending = history, Counter(trial.candidate for trial in history.pending)
        candidate = history.candidate(number)
        return self._pending[1][number] + (0 if candidate is None else len(candidate.trials))

    def _is_fixed(self, history: History) -> bool:
        """Whether scores do not depend on the seed, as far as anybody has seen."""
        return not self.varied and ignores_seed(scored(history, self.reference)[0])

    def _is_fixed_for(self, candidate: Candidate, history: History) -> bool:
        return (candidate.n == 1 or ignores_seed(candidate)) and self._is_fixed(history)

    def _wins_of_a_new_one(self) -> float:
        return _wins_of_a_new_one(threshold(self.alpha, self.opened + 1))

    def _evidence(self, number: int, history: History) -> Evidence:
        """Of the pairs that count, in order, up to the first that is not complete; those that the other one failed are left out."""
        test, mine = self.tests[number], scored(history, number)[0]
        for settled in mine.trials[test.read :]:
            if settled.trial.number > test.after:
                insort(test.unpaired, settled, key=lambda s: s.trial.number)
        test.read = len(mine.trials)
        if not test.unpaired:
            return test.evidence
        theirs = self.scores.of(scored(history, self.confirmed)[0])
        pending = min((t.number for t in history.pending if t.proposal.repeat_of == number), default=math.inf)
        sign = -1.0 if history.direction == "minimize" else 1.0
        while test.unpaired and test.unpaired[0].trial.number < pending and test.unpaired[0].trial.seed in theirs:
            settled = test.unpaired.pop(0)
            left, right = settled.outcome.score, theirs[settled.trial.seed]
            if left is not None and right is not None:
                test.evidence.add(sign * (left - right))
        return test.evidence


@lru_cache(1)
def _wins_of_a_new_one(needed: float) -> float:
    return Evidence().wins_needed(needed)


def scored(history: History, number: int) -> tuple[Candidate, float]:
    """A candidate that is known to have a score, and its mean."""
    candidate = history.candidate(number)
    assert candidate is not None
    assert candidate.mean is not None
    return candidate, candidate.mean


def ignores_seed(candidate: Candidate) -> bool:
    """Whether it was measured under several seeds, and scored the same under each."""
    if candidate.n < 2:
        return False
    scores = (s.outcome.score for s in candidate.trials if s.outcome.score is not None)
    one = next(scores)
    return all(score == one for score in scores)
