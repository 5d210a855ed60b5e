"""A target that trains nothing, and a sink that watches its controller: for `bench_scale.py` and the soak tests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import psutil

from autoresearch_rl.events import Entry, SettledEvent
from autoresearch_rl.target import Job, JobResult, Report


class Noop:
    """Answers at once with the loss (x - 0.3)^2 and noise that depends on the seed."""

    def __init__(self, noise: float = 0.0, die_at: int | None = None) -> None:
        """`die_at`: the trial whose first attempt kills the controller."""
        self._noise, self._die_at = noise, die_at

    @contextmanager
    def open(
        self, trial_key: str, resources: Mapping[str, float], devices: Mapping[str, tuple[int, ...]]
    ) -> Iterator[NoopSession]:
        if trial_key.endswith(f"/{self._die_at}/1"):
            os.kill(os.getpid(), signal.SIGKILL)
        yield NoopSession(self._noise)

    def price(self, resources: Mapping[str, float]) -> float | None:
        return None

    def close(self) -> None:
        """There is nothing to kill."""


class NoopSession:
    """Prints a loss for a stage that never was."""

    def __init__(self, noise: float) -> None:
        self._noise = noise

    def run(self, job: Job, report: Report) -> JobResult:
        rng = np.random.default_rng([int(job.env["AR_SEED"]), int(job.env["AR_TRIAL"])])
        loss = (float(job.env["AR_PARAM_X"]) - 0.3) ** 2 + self._noise * rng.standard_normal()
        (job.logs / f"{job.stage}.stdout.log").write_text(f"loss={loss}\n")
        return JobResult(exit_code=0, elapsed_s=0.001, usage={"cpu_s": 0.001, "peak_rss_bytes": 1e7, "output_bytes": 20.0})


class Gauge:
    """Writes one line every `every` settled trials: trials, controller's CPU seconds, active seconds, resident bytes."""

    def __init__(self, every: int = 50) -> None:
        self._every = every

    def open(self, run_dir: Path) -> GaugeSink:
        return GaugeSink(run_dir / "gauge.tsv", self._every)


class GaugeSink:
    """See `Gauge`. What happened under an earlier controller is not written again."""

    def __init__(self, path: Path, every: int) -> None:
        self._path, self._every, self._settled, self._seq = path, every, 0, -1

    def __enter__(self) -> Self:
        self._file = self._path.open("a")
        self._me = psutil.Process()
        return self

    def record(self, entry: Entry) -> None:
        if not isinstance(entry.record, SettledEvent) or entry.seq <= self._seq:
            return
        self._settled, self._seq = self._settled + 1, entry.seq
        if self._settled % self._every == 0:
            row = (self._settled, time.process_time(), entry.elapsed_s, self._me.memory_info().rss)
            print(*row, sep="\t", file=self._file, flush=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
