"""A target that never answers: the campaign says so and goes on or ends, it does not hang."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.journal import read
from autoresearch_rl.controller.run import _close
from autoresearch_rl.controller.stages import Control
from autoresearch_rl.errors import LaunchError
from autoresearch_rl.events import Reported, SettledEvent, StartTrial
from autoresearch_rl.target import Job, Limits
from autoresearch_rl.target.command import _Stage
from autoresearch_rl.target.reports import Reports
from autoresearch_rl.trial import Curve, Order, Outcome, Progress, Status
from tests.controller.campaigns import ok
from tests.controller.test_live import CancelAtOnce, Rig, when_running


def never_answers(rig: Rig, number: int = 1, attempts: tuple[int, ...] = (1,), timeout_s: float = 0.2) -> threading.Event:
    """Makes attempts of one trial hang; the event lets the workers go at last, which then say what nobody waits for."""
    let_go = threading.Event()

    def body(start: StartTrial, control: Control) -> Outcome:
        if start.trial.number == number and start.trial.attempt in attempts:
            assert rig.live is not None
            control.latest_s = rig.live.clock() + timeout_s
            let_go.wait(30)
            raise OSError(5, "Input/output error")
        time.sleep(0.05)
        return ok(1.0)

    rig.body = body
    return let_go


def patient(rig: Rig, seconds: float) -> None:
    """Sets the patience of a rig's driver once it is there."""

    def wait() -> None:
        while rig.live is None:
            time.sleep(0.001)
        rig.live.patience_s = seconds

    threading.Thread(target=wait).start()


def settled(run_dir: Path, number: int) -> list[SettledEvent]:
    return [e.record for e in read(run_dir) if isinstance(e.record, SettledEvent) and e.record.number == number]


@pytest.mark.parametrize("concurrency", [1, 2])
def test_the_trial_is_lost_and_the_campaign_goes_on(tmp_path: Path, concurrency: int, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path, lambda *_: ok(1.0), {"concurrency": concurrency, "max_trials": 5})
    let_go = never_answers(rig)
    patient(rig, 0.3)
    stop, history = rig.run()
    let_go.set()
    assert stop.reason.startswith("all 5 trials are done")
    assert {s.outcome.status for s in history.settled} == {Status.OK}
    first, second = settled(tmp_path, 1)
    assert (first.outcome.status, second.attempt, second.outcome.status) == (Status.LOST, 2, Status.OK)
    assert "its target does not answer, 0.3 s after it should have ended; processes of it may still run" in caplog.text


def test_what_a_worker_says_after_it_was_given_up_is_not_heard(tmp_path: Path) -> None:
    rig = Rig(tmp_path, lambda *_: ok(1.0), {"concurrency": 1, "max_trials": 4})
    let_go = never_answers(rig)
    inner = rig.body

    def body(start: StartTrial, control: Control) -> Outcome:
        if start.trial.number == 2:
            let_go.set()
            time.sleep(0.5)
        return inner(start, control)

    rig.body = body
    patient(rig, 0.3)
    stop, _ = rig.run()
    assert not stop.failed
    assert len(settled(tmp_path, 1)) == 2


def test_a_trial_whose_target_never_answers_fails_in_the_end(tmp_path: Path) -> None:
    rig = Rig(tmp_path, lambda *_: ok(1.0), {"concurrency": 2, "max_trials": 4, "max_attempts": 2})
    let_go = never_answers(rig, attempts=(1, 2))
    patient(rig, 0.2)
    stop, history = rig.run()
    let_go.set()
    assert stop.reason.startswith("all 4 trials are done")
    failed = history.find(1)
    assert failed is not None
    assert failed.outcome.status is Status.FAILED
    assert failed.outcome.message.startswith("lost 2 times, the last time: its target does not answer")


def test_ctrl_c_ends_the_campaign_all_the_same(tmp_path: Path) -> None:
    rig = Rig(tmp_path, lambda *_: ok(1.0), {"concurrency": 2, "max_trials": 9})
    let_go = never_answers(rig, timeout_s=1e9)
    patient(rig, 0.5)
    sender = when_running(rig, 3, lambda: os.kill(os.getpid(), signal.SIGINT))
    stop, _ = rig.run()
    sender.join()
    let_go.set()
    assert (stop.interrupted, stop.signal) == (True, signal.SIGINT)
    (lost,) = settled(tmp_path, 1)
    assert (lost.outcome.status, lost.interrupted) == (Status.LOST, True)


