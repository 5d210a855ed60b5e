"""What every target must do, as tests: subclass `TargetContract` in a test module and give it a `target` fixture.

class TestMine(TargetContract):
    @pytest.fixture
    def target(self):
        target = Mine()
        yield target
        target.close()
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoresearch_rl.target import Job, JobResult, Limits, Report, Target
from autoresearch_rl.trial import Order, Progress

_REPORTING = """
import json, os, sys, time
with open(os.environ["AR_PROGRESS_FILE"], "a") as stream:
    for step in range(1, 4):
        line = {"step": step, "step_target": 3, "metrics": {"loss": 1 / step}, "elapsed_s": 0.1 * step}
        print(json.dumps(line), file=stream, flush=True)
        time.sleep(0.05)
"""
_OBEDIENT = """
import json, os, sys, time
for _ in range(600):
    time.sleep(0.05)
    if os.path.exists(os.environ["AR_CONTROL_FILE"]):
        with open(os.environ["AR_CONTROL_FILE"]) as stream:
            print(json.load(stream)["order"])
        sys.exit(42)
"""
_DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(60)
"""


def quiet(progress: Progress | None) -> None:
    """A report that gives no order."""


class TargetContract:
    """Contract of `Target` and `Session`. Attribute `python`: a Python on the machine where the target runs stages."""

    python: str = sys.executable

    def job(self, folder: Path, *argv: str, **changes: Any) -> Job:
        """A job in `folder` that may take 30 s."""
        (folder / "work").mkdir(exist_ok=True)
        env = {"PATH": os.environ.get("PATH", os.defpath)}
        job = Job(stage="train", argv=argv, env=env, cwd=folder / "work", logs=folder, limits=Limits(timeout_s=30, grace_s=5))
        return replace(job, **changes)

    def script(self, folder: Path, text: str, **changes: Any) -> Job:
        """A job that runs a Python text with files for progress and control."""
        job = self.job(folder, self.python, "-c", text, progress=folder / "progress.jsonl", control=folder / "control.json")
        files = {"AR_PROGRESS_FILE": str(job.progress), "AR_CONTROL_FILE": str(job.control)}
        return replace(job, env={**job.env, **files}, **changes)

    def run(self, target: Target, job: Job, report: Report = quiet) -> JobResult:
        """Runs one job in a session of its own."""
        with target.open("campaign/0/1", {}, {}) as session:
            return session.run(job, report)

    # ---------------------------------------------------------------- contract
    def test_a_price_is_usd_from_zero_or_unknown(self, target: Target) -> None:
        """A place alone costs no more than with all that a trial may hold."""
        place, whole = target.price({"trial": 1.0}), target.price({"trial": 1.0, "cpu": 1.0, "gpu": 1.0})
        for usd_per_h in (place, whole):
            assert usd_per_h is None or 0.0 <= usd_per_h < float("inf")
        assert place is None or (whole is not None and place <= whole)

    def test_exit_code_and_usage(self, target: Target, tmp_path: Path) -> None:
        """The exit code is the stage's own, and what it used is told."""
        result = self.run(target, self.script(tmp_path, "raise SystemExit(7)"))
        assert (result.exit_code, result.signal, result.timed_out, result.obeyed) == (7, None, False, None)
        assert (result.lost, result.unstartable, result.answer) == ("", "", None)
        assert 0 < result.elapsed_s < 30
        assert all(amount >= 0 for amount in result.usage.values())

    def test_output_goes_to_files(self, target: Target, tmp_path: Path) -> None:
        """Output is in `logs`, and the end of stderr in the result, invalid UTF-8 replaced."""
        text = r"import os; os.write(1, b'out\xff\n'); os.write(2, b'x' * 9000 + b'\n\xffend\n')"
        result = self.run(target, self.script(tmp_path, text))
        assert (tmp_path / "train.stdout.log").read_bytes() == b"out\xff\n"
        assert result.stderr_tail.endswith("�end\n")
        assert len(result.stderr_tail) <= 4000

    def test_long_output_is_cut(self, target: Target, tmp_path: Path) -> None:
        """Of too long a log, head and tail are kept."""
        job = self.script(
            tmp_path, "print('first'); print('x' * 1_000_000); print('last')", limits=Limits(timeout_s=30, log_bytes=10_000)
        )
        assert self.run(target, job).exit_code == 0
        log = (tmp_path / "train.stdout.log").read_bytes()
        assert len(log) < 11_000
        assert (log[:6], log[-5:]) == (b"first\n", b"last\n")

    def test_the_environment_is_the_jobs(self, target: Target, tmp_path: Path) -> None:
        """Variables of the job are seen, and the folder is its working directory."""
        job = self.script(
            tmp_path, "import os; print(os.environ['AR_PARAM_X'], os.path.basename(os.getcwd()), len(os.environ) < 30)"
        )
        result = self.run(target, replace(job, env={**job.env, "AR_PARAM_X": "ä b\nc"}))
        assert result.exit_code == 0, result.stderr_tail
        assert (tmp_path / "train.stdout.log").read_text() == "ä b\nc work True\n"

    def test_what_cannot_be_started(self, target: Target, tmp_path: Path) -> None:
        """A program that does not exist is told from one that fails."""
        result = self.run(target, self.job(tmp_path, "no-such-program"))
        assert "no-such-program" in result.unstartable
        assert (result.exit_code, result.signal, result.lost) == (None, None, "")

    def test_reports_are_passed_on_in_order(self, target: Target, tmp_path: Path) -> None:
        """Each report arrives once, also the last ones before the end."""
        seen: list[Progress | None] = []
        result = self.run(target, self.script(tmp_path, _REPORTING), seen.append)
        assert result.exit_code == 0, result.stderr_tail
        steps = [(progress.step, progress.step_target) for progress in seen if progress is not None]
        assert steps == [(1, 3), (2, 3), (3, 3)]

    def test_report_is_called_often(self, target: Target, tmp_path: Path) -> None:
        """Without reports too, so that an order is heard soon."""
        times: list[float] = []
        self.run(target, self.script(tmp_path, "import time; time.sleep(1)"), lambda _: times.append(time.monotonic()))
        assert len(times) >= 4

    def test_an_order_is_obeyed(self, target: Target, tmp_path: Path) -> None:
        """The order is in the control file, and the result names it."""
        order = Order(kind="cancel", reason="it will not beat trial 3", grace_s=20)
        result = self.run(target, self.script(tmp_path, _OBEDIENT), lambda _: order)
        assert (result.exit_code, result.obeyed) == (42, order)
        assert (tmp_path / "train.stdout.log").read_text() == "cancel\n"
        assert json.loads((tmp_path / "control.json").read_text()) == {"order": "cancel", "reason": "it will not beat trial 3"}

    def test_who_does_not_obey_is_killed(self, target: Target, tmp_path: Path) -> None:
        """SIGTERM may be ignored, SIGKILL may not."""
        order = Order(kind="stop", reason="interrupted", grace_s=0.2)
        begun_s = time.monotonic()
        result = self.run(target, self.script(tmp_path, _DEAF), lambda _: order)
        assert time.monotonic() - begun_s < 20
        assert (result.exit_code, result.obeyed, result.timed_out) == (None, order, False)

    def test_timeout(self, target: Target, tmp_path: Path) -> None:
        """A stage that takes too long is killed."""
        result = self.run(target, self.script(tmp_path, _DEAF, limits=Limits(timeout_s=0.5)))
        assert (result.timed_out, result.exit_code, result.lost) == (True, None, "")

    def test_answer(self, target: Target, tmp_path: Path) -> None:
        """What is written to the answer pipe comes back."""
        text = "import os; os.write(int(os.environ['AR_ANSWER_FD']), b'{\"score\": 1}')"
        assert self.run(target, self.script(tmp_path, text, answer=True)).answer == '{"score": 1}'

    def test_sessions_at_the_same_time(self, target: Target, tmp_path: Path) -> None:
        """`open` and sessions are used from many threads."""

        def one(number: int) -> JobResult:
            folder = tmp_path / str(number)
            folder.mkdir()
            return self.run(target, self.script(folder, f"raise SystemExit({number})"))

        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(one, range(8)))
        assert [result.exit_code for result in results] == list(range(8))

    def test_close_ends_what_runs(self, target: Target, tmp_path: Path) -> None:
        """`close` comes from another thread, and any number of times; sessions return soon."""
        started = threading.Event()
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(self.run, target, self.script(tmp_path, _DEAF), lambda _: started.set())
            assert started.wait(20)
            target.close()
            target.close()
            result = running.result(timeout=20)
        assert result.lost or result.signal is not None
