"""Real campaigns of real processes that die, or run out of disk, at a chosen moment: plans for tests and for their children."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from autoresearch_rl.controller.journal import read
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.plan import Plan
from autoresearch_rl.controller.run import Finished, replay_run, resume
from autoresearch_rl.events import Entry, Reported, SettledEvent, StartTrial
from autoresearch_rl.history import History
from autoresearch_rl.policy import Ask
from autoresearch_rl.policy.random import Random
from autoresearch_rl.trial import Budget, Decision, Proposal, Status
from tests.controller.plans import plan_of
from tests.tasks import EVALUATE, PREDICT, TRAIN, tiny_task

TRIALS = 5
KILL = """
import os, signal
if {condition} and os.path.exists({pid!r}):
    os.kill(int(open({pid!r}).read()), signal.SIGKILL)
"""

HOG = """
import os
if os.environ["AR_RUN_DIR"].endswith("{number:04d}/1"):
    with open("hog", "wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
"""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_with_group() -> None:
    """As a terminal or a batch system kills: the controller and all that is still in its process group."""
    assert os.getpgrp() == os.getpid(), "it must have a group of its own"
    os.killpg(0, signal.SIGKILL)


class AtRecord:
    """A sink that acts on the n-th record of the journal that it is shown."""

    def __init__(self, count: int, act: Callable[[], object]) -> None:
        self._left, self._act = count, act

    def open(self, _: Path) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def record(self, entry: Entry) -> None:
        self._left -= not isinstance(entry.record, Reported)
        if self._left == 0:
            self._act()


class AtDecision(StrictRule):
    """Dies between the settlement of a trial and the decision about it."""

    def __init__(self, count: int) -> None:
        super().__init__("loss")
        self._count = count

    def __call__(self, history: History, budget: Budget) -> Sequence[Decision]:
        if len(history) == self._count:
            die()
        return super().__call__(history, budget)


class AtAsk(Random):
    """Dies while it is asked for the n-th time."""

    def __init__(self, space: Any, count: int) -> None:
        super().__init__(space=space)
        self._left = count

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        self._left -= 1
        if self._left == 0:
            die()
        return super().propose(ask)


def plan_for(folder: Path, where: str, count: int, act: Callable[[], object] = die) -> Plan:
    """A campaign that dies at `where`, or of which `act` happens at a record; at `nowhere` it does not."""
    pid = str(folder / "pid")
    stages = {"train.py": (TRAIN, "train"), "predict.py": (PREDICT, "predict"), "evaluate.py": (EVALUATE, "evaluate")}
    texts = {}
    for name, (text, stage) in stages.items():
        variable = "AR_OUTPUT_DIR" if stage == "evaluate" else "AR_RUN_DIR"
        condition = f"os.environ.get({variable!r}, '').split('/trials/')[-1].startswith('{count:04d}/1')"
        killing = KILL.format(condition=condition, pid=pid) if where == stage else ""
        texts[name] = killing + text
    if where == "hog":
        texts["train.py"] = HOG.format(number=count) + TRAIN
    task = tiny_task(folder / "task", texts)
    policy: Any = AtAsk(task.search_space, count) if where == "ask" else Random(space=task.search_space)
    keep = AtDecision(count) if where == "decision" else StrictRule("loss")
    act = die_with_group if where == "group" else act
    sinks = {"dying": AtRecord(count, act)} if where in ("record", "group") else {}
    concurrency = 1 if where == "hog" else 2
    return plan_of(task, policy=policy, telemetry=sinks, max_trials=TRIALS, concurrency=concurrency, keep=keep, grace_s=0.5)


def take_up(folder: Path, where: str, count: int) -> Finished:
    """Resumes the campaign without its fault, to its end."""
    plan = plan_for(folder, "nowhere" if where in ("record", "group", "decision", "ask") else where, count)
    return resume(plan, folder / "run", limits={}, cache_dir=folder / "cache", announce=lambda _: None)


def check_end(folder: Path, finished: Finished, before: Sequence[Entry], where: str = "nowhere") -> None:
    """What holds once a campaign that was broken off has been taken up and has ended."""
    entries = list(read(folder / "run"))
    assert not finished.stop.failed, finished.stop.reason
    assert [entry.record for entry in entries[: len(before)]] == [entry.record for entry in before], "nothing written is lost"
    assert sorted(s.trial.number for s in finished.history.settled) == list(range(TRIALS))
    good = [e.record.number for e in entries if isinstance(e.record, SettledEvent) and e.record.outcome.status is Status.OK]
    assert sorted(good) == list(range(TRIALS)), "every trial counts once"
    starts = [(e.record.trial.number, e.record.trial.attempt) for e in entries if isinstance(e.record, StartTrial)]
    assert len(set(starts)) == len(starts), "every attempt has a folder of its own"
    assert "came out the same" in replay_run(plan_for(folder, where, 0), folder / "run")
