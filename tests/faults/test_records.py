"""What untrusted trials, policies and request files say must never make a journal that cannot be read again."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.controller.inbox import drop_stop_requests
from autoresearch_rl.controller.journal import Journal, read
from autoresearch_rl.errors import JournalError
from autoresearch_rl.events import AskPolicy, Decide, Failed, Proposed, Record, Requested, SettledEvent
from autoresearch_rl.target.reports import parse
from autoresearch_rl.trial import Budget, Curve, Decision, Outcome, Proposal, Status
from tests.controller.campaigns import ok, simulation
from tests.controller.test_journal import OPENED, reseal
from tests.controller.test_live import Rig
from tests.faults.world import Scenario, Story, check_replay

BLOB = "$blob"


def back(run_dir: Path, record: Record) -> Any:
    run_dir.mkdir(exist_ok=True)
    with Journal(run_dir) as journal:
        journal.append(OPENED, 0.0)
        journal.append(record, 1.0)
    return list(read(run_dir))[1].record


@pytest.mark.parametrize(
    "record",
    [
        SettledEvent(number=1, attempt=1, outcome=Outcome(status=Status.OK, score=1.0, metrics={BLOB: 1.0})),
        SettledEvent(number=1, attempt=1, outcome=Outcome(status=Status.OK, score=1.0, reported={BLOB: 1.0})),
        SettledEvent(number=1, attempt=1, outcome=Outcome(status=Status.OK, curve=Curve(steps=(1.0,), metrics={BLOB: (1.0,)}))),
        Proposed(ask=1, proposals=(Proposal(params={BLOB: "x"}, memo={BLOB: {BLOB: "y"}, "z": {BLOB: [1]}}),)),
        Proposed(ask=1, proposals=(Proposal(params={}, memo={BLOB: {BLOB: "y"}}),)),
        Requested(request="note", arguments={BLOB: "f" * 64}),
        Decide(decision=Decision(candidate=1, verdict="keep", reason="", evidence={BLOB: 0.5})),
    ],
    ids=["metrics", "reported", "curve", "params", "memo", "request", "evidence"],
)
def test_a_name_that_looks_like_a_reference_is_a_name(tmp_path: Path, record: Record) -> None:
    assert back(tmp_path / "run", record) == record


def test_text_that_is_no_unicode_is_shown_escaped(tmp_path: Path) -> None:
    name = b"model-\xff.pt".decode("utf-8", "surrogateescape")
    assert back(tmp_path / "a", Failed(message=f"{name} was changed")) == Failed(message="model-\\udcff.pt was changed")
    read_back = back(tmp_path / "b", SettledEvent(number=1, attempt=1, outcome=Outcome(status=Status.OK, sealed={name: "0"})))
    assert read_back.outcome.sealed == {"model-\\udcff.pt": "0"}


TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from([BLOB, "\ud800", "crc", "seq", "\n", "\x00"])
RAW = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(metrics=st.dictionaries(TEXTS, RAW, max_size=4), arguments=st.dictionaries(TEXTS, RAW, max_size=3), message=TEXTS)
def test_whatever_a_trial_reports_can_be_read_again(tmp_path_factory: Any, metrics: Any, arguments: Any, message: str) -> None:
    progress = parse(json.dumps({"step": 1, "metrics": metrics}).encode())
    assert progress is not None
    outcome = Outcome(status=Status.FAILED, message=message, reported=progress.metrics, metrics={"loss": 1.0})
    run_dir = tmp_path_factory.mktemp("run")
    assert back(run_dir, SettledEvent(number=1, attempt=1, outcome=outcome)).outcome.reported.keys() == progress.metrics.keys()
    back(tmp_path_factory.mktemp("run"), Requested(request=message, arguments=arguments))


@pytest.mark.parametrize(
    ("proposal", "said"),
    [
        (Proposal(params={"x": 0.5}, rationale="\ud800"), "that JSON cannot hold"),
        (Proposal(params={"x": 0.5}, patch="\udcff"), "that JSON cannot hold"),
        (Proposal(params={"x": 0.5}, memo={"loss": float("nan")}), "that JSON cannot hold"),
        (Proposal(params={"x": 0.5}, memo={"a": object()}), "that JSON cannot hold"),
    ],
)
def test_what_the_journal_could_not_give_back_is_refused(tmp_path: Path, proposal: Proposal, said: str) -> None:
    class Once:
        def propose(self, _: Any) -> list[Proposal]:
            return [proposal]

    sim = simulation(tmp_path, policy=Once())
    answer = sim.proposer.answer(AskPolicy(ask=1, seen=0, count=1), sim.campaign.log.view(), Budget())
    assert said in answer.error
    assert answer.proposals == ()


def test_a_policy_sees_its_memo_as_it_will_after_a_resume(tmp_path: Path) -> None:
    class Tuples:
        def propose(self, _: Any) -> list[Proposal]:
            return [Proposal(params={"x": 0.5}, memo={"pair": (1, 2), 3: {"deep": (4,)}})]  # type: ignore[dict-item]

    sim = simulation(tmp_path, policy=Tuples())
    (proposal,) = sim.proposer.answer(AskPolicy(ask=1, seen=0, count=1), sim.campaign.log.view(), Budget()).proposals
    assert proposal.memo == {"pair": [1, 2], "3": {"deep": [4]}}
    record = Proposed(ask=1, proposals=(proposal,))
    assert back(tmp_path / "run", record) == record


# ---------------------------------------------------------------- a journal that was damaged
def campaign(run_dir: Path) -> Story:
    run_dir.mkdir()
    return Story(Scenario("cancel", 2, 0), run_dir).live()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory; not to be changed."""
    run_dir = tmp_path_factory.mktemp("damage") / "run"
    campaign(run_dir)
    return run_dir


