"""Who takes over: one at a time, also from a controller that never began, with the same budgets for the policy in replay."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rich.console

from autoresearch_rl.controller.journal import begun, read
from autoresearch_rl.controller.run import replay_run, resume
from autoresearch_rl.errors import ConfigError, JournalError
from autoresearch_rl.events import Entry, Reported
from autoresearch_rl.policy import Ask
from autoresearch_rl.policy.random import Random
from autoresearch_rl.policy.static import Static
from autoresearch_rl.telemetry.console import Console
from autoresearch_rl.testing.entries import FakeCampaign
from autoresearch_rl.trial import Proposal
from tests.controller.campaigns import ok
from tests.controller.plans import go, plan_of
from tests.controller.test_live import Rig, when_running
from tests.faults.real import AtRecord, check_end, plan_for, take_up
from tests.tasks import tiny_task


def interrupted(folder: Path) -> None:
    """A campaign that was stopped when a few trials had ended."""

    def stop() -> None:
        (folder / "run" / "inbox").mkdir()
        (folder / "run" / "inbox" / "1.json").write_text('{"request": "stop"}')

    task = tiny_task(folder / "task")
    plan = plan_of(task, telemetry={"stop": AtRecord(2, stop)}, max_trials=500, concurrency=2)
    assert go(plan, folder).stop.reason == "stopped on request"


def test_of_two_that_resume_at_once_one_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path)
    before = list(read(tmp_path / "run"))
    ended: list[Any] = []
    refused: list[str] = []
    ready = threading.Barrier(4)

    def again() -> None:
        plan = plan_of(task, max_trials=500, concurrency=2)  # as it was opened: another limit leads to other decisions
        ready.wait(10)
        try:
            limits = {"max_trials": len(before)}
            ended.append(resume(plan, tmp_path / "run", limits=limits, cache_dir=tmp_path / "cache", announce=print))
        except JournalError as error:
            refused.append(str(error))

    task = tiny_task(tmp_path / "task")
    threads = [threading.Thread(target=again) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(ended), len(refused)) == (1, 3), refused
    assert all("is in use by another controller; wait for it, or stop it with" in said for said in refused)
    numbers = [settled.trial.number for settled in ended[0].history.settled]
    assert sorted(numbers) == list(range(len(before)))


@pytest.mark.parametrize("left", [b"", b'{"seq":0,"at":"2026', b"\0" * 100])
def test_a_controller_that_died_before_its_first_line_leaves_the_folder_free(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "journal.jsonl").write_bytes(left)
    assert not begun(tmp_path / "run")
    plan = plan_for(tmp_path, "nowhere", 0)
    with pytest.raises(JournalError, match="the campaign had not begun; start it anew"):
        take_up(tmp_path, "nowhere", 0)
    finished = go(plan, tmp_path)
    check_end(tmp_path, finished, [])
    with pytest.raises(ConfigError, match="run-dir-used"):
        go(plan, tmp_path)


class Thrifty(Random):
    """Proposes by what is left to spend."""

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        left = f"{ask.budget.trials} trials, {ask.budget.wall_s} s"
        return [replace(proposal, rationale=left) for proposal in super().propose(ask)]


def test_policies_see_the_same_budget_in_replay_also_after_limits_were_changed(tmp_path: Path) -> None:
    task = tiny_task(tmp_path / "task")

    def plan() -> Any:
        return plan_of(task, policy=Thrifty(space=task.search_space), max_trials=4, max_wall_s=1000.0, concurrency=2)

    go(plan(), tmp_path)
    limits = {"max_trials": 8, "max_wall_s": 2000.0}
    resume(plan(), tmp_path / "run", limits=limits, cache_dir=tmp_path / "cache", announce=print)
    resume(plan(), tmp_path / "run", limits={"max_trials": 10}, cache_dir=tmp_path / "cache", announce=print)
    assert replay_run(plan(), tmp_path / "run").endswith("every decision and proposal came out the same")


def test_the_console_goes_on_when_the_clock_is_set_back(tmp_path: Path) -> None:
    shown = io.StringIO()
    now, past = datetime.now(UTC), datetime.now(UTC) - timedelta(days=400)
    console = Console(live=False, console=rich.console.Console(file=shown))
    with console.open(tmp_path) as sink:
        for index, entry in enumerate(FakeCampaign(trials=4)):
            sink.record(replace(entry, at=(now if index < 3 else past).isoformat()))
    assert "trial 3" in shown.getvalue()


class Hangs:
    """A policy that does not come back."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def propose(self, _: Ask) -> Sequence[Proposal]:
        self.let_go.wait(30)
        return []


def test_best_points_to_what_is_confirmed_though_the_controller_died_before_it_did_that(tmp_path: Path) -> None:
    task = tiny_task(tmp_path / "task")
    bad = [{"x": 0.99}, {"x": 0.98}]

    def plan() -> Any:
        return plan_of(task, policy=Static(space=task.search_space, params=bad), max_trials=1)

    go(plan(), tmp_path)
    (tmp_path / "run" / "best").unlink()
    resumed = resume(plan(), tmp_path / "run", limits={"max_trials": 2}, cache_dir=tmp_path / "cache", announce=print)
    assert (len(resumed.history), resumed.history.confirmed) == (2, 0)
    assert (tmp_path / "run" / "best").resolve() == tmp_path / "run" / "trials" / "0000" / "1"


def test_a_policy_that_hangs_does_not_keep_a_campaign_from_being_stopped(tmp_path: Path) -> None:
    policy = Hangs()
    rig = Rig(tmp_path, lambda *_: ok(1.0), {"max_trials": 9}, policy=policy)
    sender = when_running(rig, 1, lambda: (time.sleep(0.3), os.kill(os.getpid(), signal.SIGTERM)))
    stop, history = rig.run()
    sender.join()
    policy.let_go.set()
    assert (stop.interrupted, stop.signal, len(history)) == (True, signal.SIGTERM, 1)


def test_plain_lines_tell_that_a_trial_waits_for_a_device(tmp_path: Path) -> None:
    shown = io.StringIO()
    console = Console(live=False, console=rich.console.Console(file=shown))
    with console.open(tmp_path) as sink:
        for entry in FakeCampaign(trials=2):
            sink.record(replace(entry, at=datetime.now(UTC).isoformat()))
        for stage in ("waiting for gpu-0", "train"):
            sink.record(Entry(seq=-1, at="", elapsed_s=1.0, record=Reported(number=1, attempt=1, stage=stage)))
    assert "trial 1 is waiting for gpu-0, which another campaign has" in shown.getvalue()
    assert "train," not in shown.getvalue()
