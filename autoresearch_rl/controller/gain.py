"""The stop rule that forecasts the search: what the next trials are expected to gain, from the record of improvements so far."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import pairwise

from autoresearch_rl.history import History
from autoresearch_rl.trial import Candidate

_NEGLIGIBLE = 1e-6  # chance of a gap below which the rest is not summed: the top is enough, however many trials there are


class ExpectedGain:
    """Ends when the next trials are expected to improve the best score by less than a stated value; not before twice as many.

    The mean of two estimates, as one is too small for a search that learns, and the other one too large for most (see
    `benchmarks/bench_expected_gain.py`):

    - The tail: if trials were exchangeable, the best i of n + k would all be among the k new ones with a chance of
      (k)_i / (n + k)_i, falling factorials, and the gain be the sum over i of that chance times the gap between the scores at places i
      and i + 1. The gaps are taken to be as they are now: so it is where tails are exponential (Rényi, 1953).
    - The record: the best score moves in proportion to the logarithm of the number of trials, as it does where tails are
      exponential, and as it did from half as many trials until now.

    Scores are candidates' means. As far as repeats under other seeds show that noise makes up the spread of scores, a better score
    is no gain: it is shrunk by the share of the variance that is not noise. Trials without a score count as ones that gained nothing.
    """

    def __init__(self, least: float, trials: int) -> None:
        """`least`: in units of the score; `trials`: new candidates, repeats not counted."""
        self._least, self._trials = least, trials
        self._reason: str | None = None
        self._seen = self._count = 0
        self._ranked: list[tuple[float, int]] = []  # (score, lower is better; place in the order settled), best first
        self._of: dict[int, tuple[float, int]] = {}
        self._places: dict[int, int] = {}
        self._repeated: dict[int, tuple[float, int]] = {}  # by candidate: squared deviations of its scores, and their freedom
        self._squares, self._freedom = 0.0, 0

    def __call__(self, history: History, elapsed_s: float) -> str | None:
        """Returns why the campaign should end, None if it should go on; O(1) but for keeping scores in order."""
        if len(history) == self._seen:
            return self._reason
        for settled in history.last(len(history) - self._seen):
            self._take(history, settled.trial.candidate)
        self._seen = len(history)
        self._reason = self._judge()
        return self._reason

    def _judge(self) -> str | None:
        if self._count < 2 * self._trials or not self._ranked:
            return None
        gain = self.gain()
        if gain >= self._least:
            return None
        return (
            f"the next {self._trials} trials are expected to improve the score by {gain:.2g}, "
            f"less than {self._least:g} (controller.min_gain)"
        )

    def gain(self) -> float:
        """Expected improvement of the best score by the next trials, 0 or more; after at least one score."""
        best, half = self._ranked[0][0], self._count // 2
        before = next((score for score, place in self._ranked if place < half), best)
        record = (before - best) * math.log1p(self._trials / self._count) / math.log(self._count / half)
        return (_tail(self._ranked, self._count, self._trials) + record) / 2 * self._reliability()

    def _take(self, history: History, root: int) -> None:
        if root not in self._places:
            self._places[root], self._count = self._count, self._count + 1
        candidate = history.candidate(root)
        if candidate is None or candidate.mean is None:
            return
        if root in self._of:
            del self._ranked[bisect_left(self._ranked, self._of[root])]
        self._of[root] = (candidate.mean if history.direction == "minimize" else -candidate.mean, self._places[root])
        insort(self._ranked, self._of[root])
        self._note_noise(candidate)

    def _note_noise(self, candidate: Candidate) -> None:
        # The first score of any but the baseline is one of the lucky ones where there are repeats at all.
        scores = [s.outcome.score for s in candidate.trials if s.outcome.score is not None][candidate.number != 0 :]
        if len(scores) < 2:
            return
        mean = math.fsum(scores) / len(scores)
        squares, freedom = self._repeated.get(candidate.number, (0.0, 0))
        self._repeated[candidate.number] = now = math.fsum((score - mean) ** 2 for score in scores), len(scores) - 1
        self._squares, self._freedom = self._squares + now[0] - squares, self._freedom + now[1] - freedom

    def _reliability(self) -> float:
        """Share of the variance of scores that is not noise, 1 while nothing is known of it.

        The variance is that of the better half, as bad trials say nothing of the top: the distance from the median of what is
        better than five in six is one standard deviation where it is normal. A few repeats say little of the noise, which is
        taken to be smaller then: to go on for too long costs less than to stop too soon.
        """
        noise = self._squares / (self._freedom + 2)
        if not noise > 0:
            return 1.0
        spread = self._ranked[len(self._ranked) // 2][0] - self._ranked[len(self._ranked) * 4 // 25][0]
        return max(0.0, 1.0 - noise / spread**2) if spread > 0 else 0.0


def _tail(ranked: Sequence[tuple[float, int]], count: int, trials: int) -> float:
    """Expected gain of so many more trials if they were like the `count` so far."""
    gain, chance = 0.0, 1.0
    for drawn, ((above, _), (score, _)) in enumerate(pairwise(ranked)):
        chance *= (trials - drawn) / (count + trials - drawn)
        gain += chance * (score - above)
        if chance < _NEGLIGIBLE:  # 0 after as many as are drawn
            break
    return gain
