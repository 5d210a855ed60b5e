"""Campaigns of thousands of trials: nothing grows but the journal, and the commands that read it stay quick."""

from __future__ import annotations

import statistics
import threading
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from autoresearch_rl.controller.journal import read
from autoresearch_rl.events import SettledEvent
from benchmarks.bench_scale import KEEPS, Scale, campaign, measure_commands
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


def check_scale(scale: Scale, ratio: float, growth_b: float) -> None:
    assert scale.late_ms <= ratio * scale.early_ms, scale
    assert scale.growth_b <= growth_b, scale


@pytest.mark.soak
@pytest.mark.parametrize("keep", sorted(KEEPS))
def test_ten_thousand_trials_in_the_controllers_own_process(tmp_path: Path, keep: str) -> None:
    """The controller is killed at the end; its CPU time is looked at, as others may use this machine too."""
    check_scale(campaign(tmp_path, 10_000, ["policy=random", *KEEPS[keep]]), 1.3, 4000)
    commands = measure_commands(tmp_path)
    assert commands.status_cpu_s < 2, commands
    assert commands.resume_cpu_s < 8, "with what follows the first start: the sinks catch up, twenty seconds of a campaign"
    finished = list(read(tmp_path / "run"))
    assert len(finished) > 40_000


@pytest.mark.slow
@pytest.mark.parametrize("keep", sorted(KEEPS))
def test_six_hundred_trials_in_the_controllers_own_process(tmp_path: Path, keep: str) -> None:
    check_scale(campaign(tmp_path, 600, ["policy=random", *KEEPS[keep]]), 2.0, 15_000)
    assert measure_commands(tmp_path, turns=1).status_cpu_s < 5
