"""The journal: written before effects, read back whole, precise about what is broken."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.controller.journal import FORMAT, Blobs, Journal, encode, read
from autoresearch_rl.errors import JournalError
from autoresearch_rl.events import Decide, Entry, Failed, Interrupted, Opened, Proposed, Record, SettledEvent, StartTrial
from autoresearch_rl.trial import Curve, Decision, Outcome, Proposal, Status, Trial, Verdict

OPENED = Opened(campaign="C", task="t", metric="loss", direction="minimize", progress_metric="loss", config="a: 1\n", seed=3)
PROPOSAL = Proposal(
    params={"lr": 0.1, "n": 3, "flag": True, "name": "ä\t\n"}, patch="--- a\n+++ b\n", parent=0, memo={"cma": [1.5]}
)
OUTCOME = Outcome(
    status=Status.OK,
    score=0.25,
    metrics={"loss": 0.25},
    curve=Curve(steps=(1.0, 2.0), elapsed_s=(0.1, 0.2), metrics={"loss": (math.inf, math.nan)}, step_target=2.0),
    verdict=Verdict(kind="untrusted", reason="tier 0"),
)
RECORDS: list[Record] = [
    OPENED,
    Proposed(ask=1, proposals=(PROPOSAL,)),
    StartTrial(trial=Trial(number=1, proposal=PROPOSAL, seed=5, source_hash="s"), resources={"gpu": 0.5}, devices={"gpu": (1,)}),
    SettledEvent(number=1, attempt=1, outcome=OUTCOME),
    Decide(decision=Decision(candidate=1, verdict="keep", reason="best", leads=True, evidence={"mean": 0.25})),
    Interrupted(signal=2),
]


def write(run_dir: Path, records: list[Record] = RECORDS, **options: Any) -> list[Entry]:
    run_dir.mkdir(exist_ok=True)
    with Journal(run_dir, **options) as journal:
        return [journal.append(record, float(index)) for index, record in enumerate(records)]


def same(left: Any, right: Any) -> bool:
    return repr(left) == repr(right)  # NaN equals itself here


@pytest.mark.parametrize("sync", ["group", "each"])
def test_reads_back_what_was_written(tmp_path: Path, sync: str) -> None:
    written = write(tmp_path, sync=sync)
    assert same(list(read(tmp_path)), written)
    assert [entry.seq for entry in written] == list(range(len(RECORDS)))
    assert written[0].at.endswith("+00:00")


def test_goes_on_after_reopening(tmp_path: Path) -> None:
    write(tmp_path)
    with Journal(tmp_path) as journal:
        assert journal.append(Interrupted(signal=15), 9.0).seq == len(RECORDS)
    assert len(list(read(tmp_path))) == len(RECORDS) + 1


def test_long_texts_and_curves_lie_in_blobs(tmp_path: Path) -> None:
    write(tmp_path)
    text = (tmp_path / "journal.jsonl").read_text()
    assert "--- a" not in text
    assert {len(path.name) for path in (tmp_path / "blobs").iterdir()} == {64}
    for line in text.splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_a_torn_last_line_is_cut_off_at_every_byte(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        assert len(list(read(tmp_path))) == len(RECORDS) - 1
    with Journal(tmp_path) as journal:
        assert journal.append(Interrupted(signal=2), 5.0).seq == len(RECORDS) - 1
    assert len(list(read(tmp_path))) == len(RECORDS)


def test_a_line_that_is_being_written_is_left_out_in_silence_until_it_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path)
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(whole[: last + 20])
    entries = read(tmp_path)
    seen = [next(entries) for _ in range(len(RECORDS) - 2)]
    with path.open("ab") as stream:  # a controller goes on while we read
        stream.write(whole[last + 20 :])
    seen += entries
    assert len(RECORDS) - 1 <= len(seen) <= len(RECORDS)
    assert not caplog.records
    path.write_bytes(whole[: last + 20])
    with Journal(tmp_path):
        assert "torn and cut off" in caplog.text


def test_a_blob_that_the_disk_refuses_is_an_error_of_the_journal(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("no folder")
    with pytest.raises(JournalError, match="cannot be written"):
        Blobs(tmp_path / "blobs").put("text")


@given(st.data())
def test_any_flipped_byte_before_the_last_line_is_found_and_named(tmp_path_factory: Any, data: st.DataObject) -> None:
    run_dir = tmp_path_factory.mktemp("run")
    write(run_dir)
    path = run_dir / "journal.jsonl"
    content = bytearray(path.read_bytes())
    last = bytes(content).rstrip(b"\n").rfind(b"\n") + 1
    position = data.draw(st.integers(0, last - 1))
    flip = data.draw(st.integers(1, 255))
    content[position] ^= flip
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"line \d+|format"):
        list(read(run_dir))


def test_a_missing_line_is_found(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(JournalError, match=r"line 3 is broken \(sequence number 3 where 2 should stand\)"):
        list(read(tmp_path))


def reseal(row: dict[str, Any]) -> bytes:
    import zlib

    body = json.dumps(row, separators=(",", ":"))[:-1]
    return f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def rewrite(run_dir: Path, index: int, **changes: Any) -> None:
    path = run_dir / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    row = json.loads(lines[index])
    del row["crc"]
    lines[index] = reseal({**row, **changes})
    path.write_bytes(b"".join(lines))


def test_a_newer_format_and_unknown_kinds_are_refused_and_unknown_fields_ignored(tmp_path: Path) -> None:
    write(tmp_path)
    rewrite(tmp_path, 1, something_new=1)
    assert len(list(read(tmp_path))) == len(RECORDS)
    rewrite(tmp_path, 1, kind="teleported")
    with pytest.raises(JournalError, match="line 2 has the unknown kind 'teleported'; upgrade"):
        list(read(tmp_path))
    rewrite(tmp_path, 0, format=FORMAT + 1)
    with pytest.raises(JournalError, match="upgrade autoresearch-rl"):
        list(read(tmp_path))


def test_a_blob_that_is_missing_or_changed_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    for blob in (tmp_path / "blobs").iterdir():
        blob.write_text("other")
    with pytest.raises(JournalError, match="was changed"):
        list(read(tmp_path))
    for blob in (tmp_path / "blobs").iterdir():
        blob.unlink()
    with pytest.raises(JournalError, match="cannot be read: No such file"):
        list(read(tmp_path))


def test_a_second_controller_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(JournalError, match=r"in use by another controller.*arrl stop"), Journal(tmp_path):
        pass
    with Journal(tmp_path):
        pass  # released


def test_no_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"is .* a run directory"):
        list(read(tmp_path))


def test_a_full_disk_leaves_a_readable_journal(tmp_path: Path) -> None:
    """A limit on file size stands in for the full disk: both end a write half-way."""
    script = f"""
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path.cwd())!r})
from autoresearch_rl.controller.journal import Journal
from autoresearch_rl.errors import JournalError
from tests.controller.test_journal import OPENED
from autoresearch_rl.events import Failed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
with Journal(Path({str(tmp_path)!r})) as journal:
    journal.append(OPENED, 0.0)
    try:
        for index in range(1000):
            journal.append(Failed(message="x" * 300), 1.0)
    except JournalError as error:
        print(index, error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    written = int(done.stdout.split()[0])
    assert "cannot be written" in done.stdout
    assert 1 < written < 20
    assert len(list(read(tmp_path))) == 1 + written


def test_kill_9_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    script = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(Path.cwd())!r})
from autoresearch_rl.controller.journal import Journal
from autoresearch_rl.events import Failed
from tests.controller.test_journal import OPENED
with Journal(Path({str(tmp_path)!r})) as journal:
    journal.append(OPENED, 0.0)
    for index in range(50):
        journal.append(Failed(message=str(index)), 1.0)
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    entries = list(read(tmp_path))
    assert [entry.record for entry in entries[1:]] == [Failed(message=str(index)) for index in range(50)]


