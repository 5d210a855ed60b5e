"""Trials that wait, are paused, spared or repeated, and what people enqueue and note, are shown as such by every sink."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rich.console

from autoresearch_rl.controller.activity import told
from autoresearch_rl.controller.seen import follow
from autoresearch_rl.events import (
    Decide,
    Entry,
    Opened,
    OrderTrial,
    Paused,
    Proposed,
    Record,
    Reported,
    Requested,
    SettledEvent,
    Spare,
    StartTrial,
)
from autoresearch_rl.telemetry import mlflow_notes
from autoresearch_rl.telemetry.console import Console
from autoresearch_rl.telemetry.console_view import View, table
from autoresearch_rl.telemetry.tally import Row, Tally
from autoresearch_rl.telemetry.timeline import FILE_NAME, Timeline
from autoresearch_rl.testing.entries import HOSTILE, FakeCampaign
from autoresearch_rl.trial import Curve, Decision, Order, Outcome, Params, Progress, Proposal, Status, Trial
from tests.telemetry.test_mlflow import runs, write

PARAMS: Params = {"lr": 0.5, "width": 8, "note": "plain"}
CURVE = Curve(steps=(20.0, 40.0), elapsed_s=(1.0, 2.0), metrics={"val_accuracy": (0.1, 0.2)}, step_target=100.0)
NOTE = Requested(request="note", arguments={"request": "note", "text": f"fans {HOSTILE}", "at": "2030-01-02T03:04:05+00:00"})
WISH = Requested(request="enqueue", arguments={"request": "enqueue", "params": PARAMS, "parent": 0})


def trial(number: int, attempt: int = 1, repeat_of: int | None = None, source: str = "tpe") -> Trial:
    proposal = Proposal(params=PARAMS, parent=0, repeat_of=repeat_of, source=source)
    return Trial(number=number, attempt=attempt, proposal=proposal, seed=1)


def records(opened: Opened) -> Iterator[Record | Reported]:
    """Trial 1 is paused and goes on, 2 is spared, 3 repeats 0, 4 waits, 5 is a person's, one more has no trial."""
    pause = Order(kind="pause", reason="others may be better")
    yield replace(opened, max_trials=6, checkpoints=True)
    yield StartTrial(trial=replace(trial(0), proposal=Proposal(params=opened.defaults, source="baseline")))
    yield SettledEvent(number=0, attempt=1, outcome=Outcome(status=Status.OK, score=0.5))
    yield Decide(decision=Decision(candidate=0, verdict="keep", reason="first", leads=True))
    yield Proposed(ask=1, proposals=(trial(1).proposal, trial(2).proposal))
    yield StartTrial(trial=trial(1))
    yield StartTrial(trial=trial(2))
    yield Reported(number=1, attempt=1, stage="train", progress=Progress(step=40, step_target=100, metrics={}))
    yield OrderTrial(number=1, attempt=1, order=pause)
    yield Paused(number=1, attempt=1, part=Outcome(status=Status.CANCELLED, curve=CURVE))
    yield Spare(number=2, attempt=1, order=Order(kind="cancel", reason="no chance"))
    yield Proposed(ask=2, proposals=(trial(3, repeat_of=0).proposal, trial(4).proposal))
    yield StartTrial(trial=trial(3, repeat_of=0))
    yield WISH
    yield WISH
    yield NOTE


def entries() -> list[Entry]:
    at = datetime.now(UTC).isoformat()
    found, seq = [], 0
    for record in records(FakeCampaign().opened):
        shown = isinstance(record, Reported)
        found.append(Entry(seq=-1 if shown else seq, at=at, elapsed_s=0.5 * seq, record=record))
        seq += not shown
    return found


def on(after: list[Entry]) -> Entry:
    """Trial 1 goes on."""
    last = after[-1]
    return Entry(seq=last.seq + 1, at=last.at, elapsed_s=last.elapsed_s + 1.0, record=StartTrial(trial=trial(1, attempt=2)))