def report(rig: Rig, start: StartTrial) -> None:
    """A trial reports, and is told to cancel."""
    assert rig.live is not None
    progress = Progress(step=1, metrics={"loss": 9.0})
    rig.live.inbox.put(Reported(number=start.trial.number, attempt=1, stage="train", progress=progress))


def test_a_trial_that_cannot_be_cancelled_is_cancelled(tmp_path: Path) -> None:
    rig = Rig(tmp_path, lambda *_: ok(1.0), {"cancel": CancelAtOnce(), "max_trials": 3, "concurrency": 1})
    let_go = threading.Event()

    def body(start: StartTrial, control: Control) -> Outcome:
        if start.trial.number == 0:
            return ok(1.0, curve=Curve(steps=(1.0,), elapsed_s=(0.0,), metrics={"loss": (1.0,)}))
        report(rig, start)
        let_go.wait(30)
        return ok(1.0)

    rig.body = body
    patient(rig, 0.3)
    stop, history = rig.run()
    let_go.set()
    assert stop.reason.startswith("all 3 trials are done")
    assert [s.outcome.status for s in history.settled] == [Status.OK, Status.CANCELLED, Status.CANCELLED]


def test_a_trial_that_was_ordered_too_late_has_its_time_for_the_rest(tmp_path: Path) -> None:
    """Its training ended before it saw the order to cancel; predicting and evaluating take longer than anybody waits for that."""
    rig = Rig(tmp_path, lambda *_: ok(1.0), {"cancel": CancelAtOnce(), "control_share": 0.0, "max_trials": 2, "concurrency": 1})

    def body(start: StartTrial, control: Control) -> Outcome:
        if start.trial.number == 0:
            return ok(1.0, curve=Curve(steps=(1.0,), elapsed_s=(0.0,), metrics={"loss": (1.0,)}))
        report(rig, start)
        while control.order is None:
            time.sleep(0.01)
        control.trained = True
        time.sleep(2.0)
        return ok(0.5)

    rig.body = body
    patient(rig, 0.3)
    stop, history = rig.run()
    assert stop.reason.startswith("all 2 trials are done")
    assert [s.outcome.status for s in history.settled] == [Status.OK, Status.OK]
    assert len(settled(tmp_path, 1)) == 1


class Deaf:
    """A target that does not close."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def open(self, trial_key: str, resources: Mapping[str, float], devices: Mapping[str, tuple[int, ...]]) -> Any:
        raise LaunchError(trial_key)

    def price(self, _: Mapping[str, float]) -> float | None:
        return None

    def close(self) -> None:
        self.let_go.wait(30)


def test_a_target_that_does_not_close_is_named(caplog: pytest.LogCaptureFixture) -> None:
    deaf = Deaf()
    with caplog.at_level(logging.WARNING):
        _close(deaf, limit_s=0.2)
    deaf.let_go.set()
    assert "target Deaf has not closed within 0.2 s; look for processes of this campaign that still run" in caplog.text


@pytest.mark.parametrize("ordered", [False, True])
def test_a_keeper_that_never_answers_is_given_up(tmp_path: Path, ordered: bool) -> None:
    """A child in an uninterruptible sleep cannot be killed, and its keeper waits for it."""
    ours, theirs = socket.socketpair()
    limits = Limits(timeout_s=1e6 if ordered else 0.1)
    job = Job(stage="train", argv=("x",), env={}, cwd=tmp_path, logs=tmp_path, limits=limits)
    order = Order(kind="stop", reason="interrupted", grace_s=0.0) if ordered else None
    begun_s = time.monotonic()
    with ours, theirs, Reports(None) as reports:
        stage = _Stage(job, lambda _: order, ours, reports, silence_s=0.2)
        theirs.setblocking(False)
        closer = threading.Timer(3.5, theirs.close)  # it is asked to hang up, and waited for a little
        closer.start()
        with pytest.raises(LaunchError, match=r"does not answer, 0\.2 s after the stage should have been dead"):
            stage.watch()
        closer.cancel()
    assert time.monotonic() - begun_s < 20
