"""What this machine is, and when two machines are of one class."""

from __future__ import annotations

import math
import os
from pathlib import Path

from autoresearch_rl.controller.hardware import _quota, cores, facts, hardware_class


def test_a_class_names_what_the_trial_was_granted() -> None:
    machine = {"cpu": "CPU X", "cores": "8", "gpus": "A100; T4; T4", "memory_gb": "64"}
    assert hardware_class(machine, {"trial": 1.0, "cpu": 2.0}, {}) == "CPU X, 8 cores"
    assert hardware_class(machine, {"gpu": 1.0}, {"gpu": (1,)}) == "CPU X, 8 cores, 1 x T4"
    assert hardware_class(machine, {"gpu": 2.0}, {"gpu": (0, 2)}) == "CPU X, 8 cores, 2 x A100 and T4"
    assert hardware_class(machine, {"gpu": 0.5}, {"gpu": (2,)}) == "CPU X, 8 cores, 0.5 x T4"
    assert hardware_class({}, {"gpu": 1.0}, {"gpu": (0,)}) == "unknown CPU, ? cores, 1 x GPU"


def test_a_container_that_may_use_less_time_has_fewer_cores(tmp_path: Path) -> None:
    assert _quota(tmp_path) == math.inf
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert _quota(tmp_path) == math.inf
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("150000\n")
    assert _quota(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    assert _quota(tmp_path) == 4.0
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert _quota(tmp_path) == 1.5
    assert 1 <= cores() <= len(os.sched_getaffinity(0))
    assert facts()["cores"] == str(cores())