def test_plain_lines_say_what_is_special(tmp_path: Path) -> None:
    shown = io.StringIO()
    with Console(live=False, console=rich.console.Console(file=shown)).open(tmp_path) as sink:
        for entry in [*entries(), on(entries())]:
            sink.record(entry)
    lines = [line.partition("] ")[2] for line in shown.getvalue().splitlines()]
    for wanted in (
        "trial 1 paused at step 40 of 100: others may be better",
        "trial 2 would have been cancelled (control group): no chance",
        "trial 3 repeats trial 0 under another seed",
        "a person's proposal goes before all that waits: lr=0.5 width=8 note=plain",
        "a person's proposal goes before all that waits: lr=0.5 width=8 note=plain; it waits for a resume with more controller.max_trials",
        "trial 1 goes on (attempt 2)",
    ):
        assert wanted in lines, (wanted, lines)
    assert any(line.startswith("note: fans =HYPERLINK") for line in lines)
    assert all(line.isprintable() for line in lines)


def test_status_lists_what_is_paused_on_one_line(tmp_path: Path) -> None:
    said = list(told(follow((entry for entry in entries() if entry.seq >= 0), tmp_path), tmp_path))
    assert [line for line in said if line.startswith("paused")] == ["paused: trial 1 at step 40 of 100"]
    assert any(line.startswith("kept back: 1 proposal, 1 of a person; ") for line in said)


@pytest.mark.parametrize("width", [60, 120])
def test_the_live_table_shows_what_waits_is_paused_spared_and_repeated(tmp_path: Path, width: int) -> None:
    tally, rows = Tally(), list[Row]()
    for entry in entries():
        row = tally.feed(entry)
        rows += [row] if row is not None else []
    console = rich.console.Console(file=io.StringIO(), width=width, height=40)
    moment = View(
        tally=tally, recent=rows, now_s=9.0, settled_s=1.0, run_dir=tmp_path, notice="note: fans", height=40, width=width
    )
    console.print(table(moment))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "waiting: 5 (a person's), 4, 1 without a trial yet" in text
    assert "paused: 1 at step 40 of 100" in text
    assert ("[control group] lr=0.5" in text) == (width > 100)
    assert ("[repeats 0] lr=0.5" in text) == (width > 100)
    assert all(len(line) <= width for line in text.splitlines())


def test_the_tally_counts_waiting_time_from_where_it_began() -> None:
    tally, story = Tally(), entries()
    for entry in story:
        tally.feed(entry)
    paused_s = next(entry.elapsed_s for entry in story if isinstance(entry.record, Paused))
    tally.feed(on(story))
    assert tally.running[1].submitted_s == paused_s
    assert not tally.paused
    assert tally.spared == {2}
    assert [note.text for note in tally.notes] == [NOTE.arguments["text"]]


def test_the_timeline_marks_requests(tmp_path: Path) -> None:
    with Timeline().open(tmp_path) as sink:
        for entry in entries():
            sink.record(entry)
    marks = [event for event in json.loads((tmp_path / FILE_NAME).read_text()) if event.get("args", {}).get("request")]
    assert [mark["args"]["request"] for mark in marks] == ["enqueue", "enqueue", "note"]
    assert marks[-1]["name"].startswith("fans")
    assert marks[-1]["name"].isprintable()


def test_mlflow_has_notes_in_the_description_and_as_a_tag(tmp_path: Path, mlflow_cache: Path) -> None:
    tally = Tally()
    for entry in entries():
        tally.feed(entry)
    said = mlflow_notes.summary(tally, {})
    assert re.search(r"Notes:\n- `2030-01-02T03:04:05 fans =HYPERLINK", said)
    for _ in range(2):  # sending twice changes nothing
        write(tmp_path, mlflow_cache, entries())
        (parent,) = [run for run in runs(tmp_path) if run.data.tags["arrl.kind"] == "campaign"]
        assert parent.data.tags["note"].startswith("fans")
        assert parent.data.tags["mlflow.note.content"].count("fans") == 1
