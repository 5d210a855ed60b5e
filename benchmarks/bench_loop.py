"""What the loop itself costs: no-op trials, with telemetry off and on, and throughput at 4 at a time against 1.

Ratios of the loop against itself: the time from a settlement to the next start early and late in a campaign, and the
speed-up of four workers over one where trials only sleep. Run: python benchmarks/bench_loop.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from autoresearch_rl.controller.journal import read
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.plan import Plan
from autoresearch_rl.controller.run import run
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.events import Entry, SettledEvent, StartTrial
from autoresearch_rl.policy.random import Random
from autoresearch_rl.target.command import Command
from autoresearch_rl.task import Task
from autoresearch_rl.telemetry.console import Console
from autoresearch_rl.telemetry.ledger import Ledger
from autoresearch_rl.telemetry.mlflow import Mlflow
from autoresearch_rl.telemetry.timeline import Timeline
from benchmarks.rows import Row, report


def main() -> None:
    """Prints a table of both benchmarks."""
    print(f"{'200 no-op trials':32} {'ms a trial':>10} {'median ms between trials':>24} {'p90':>8} {'at 200 / at 20':>16}")
    took_ms: list[float] = []
    for name, sinks in (("telemetry off", False), ("all telemetry", True)):
        gaps, whole_s = noop(sinks, trials=200)
        took_ms.append(1e3 * whole_s / 200)
        late, early = statistics.median(gaps[-40:]), statistics.median(gaps[5:45])
        p90 = statistics.quantiles(gaps, n=10)[-1]
        print(
            f"{name:32} {1e3 * whole_s / 200:10.1f} {1e3 * statistics.median(gaps):24.2f} {1e3 * p90:8.2f} {late / early:16.2f}"
        )
    report(Row("loop: a no-op trial with all telemetry, ms", took_ms[1], "telemetry off", took_ms[0]))
    one, four = sleeping(1), sleeping(4)
    report(Row("loop: 24 trials of 1 s, four at a time, s", four, "one at a time", one))
    print(f"24 trials of 1 s: {one:.1f} s one at a time, {four:.1f} s four at a time: {one / four:.2f} times the throughput")


def noop(telemetry: bool, trials: int) -> tuple[list[float], float]:
    """Seconds between trials, and of the whole campaign without MLflow's draining."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sinks: Mapping[str, Any] = {}
        if telemetry:
            mlflow = Mlflow(uri=f"sqlite:///{root / 'mlflow.db'}")
            sinks = {"console": Console(live=False), "ledger": Ledger(), "timeline": Timeline(), "mlflow": mlflow}
        entries = campaign(root, ["/bin/echo", "loss=1"], sinks, trials, concurrency=1)
    return list(_gaps(entries)), entries[-1].elapsed_s


def sleeping(concurrency: int) -> float:
    """Seconds for 24 trials that sleep 1 s, from the first start after the baseline to the last settlement."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["/bin/sh", "-c", "sleep 1; echo loss=1"]
        entries = campaign(Path(folder), command, {}, 25, concurrency)
    begun = next(e.elapsed_s for e in entries if isinstance(e.record, StartTrial) and e.record.trial.number == 1)
    return max(e.elapsed_s for e in entries if isinstance(e.record, SettledEvent)) - begun


def campaign(root: Path, command: list[str], telemetry: Mapping[str, Any], trials: int, concurrency: int) -> list[Entry]:
    """The journal of a campaign whose trials run one command."""
    (root / "task").mkdir()
    (root / "task" / "train.py").write_text("# not run\n")
    task = Task(
        path=root / "task",
        name="noop",
        files={"mutable": ["train.py"]},
        train_cmd=command,
        objective={"metric": "loss", "direction": "minimize"},
        space={"x": {"low": 0.0, "high": 1.0}},
    )
    plan = Plan(
        task=task,
        policy=Random(space=task.search_space),
        target=Command(),
        settings=Settings(keep=StrictRule("loss"), max_trials=trials, concurrency=concurrency),
        telemetry=telemetry,
        config="",
        labels={},
    )
    stdout, sys.stdout = sys.stdout, open("/dev/null", "w")  # noqa: SIM115  # the console's lines are part of the cost, not of the table
    try:
        finished = run(plan, root / "run", cache_dir=root / "cache", tags={}, announce=lambda _: None)
    finally:
        sys.stdout.close()
        sys.stdout = stdout
    return list(read(finished.run_dir))


def _gaps(entries: Iterable[Entry]) -> Iterable[float]:
    """From the end of a trial's last stage to the start of the next trial's first one: everything that is not the trial."""
    spans = [e.record.outcome.spans for e in entries if isinstance(e.record, SettledEvent)]
    yield from (after[0].begun_s - before[-1].ended_s for before, after in pairwise(spans))


if __name__ == "__main__":
    main()
