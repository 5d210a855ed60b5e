"""Campaigns wait for each other's devices instead of sharing them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.inbox import ask_stop
from autoresearch_rl.controller.journal import read
from autoresearch_rl.controller.leases import Leases
from autoresearch_rl.errors import ConfigError
from autoresearch_rl.events import Reported, SettledEvent
from autoresearch_rl.trial import Status
from tests.controller.plans import go, plan_of
from tests.tasks import TRAIN, tiny_task

HOLD = """
import sys, time
from pathlib import Path
from autoresearch_rl.controller.leases import Leases
with Leases(Path(sys.argv[1])).of({"gpu": (0,)}) as lease:
    assert lease.acquire(lambda: False, print)
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """Another process that has GPU 0."""
    command = [sys.executable, "-c", HOLD, str(folder), str(seconds)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_one_waits_until_the_other_is_done(tmp_path: Path) -> None:
    child = holder(tmp_path, 1.0)
    told: list[str] = []
    with Leases(tmp_path).of({"gpu": (0,)}) as lease:
        assert lease.acquire(lambda: False, told.append)
        assert child.wait(10) == 0
    child.communicate()
    assert told == ["gpu-0"], "said once"


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    child = holder(tmp_path, 600.0)
    told: list[str] = []
    with Leases(tmp_path).of({"gpu": (0,)}) as lease:
        killer = threading.Timer(0.5, child.kill)
        killer.start()
        assert lease.acquire(lambda: False, told.append)
        child.communicate()
    assert told == ["gpu-0"]


def test_waiting_can_be_stopped_and_leaves_nothing_behind(tmp_path: Path) -> None:
    mine, other = Leases(tmp_path), Leases(tmp_path)
    with other.of({"gpu": (1,)}) as held:
        assert held.acquire(lambda: False, print)
        with mine.of({"gpu": (0, 1)}) as lease:
            until_s = time.monotonic() + 0.3
            assert not lease.acquire(lambda: time.monotonic() > until_s, lambda _: None)
    with other.of({"gpu": (0, 1)}) as again:
        assert again.acquire(lambda: True, lambda name: pytest.fail(name)), "gpu-0 was given back with the rest"


def test_trials_of_one_campaign_share_a_lease(tmp_path: Path) -> None:
    mine, other = Leases(tmp_path), Leases(tmp_path)
    left, right = mine.of({"gpu": (0,)}), mine.of({"gpu": (0,)})
    for lease in (left, right):
        assert lease.acquire(lambda: True, print)
    left.release()
    left.release()
    with other.of({"gpu": (0,)}) as theirs:
        assert not theirs.acquire(lambda: True, lambda _: None), "the second trial has it still"
        right.release()
        assert theirs.acquire(lambda: True, print)


def test_who_waits_gets_a_device_before_it_is_taken_again(tmp_path: Path) -> None:
    mine, other = Leases(tmp_path), Leases(tmp_path)
    waits, done = threading.Event(), threading.Event()
    order: list[str] = []

    def wait() -> None:
        with other.of({"gpu": (0,)}) as lease:
            assert lease.acquire(lambda: False, lambda _: waits.set())
            order.append("other")
        done.set()

    with mine.of({"gpu": (0,)}) as lease:
        assert lease.acquire(lambda: False, print)
        threading.Thread(target=wait).start()
        assert waits.wait(10)
        time.sleep(0.3)
    with mine.of({"gpu": (0,)}) as lease:
        assert lease.acquire(lambda: False, lambda _: None)
        order.append("mine")
    assert done.wait(10)
    assert order == ["other", "mine"]


def test_crossing_requests_do_not_wait_in_a_circle(tmp_path: Path) -> None:
    done: list[int] = []

    def work(indices: tuple[int, ...]) -> None:
        leases = Leases(tmp_path)
        for _ in range(3):
            with leases.of({"gpu": indices}) as lease:
                assert lease.acquire(lambda: False, lambda _: None)
                time.sleep(0.01)
        done.append(1)

    threads = [threading.Thread(target=work, args=(indices,), daemon=True) for indices in ((0, 1), (1, 0), (0,), (1,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 4


# ---------------------------------------------------------------- campaigns
BUSY = """
import os, time
with open(os.environ["BUSY_LOG"], "a") as stream:
    stream.write(f"{time.monotonic()} begin {os.environ['CUDA_VISIBLE_DEVICES']}\\n")
time.sleep(0.3)
with open(os.environ["BUSY_LOG"], "a") as stream:
    stream.write(f"{time.monotonic()} end {os.environ['CUDA_VISIBLE_DEVICES']}\\n")
"""
CAMPAIGN = """
import sys
from pathlib import Path
from tests.controller.plans import go, plan_of
from tests.tasks import tiny_task
from tests.controller.test_leases import task_of
folder = Path(sys.argv[1])
plan = plan_of(task_of(folder / "task" / sys.argv[2]), max_trials=4, concurrency=2, resources={"gpu": 1.0})
assert go(plan, folder, sys.argv[2]).stop.reason.startswith("all 4 trials are done")
"""


def task_of(folder: Path) -> Any:
    return tiny_task(folder, {"train.py": BUSY + TRAIN}, resources={"gpu": 1.0}, env=["BUSY_LOG"])


def test_campaigns_of_two_processes_never_use_a_device_at_once(tmp_path: Path) -> None:
    log = tmp_path / "busy.log"
    env = {**os.environ, "BUSY_LOG": str(log), "PYTHONPATH": os.pathsep.join(sys.path)}
    children = [subprocess.Popen([sys.executable, "-c", CAMPAIGN, str(tmp_path), name], env=env) for name in ("a", "b")]
    assert [child.wait(120) for child in children] == [0, 0]
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len(lines) == 16
    assert [word for _, word, _ in sorted(lines, key=lambda line: float(line[0]))] == ["begin", "end"] * 8
    assert {device for _, _, device in lines} == {"0"}


def test_what_waits_shows_as_waiting_spends_no_time_of_its_own_and_stops_at_once(tmp_path: Path) -> None:
    task = tiny_task(tmp_path / "task", resources={"gpu": 1.0}, timeouts={"train_s": 1.0, "predict_s": 1.0, "evaluate_s": 5.0})
    shown: list[Any] = []

    class Sink:
        def open(self, _: Path) -> Sink:
            return self

        def __enter__(self) -> Sink:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def record(self, entry: Any) -> None:
            shown.append(entry.record)

    child = holder(tmp_path, 2.5)
    finished = go(plan_of(task, max_trials=2, telemetry={"seen": Sink()}, resources={"gpu": 1.0}), tmp_path)
    child.communicate()
    assert [s.outcome.status for s in finished.history.settled] == [Status.OK, Status.OK]
    assert finished.history.settled[0].outcome.elapsed_s < 2.0
    waiting = [record for record in shown if isinstance(record, Reported) and record.stage == "waiting for gpu-0"]
    assert [record.number for record in waiting] == [0]


def test_an_order_reaches_a_trial_that_waits(tmp_path: Path) -> None:
    """A campaign that is stopped while it waits for a device ends at once; the trial has used no attempt."""
    task = tiny_task(tmp_path / "task", resources={"gpu": 0.5})
    child = holder(tmp_path, 600.0)
    plan = plan_of(task, resources={"gpu": 1.0})
    stopper = threading.Timer(1.5, lambda: ask_stop(tmp_path / "run"))
    stopper.start()
    finished = go(plan, tmp_path)
    child.kill()
    child.communicate()
    assert finished.stop.reason == "stopped on request"
    (settled,) = [e.record for e in read(tmp_path / "run") if isinstance(e.record, SettledEvent)]
    assert (settled.outcome.status, settled.interrupted) == (Status.LOST, True)
    assert not (tmp_path / "run" / "trials").exists()


NEVER: Sequence[tuple[dict[str, float], dict[str, float], str]] = [
    ({"gpu": 2.0}, {"gpu": 1.0}, r"asks for gpu=2 and the capacity is 1"),
    ({"licence": 1.0}, {}, r"asks for licence=1, but there is no licence; there is: trial"),
    ({"licence": 1.5}, {"licence": 1.0}, r"asks for licence=1.5 and the capacity is 1"),
    ({"gpu": 1.5}, {"gpu": 2.0}, r"gpu=1.5, which is neither a fraction of one device nor whole devices"),
    ({"cpu": 64.25}, {"cpu": 64.0}, r"asks for cpu=64.25 and the capacity is 64"),
]


@pytest.mark.parametrize(("request_", "capacity", "said"), NEVER)
def test_what_can_never_fit_says_so_with_cost_and_capacity(
    tmp_path: Path, request_: dict[str, float], capacity: dict[str, float], said: str
) -> None:
    task = tiny_task(tmp_path / "task", resources=request_)
    with pytest.raises(ConfigError, match=rf"\[resources-never-fit\] A trial can never start: .*{said}"):
        go(plan_of(task, resources=capacity), tmp_path)
    assert not (tmp_path / "run" / "journal.jsonl").exists()


def test_own_tokens_and_fractions_limit_what_runs_at_once(tmp_path: Path) -> None:
    task = tiny_task(tmp_path / "task", resources={"licence": 1.0, "gpu": 0.5})
    finished = go(plan_of(task, max_trials=4, concurrency=3, resources={"licence": 2.0, "gpu": 1.0}), tmp_path)
    assert len(finished.history.settled) == 4
    devices = [
        dict(e.record.devices) for e in read(tmp_path / "run") if hasattr(e.record, "devices") and hasattr(e.record, "trial")
    ]
    assert devices == [{"gpu": (0,)}] * 4
