"""How much pairs of scores under the same seeds say for a candidate: an e-process that may be looked at after every pair.

Where the edit changes nothing, or makes the score worse, the expected value of the evidence is at most 1 whenever one stops;
so the chance that it *ever* reaches 1 / a is at most a (Ville, Étude critique de la notion de collectif, 1939). The hypothesis
is one of symmetry (Vovk and Wang, Nonparametric e-tests of symmetry, 2024; de la Peña, A general class of exponential
inequalities for martingales and ratios, 1999). Let D_1, D_2, ... be the differences of pairs, positive where the candidate is
better, r_k the root mean square of the first k of them, and c > 0. Then the product of the factors 1 + tanh(c D_k / r_k) is:

- a martingale where D_k is symmetric about zero given the pairs before it: given |D_k| too, r_k is known, and tanh is odd;
- a supermartingale where it is such a variable less something: D / r_k grows with D, as r_k contains it.

Nothing is assumed of the distribution's tails, nor that all differences have one variance. If an edit changes nothing, both
scores of a pair have the same distribution, hence the difference is symmetric whatever that distribution is. What is *not*
covered: an edit that leaves the mean as it was but makes the noise lopsided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

# Bets on effects of about one and two standard deviations of a difference; the evidence is the mean of the two products. Larger
# ones gain little as no factor exceeds 2, a smaller one costs a third of the evidence where the budget allows some ten pairs.
_BETS = (1.0, 2.0)


@dataclass
class Evidence:
    """What differences of pairs say, taken one by one in the order in which the pairs were measured.

    Attributes:
        pairs: How many there are.
    """

    pairs: int = 0
    _squares: float = 0.0
    _products: list[float] = field(default_factory=lambda: [1.0] * len(_BETS))
    _needed: tuple[float, float] | None = None  # the latest answer of `wins_needed` to which threshold, until a pair comes

    def add(self, difference: float) -> None:
        """Takes one more; a difference of zero says nothing."""
        self.pairs, self._needed = self.pairs + 1, None
        self._squares += difference * difference
        relative = difference / math.sqrt(self._squares / self.pairs) if self._squares > 0 else 0.0
        self._products = [product * (1 + math.tanh(bet * relative)) for product, bet in zip(self._products, _BETS, strict=True)]

    @property
    def value(self) -> float:
        """The e-value; 1 without any pair."""
        return math.fsum(self._products) / len(_BETS)

    def wins_needed(self, threshold: float) -> float:
        """The least number of further pairs that can bring it to `threshold`: all of them wins as large as those before.

        Infinite after so many losses that nothing is left to multiply.
        """
        if self._needed is None or self._needed[0] != threshold:
            self._needed = threshold, self._wins(threshold)
        return self._needed[1]

    def _wins(self, threshold: float) -> float:
        logs = [  # for each bet, of its product and of what a win multiplies that by
            (math.log(product), math.log1p(math.tanh(bet))) for product, bet in zip(self._products, _BETS, strict=True) if product
        ]
        if not logs:
            return math.inf
        goal = math.log(threshold)
        wins = max(0, math.floor(min((goal - product) / win for product, win in logs)))  # before that their mean is less
        while math.fsum(math.exp(product + wins * win - goal) for product, win in logs) < len(_BETS):
            wins += 1
        return wins


def threshold(alpha: float, test: int) -> float:
    """The evidence that confirms in the `test`-th test (from 1) of a campaign.

    The tests share alpha: the j-th gets alpha / (j (j + 1)), which adds up to alpha however many there are, and holds for tests
    that depend on each other, as they do through the scores of the trial that all are compared with.
    """
    return test * (test + 1) / alpha