JSONABLE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(
    params=st.dictionaries(
        st.text(min_size=1), st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.floats(allow_nan=False)
    ),
    memo=st.dictionaries(st.text(), JSONABLE, max_size=4),
    rationale=st.text(),
)
def test_any_proposal_survives_exactly(tmp_path_factory: Any, params: Any, memo: Any, rationale: str) -> None:
    run_dir = tmp_path_factory.mktemp("run")
    record = Proposed(ask=1, proposals=(Proposal(params=params, memo=memo, rationale=rationale),))
    write(run_dir, [OPENED, record])
    read_back = list(read(run_dir))[1].record
    assert isinstance(read_back, Proposed)
    (proposal,) = read_back.proposals
    finite = {name: value for name, value in params.items() if not isinstance(value, float) or math.isfinite(value)}
    assert {name: proposal.params[name] for name in finite} == finite
    assert [type(proposal.params[name]) for name in finite] == [type(value) for value in finite.values()]
    assert (proposal.memo, proposal.rationale) == (memo, rationale)


def test_lines_are_one_each_whatever_the_text(tmp_path: Path) -> None:
    entry = Entry(seq=0, at="", elapsed_s=0.0, record=Failed(message="a\nb\r\u2028c\x00"))
    assert encode(entry, Blobs(tmp_path)).count(b"\n") == 1
    assert list(tmp_path.iterdir()) == []
