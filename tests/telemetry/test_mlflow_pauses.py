"""A paused trial in MLflow: one run, whose curve goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch_rl.events import Entry, Opened, Paused
from autoresearch_rl.testing.entries import CAMPAIGN
from tests.controller.test_pausing import PauseAtTwo, play
from tests.telemetry.test_mlflow import history, trials, write


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    """Opened as the campaign that the helpers of the other tests look for."""
    found = play(tmp_path_factory.mktemp("sim"), PauseAtTwo(at_end=2)).entries
    assert isinstance(found[0].record, Opened)
    return [replace(found[0], record=replace(found[0].record, campaign=CAMPAIGN, task="digits")), *found[1:]]


def test_a_paused_trial_is_one_run_whose_curve_goes_on(tmp_path: Path, mlflow_cache: Path, entries: list[Entry]) -> None:
    write(tmp_path, mlflow_cache, entries)
    found = trials(tmp_path)
    assert sorted(found) == list(range(8))
    again, given_up = found[3], found[1]
    assert (again.info.status, again.data.tags["attempt"], again.data.tags["status"]) == ("FINISHED", "2", "ok")
    points = history(tmp_path, again, "progress/loss")
    assert [step for step, _, _ in points] == [1, 2, 3, 4]
    assert [at for _, at, _ in points] == sorted(at for _, at, _ in points)
    assert points[2][1] - points[1][1] > 2000, "the pause is seen in the times"
    assert (given_up.info.status, given_up.info.run_name) == ("KILLED", "0001 cancelled")
    assert [step for step, _, _ in history(tmp_path, given_up, "progress/loss")] == [1, 2]


def test_while_it_is_paused_its_run_says_so(tmp_path: Path, mlflow_cache: Path, entries: list[Entry]) -> None:
    place = next(entry.seq for entry in entries if isinstance(entry.record, Paused))
    write(tmp_path, mlflow_cache, entries[: place + 1])
    run = trials(tmp_path)[1]
    assert (run.info.status, run.info.run_name, run.data.tags["status"]) == ("SCHEDULED", "0001 paused", "paused")


def test_sent_twice_nothing_changes(tmp_path: Path, mlflow_cache: Path, entries: list[Entry]) -> None:
    write(tmp_path, mlflow_cache, entries)
    before = {n: (r.info.status, r.data.tags, history(tmp_path, r, "progress/loss")) for n, r in trials(tmp_path).items()}
    write(tmp_path, mlflow_cache, entries)
    after = {n: (r.info.status, r.data.tags, history(tmp_path, r, "progress/loss")) for n, r in trials(tmp_path).items()}
    assert after == before
