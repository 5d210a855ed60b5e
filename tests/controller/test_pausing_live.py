"""Pausing in real processes: a checkpoint is written on order, the trial goes on from it and comes to the same."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.journal import read
from autoresearch_rl.controller.run import replay_run, resume
from autoresearch_rl.events import OrderTrial, Paused, SettledEvent, StartTrial
from autoresearch_rl.history import History
from autoresearch_rl.policy.grid import Grid
from autoresearch_rl.trial import Curve, Order, Status
from tests.controller.campaigns import Condemning
from tests.controller.plans import go, plan_of
from tests.tasks import PREDICT, tiny_task

TRAIN = """
import json, os, time
from pathlib import Path
from autoresearch_rl.target.progress import emit_progress
x, steps = float(os.environ["AR_PARAM_X"]), 12
saved = Path(os.environ["AR_CHECKPOINT_DIR"]) / "state.json"
state = json.loads(saved.read_text()) if saved.exists() else {"step": 0, "sum": 0.0}
print("from", state["step"])
def save():
    if os.environ.get("AR_PARAM_MODE") == "broken":
        raise OSError("no room")
    saved.write_text(json.dumps(state))
while state["step"] < steps:
    state["step"] += 1
    state["sum"] += x
    time.sleep(0.05)
    emit_progress(step=state["step"], step_target=steps, metrics={"loss": abs(x - 0.3) + 1 / state["step"]}, save=save)
with open(os.path.join(os.environ["AR_MODEL_DIR"], "model.json"), "w") as stream:
    json.dump({"x": state["sum"] / steps}, stream)
