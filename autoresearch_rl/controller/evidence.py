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
from collections.abc import Sequence

# Bets on effects of about one and two standard deviations of a difference; the evidence is the mean of the two products. Larger
# ones gain little as no factor exceeds 2, a smaller one costs a third of the evidence where the budget allows some ten pairs.
_BETS = (1.0, 2.0)


def evidence(differences: Sequence[float]) -> float:
    """The e-value after these differences of pairs, in the order in which the pairs were measured; 1 without any.

    A difference of zero says nothing.
    """
    return math.fsum(_products(differences)) / len(_BETS)


def wins_needed(differences: Sequence[float], threshold: float) -> int:
    """The least number of further pairs that can bring the evidence to `threshold`: all of them wins as large as those before."""
    wins, products = 0, _products(differences)
    while math.fsum(products) / len(_BETS) < threshold:
        products = [product * (1 + math.tanh(bet)) for product, bet in zip(products, _BETS, strict=True)]
        wins += 1
    return wins


def threshold(alpha: float, test: int) -> float:
    """The evidence that confirms in the `test`-th test (from 1) of a campaign.

    The tests share alpha: the j-th gets alpha / (j (j + 1)), which adds up to alpha however many there are, and holds for tests
    that depend on each other, as they do through the scores of the trial that all are compared with.
    """
    return test * (test + 1) / alpha


def _products(differences: Sequence[float]) -> list[float]:
    products, squares = [1.0] * len(_BETS), 0.0
    for count, difference in enumerate(differences, start=1):
        squares += difference * difference
        relative = difference / math.sqrt(squares / count) if squares > 0 else 0.0
        products = [product * (1 + math.tanh(bet * relative)) for product, bet in zip(products, _BETS, strict=True)]
    return products
