"""Campaigns of thousands of real processes: nothing grows but the journal."""

from __future__ import annotations

import statistics
import threading
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from autoresearch_rl.controller.journal import read
from autoresearch_rl.events import SettledEvent
from tests.controller.plans import go, plan_of
from tests.tasks import tiny_task


@pytest.mark.soak
def test_three_thousand_trials_stay_flat(tmp_path: Path) -> None:
    plain = {"prepare_cmd": ..., "predict_cmd": ..., "evaluate_cmd": ..., "outputs": []}
    task = tiny_task(tmp_path / "task", train_cmd=["/bin/echo", "loss=1"], **plain)
    me = psutil.Process()
    go(plan_of(task, max_trials=20), tmp_path, "warm-up")
    before_b, before_fds, before_threads = me.memory_info().rss, me.num_fds(), threading.active_count()
    finished = go(plan_of(task, max_trials=3000, concurrency=2), tmp_path)
    assert len(finished.history) == 3000
    assert me.memory_info().rss - before_b < 60_000_000
    assert me.num_fds() == before_fds
    assert threading.active_count() <= before_threads + 1
    times = [e.elapsed_s for e in read(finished.run_dir) if isinstance(e.record, SettledEvent)]
    gaps = [after - before for before, after in pairwise(times)]
    assert statistics.median(gaps[-500:]) < 2 * statistics.median(gaps[100:600])
