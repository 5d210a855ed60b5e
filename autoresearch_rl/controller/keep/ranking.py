"""Which candidate leads: the best shrunken mean, and among those that noise hides from each other the simplest and cheapest."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field

from autoresearch_rl.controller.keep.comparing import Scores, ignores_seed
from autoresearch_rl.history import History
from autoresearch_rl.trial import Candidate, Proposal

_KEPT = 64  # candidates that may still lead; the worst one beyond is dropped, so that a trial costs the same at any time
_AS_GOOD = 0.43  # standard errors: within them the simpler one is really at least as good with a chance of one in three
_AS_CHEAP = 1.25  # a trial that takes up to that many times as long is no dearer: times vary too


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A candidate as the ranking sees it.

    Attributes:
        number: The candidate's.
        score: Its mean score, negative where scores are minimised.
        paired: The reference's mean score under the same seeds, with the same sign.
        n: Scores that count: 1 where the seed is ignored, however often it was measured.
        lines: Lines of its patch and of those that it builds on.
        elapsed_s: Seconds that its first trial took.
        squares: Sum of squared deviations of its repeats, for the noise: the first score of any but the reference is left out,
            as it is one of the lucky ones where there are repeats at all.
        freedom: Degrees of freedom of `squares`.
    """

    number: int
    score: float
    paired: float
    n: int
    lines: int
    elapsed_s: float
    squares: float
    freedom: int


