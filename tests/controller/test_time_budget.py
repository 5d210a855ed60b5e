"""A time-budgeted task for real: somebody takes its CPU from a trial, which is then measured again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoresearch_rl.controller.journal import read
from autoresearch_rl.events import Incomparable
from autoresearch_rl.policy.static import Static
from autoresearch_rl.telemetry.ledger import Ledger
from autoresearch_rl.trial import Status
from tests.controller.plans import go, plan_of
from tests.tasks import tiny_task

CPU = min(os.sched_getaffinity(0))
HOGS = 80
TRAIN = f"""
import json, os, time
os.sched_setaffinity(0, {{{CPU}}})
done, end_s = 0, time.monotonic() + 0.6
while time.monotonic() < end_s:
    done += 1
with open(os.path.join(os.environ["AR_MODEL_DIR"], "model.json"), "w") as stream:
    json.dump({{"x": float(done)}}, stream)
"""
HOG = f"""
import os, sys, time
os.sched_setaffinity(0, {{{CPU}}})
attempt, following = sys.argv[1:]
first = os.getpid()
for _ in range({HOGS}):
    if os.fork() == 0:
        os.setsid()  # some schedulers share a CPU between sessions, not processes
        while not os.path.isdir(attempt) and os.getppid() == first:
            time.sleep(0.01)
        while not os.path.isdir(following) and os.getppid() == first:
            for _ in range(10_000):
                pass
        os._exit(0)
time.sleep(3600)
"""
EVALUATE = """
import json, os
work = json.load(open(os.path.join(os.environ["AR_OUTPUT_DIR"], "prediction.json")))
os.write(int(os.environ["AR_ANSWER_FD"]), json.dumps({"work": work}).encode())
"""


@contextmanager
def hogs_during(attempt: Path) -> Iterator[None]:
    """Keeps a CPU busy with many processes from the beginning of this attempt to that of the next one."""
    following = attempt.with_name(str(int(attempt.name) + 1))
    with subprocess.Popen([sys.executable, "-S", "-c", HOG, attempt, following]) as hog:
        try:
            yield
        finally:
            hog.kill()  # which its children see


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system does not tell how long a thread waits")
def test_a_trial_whose_cpu_is_taken_is_measured_again_and_settled_right(tmp_path: Path) -> None:
    task = tiny_task(
        tmp_path / "task",
        {"train.py": TRAIN, "evaluate.py": EVALUATE},
        objective={"metric": "work", "direction": "maximize", "time_budgeted": True},
    )
    # Generous: this may run on a machine with much else to do, and one process among eighty gets next to nothing.
    plan = plan_of(
        task,
        policy=Static(space=task.search_space, params=[{"x": 0.2}]),
        telemetry={"ledger": Ledger()},
        max_trials=2,
        max_attempts=12,
        contention_tolerance=0.3,
    )
    begun_s = time.monotonic()
    with hogs_during(tmp_path / "run" / "trials" / "0001" / "1"):
        finished = go(plan, tmp_path)
    assert not finished.stop.failed, finished.stop.reason
    baseline, trial = finished.history.settled
    theirs = baseline.outcome.conditions
    assert theirs is not None
    assert theirs.contention is not None
    if theirs.contention > 0.65:
        pytest.skip(f"this machine is too busy: {theirs.contention:.0%} of the baseline's time went to others")
    remarks = [e.record for e in read(tmp_path / "run") if isinstance(e.record, Incomparable) and e.record.number == 1]
    assert remarks
    assert remarks[0].attempt == 1
    assert remarks[0].then == "again"
    assert "others kept its training from CPUs for" in remarks[0].reason
    mine = trial.outcome.conditions
    assert mine is not None
    assert mine.contention is not None
    if trial.outcome.status is Status.FAILED and max(mine.contention, theirs.contention) > 0.3:
        pytest.skip(f"this machine has become busy, or was: {trial.outcome.message}")
    assert trial.outcome.status is Status.OK
    assert trial.trial.attempt == len(remarks) + 1
    assert mine.hardware == theirs.hardware
    assert abs(mine.contention - theirs.contention) <= 0.3
    assert trial.outcome.score == trial.outcome.metrics["work"]
    first = (tmp_path / "run" / "trials" / "0001" / "1" / "outcome.json").read_text()
    assert '"contention": 0.' in first
    assert not (tmp_path / "run" / "trials" / "0001" / "1" / "model").exists()
    row = (tmp_path / "run" / "results.tsv").read_text().splitlines()[2]
    assert f"attempt {len(remarks)} did not count" in row
    assert time.monotonic() - begun_s < 120
