"""Orders reach real trials soon, and those that ignore them are killed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autoresearch_rl.trial import Curve, Order, Status
from tests.controller.campaigns import Condemning
from tests.controller.plans import go, plan_of
from tests.tasks import TRAIN, tiny_task

WAITS = """
import json, os, time
def said(step):
    with open(os.environ["AR_PROGRESS_FILE"], "a") as stream:
        stream.write(json.dumps({"step": step, "step_target": 100, "metrics": {"loss": 1.0}}) + "\\n")
if "AR_CONTROL_FILE" in os.environ:
    said(1)
    time.sleep(0.3 + 0.037 * float(os.environ["AR_PARAM_X"]))
    said(50)
    began, control = time.monotonic(), os.environ["AR_CONTROL_FILE"]
    while not os.path.exists(control) and time.monotonic() - began < 3:
        time.sleep(0.002)
    print(time.monotonic() - began, flush=True)
    raise SystemExit(42)
"""


class CancelHalfway(Condemning):
    """Cancels what reports half of its steps."""

    def doomed(self, curve: Curve) -> Order | None:
        return Order(kind="cancel", reason="halfway") if curve.steps[-1] >= 50 else None


def judged(train: str) -> str:
    """A train.py that is `train` but in the baseline, where x has its default."""
    return (
        'import os\nif float(os.environ["AR_PARAM_X"]) != 0.5:\n'
        + "".join(f"    {line}\n" for line in train.splitlines())
        + TRAIN
    )


def test_an_order_stands_in_the_control_file_soon_after_the_report(tmp_path: Path) -> None:
    task = tiny_task(tmp_path / "task", {"train.py": judged(WAITS)}, space={"x": {"low": 0.0, "high": 1.0, "default": 0.5}})
    finished = go(plan_of(task, cancel=CancelHalfway(), control_share=0.0, max_trials=9), tmp_path)
    assert [s.outcome.status for s in finished.history.settled[1:]] == [Status.CANCELLED] * 8
    logs = (tmp_path / "run").glob("trials/*/**/train.stdout.log")
    waited_s = sorted(float(text) for log in logs if (text := log.read_text()))
    assert len(waited_s) == 8
    print(f"order after {1000 * waited_s[4]:.0f} ms, at most {1000 * waited_s[-1]:.0f} ms", file=sys.stderr)
    assert waited_s[4] < 1.0, "about 0.1 s on a machine that is not crowded"


@pytest.mark.parametrize("kind", ["cancel", "pause"])
def test_a_trial_that_ignores_an_order_is_killed_after_its_grace_and_counts_as_cancelled(tmp_path: Path, kind: str) -> None:
    class OrderAtOnce(Condemning):
        def doomed(self, curve: Curve) -> Order | None:
            return Order(kind=kind, reason="enough")  # type: ignore[arg-type]

    stubborn = (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS.split("if ")[0] + "said(1)\ntime.sleep(600)\n"
    )
    task = tiny_task(
        tmp_path / "task",
        {"train.py": judged(stubborn)},
        space={"x": {"low": 0.0, "high": 1.0, "default": 0.5}},
        timeouts={"train_s": 120, "predict_s": 20, "evaluate_s": 20, "prepare_s": 20},
        checkpoints=True,
    )
    finished = go(plan_of(task, cancel=OrderAtOnce(), control_share=0.0, max_trials=2, grace_s=0.3), tmp_path)
    settled = finished.history.settled[1]
    assert settled.outcome.status is Status.CANCELLED
    assert settled.outcome.message == "train: enough"
    assert settled.outcome.elapsed_s < 60
    left = [process for process in Path("/proc").glob("[0-9]*") if f"{tmp_path}/run" in _environment(process)]
    assert left == [], "nothing of it lives on"


def _environment(process: Path) -> str:
    try:
        return (process / "environ").read_text(errors="replace")
    except OSError:
        return ""
