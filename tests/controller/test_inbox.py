"""Request files: each is taken up once, and what makes no sense is put aside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.inbox import Inbox, ask_stop, drop_stop_requests, put_request, request_id, waiting_requests
from autoresearch_rl.controller.journal import Journal
from autoresearch_rl.errors import JournalError
from autoresearch_rl.history import HistoryLog
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.trial import Decision, Outcome, Proposal, Status, Trial

SPACE = SearchSpace.from_config({"x": {"low": 0.0, "high": 10.0}, "mode": ["stop", "go"]})


def log() -> HistoryLog:
    """Trial 0 leads, trial 1 is pending."""
    found = HistoryLog("minimize")
    for number, x in enumerate((0.5, 1.5)):
        found.submit(Trial(number=number, proposal=Proposal(params={"x": x, "mode": "go"}), seed=1))
    found.settle(next(iter(found.view().pending)), Outcome(status=Status.OK, score=1.0))
    found.decide(Decision(candidate=0, verdict="keep", reason="first", leads=True))
    return found


def run_dir(folder: Path) -> Path:
    (folder / "journal.jsonl").write_text("{}\n")
    return folder


def test_requests_are_taken_up_in_order_and_each_once(tmp_path: Path) -> None:
    for index in range(3):
        put_request(run_dir(tmp_path), {"request": "note", "text": f"note {index}"})
    inbox, history = Inbox(tmp_path), log().view()
    first = inbox.next(SPACE, history)
    assert first is not None
    assert (first.request, first.arguments["text"]) == ("note", "note 0")
    assert len(waiting_requests(tmp_path)) == 3, "a file goes when its request is journalled"
    inbox.done(first)
    second = inbox.next(SPACE, history)
    assert second is not None
    assert second.arguments["text"] == "note 1"
    after_a_crash = Inbox(tmp_path, [request_id(first), request_id(second)])  # as the journal has them
    third = after_a_crash.next(SPACE, history)
    assert third is not None
    assert third.arguments["text"] == "note 2"
    assert len(waiting_requests(tmp_path)) == 1
    assert after_a_crash.next(SPACE, history) is None


def test_what_is_to_be_tried_stays_there_while_the_campaign_ends_and_nothing_else_does(tmp_path: Path) -> None:
    for request in ({"request": "enqueue", "params": {"x": 1}}, {"request": "note", "text": "late"}, {"request": "stop"}):
        put_request(run_dir(tmp_path), request)
    inbox, history = Inbox(tmp_path), log().view()
    taken = [inbox.next(SPACE, history, ending=True) for _ in range(3)]
    assert [request.request for request in taken if request is not None] == ["note", "stop"]
    later = inbox.next(SPACE, history)
    assert later is not None
    assert later.request == "enqueue"


@pytest.mark.parametrize(
    ("given", "params", "parent"),
    [
        ({}, {"x": 0.5, "mode": "go"}, 0),
        ({"params": {"mode": "stop"}}, {"x": 0.5, "mode": "stop"}, 0),
        ({"params": {"x": 3}, "parent": 1}, {"x": 3.0, "mode": "go"}, 1),
        ({"params": None, "parent": 1}, {"x": 1.5, "mode": "go"}, 1),
    ],
)
def test_what_is_left_out_is_the_parents_and_the_parent_is_the_leader(
    tmp_path: Path, given: dict[str, Any], params: dict[str, Any], parent: int
) -> None:
    put_request(run_dir(tmp_path), {"request": "enqueue", **given})
    found = Inbox(tmp_path).next(SPACE, log().view())
    assert found is not None
    assert (found.arguments["params"], found.arguments["parent"]) == (params, parent)
    assert isinstance(found.arguments["params"]["x"], float)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"params": {"x": 11}}, "x is 11, which is outside its range"),
        ({"params": {"y": 1}}, "'y' is not a parameter of the space"),
        ({"params": {"x": True}}, "x is True"),
        ({"params": [1]}, ""),
        ({"parent": 7}, "the parent 7 is no trial of this campaign"),
        ({"parent": True}, "the parent True is no trial of this campaign"),
        ({"patch": 5}, "patch is 5, which is no text"),
        ({"rationale": ["why"]}, "which is no text"),
        ({"patch": "\ud800"}, "it holds what the journal cannot"),
        ({"request": "dance"}, "'dance' is none of stop, enqueue, note"),
    ],
)
def test_what_makes_no_sense_is_put_aside_with_a_warning(
    tmp_path: Path, given: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    put_request(run_dir(tmp_path), {"request": "enqueue", **given})
    assert Inbox(tmp_path).next(SPACE, log().view()) is None
    assert said in caplog.text
    assert "is put aside" in caplog.text
    assert [path.suffix for path in (tmp_path / "inbox").iterdir()] == [".bad"]


def test_only_stop_requests_are_dropped_on_resume(tmp_path: Path) -> None:
    for request in ({"request": "stop"}, {"request": "enqueue", "params": {"mode": "stop"}}, {"request": "note", "text": "stop"}):
        put_request(run_dir(tmp_path), request)
    drop_stop_requests(tmp_path)
    assert [json.loads(path.read_text())["request"] for path in waiting_requests(tmp_path)] == ["enqueue", "note"]


def test_stop_needs_a_controller_and_the_others_do_not(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="is no run directory"):
        put_request(tmp_path, {"request": "note", "text": "x"})
    with pytest.raises(JournalError, match="nothing to stop"):
        ask_stop(run_dir(tmp_path))
    assert waiting_requests(tmp_path) == []
    (tmp_path / "live").mkdir()
    with Journal(tmp_path / "live"):
        ask_stop(tmp_path / "live")
    assert len(waiting_requests(tmp_path / "live")) == 1


def test_a_run_directory_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (run_dir(tmp_path) / "inbox").write_text("a file where the folder should be")
    with pytest.raises(JournalError, match="cannot be written"):
        put_request(tmp_path, {"request": "note", "text": "x"})
