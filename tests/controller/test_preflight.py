"""Warnings before a campaign: it may start, but the user is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.cancel.forecast import ForecastRule
from autoresearch_rl.controller.keep.noise import NoiseRule
from autoresearch_rl.controller.plan import Plan
from autoresearch_rl.controller.run import check, run
from autoresearch_rl.errors import ConfigError
from autoresearch_rl.target.command import Command
from tests.controller.plans import plan_of
from tests.tasks import TRAIN, tiny_task


def test_a_timeout_longer_than_the_campaign_is_a_warning(tmp_path: Path) -> None:
    (problem,) = check(plan_of(tiny_task(tmp_path / "task"), max_wall_s=10.0), tmp_path / "run")
    assert (problem.code, problem.fatal) == ("timeout-longer-than-campaign", False)
    assert "60 s (task.timeouts), the campaign 10 s (controller.max_wall_s)" in problem.message


def test_cancelling_without_reports_is_a_warning_and_then_ends_the_campaign(tmp_path: Path) -> None:
    silent = TRAIN.replace('os.environ["AR_PROGRESS_FILE"]', '"/dev/null"')
    plan = plan_of(tiny_task(tmp_path / "task", {"train.py": silent}), cancel=ForecastRule())
    (problem,) = check(plan, tmp_path / "run")
    assert (problem.code, problem.fatal) == ("no-progress", False)
    said: list[str] = []
    finished = run(plan, tmp_path / "run", cache_dir=tmp_path / "cache", tags={}, announce=said.append)
    assert any("No emit_progress is found in train.py, predict.py" in text for text in said)
    assert finished.exit_code == 1
    assert "reported no 'loss', which controller.cancel needs" in finished.stop.reason


def test_too_few_trials_to_confirm_anything_are_a_warning(tmp_path: Path) -> None:
    task = tiny_task(tmp_path / "task")
    (problem,) = check(plan_of(task, keep=NoiseRule("loss"), max_trials=39), tmp_path / "run")
    assert (problem.code, problem.fatal) == ("confirms-nothing", False)
    assert "nothing in 39 trials where scores vary with the seed: that takes 40." in problem.message
    assert problem.remedy.startswith("Set controller.max_trials=40 or more, raise controller.keep.confirm_share, or choose")
    (problem,) = check(plan_of(task, keep=NoiseRule("loss", confirm_share=0.0), max_trials=None), tmp_path / "run")
    assert "as its confirm_share allows no repeats" in problem.message
    for enough in (40, None, 2):
        assert check(plan_of(task, keep=NoiseRule("loss"), max_trials=enough), tmp_path / "run") == []
    assert check(plan_of(task, max_trials=5), tmp_path / "run") == []


def test_time_budgeted_trials_that_nothing_keeps_apart_are_a_warning(tmp_path: Path) -> None:
    objective = {"metric": "loss", "direction": "minimize", "time_budgeted": True}
    task = tiny_task(tmp_path / "task", objective=objective)
    (problem,) = check(plan_of(task, concurrency=2), tmp_path / "run")
    assert (problem.code, problem.fatal) == ("time-budget-shared", False)
    assert "2 trials at a time" in problem.message
    assert check(plan_of(task), tmp_path / "run") == []
    apart = tiny_task(tmp_path / "apart", objective=objective, resources={"cpu": 1})
    assert check(plan_of(apart, concurrency=2), tmp_path / "run") == []


def test_time_budgeted_trials_get_whole_gpus(tmp_path: Path) -> None:
    objective = {"metric": "loss", "direction": "minimize", "time_budgeted": True}
    shares = {"gpu": 0.5, "cpu": 1.5}
    assert tiny_task(tmp_path / "a", objective=objective, resources=shares).request == {"gpu": 1.0, "cpu": 1.5}
    assert tiny_task(tmp_path / "b", resources=shares).request == shares


def test_cancelling_with_reports_is_no_warning(tmp_path: Path) -> None:
    assert check(plan_of(tiny_task(tmp_path / "task"), cancel=ForecastRule()), tmp_path / "run") == []


def priced(folder: Path, usd_per_h: dict[str, float] | None, **settings: Any) -> Plan:
    task = tiny_task(folder / "task", **settings.pop("task", {}))
    return replace(plan_of(task, **settings), target=Command(usd_per_h=usd_per_h))


@pytest.mark.parametrize(
    ("usd_per_h", "settings", "code", "said"),
    [
        (None, {"max_usd": 5.0}, "budget-without-price", "controller.max_usd=5, but nothing says what a trial costs"),
        ({"gpu": 2.0}, {"max_usd": 5.0}, "budget-without-price", "nothing says what a trial costs"),
        (None, {"max_gpu_s": 5.0}, "budget-without-gpu", "controller.max_gpu_s=5, but a trial takes no gpu"),
        # 20 s each for training, prediction and evaluation
        ({"trial": 180.0}, {"max_usd": 2.0}, "budget-too-small", "max_usd is 2.00, but one trial may take 3.00 USD"),
        (None, {"max_usd": 2.0, "max_trial_usd": 2.5}, "budget-too-small", "max_usd is 2.00, but one trial may take 2.50 USD"),
        (
            {"gpu": 180.0, "trial": 180.0},
            {"max_usd": 2.0, "resources": {"gpu": 2}, "task": {"resources": {"gpu": 1}}},
            "budget-too-small",
            "max_usd is 2.00, but one trial may take 5.00 USD",
        ),
        (
            None,
            {"max_gpu_s": 30.0, "resources": {"gpu": 2}, "task": {"resources": {"gpu": 1}}},
            "budget-too-small",
            "max_gpu_s is 30, but one trial may take 40 GPU-seconds",
        ),
    ],
)
def test_budgets_that_cannot_be_kept(tmp_path: Path, usd_per_h: Any, settings: Any, code: str, said: str) -> None:
    (problem,) = check(priced(tmp_path, usd_per_h, **settings), tmp_path / "run")
    assert (problem.code, problem.fatal) == (code, True)
    assert said in problem.message
    assert problem.remedy


@pytest.mark.parametrize(
    ("usd_per_h", "settings"),
    [
        ({"trial": 0.0}, {"max_usd": 0.01}),
        ({"trial": 180.0}, {"max_usd": 3.0}),
        (None, {"max_usd": 3.0, "max_trial_usd": 3.0}),
        (None, {"max_trial_usd": 3.0}),
        (None, {"max_tokens": 1}),
        (None, {"max_gpu_s": 40.0, "resources": {"gpu": 2}, "task": {"resources": {"gpu": 1}}}),
    ],
)
def test_budgets_that_can(tmp_path: Path, usd_per_h: Any, settings: Any) -> None:
    assert check(priced(tmp_path, usd_per_h, **settings), tmp_path / "run") == []


@pytest.mark.parametrize("prices", [{"gpu": -1}, {"gpu": "dear"}, {"gpu": float("inf")}, {"gpu": True}, {"": 1.0}, 2.5])
def test_what_is_no_price_is_refused(prices: Any) -> None:
    with pytest.raises(ConfigError, match=r"target-price.*usd_per_h.*null"):
        Command(usd_per_h=prices)


def test_a_trial_costs_what_of_it_has_a_price() -> None:
    target = Command(usd_per_h={"gpu": 2.0, "trial": 0.5, "licence": 9.0})
    assert target.price({"gpu": 0.5, "trial": 1.0, "cpu": 4.0}) == 1.5
    assert target.price({"cpu": 4.0}) is None
    assert Command().price({"gpu": 1.0}) is None
