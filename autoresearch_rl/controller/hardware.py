"""What this machine is and has."""

from __future__ import annotations

import math
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil


def facts() -> dict[str, str]:
    """Short facts for the journal: system, cpu, cores, memory in GB, GPUs."""
    memory_gb = psutil.virtual_memory().total / 1e9
    found = {"system": platform.platform(), "cpu": _cpu_name(), "cores": str(cores()), "memory_gb": f"{memory_gb:.0f}"}
    gpus = _gpu_names()
    return {**found, "gpus": "; ".join(gpus)} if gpus else found


def hardware_class(of: Mapping[str, str], resources: Mapping[str, float], devices: Mapping[str, Sequence[int]]) -> str:
    """Class of a machine with these facts for a trial that was granted these resources: its CPU and cores, and the GPUs."""
    text = f"{of.get('cpu', 'unknown CPU')}, {of.get('cores', '?')} cores"
    gpus = resources.get("gpu", 0.0)
    if gpus <= 0:
        return text
    names = of.get("gpus", "").split("; ")
    models = {names[index] if index < len(names) else "" for index in devices.get("gpu", ())}
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


def gpu_indices(environment: Mapping[str, str] = os.environ) -> tuple[int, ...]:
    """Indices of the GPUs that this process may use; `CUDA_VISIBLE_DEVICES` narrows them."""
    count = len(_gpu_names())
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return tuple(range(count))
    return tuple(int(part) for part in named.split(",") if part.strip().isdigit() and int(part) < count)


def _gpu_names() -> Sequence[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        query = [program, "--query-gpu=name", "--format=csv,noheader"]
        listed = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in listed.stdout.splitlines() if line.strip())


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = (line.partition(":")[2].strip() for line in stream if line.startswith("model name"))
            return next(names, platform.machine())
    except OSError:
        return platform.processor() or platform.machine()
