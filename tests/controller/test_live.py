"""The live driver: threads, signals and request files, with made-up trials in real time."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from autoresearch_rl.controller.campaign import Campaign
from autoresearch_rl.controller.inbox import ask_stop
from autoresearch_rl.controller.journal import Journal, read
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.live import Clock, Live
from autoresearch_rl.controller.proposing import Proposer
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.controller.stages import Control
from autoresearch_rl.errors import EvaluatorError, JournalError
from autoresearch_rl.events import Entry, OrderTrial, Reported, Requested, SettledEvent, StartTrial, StopCampaign
from autoresearch_rl.history import History
from autoresearch_rl.testing.simulation import opening
from autoresearch_rl.trial import Curve, Order, Outcome, Progress, Status
from tests.controller.campaigns import FILES, SPACE, Condemning, Uniform, ok


@dataclass
class Trials:
    """Calls a function for each attempt; what it raises passes through."""

    body: Callable[[StartTrial, Control], Outcome]

    def run(self, start: StartTrial, control: Control) -> SettledEvent:
        outcome = self.body(start, control)
        interrupted = outcome.status is Status.LOST and control.order is not None
        return SettledEvent(number=start.trial.number, attempt=start.trial.attempt, outcome=outcome, interrupted=interrupted)


@dataclass
class Seen(nullcontext[Any]):
    """A sink that keeps what it gets."""

    entries: list[Entry] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def record(self, entry: Entry) -> None:
        self.entries.append(entry)


@dataclass
class Rig:
    """A live campaign with a run directory."""

    run_dir: Path
    body: Callable[[StartTrial, Control], Outcome]
    settings: dict[str, Any]
    policy: Any = field(default_factory=Uniform)
    sink: Seen = field(default_factory=Seen)
    killed: threading.Event = field(default_factory=threading.Event)
    live: Live | None = None

    def run(self) -> tuple[StopCampaign, History]:
        settings = Settings(**{"keep": StrictRule("loss"), "max_trials": 10, "concurrency": 2, **self.settings})
        with Journal(self.run_dir) as journal:
            sources = Sources(journal.blobs)
            campaign = Campaign(settings, sources, direction="minimize", request={}, devices={})
            self.live = Live(
                campaign=campaign,
                journal=journal,
                proposer=Proposer(self.policy, SPACE, settings),
                sink=self.sink,
                run_dir=self.run_dir,
                clock=Clock(),
                kill=self.killed.set,
            )
            return self.live.run([opening(sources.add(FILES), SPACE.defaults)], Trials(self.body))


def obedient(start: StartTrial, control: Control) -> Outcome:
    """Runs for ever, but for orders."""
    if start.trial.number == 0:
        return ok(1.0)
    while control.order is None:
        time.sleep(0.01)
    return Outcome(status=Status.LOST, message=control.order.reason)


def when_running(rig: Rig, count: int, act: Callable[[], Any]) -> threading.Thread:
    """Acts once so many trials have started."""

    def wait() -> None:
        for _ in range(1000):
            if sum(isinstance(entry.record, StartTrial) for entry in list(rig.sink.entries)) >= count:
                act()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_runs_all_and_the_sink_gets_what_the_journal_has(tmp_path: Path) -> None:
    rig = Rig(tmp_path, lambda start, _: ok(float(start.trial.number)), {})
    stop, history = rig.run()
    assert stop.reason.startswith("all 10 trials are done")
    assert len(history) == 10
    written = list(read(tmp_path))
    assert [(e.seq, e.at) for e in rig.sink.entries] == [(e.seq, e.at) for e in written]
    assert rig.killed.is_set(), "whatever is left is killed at the end"


def test_reports_are_shown_but_not_journalled(tmp_path: Path) -> None:
    rig = Rig(tmp_path, lambda *_: ok(1.0), {"max_trials": 1})

    def body(start: StartTrial, _: Control) -> Outcome:
        assert rig.live is not None
        rig.live.inbox.put(Reported(number=0, attempt=1, stage="train", progress=Progress(step=1, metrics={"loss": 2.0})))
        return ok(1.0)

    rig.body = body
    rig.run()
    assert sum(isinstance(e.record, Reported) for e in rig.sink.entries) == 1
    assert not any(isinstance(e.record, Reported) for e in read(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_running_trials_and_names_itself(tmp_path: Path, number: int) -> None:
    rig = Rig(tmp_path, obedient, {})
    before = signal.getsignal(number)
    sender = when_running(rig, 3, lambda: os.kill(os.getpid(), number))
    stop, history = rig.run()
    sender.join()
    assert (stop.interrupted, stop.signal) == (True, number)
    assert len(history) == 1
    assert {trial.attempt for trial in history.pending} == {2}
    assert signal.getsignal(number) is before


def test_a_second_signal_kills(tmp_path: Path) -> None:
    rig = Rig(tmp_path, obedient, {})

    def stubborn(start: StartTrial, control: Control) -> Outcome:
        if start.trial.number == 0:
            return ok(1.0)
        assert rig.killed.wait(10)
        return Outcome(status=Status.LOST, message="killed")

    rig.body = stubborn

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    sender = when_running(rig, 3, twice)
    stop, _ = rig.run()
    sender.join()
    assert stop.signal == signal.SIGINT
    assert [r.record.kill for r in read(tmp_path) if isinstance(r.record, OrderTrial)] == [False, False, True, True]


def test_stop_request_reaches_a_live_campaign_and_is_deleted(tmp_path: Path) -> None:
    rig = Rig(tmp_path, obedient, {})
    sender = when_running(rig, 3, lambda: ask_stop(tmp_path))
    stop, _ = rig.run()
    sender.join()
    assert (stop.reason, stop.signal) == ("stopped on request", 0)
    assert list((tmp_path / "inbox").iterdir()) == []
    assert sum(isinstance(e.record, Requested) for e in read(tmp_path)) == 1


def test_a_broken_request_is_put_aside(tmp_path: Path) -> None:
    rig = Rig(tmp_path, obedient, {})

    def broken_then_stop() -> None:
        (tmp_path / "inbox").mkdir()
        (tmp_path / "inbox" / "0.json").write_text("{nonsense")
        (tmp_path / "inbox" / "00.json").write_text(json.dumps(["stop"]))
        ask_stop(tmp_path)

    sender = when_running(rig, 3, broken_then_stop)
    assert rig.run()[0].reason == "stopped on request"
    sender.join()
    assert sorted(path.name for path in (tmp_path / "inbox").iterdir()) == ["0.bad", "00.bad"]


def test_a_broken_request_that_cannot_be_put_aside_is_looked_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path, obedient, {})

    def broken_then_stop() -> None:
        (tmp_path / "inbox" / "0.bad").mkdir(parents=True)
        (tmp_path / "inbox" / "0.json").write_text("{nonsense")
        time.sleep(1.2)
        ask_stop(tmp_path)

    sender = when_running(rig, 3, broken_then_stop)
    assert rig.run()[0].reason == "stopped on request"
    sender.join()
    assert caplog.text.count("is put aside") == 1


def test_stop_of_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="is no run directory"):
        ask_stop(tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EvaluatorError("the evaluator crashed"), "the evaluator crashed"),
        (OSError(28, "No space left on device"), "trial 2: [Errno 28] No space left on device"),
        (ZeroDivisionError("x"), "internal error in trial 2: ZeroDivisionError('x')"),
        (SystemExit(3), "internal error in trial 2: SystemExit(3)"),
    ],
)
def test_what_a_worker_raises_ends_the_campaign_with_a_sentence(tmp_path: Path, error: BaseException, said: str) -> None:
    def body(start: StartTrial, control: Control) -> Outcome:
        if start.trial.number == 2:
            raise error
        return ok(1.0)

    stop, history = Rig(tmp_path, body, {"concurrency": 1}).run()
    assert stop.failed
    assert stop.reason == said
    assert 2 in {trial.number for trial in history.pending}, "nothing is settled that did not run"


def test_a_dead_journal_ends_the_campaign_and_kills_children(tmp_path: Path) -> None:
    rig = Rig(tmp_path, lambda *_: ok(1.0), {})

    def body(start: StartTrial, _: Control) -> Outcome:
        if start.trial.number == 3:
            assert rig.live is not None
            os.dup2(os.open("/dev/full", os.O_WRONLY), rig.live.journal._descriptor)
        return ok(1.0)

    rig.body = body
    with pytest.raises(JournalError, match="cannot be written"):
        rig.run()
    assert rig.killed.is_set()


class CancelAtOnce(Condemning):
    def doomed(self, curve: Curve) -> Order:
        return Order(kind="cancel", reason="doomed")


def test_a_cancel_order_reaches_a_running_trial(tmp_path: Path) -> None:
    rig = Rig(tmp_path, obedient, {"cancel": CancelAtOnce(), "max_trials": 4})
    waits: list[float] = []

    def body(start: StartTrial, control: Control) -> Outcome:
        curve = Curve(steps=(1.0,), elapsed_s=(0.0,), metrics={"loss": (1.0,)})
        if start.trial.number == 0:
            return ok(1.0, curve=curve)
        assert rig.live is not None
        progress = Progress(step=1, metrics={"loss": 9.0})
        rig.live.inbox.put(Reported(number=start.trial.number, attempt=1, stage="train", progress=progress))
        begun = time.monotonic()
        while control.order is None:
            time.sleep(0.002)
        waits.append(time.monotonic() - begun)
        return Outcome(status=Status.CANCELLED, message=control.order.reason)

    rig.body = body
    _, history = rig.run()
    assert [s.outcome.status for s in history.settled[1:]] == [Status.CANCELLED] * 3
    assert max(waits) < 2.0


def test_best_points_to_what_is_kept(tmp_path: Path) -> None:
    def body(start: StartTrial, _: Control) -> Outcome:
        model = tmp_path / "trials" / f"{start.trial.number:04d}" / "1" / "model"
        model.mkdir(parents=True)
        return ok(abs(start.trial.number - 3.0))

    Rig(tmp_path, body, {"concurrency": 1, "max_trials": 6}).run()
    assert (tmp_path / "best").readlink() == Path("trials/0003/1")
    kept = sorted(path.parent.parent.name for path in tmp_path.glob("trials/*/1/model"))
    assert kept == ["0000", "0001", "0002", "0003"], "models of discarded trials go"


def test_what_a_worker_raises_after_a_cancel_order_still_ends_the_campaign(tmp_path: Path) -> None:
    def body(start: StartTrial, control: Control) -> Outcome:
        if start.trial.number == 2:
            control.order = Order(kind="cancel", reason="doomed")
            raise EvaluatorError("the evaluator crashed")
        return ok(1.0)

    stop, _ = Rig(tmp_path, body, {"concurrency": 1}).run()
    assert (stop.failed, stop.reason) == (True, "the evaluator crashed")
