"""Who leads."""

from __future__ import annotations

import pytest

from autoresearch_rl.controller.keep.ranking import Ranking
from autoresearch_rl.history import HistoryLog
from autoresearch_rl.trial import Outcome, Proposal, Status, Trial


class Campaign:
    """Settles trials by hand: the k-th measurement of every candidate has seed k."""

    def __init__(self) -> None:
        self.log = HistoryLog("maximize")
        self.ranking = Ranking(0)
        self.number = 0

    def settle(self, *scores: float, patch: str = "", parent: int | None = None, seconds: float = 1.0) -> int:
        root = self.number
        for seed, score in enumerate(scores):
            again = None if seed == 0 else root
            proposal = Proposal(params={}, patch=patch, parent=parent, repeat_of=again)
            trial = Trial(number=self.number, proposal=proposal, seed=seed)
            self.number += 1
            self.log.submit(trial)
            self.log.settle(trial, Outcome(status=Status.OK, score=score, elapsed_s=seconds))
            history = self.log.view()
            candidate = history.candidate(root)
            assert candidate is not None
            self.ranking.follow(proposal, trial.number)
            self.ranking.take(history, candidate)
        return root

    @property
    def leader(self) -> int:
        return self.ranking.leader().number

    def shrunken(self, number: int) -> float:
        return next(self.ranking.shrunken(s) for s in self.ranking.standings() if s.number == number)


def test_what_clearly_beats_the_noise_leads() -> None:
    campaign = Campaign()
    campaign.settle(0.50, 0.51, 0.49)
    assert campaign.leader == 0
    worse, better = campaign.settle(0.30), campaign.settle(0.70)
    assert campaign.leader == better
    assert campaign.shrunken(worse) == pytest.approx(-0.20)
    assert 0.19 < campaign.shrunken(better) < 0.20


def test_a_first_score_is_shrunk_more_than_a_mean_of_many() -> None:
    campaign = Campaign()
    campaign.settle(0.50, 0.56, 0.44)
    lucky = campaign.settle(0.62)
    steady = campaign.settle(0.60, 0.65, 0.56, 0.62, 0.61)
    assert campaign.ranking.standings()[0].number == steady
    assert campaign.shrunken(lucky) < campaign.shrunken(steady)


def test_gains_that_noise_explains_leave_the_baseline_in_front() -> None:
    campaign = Campaign()
    campaign.settle(0.50, 0.60, 0.40)
    patch = "a\nb\n"
    for score in (0.55, 0.45, 0.58, 0.52):
        campaign.settle(score, patch=patch, parent=0)
    assert campaign.leader == 0
    assert campaign.shrunken(5) == 0.0


def test_equal_scores_go_to_the_simpler_then_to_the_clearly_cheaper_then_to_the_earlier() -> None:
    campaign = Campaign()
    campaign.settle(0.5, 0.5, 0.5)
    long = campaign.settle(0.7, patch="a\nb\nc\n", parent=0)
    short = campaign.settle(0.7, patch="a\n", parent=0)
    assert campaign.leader == short
    campaign.settle(0.7, patch="b\n", parent=short)
    assert campaign.leader == short, "a patch on a patch has the lines of both"
    cheap = campaign.settle(0.7, patch="b\n", parent=0, seconds=0.5)
    assert campaign.leader == cheap
    campaign.settle(0.7, patch="c\n", parent=0, seconds=0.45)
    assert campaign.leader == cheap, "times vary too"
    assert long != campaign.leader


def test_among_scores_that_noise_hides_from_each_other_the_simpler_leads() -> None:
    campaign = Campaign()
    campaign.settle(0.50, 0.53, 0.47)
    simple = campaign.settle(0.90, patch="a\n", parent=0)
    campaign.settle(0.905, patch="a\n" * 50, parent=0)
    assert campaign.leader == simple
    far = campaign.settle(0.99, patch="a\n" * 50, parent=0)
    assert campaign.leader == far


def test_an_effect_of_the_seed_that_all_share_is_no_gain() -> None:
    shared, own = Campaign(), Campaign()
    shared.settle(0.80, 0.50, 0.50)  # seed 0 is lucky for everybody
    own.settle(0.50, 0.50, 0.80)
    gains = []
    for campaign in (shared, own):
        number = campaign.settle(0.80)
        gains.append(next(campaign.ranking.gain(s) for s in campaign.ranking.standings() if s.number == number))
    assert gains == pytest.approx([0.10, 0.25])


def test_a_candidate_that_ignores_the_seed_counts_once_and_hides_no_noise() -> None:
    campaign = Campaign()
    campaign.settle(0.50, 0.56, 0.44)
    fixed = campaign.settle(0.7, 0.7, 0.7, 0.7)
    standing = next(s for s in campaign.ranking.standings() if s.number == fixed)
    assert (standing.n, standing.freedom) == (1, 0)


def test_only_so_many_are_remembered_but_never_without_the_best() -> None:
    campaign = Campaign()
    campaign.settle(0.5, 0.51, 0.49)
    best = campaign.settle(0.9)
    for index in range(200):
        campaign.settle(0.2 + 0.001 * index)
    assert len(campaign.ranking.standings()) == 64
    assert campaign.leader == best
    assert {s.number for s in campaign.ranking.standings()} >= {0, best}
