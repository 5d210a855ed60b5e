"""What this machine is and has."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from autoresearch_rl.target.gpus import listed


def facts() -> dict[str, str]:
    """Short facts for the journal: system, cpu, cores, memory in GB, GPUs in order, parts of GPUs (MIG) with their indices."""
    memory_gb = psutil.virtual_memory().total / 1e9
    found = {"system": platform.platform(), "cpu": _cpu_name(), "cores": str(cores()), "memory_gb": f"{memory_gb:.0f}"}
    gpus = listed()
    whole = "; ".join(gpu.model for gpu in gpus if not gpu.is_part)
    parts = "; ".join(f"{gpu.index} {gpu.model}" for gpu in gpus if gpu.is_part)
    return {**found, **({"gpus": whole} if whole else {}), **({"gpu_parts": parts} if parts else {})}


def hardware_class(of: Mapping[str, str], resources: Mapping[str, float], devices: Mapping[str, Sequence[int]]) -> str:
    """Class of a machine with these facts for a trial that was granted these resources: its CPU and cores, and the GPUs."""
    text = f"{of.get('cpu', 'unknown CPU')}, {of.get('cores', '?')} cores"
    gpus = resources.get("gpu", 0.0)
    if gpus <= 0:
        return text
    names = {str(index): model for index, model in enumerate(of.get("gpus", "").split("; "))}
    names |= {index: model for index, _, model in (part.partition(" ") for part in of.get("gpu_parts", "").split("; "))}
    models = {names.get(str(index), "") for index in devices.get("gpu", ())}
    return f"{text}, {gpus:g} x {' and '.join(sorted(models - {''})) or 'GPU'}"


def cores() -> int:
    """Number of cores that this process may use: those that it may run on, or fewer where a container may use less time."""
    return max(1, math.floor(min(float(len(os.sched_getaffinity(0))), _quota(Path("/sys/fs/cgroup")))))


def _quota(groups: Path) -> float:
    """CPU seconds a second that the container of this process may use, infinite where it is not limited."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((groups / name).read_text() for name in names).split()
            return float(quota) / float(period) if float(quota) > 0 else math.inf
        except (OSError, ValueError):  # no such file, or `max`
            continue
    return math.inf


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = (line.partition(":")[2].strip() for line in stream if line.startswith("model name"))
            return next(names, platform.machine())
    except OSError:
        return platform.processor() or platform.machine()