"""
SPACE = {"x": [0.0, 0.5, 0.9, 0.3]}
SITE = str(Path(__file__).resolve().parents[2])


class PauseOnce(Condemning):
    """Pauses every trial once, some reports after its start, and takes all up again at the end."""

    def __init__(self) -> None:
        self.again: set[int] = set()

    def report(self, number: int, curve: Curve, history: History) -> Order | None:
        return Order(kind="pause", reason="behind at step 3") if curve.steps[-1] >= 3 and number not in self.again else None

    def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
        if ending:
            self.again |= set(paused)
        return sorted(paused) if ending else ()


def task_of(folder: Path, **changes: Any) -> Any:
    texts = {"train.py": f"import sys; sys.path.insert(0, {SITE!r})\n" + TRAIN}
    return tiny_task(folder, texts, **{"space": SPACE, "checkpoints": True, **changes})


def test_a_paused_trial_goes_on_from_its_checkpoint_and_comes_to_the_same(tmp_path: Path) -> None:
    task = task_of(tmp_path / "task")
    plan = plan_of(task, policy=Grid(space=task.search_space), cancel=PauseOnce(), max_trials=None, concurrency=2)
    finished = go(plan, tmp_path)
    assert finished.exit_code == 0
    assert "exhausted" in finished.stop.reason
    by_x = {s.trial.proposal.params["x"]: s for s in finished.history.settled}
    assert set(by_x) == set(SPACE["x"])
    entries = [entry.record for entry in read(finished.run_dir)]
    paused = {record.number: record for record in entries if isinstance(record, Paused)}
    assert len(paused) == 3, "all but the baseline"
    for x, settled in by_x.items():
        assert settled.outcome.status is Status.OK
        assert settled.outcome.score == pytest.approx((x - 0.3) ** 2)
        assert settled.outcome.curve.steps[-1] == 12
        steps = settled.outcome.curve.steps
        assert list(steps) == sorted(set(steps)), "no step twice"
        if settled.trial.number:
            assert settled.trial.attempt == 2
            folder = finished.run_dir / "trials" / f"{settled.trial.number:04d}"
            assert (folder / "2" / "train.stdout.log").read_text().startswith("from ")
            assert not (folder / "2" / "train.stdout.log").read_text().startswith("from 0")
            assert not (folder / "checkpoint").exists(), "it has settled"
            assert not (folder / "1" / "workspace").exists()
            assert len([span for span in settled.outcome.spans if span.stage == "train"]) == 2
    starts = [record for record in entries if isinstance(record, StartTrial) and record.trial.attempt == 2]
    assert all(start.ran_s > 0.1 for start in starts)


def test_pausing_replays_to_the_same_decisions(tmp_path: Path) -> None:
    task = task_of(tmp_path / "task")

    def plan() -> Any:
        return plan_of(task, policy=Grid(space=task.search_space), cancel=PauseOnce(), max_trials=None, concurrency=2)

    finished = go(plan(), tmp_path)
    assert "every decision and proposal came out the same" in replay_run(plan(), finished.run_dir)


def test_a_trial_that_cannot_save_is_cancelled(tmp_path: Path) -> None:
    task = task_of(tmp_path / "task", space={"x": [0.0, 0.5], "mode": ["good", "broken"]})
    plan = plan_of(task, policy=Grid(space=task.search_space), cancel=PauseOnce(), max_trials=None)
    finished = go(plan, tmp_path)
    by_mode = {(s.trial.proposal.params["x"], s.trial.proposal.params["mode"]): s.outcome for s in finished.history.settled}
    assert by_mode[0.5, "broken"].status is Status.CANCELLED
    assert by_mode[0.5, "good"].status is Status.OK
    log = finished.run_dir / "trials"
    assert any("no room" in path.read_text() for path in log.glob("*/1/train.stderr.log"))


def test_training_that_exits_as_if_paused_without_an_order_has_failed(tmp_path: Path) -> None:
    text = "import os, sys\nif os.environ['AR_TRIAL'] != '0': sys.exit(43)\n" + TRAIN
    task = tiny_task(
        tmp_path / "task", {"train.py": f"import sys; sys.path.insert(0, {SITE!r})\n" + text}, space=SPACE, checkpoints=True
    )
    finished = go(plan_of(task, policy=Grid(space=task.search_space), cancel=PauseOnce(), max_trials=2), tmp_path)
    assert finished.history.settled[1].outcome.status is Status.FAILED


def test_ctrl_c_saves_a_checkpoint_and_resume_goes_on_from_it(tmp_path: Path) -> None:
    task = task_of(tmp_path / "task", space={"x": [0.0, 0.5]})

    def plan() -> Any:
        return plan_of(task, policy=Grid(space=task.search_space), max_trials=None)

    folder = tmp_path / "run" / "trials" / "0001" / "1"

    def interrupt() -> None:
        while not (folder / "progress.jsonl").exists():
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    stopped = go(plan(), tmp_path)
    assert stopped.stop.signal == signal.SIGINT
    assert (folder.parent / "checkpoint" / "state.json").exists()
    done = json.loads((folder.parent / "checkpoint" / "state.json").read_text())["step"]
    said: list[str] = []
    finished = resume(plan(), tmp_path / "run", limits={}, cache_dir=tmp_path / "cache", announce=said.append)
    (settled,) = [s for s in finished.history.settled if s.trial.number == 1]
    assert settled.outcome.status is Status.OK
    assert settled.outcome.curve.steps == tuple(range(1, 13))
    assert (folder.parent / "2" / "train.stdout.log").read_text() == f"from {done}\n"


def test_what_is_never_taken_up_again_leaves_no_checkpoint(tmp_path: Path) -> None:
    class PauseForGood(PauseOnce):
        def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
            return ()

    task = task_of(tmp_path / "task")
    finished = go(plan_of(task, policy=Grid(space=task.search_space), cancel=PauseForGood(), max_trials=None), tmp_path)
    outcomes = {s.trial.number: s.outcome for s in finished.history.settled}
    assert [outcomes[n].status for n in range(4)] == [Status.OK, *[Status.CANCELLED] * 3]
    assert outcomes[1].curve.steps[:3] == (1.0, 2.0, 3.0)
    assert outcomes[1].elapsed_s > 0.1
    orders = [entry.record for entry in read(finished.run_dir) if isinstance(entry.record, OrderTrial)]
    assert [order.order.kind for order in orders] == ["pause", "pause", "pause", "cancel", "cancel", "cancel"]
    assert not list((finished.run_dir / "trials").glob("*/checkpoint"))


def test_what_is_given_up_keeps_its_checkpoint_until_it_has_settled(tmp_path: Path) -> None:
    interrupts = [signal.SIGINT]

    class GivesUpFirst(PauseOnce):
        gave_up = False

        def revive(self, paused: Collection[int], history: History, *, ending: bool) -> Sequence[int]:
            if not ending or self.gave_up:
                return super().revive(paused, history, ending=ending)
            self.gave_up = True
            for number in interrupts:  # just before the orders that give up the paused trials
                os.kill(os.getpid(), number)
            return ()

    task = task_of(tmp_path / "task")

    def plan() -> Any:
        return plan_of(task, policy=Grid(space=task.search_space), cancel=GivesUpFirst(), max_trials=None)

    assert go(plan(), tmp_path).stop.interrupted
    orders = [entry.record for entry in read(tmp_path / "run") if isinstance(entry.record, OrderTrial)]
    assert [order.number for order in orders if order.order.kind == "cancel"] == [1, 2, 3]
    interrupts.clear()
    finished = resume(plan(), tmp_path / "run", limits={}, cache_dir=tmp_path / "cache", announce=print)
    assert {s.outcome.status for s in finished.history.settled} == {Status.OK}
    for number in (1, 2, 3):
        log = tmp_path / "run" / "trials" / f"{number:04d}" / "2" / "train.stdout.log"
        assert log.read_text().startswith("from ")
        assert not log.read_text().startswith("from 0")


@pytest.mark.parametrize("kind", ["pause", "cancel"])
def test_ctrl_c_stops_what_was_told_to_pause_or_to_cancel_after_it_had_trained(tmp_path: Path, kind: Any) -> None:
    class AtOnce(Condemning):  # the training takes no notice and is over in a moment
        def doomed(self, curve: Curve) -> Order | None:
            return Order(kind=kind, reason="behind")

    begun = tmp_path / "predicting"
    slow = f'import os, time\nif os.environ["AR_TRIAL"] == "1":\n    open("{begun}", "w").close()\n    time.sleep(60)\n'
    limits = {"train_s": 20, "predict_s": 90, "evaluate_s": 20, "prepare_s": 20}
    task = tiny_task(tmp_path / "task", {"predict.py": slow + PREDICT}, checkpoints=True, timeouts=limits)

    def orders() -> list[str]:
        return [entry.record.order.kind for entry in read(tmp_path / "run") if isinstance(entry.record, OrderTrial)]

    def interrupt() -> None:
        while not (begun.exists() and orders()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    finished = go(plan_of(task, cancel=AtOnce(), control_share=0.0, max_trials=2, grace_s=0.3), tmp_path)
    assert finished.stop.signal == signal.SIGINT
    assert orders() == [kind, "stop"]
    assert [s.trial.number for s in finished.history.settled] == [0]
    (lost,) = [e.record for e in read(tmp_path / "run") if isinstance(e.record, SettledEvent) and e.record.number == 1]
    assert (lost.outcome.status, lost.interrupted) == (Status.LOST, True)
    assert lost.outcome.elapsed_s < 30, "it was not waited for"
