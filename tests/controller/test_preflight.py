"""Warnings before a campaign: it may start, but the user is told."""

from __future__ import annotations

from pathlib import Path

from autoresearch_rl.controller.forecasting import ForecastRule
from autoresearch_rl.controller.run import check, run
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