@dataclass
class Ranking:
    """Follows the candidates of one campaign, compared with a reference: the baseline.

    A first score is a draw with noise in it, and the best of many is mostly a lucky one. So a gain over the reference is shrunk
    towards none by n t² / (n t² + s²), where s² is the variance of repeats and t² what the squared gains of candidates that looked
    better exceed noise by (empirical Bayes as by James and Stein, 1961). Losses stay as they are.

    Attributes:
        reference: Number of the candidate that all are compared with; the first to be taken.
        scores: Of all candidates.
    """

    reference: int
    scores: Scores = field(default_factory=Scores)
    _standings: dict[int, Standing] = field(default_factory=dict)
    _lines: dict[int, int] = field(default_factory=dict)  # by trial, where there are any
    _better: int = 0
    _squares: float = 0.0
    _noise: float = 0.0  # variance of scores under other seeds, 0 while nothing is known of it
    _spread: float = 0.0  # variance of true gains
    _ranked: list[tuple[float, float, int]] = field(default_factory=list)  # best first: shrunken mean and score, negative; number
    _ranked_by: tuple[float, float, Standing] | None = None  # what the order depends on beside each one's own scores

    def follow(self, proposal: Proposal, number: int) -> None:
        """To be told of every trial that settles, whatever its end: later patches may build on its source."""
        lines = len(proposal.patch.splitlines()) + self._lines.get(-1 if proposal.parent is None else proposal.parent, 0)
        if lines:
            self._lines[number] = lines

    def take(self, history: History, candidate: Candidate) -> None:
        """Takes a candidate that has a score, after one of its trials has settled."""
        reference = history.candidate(self.reference)
        assert reference is not None
        mine = self._standing(candidate, reference, -1.0 if history.direction == "minimize" else 1.0)
        self._standings[mine.number] = mine
        if candidate.n == 1 and (gain := self.gain(mine)) > 0:
            self._better += 1
            self._squares += gain * gain
        self._weigh()
        self._rank(mine)
        if len(self._standings) > _KEPT:
            kept = {self.reference, history.leader, history.confirmed, mine.number}
            self.drop(next(number for _, _, number in reversed(self._ranked) if number not in kept))

    def drop(self, number: int) -> None:
        """A candidate that is not to lead any more."""
        if self._standings.pop(number, None) is not None:
            self._ranked = [place for place in self._ranked if place[-1] != number]

    def standings(self) -> list[Standing]:
        """Best first by shrunken mean, the reference included."""
        return [self._standings[number] for _, _, number in self._ranked]

    def gain(self, standing: Standing) -> float:
        """How much better than the reference its scores are.

        Half with the scores under the same seeds, half with the mean of all: the former is exact where the seed moves all candidates
        alike, the latter where each has noise of its own; half and half is not far from the better one in either case.
        """
        return standing.score - (standing.paired + self._standings[self.reference].score) / 2

    def gain_of(self, number: int) -> float:
        """The same by number, of one that is in the standings: the reference, the leader and the confirmed one always are."""
        return self.gain(self._standings[number])

    def shrunken(self, standing: Standing) -> float:
        """The gain over the reference that is to be expected of it under other seeds."""
        gain, noise = standing.score - (standing.paired + self._standings[self.reference].score) / 2, self._noise
        if gain <= 0 or noise == 0:
            return gain
        return gain * standing.n * self._spread / (standing.n * self._spread + noise)

    def lead(self, number: int, other: int) -> float:
        """Difference of their shrunken means in standard errors, infinite where there is no noise."""
        mine, theirs = self._standings[number], self._standings[other]
        difference, error = self.shrunken(mine) - self.shrunken(theirs), self._error(mine, theirs)
        return difference / error if error else math.copysign(math.inf, difference) if difference else 0.0

    def leader(self) -> Standing:
        """The simplest of those that cannot be told from the best, among them the cheapest, among them the best."""
        top, _, best = self._ranked[0]
        variance = self._variance(self._standings[best])
        none_is_farther = 1.01 * _AS_GOOD * math.sqrt(2 * self._noise)  # as no variance is larger than that of the noise
        near = [self._standings[best]]
        hides: dict[int, float] = {}  # how far noise hides one from the best, by what its variance depends on
        for shrunken, _, number in self._ranked[1:]:
            if shrunken - top > none_is_farther:
                break
            standing = self._standings[number]
            measured = 0 if number == self.reference else standing.n
            if measured not in hides:
                hides[measured] = _AS_GOOD * math.sqrt(variance + self._variance(standing))
            if shrunken - top <= hides[measured]:
                near.append(standing)
        fewest = min(s.lines for s in near)
        simple = [s for s in near if s.lines == fewest]
        cheapest = min(s.elapsed_s for s in simple)
        return next(s for s in simple if s.elapsed_s <= _AS_CHEAP * cheapest)

    def _rank(self, mine: Standing) -> None:
        """Puts one in its place, and all where more than that has changed."""
        ranked_by = (self._noise, self._spread, self._standings[self.reference])
        if ranked_by == self._ranked_by and len(self._ranked) < len(self._standings):
            insort(self._ranked, (-self.shrunken(mine), -mine.score, mine.number))
        else:
            theirs, noise, spread = self._standings[self.reference].score, self._noise, self._spread
            self._ranked = sorted(  # as `shrunken` has it, but this is most of what a long campaign costs
                [
                    (-(gain if gain <= 0 or noise == 0 else gain * s.n * spread / (s.n * spread + noise)), -s.score, s.number)
                    for s in self._standings.values()
                    for gain in (s.score - (s.paired + theirs) / 2,)
                ]
            )
            self._ranked_by = ranked_by

    def _standing(self, candidate: Candidate, reference: Candidate, sign: float) -> Standing:
        scores, theirs = _known(self.scores.of(candidate)), _known(self.scores.of(reference))
        ignored, is_reference = ignores_seed(candidate), candidate.number == reference.number
        again = [] if ignored and not is_reference else list(scores.values())[not is_reference :]
        mean = math.fsum(again) / len(again) if again else 0.0
        paired = [theirs[seed] for seed in scores if seed in theirs] or list(theirs.values())
        return Standing(
            number=candidate.number,
            score=sign * math.fsum(scores.values()) / len(scores),
            paired=sign * math.fsum(paired) / len(paired),
            n=1 if ignored else len(scores),
            lines=self._lines.get(candidate.number, 0),
            elapsed_s=candidate.trials[0].outcome.elapsed_s,
            squares=math.fsum((score - mean) ** 2 for score in again),
            freedom=max(0, len(again) - 1),
        )

    def _weigh(self) -> None:
        """Estimates both variances anew."""
        repeated = [standing for standing in self._standings.values() if standing.freedom]
        freedom = sum(standing.freedom for standing in repeated)
        self._noise = math.fsum(standing.squares for standing in repeated) / freedom if freedom else 0.0
        by_chance = self._noise * (1 + 1 / self._standings[self.reference].n)
        self._spread = max(0.0, self._squares / self._better - by_chance) if self._better else 0.0

    def _error(self, left: Standing, right: Standing) -> float:
        """Standard error of the difference of two shrunken gains."""
        return 0.0 if left.number == right.number else math.sqrt(self._variance(left) + self._variance(right))

    def _variance(self, standing: Standing) -> float:
        noise, spread = self._noise, self._spread
        if noise == 0 or standing.number == self.reference:
            return noise / standing.n
        return noise * spread / (standing.n * spread + noise)


def _known(scores: Mapping[int, float | None]) -> dict[int, float]:
    return {seed: score for seed, score in scores.items() if score is not None}
