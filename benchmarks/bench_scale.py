"""A campaign of 10,000 trials: is a late trial as cheap as an early one, and are `status` and `resume` still quick?

Trials are no-ops in the controller's own process, so that what is measured is the controller: its CPU time and memory for each
trial, early and late, and then the commands as a user runs them, imports included: `arrl status`, and `arrl resume` of a
controller that was killed at the last trial, until that trial runs again. MLflow is off, the other sinks are on. Times of commands
are those of the best of three. The bars: 4 kB a trial, 1.3 times the time at 100, 2 s.

Run: python benchmarks/bench_scale.py [TRIALS]
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from autoresearch_rl.controller.journal import read
from autoresearch_rl.events import Resumed, StartTrial

ROOT = Path(__file__).parent.parent
MAIN = "from autoresearch_rl.cli import main; main()"
TASK = """
name: noop
files: {mutable: [train.py]}
train_cmd: [/bin/true]
objective: {metric: loss, direction: minimize}
space: {x: {low: 0.0, high: 1.0}}
"""
TARGET = """
_target_: benchmarks.noop.Noop
noise: 0.0
die_at: {die_at}
"""
SINKS = "telemetry=[console,ledger,timeline]"
KEEPS = {"strict": ["controller/keep=strict"], "noise": ["controller/keep=noise", "target.noise=0.05"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What a campaign costs.

    Attributes:
        early_ms: CPU milliseconds of the controller for a trial at 100.
        late_ms: The same at the end.
        growth_b: Bytes for each trial from the 500th on.
    """

    early_ms: float
    late_ms: float
    growth_b: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Seconds of whole commands: wall and CPU of `status`, and wall of `resume` until the trial that was lost runs again."""

    status_s: float
    status_cpu_s: float
    resume_s: float
    resume_cpu_s: float


def main() -> None:
    """Prints the table."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    columns = ("CPU ms at 100", "at the end", "ratio", "bytes a trial", "status s", "CPU s", "resume s", "CPU s")
    print(f"{'campaign':28}" + "".join(f"{column:>15}" for column in columns))
    for policy, keep, count in (("random", "strict", trials), ("random", "noise", trials), ("tpe", "strict", min(1000, trials))):
        with tempfile.TemporaryDirectory() as folder:
            scale = campaign(Path(folder), count, [f"policy={policy}", *KEEPS[keep]])
            commands = measure_commands(Path(folder))
        numbers = (scale.early_ms, scale.late_ms, scale.late_ms / scale.early_ms, scale.growth_b)
        times = (commands.status_s, commands.status_cpu_s, commands.resume_s, commands.resume_cpu_s)
        cells = "".join(f"{number:15.2f}" for number in (*numbers, *times))
        print(f"{f'{policy}, {keep}, {count:,}':28}{cells}", flush=True)


def campaign(folder: Path, trials: int, overrides: Sequence[str]) -> Scale:
    """Runs a campaign in `folder / "run"` whose controller dies at its last but one trial."""
    (folder / "task").mkdir()
    (folder / "task" / "task.yaml").write_text(TASK)
    (folder / "task" / "train.py").write_text("# not run\n")
    (folder / "conf" / "target").mkdir(parents=True)
    (folder / "conf" / "target" / "noop.yaml").write_text(TARGET.format(die_at=trials - 2))
    target = ["plugins=[benchmarks]", "target=noop"]
    sinks = [SINKS, "+telemetry.gauge._target_=benchmarks.noop.Gauge"]
    limits = [f"controller.max_trials={trials}"]
    options = ["task.path=task", "hydra.run.dir=run", *target, *sinks, *limits, *overrides]
    code, _ = _arrl(folder, [*options, "--config-dir", str(folder / "conf")])
    assert code == -9, f"the controller was to be killed, but ended with {code}: {(folder / 'out.txt').read_text()[-2000:]}"
    rows = [tuple(map(float, line.split("\t"))) for line in (folder / "run" / "gauge.tsv").read_text().splitlines()]
    at = {int(row[0]): row for row in rows}
    last = max(at)

    def cpu_ms(first: int, then: int) -> float:
        return 1e3 * (at[then][1] - at[first][1]) / (then - first)

    wide = min(500, last // 4 // 50 * 50)
    growth_b = (at[last][3] - at[wide][3]) / (last - wide)
    return Scale(early_ms=cpu_ms(50, 150), late_ms=cpu_ms(last - wide, last), growth_b=growth_b)


def measure_commands(folder: Path, turns: int = 3) -> Commands:
    """Times `status` and `resume` on the campaign in `folder / "run"`, the best of so many turns."""
    statuses, resumes = [], []
    for turn in range(turns):
        code, seconds = _arrl(folder, ["status", "run"])
        assert code == 0
        statuses.append(seconds)
        again = f"run-{turn}"
        shutil.copytree(folder / "run", folder / again, symlinks=True, ignore=shutil.ignore_patterns("trials"))
        lost = max((folder / "run" / "trials").iterdir())
        shutil.copytree(lost, folder / again / "trials" / lost.name)
        begun_s = time.time()
        code, seconds = _arrl(folder, ["resume", again, "plugins=[benchmarks]"])
        assert code == 0
        resumes.append((_restarted_s(folder / again) - begun_s, seconds[1]))
        shutil.rmtree(folder / again)
    (status_s, status_cpu_s), (resume_s, resume_cpu_s) = min(statuses), min(resumes)
    return Commands(status_s=status_s, status_cpu_s=status_cpu_s, resume_s=resume_s, resume_cpu_s=resume_cpu_s)


def _restarted_s(run_dir: Path) -> float:
    """UNIX time at which the first trial was started by the last controller."""
    at = 0.0
    resumed = False
    for entry in read(run_dir):
        resumed = resumed or isinstance(entry.record, Resumed)
        if resumed and isinstance(entry.record, StartTrial):
            at = at or datetime.fromisoformat(entry.at).timestamp()
    return at


def _arrl(folder: Path, arguments: Sequence[str]) -> tuple[int, tuple[float, float]]:
    """Exit code of a command, with its wall and CPU seconds."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    before, begun_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with (folder / "out.txt").open("w") as out:
        done = subprocess.run([sys.executable, "-c", MAIN, *arguments], cwd=folder, env=env, stdout=out, stderr=out, check=False)
    after, wall_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begun_s
    return done.returncode, (wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


if __name__ == "__main__":
    main()