def copied(pristine: Path, to: Path) -> tuple[Path, list[bytes]]:
    """A copy of a run directory's journal with its blobs; the path of the journal, and its lines."""
    shutil.copytree(pristine, to, dirs_exist_ok=True)
    path = to / "journal.jsonl"
    return path, path.read_bytes().splitlines(keepends=True)


DAMAGE = {
    "a byte flipped": lambda line: line[:20] + bytes([line[20] ^ 1]) + line[21:],
    "a byte lost": lambda line: line[:20] + line[21:],
    "cut short": lambda line: line[: len(line) // 2] + b"\n",
    "emptied": lambda line: b"\n",
    "zeros": lambda line: b"\0" * (len(line) - 1) + b"\n",
    "twice": lambda line: line + line,
    "gone": lambda line: b"",
    "no JSON": lambda line: b"hello\n",
    "another's": lambda line: reseal({"seq": 0, "at": "", "elapsed_s": 0.0, "kind": "failed", "message": "x"}),
    "without a kind": lambda line: reseal({"seq": json.loads(line)["seq"], "at": "", "elapsed_s": 0.0}),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_damaged_line_is_named_by_everybody_who_reads(tmp_path: Path, pristine: Path, how: str, share: float) -> None:
    path, lines = copied(pristine, tmp_path)
    index = min(int(share * len(lines)), len(lines) - 3)
    lines[index] = DAMAGE[how](lines[index])
    path.write_bytes(b"".join(lines))
    damaged = path.read_bytes()
    with pytest.raises(JournalError, match=rf"line {index + 1}|line {index + 2}"):
        list(read(tmp_path))
    if how != "another's":  # that may well be a good line for the writer, which does not look at what they say
        with pytest.raises(JournalError, match=rf"line {index + 1}|line {index + 2}"), Journal(tmp_path):
            pass
    assert path.read_bytes() == damaged, "nothing is cut off"


@pytest.mark.parametrize("harm", ["missing", "changed", "emptied", "a folder"])
def test_a_damaged_blob_is_named(tmp_path: Path, pristine: Path, harm: str) -> None:
    run_dir = tmp_path / "run"
    copied(pristine, run_dir)
    blob = next(path for path in sorted((run_dir / "blobs").iterdir()) if path.name in (run_dir / "journal.jsonl").read_text())
    content = blob.read_bytes()
    blob.unlink()
    if harm == "changed":
        blob.write_bytes(content[:-1] + b"x")
    elif harm == "emptied":
        blob.write_bytes(b"")
    elif harm == "a folder":
        blob.mkdir()
    with pytest.raises(JournalError, match=f"blob {blob.name}"):
        list(read(run_dir))


def test_the_wall_clock_decides_nothing(tmp_path: Path, pristine: Path) -> None:
    """Set back and forth by years; then taken up again and replayed."""
    lines = []
    for line in copied(pristine, tmp_path / "read")[1]:
        row = json.loads(line)
        del row["crc"]
        year = 1971 + (row["seq"] * 7919) % 130
        lines.append(reseal({**row, "at": f"{year}-01-01T00:00:00.000000+00:00"}))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for run_dir, kept in ((whole, lines), (cut, lines[:-9])):
        copied(pristine, run_dir)
        (run_dir / "journal.jsonl").write_bytes(b"".join(kept))
    check_replay(Scenario("cancel", 2, 0), whole, list(read(whole)))
    story = Story(Scenario("cancel", 2, 0), cut, entries=list(read(cut)))
    story.world.spawned |= {(e.record.trial.number, e.record.trial.attempt) for e in read(cut) if hasattr(e.record, "trial")}
    story.live().check()


# ---------------------------------------------------------------- requests
GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "null": b"null",
    "no request": b"{}",
    "no UTF-8": b"\xff\xfe",
    "a surrogate": b'{"request": "\\ud800"}',
    "a surrogate key": b'{"request": "note", "\\udfff": 1}',
    "NaN": b'{"request": "note", "x": NaN}',
    "deep": b'{"request": ' + b"[" * 100_000,
}


def test_garbage_in_the_inbox_is_put_aside_and_the_campaign_goes_on(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for index, content in enumerate(GARBAGE.values()):
        (inbox / f"{index}.json").write_bytes(content)
    (inbox / "folder.json").mkdir()
    (inbox / "dangling.json").symlink_to("nowhere")
    drop_stop_requests(tmp_path)

    def body(start: Any, _: Any) -> Outcome:
        time.sleep(0.0 if start.trial.number else 0.8)
        return ok(1.0)

    stop, history = Rig(tmp_path, body, {"max_trials": 3}).run()
    assert stop.reason.startswith("all 3 trials are done")
    assert len(history) == 3
    assert {path.suffix for path in inbox.iterdir()} == {".bad"}
    assert len(list(inbox.iterdir())) == len(GARBAGE) + 2
    assert not any(isinstance(entry.record, Requested) for entry in read(tmp_path))
