"""The keep rule where scores vary with the seed: the leader moves freely, and only what is proven is confirmed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from autoresearch_rl.controller.checking import check_values, counts
from autoresearch_rl.controller.keep import REPEAT, no_score
from autoresearch_rl.controller.keep.comparing import Comparisons, ignores_seed, scored
from autoresearch_rl.controller.keep.evidence import Evidence, threshold
from autoresearch_rl.controller.keep.ranking import Ranking, Standing
from autoresearch_rl.history import History
from autoresearch_rl.trial import Budget, Candidate, Decision, Settled

_TOP = 3  # candidates for which the last part of the budget is reserved
_CLEARLY = 2.0  # standard errors by which the leader must be ahead to be tested before the last part: tests share alpha
_LAST_PART = 0.5  # of what confirming may spend


@dataclass
class _Campaign:
    """What the rule knows of one campaign.

    Attributes:
        spent: Settled repeats that the rule has asked for.
        out: Candidates that ended without a score under some seed.
    """

    ranking: Ranking
    comparisons: Comparisons
    spent: int = 0
    out: set[int] = field(default_factory=set)


class NoiseRule:
    """Confirms a candidate by a sequential test on paired seeds; the leader is the best shrunken mean (`Ranking`).

    The chance that a campaign confirms, at any time, a candidate that is not better than the baseline is at most `alpha`:

    - The k-th measurements of two candidates have the same seed. The differences of such pairs are the evidence (`evidence.py`),
      and it may be looked at after every pair.
    - A candidate comes under test because its scores so far are good, so these say nothing: only measurements that are asked for
      from then on count.
    - Tests share alpha by the order in which they are opened (`threshold`). Once a candidate is confirmed, it is what others are
      compared with, in tests of their own; each step of the chain is true unless one of all these tests errs.

    It is assumed that a policy does not choose candidates for being lucky under seeds at which they were not run yet; the scores
    of the baseline under these seeds it may know. And that a trial takes its seed from `AR_SEED`: one that scores the same under
    every seed is one measurement, however often it is made. Where that is so of all candidates, the baseline first, there is
    nothing to average, and what scores better is confirmed once it has scored the same under `baseline_seeds` seeds.

    A candidate that ends without a score under some seed, cancelled or failed, neither leads nor is confirmed any more: the seeds
    under which it has one would be the lucky ones.
    """

    def __init__(self, metric: str, alpha: float = 0.05, confirm_share: float = 0.3, baseline_seeds: int = 3) -> None:
        """`confirm_share`: of `controller.max_trials` (of the trials so far if that is null), the most that repeats may spend.

        `baseline_seeds`: seeds under which the baseline is measured at the start, 2 to 5. Raises ConfigError for values out of range.
        """
        check_values(
            "controller.keep",
            ("alpha", alpha, 0 < alpha < 1, "between 0 and 1, e.g. 0.05"),
            ("confirm_share", confirm_share, 0 <= confirm_share <= 1, "a share from 0 to 1, e.g. 0.3"),
            ("baseline_seeds", baseline_seeds, counts(baseline_seeds, 2) and baseline_seeds <= 5, "a whole number from 2 to 5"),
            code="keep-value",
        )
        self._metric, self._alpha, self._share, self._seeds = metric, alpha, confirm_share, baseline_seeds
        self._campaign: _Campaign | None = None

    def __call__(self, history: History, budget: Budget) -> Sequence[Decision]:
        """Returns a decision about the candidate of the trial that settled last, and about others of which it changes something.

        The same instance is to be called after each trial; it begins anew at the first one.
        """
        (last,) = history.last(1)
        trial = last.trial
        root = trial.candidate
        if len(history) == 1:
            self._campaign = None
        if self._campaign is None:
            return self._first(root, last, history, budget)
        known = self._campaign
        known.spent += trial.proposal.source == REPEAT
        known.ranking.follow(trial.proposal, trial.number)
        self._take(known, root, history)
        confirmed = known.comparisons.confirmed
        touched = [root, *self._confirm(known, root, history)]
        standings = known.ranking.standings()
        leader = known.ranking.leader()
        if leader.number != history.leader or known.comparisons.confirmed != confirmed:
            touched.append(leader.number)  # how it stands is said against what is confirmed now
        repeats, reserve = self._ask(known, standings, leader.number, history, budget)
        touched += [number for number in repeats if number != known.comparisons.confirmed]
        decisions = [
            Decision(candidate=number, verdict="discard", reason=self._unfit(last))
            if number in known.out
            else self._decide(known, number, standings, leader.number, history)
            for number in dict.fromkeys(touched)
        ]
        return [
            replace(decision, repeats=tuple(repeats) if place == 0 else (), reserve=reserve)
            for place, decision in enumerate(decisions)
        ]

    def trials_needed(self) -> float:
        """Where scores vary with the seed: the baseline, a candidate, and the repeats that its test takes if it wins every pair."""
        pairs = Evidence().wins_needed(threshold(self._alpha, 1))
        repeats = pairs + max(self._seeds - 1, pairs)
        return max(2 + repeats, math.ceil(repeats / self._share - 1e-9)) if self._share else math.inf

    # ---------------------------------------------------------------- what is known
    def _first(self, root: int, last: Settled, history: History, budget: Budget) -> Sequence[Decision]:
        """Until there is a score: the first one to have it, mostly the baseline, is what all others are compared with."""
        if last.outcome.score is None:
            return [Decision(candidate=root, verdict="discard", reason=no_score(last.outcome))]
        candidate, mean = scored(history, root)
        proof = f"is the {'baseline' if root == 0 else 'first score'}"
        comparisons = Comparisons(alpha=self._alpha, seeds=self._seeds, reference=root, confirmed=root, proof=proof)
        self._campaign = _Campaign(Ranking(root, comparisons.scores), comparisons)
        self._campaign.ranking.follow(last.trial.proposal, last.trial.number)
        self._campaign.ranking.take(history, candidate)
        allowed = self._allowed(history, budget)
        repeats = self._seeds - 1 if budget.trials is None else min(self._seeds - 1, allowed)
        said = f"{self._metric} {mean:.6g} {proof}"
        cost = self._seeds - 1 + comparisons.cost_of_a_new_one(history)
        if budget.trials is not None and allowed < cost:
            said += (
                f"; if scores vary with the seed nothing can be confirmed: that takes {cost} repeats at least, and "
                f"controller.keep.confirm_share={self._share:g} of {_total(history, budget)} trials allows {allowed}"
            )
        numbers = {"mean": mean, "n": float(candidate.n)}
        kept = Decision(candidate=root, verdict="keep", reason=said, leads=True, evidence=numbers)
        return [replace(kept, repeats=(root,) * repeats, reserve=max(0, allowed - repeats))]

    def _take(self, known: _Campaign, root: int, history: History) -> None:
        candidate, comparisons = history.candidate(root), known.comparisons
        assert candidate is not None
        compared_with = {comparisons.reference, comparisons.confirmed, *comparisons.beaten}
        if root not in compared_with and candidate.n < len(candidate.trials):
            known.out.add(root)
            comparisons.tests.pop(root, None)
            known.ranking.drop(root)
        else:
            known.ranking.take(history, candidate)
            comparisons.varied = comparisons.varied or (candidate.n > 1 and not ignores_seed(candidate))

    def _confirm(self, known: _Campaign, root: int, history: History) -> list[int]:
        """Confirms the best of those that are proven now; returns the candidates whose evidence has changed."""
        touched = known.comparisons.touched_by(root, history)
        proven = {number for number in touched if known.comparisons.is_proven(number, history)}
        best = next((s.number for s in known.ranking.standings() if s.number in proven), None) if proven else None
        if best is None:
            return touched
        before = known.comparisons.confirmed
        known.comparisons.confirm(best, history)
        return [before, best]  # the latest decision that keeps is the one that holds

    # ---------------------------------------------------------------- what is asked for
    def _allowed(self, history: History, budget: Budget) -> int:
        """Repeats in all, those of the baseline included."""
        return math.floor(self._share * _total(history, budget) + 1e-9)

    def _ask(
        self, known: _Campaign, standings: Sequence[Standing], leader: int, history: History, budget: Budget
    ) -> tuple[list[int], int]:
        """Numbers to be measured once more each, and trials to be reserved for more of that.

        One pair at a time for a leader that is clearly ahead while the policy goes on; half of what is still needed for the first
        of the top three that is affordable once nothing but the reserve is left, or of one that others overtook while it was
        tested: its evidence is paid for. What is not needed then goes back to the policy.
        """
        comparisons = known.comparisons
        own = sum(trial.proposal.source == REPEAT for trial in history.pending)
        allowed = self._allowed(history, budget)
        left = allowed - known.spent - own
        new_one = comparisons.cost_of_a_new_one(history)
        is_ahead = known.ranking.lead(leader, comparisons.confirmed) >= _CLEARLY
        last_part: float = math.ceil(_LAST_PART * allowed)
        # Then it changes nothing what others than the leader would cost.
        early = budget.trials is None or (new_one <= min(left, last_part) and left < budget.trials)
        if early and not (is_ahead and (budget.trials is None or left > last_part)):
            return [], 0 if budget.trials is None else left
        promising = list(self._promising(known, standings))
        top = promising[:_TOP] + [number for number in promising[_TOP:] if number in comparisons.tests]
        tested = [number for number in top if number == leader and is_ahead]
        wins = {number: comparisons.wins_needed(number, history) for number in (tested if early else top)}
        costs = {number: comparisons.cost(number, needed, history) for number, needed in wins.items()}
        least = min([new_one, *costs.values()])
        reserve = left if budget.trials is not None and left >= least else 0
        at_end = budget.trials is not None and budget.trials <= reserve
        last_part = max(least, last_part) if reserve else 0
        pool, may_spend = (top, budget.trials or 0) if at_end else (tested, left - last_part)
        first = next((number for number in pool if costs[number] <= may_spend), None)
        repeats: list[int] = []
        if first is not None and not self._waits(known, pool, history):
            comparisons.open(first, history)
            pairs = math.ceil(wins[first] / 2) if at_end else 1
            others = int(comparisons.cost(first, pairs, history)) - pairs
            repeats = [first] * pairs + [comparisons.confirmed] * others
        if at_end and not (repeats or history.pending):  # a pending trial may turn out to be worth a test
            return [], 0
        return repeats, reserve and left - len(repeats)

    def _waits(self, known: _Campaign, pool: Sequence[int], history: History) -> bool:
        """Whether the noise is not known yet, or what a candidate needs, as measurements of it are still to come."""
        measured_again = {trial.proposal.repeat_of for trial in history.pending}
        reference = known.comparisons.reference
        noise_to_come = scored(history, reference)[0].n < self._seeds and reference in measured_again
        return noise_to_come or not measured_again.isdisjoint(pool)

    def _promising(self, known: _Campaign, standings: Sequence[Standing]) -> Iterator[int]:
        """Those that look better than the one that is confirmed."""
        beaten, least = known.comparisons.beaten, known.ranking.gain_of(known.comparisons.confirmed)
        return (s.number for s in standings if known.ranking.gain(s) > least and s.number not in beaten)

    # ---------------------------------------------------------------- what is said
    def _decide(self, known: _Campaign, number: int, standings: Sequence[Standing], leader: int, history: History) -> Decision:
        candidate, mean = scored(history, number)
        numbers = {"mean": mean, "n": float(candidate.n)}
        spread = ""
        if candidate.sd is not None:
            numbers["sd"] = candidate.sd
            spread = f" (n={candidate.n}, sd {candidate.sd:.2g})"
        if ignores_seed(candidate):
            numbers["seed_ignored"] = 1.0
            spread = f" (the same under {candidate.n} seeds: seed_ignored)"
        verdict, said, more = self._verdict(known, candidate, standings, leader, history)
        return Decision(
            candidate=number,
            verdict=verdict,
            reason=f"{self._metric} {mean:.6g}{spread} {said}",
            leads=number == leader,
            evidence={**numbers, **more},
        )

    def _verdict(
        self, known: _Campaign, mine: Candidate, standings: Sequence[Standing], leader: int, history: History
    ) -> tuple[Literal["keep", "discard", "undecided"], str, dict[str, float]]:
        """Verdict, the rest of the sentence, and the numbers behind it."""
        number, comparisons = mine.number, known.comparisons
        if number == comparisons.confirmed:
            return "keep", comparisons.proof + (" and leads again" if number == leader != history.leader else ""), {}
        if number in comparisons.beaten:
            return "discard", f"is beaten by trial {comparisons.beaten[number]}, which was confirmed against it", {}
        _, mean = scored(history, comparisons.confirmed)
        against = f"{mean:.6g} of trial {comparisons.confirmed}"
        if number in comparisons.tests:
            said, numbers = comparisons.so_far(number, history)
            return "undecided", f"is not yet confirmed against {against}: {said}", numbers
        best = standings[0].number
        if number == leader:
            why = "" if best == number else f", as noise hides it from trial {best} and it is simpler or cheaper"
            return "undecided", f"leads{why}; it has not been tested against {against}", {}
        if not history.better(scored(history, number)[1], mean):
            return "discard", f"does not beat {against}", {}
        if number in [s.number for s in standings[:_TOP]]:
            return "undecided", f"is among the best three; it has not been tested against {against}", {}
        return "discard", f"beats {against}, but is not among the best three", {}

    def _unfit(self, last: Settled) -> str:
        if last.outcome.score is not None:
            return f"{self._metric} {last.outcome.score:.6g} does not count: the candidate has none under another seed"
        again = "" if last.trial.proposal.repeat_of is None else f"trial {last.trial.number}, which measures it again: "
        return again + no_score(last.outcome)


def _total(history: History, budget: Budget) -> int:
    """Trials of the whole campaign, as far as they are planned."""
    return len(history) + len(history.pending) + (budget.trials or 0)
