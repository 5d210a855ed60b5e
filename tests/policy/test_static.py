"""Given parameters beyond the contract."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch_rl.errors import ConfigError
from autoresearch_rl.policy.static import Static
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.testing.policy_campaign import Simulated, simulate
from autoresearch_rl.trial import Outcome, Status

SPACE = SearchSpace.from_config({"lr": {"low": 0, "high": 1}, "kind": ["a", "b"]})


def run(params: Any = (), repeats: int = 1, concurrency: int = 1) -> Simulated:
    return simulate(Static(SPACE, params, repeats), SPACE, lambda params: 1.0, trials=50, concurrency=concurrency)


def test_defaults_once_are_the_baseline() -> None:
    assert len(run().log.settled) == 1
    assert len(run({}).log.settled) == 1


def test_assignments_run_once_in_order_with_defaults_filled_in() -> None:
    trials = [settled.trial.proposal for settled in run([{"lr": 1}, {"kind": "b"}, {"lr": 1.0}]).log.settled]
    assert [dict(proposal.params) for proposal in trials[1:]] == [{"lr": 1.0, "kind": "a"}, {"lr": 0.5, "kind": "b"}]
    assert type(trials[1].params["lr"]) is float


@pytest.mark.parametrize("concurrency", [1, 4])
def test_repeats_are_repeats_of_the_first_measurement(concurrency: int) -> None:
    log = run([{}, {"lr": 0.1}], repeats=3, concurrency=concurrency).log
    assert [(c.number, c.n) for c in log.view().candidates] == [(0, 3), (1, 3)]
    assert all(s.trial.proposal.repeat_of in (None, 0, 1) for s in log.settled)


def test_what_fails_is_not_tried_for_ever() -> None:
    failed = Outcome(status=Status.FAILED)
    simulated = simulate(Static(SPACE, {"lr": 0.1}, repeats=2), SPACE, lambda params: failed, trials=50)
    assert len(simulated.log.settled) == 3


def test_an_empty_space_can_be_measured_again() -> None:
    space = SearchSpace()
    assert len(simulate(Static(space, repeats=4), space, lambda params: 1.0, trials=50).log.settled) == 4


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"lr": 2}, "policy.params: lr is 2, which is outside its range."),
        ([{"lr": 0.1}, {"kind": "c"}], r"policy.params\[1\]: kind is 'c'"),
        ([{"nobody": 1}, {"lr": "x"}], r"(?s)params\[0\]: 'nobody' .*params\[1\]: lr is 'x'"),
        ("lr=1", "'lr=1' is no assignment"),
        ([3], "3 is no assignment"),
        (3, "3 is no assignment"),
    ],
)
def test_wrong_assignments_are_named(params: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Static(SPACE, params)


def test_repeats_must_be_a_count() -> None:
    with pytest.raises(ConfigError, match="repeats is 0"):
        Static(SPACE, repeats=0)
