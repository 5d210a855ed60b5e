"""`arrl enqueue`, `note`, `explain` and `status` on real campaigns, as people type them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.journal import read
from autoresearch_rl.events import Requested, StartTrial
from tests.tasks import TRAIN
from tests.test_cli import ARRL, QUIET, SLOW, arrl, write_task

PATCH = '--- a/train.py\n+++ b/train.py\n@@\n-x = float(os.environ["AR_PARAM_X"])\n+x = 0.3\n'
STEADY = "import time\ntime.sleep(0.6)\n" + TRAIN


def start(folder: Path, train: str, *arguments: str) -> subprocess.Popen[str]:
    write_task(folder, {"train.py": train}, timeouts={"train_s": 100})
    command = [ARRL, "hydra.run.dir=run", "policy=random", *QUIET, *arguments]
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(child: subprocess.Popen[str], done: Callable[[], bool]) -> None:
    for _ in range(1200):
        if done():
            return
        time.sleep(0.05)
    child.kill()
    raise AssertionError(child.communicate())


def started(folder: Path, count: int) -> Callable[[], bool]:
    path = folder / "run" / "journal.jsonl"
    return lambda: path.exists() and path.read_text().count('"kind":"start"') >= count


def shown(folder: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(arrl(*arguments, "--json", cwd=folder).stdout)
    return found


def test_what_is_enqueued_while_a_campaign_runs_starts_next(tmp_path: Path) -> None:
    options = ["controller.max_trials=200", "controller.lookahead=4", "telemetry=[console,ledger,timeline]"]
    child = start(tmp_path, STEADY, *options)
    until(child, started(tmp_path, 2))
    (tmp_path / "fix.diff").write_text(PATCH)
    said = arrl("enqueue", "run", "--params", '{"x": 0.25}', "--rationale", "a hunch", cwd=tmp_path).stdout
    assert re.match(r"Enqueued: as trial \d+ \(the leader\) with x=0.25. ", said)
    assert "has taken it up; it starts before all that waits" in said
    assert "with its source patched" in arrl("enqueue", "run", "--patch", "fix.diff", "--parent", "0", cwd=tmp_path).stdout
    assert arrl("note", "run", "the", "fan is loud", cwd=tmp_path).stdout == "Noted.\n"
    waiting = shown(tmp_path, "explain", "run", str(shown(tmp_path, "status", "run")["waiting"][-1]["trial"]))
    assert (waiting["state"], waiting["cost"]["attempts"]) in [("waiting", 0), ("running", 1), ("settled", 1)]
    until(child, lambda: '"kind":"decide"' in (tmp_path / "run" / "journal.jsonl").read_text().rpartition('"source":"person"')[2])
    arrl("stop", "run", cwd=tmp_path)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err

    entries = list(read(tmp_path / "run"))
    trials = []
    for asked in [e.seq for e in entries if isinstance(e.record, Requested) and e.record.request == "enqueue"]:
        trials.append(next(e.record.trial for e in entries[asked:] if isinstance(e.record, StartTrial)))
    mine, patched = trials
    assert (mine.proposal.params, mine.proposal.source) == ({"x": 0.25}, "person"), "it starts next"
    assert (patched.proposal.patch, patched.proposal.source) == (PATCH, "person")
    assert "a person's proposal goes before all that waits: x=0.25" in out
    assert "note: the fan is loud" in out
    assert "the fan is loud" in (tmp_path / "run" / "timeline.json").read_text()
    assert "every decision and proposal came out the same" in arrl("replay", "run", cwd=tmp_path).stdout

    why = shown(tmp_path, "explain", "run", str(mine.number))["why"]
    assert (why["source"], why["rationale"], why["parent"]) == ("person", "a hunch", mine.proposal.parent)
    assert why["differs"]["defaults"] == {"x": [0.5, 0.25]}
    text = arrl("explain", "run", str(patched.number), cwd=tmp_path).stdout
    for wanted in (
        "by a person (`arrl enqueue`)",
        "| +x = 0.3",
        "| --- a/train.py",
        "source: that of trial 0",
        "train 0.",
        "fan is loud",
    ):
        assert wanted in text, (wanted, text)
    assert [note["text"] for note in shown(tmp_path, "status", "run")["notes"]] == ["the fan is loud"]


def test_what_is_enqueued_while_a_campaign_ends_is_said_to_wait_and_begins_its_resume(tmp_path: Path) -> None:
    child = start(
        tmp_path,
        "import os, time\ntime.sleep(3 * (float(os.environ['AR_PARAM_X']) != 0.5))\n" + TRAIN,
        "controller.max_wall_s=1.5",
        "controller.lookahead=0",
        "controller/keep=strict",
    )
    until(child, started(tmp_path, 2))
    time.sleep(1.8)
    said = arrl("enqueue", "run", "--params", '{"x": 0.5}', cwd=tmp_path).stdout
    assert "It waits in the inbox: the campaign starts no more trials before it ends; then `" in said
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert "Not tried yet: 1 of what was enqueued; `" in out
    arrl("resume", "run", "controller.max_wall_s=null", "controller.max_trials=4", cwd=tmp_path)
    assert shown(tmp_path, "explain", "run", "3")["why"]["source"] == "person"


def test_without_a_controller_requests_wait_for_resume(tmp_path: Path) -> None:
    write_task(tmp_path)
    arrl("controller.max_trials=3", "hydra.run.dir=run", "policy=random", *QUIET, cwd=tmp_path)
    said = arrl("enqueue", "run", "--params", '{"x": 0.3}', cwd=tmp_path).stdout
    assert "It waits in the inbox: all 3 trials (controller.max_trials) are taken" in said
    assert "resume run controller.max_trials=4` runs it" in said
    assert "no controller runs in run, the journal gets it with" in arrl("note", "run", "for later", cwd=tmp_path).stdout
    assert shown(tmp_path, "status", "run")["inbox"] == 2
    assert "in the inbox: 2 requests" in arrl("status", "run", cwd=tmp_path).stdout
    arrl("resume", "run", "controller.max_trials=4", cwd=tmp_path)
    told = shown(tmp_path, "status", "run", "--last", "1")
    assert (told["inbox"], told["settled"], told["trials"][0]["params"]) == (0, 4, {"x": 0.3})
    assert told["notes"][0]["text"] == "for later"
    assert "came out the same" in arrl("replay", "run", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "[enqueue-nothing]"),
        (
            ["--params", '{"x": 7}'],
            "[enqueue-params] --params: x is 7, which is outside its range. Give a number from 0.0 to 1.0.",
        ),
        (["--params", '{"y": 7}'], "[enqueue-params] --params: 'y' is not a parameter of the space"),
        (["--params", "{"], "[not-json]"),
        (["--patch", "nowhere.diff"], "[file-unreadable]"),
        (["--patch", "task.yaml"], "[enqueue-patch] The patch does not apply to the source of trial 0 (no_diff)"),
        (
            ["--params", "{}", "--parent", "9"],
            "[enqueue-parent] The parent 9 is no trial of this campaign. Those that have started",
        ),
        (["--params", "{}", "--rationale", "\udcff"], "[enqueue-text]"),
    ],
)
def test_a_wish_that_cannot_come_true_is_refused_at_once(tmp_path: Path, arguments: list[str], said: str) -> None:
    write_task(tmp_path)
    arrl("controller.max_trials=1", "hydra.run.dir=run", *QUIET, cwd=tmp_path)
    assert said in arrl("enqueue", "run", *arguments, cwd=tmp_path, code=2).stderr
    assert not (tmp_path / "run" / "inbox").exists()


def test_explain_needs_only_the_journal_and_its_blobs(tmp_path: Path) -> None:
    write_task(tmp_path)
    (tmp_path / "fix.diff").write_text(PATCH)
    arrl("run-one", "--patch", "fix.diff", "hydra.run.dir=run", *QUIET, cwd=tmp_path)
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    shutil.copy(tmp_path / "run" / "journal.jsonl", copy)
    shutil.copytree(tmp_path / "run" / "blobs", copy / "blobs")
    before, after = (arrl("explain", name, "1", cwd=tmp_path).stdout.partition("\nFiles\n") for name in ("run", "elsewhere"))
    assert before[0] == after[0]
    assert "trials/0001/1/patch.diff" in before[2]
    assert after[2].strip() == "none here"
    for name in ("journal.jsonl", "blobs"):
        assert (copy / name).exists()
    assert sorted(path.name for path in copy.iterdir()) == ["blobs", "journal.jsonl"], "nothing is written"
    for trial, said in (("2", "has no trial 2: they go from 0 to 1"), ("-1", "has no trial -1")):
        assert said in arrl("explain", "elsewhere", "--", trial, cwd=tmp_path, code=1).stderr
    assert "cannot be read" in arrl("explain", ".", "1", cwd=tmp_path, code=1).stderr
    text = (copy / "journal.jsonl").read_text()
    (copy / "journal.jsonl").write_text(text.replace('"kind":"decide"', '"kind":"decode"', 1))
    assert "is broken (wrong checksum)" in arrl("explain", "elsewhere", "1", cwd=tmp_path, code=1).stderr
    (copy / "journal.jsonl").write_text("")
    assert "is empty" in arrl("explain", "elsewhere", "1", cwd=tmp_path, code=1).stderr


def test_what_runs_and_what_waits_are_told_as_such(tmp_path: Path) -> None:
    child = start(tmp_path, SLOW, "controller.concurrency=2", "controller.lookahead=2", "controller.grace_s=0.5")
    until(child, started(tmp_path, 3))
    (tmp_path / "run" / "trials" / "0002" / "1").mkdir(parents=True, exist_ok=True)
    until(child, lambda: (tmp_path / "run" / "trials" / "0002" / "1" / "train.stdout.log").exists())
    until(child, lambda: len(shown(tmp_path, "status", "run")["waiting"]) == 2)
    told = shown(tmp_path, "status", "run")
    assert [(row["trial"], row["stage"]) for row in told["active"]] == [(1, "train"), (2, "train")]
    assert [row["trial"] for row in told["waiting"]] == [3, 4]
    assert arrl("explain", "run", "1", cwd=tmp_path).stdout.startswith("Trial 1 of tiny: running")
    waits = arrl("explain", "run", "4", cwd=tmp_path).stdout
    assert waits.startswith("Trial 4 of tiny: waits, and has never started")
    assert "nothing yet; it has waited" in waits
    arrl("stop", "run", cwd=tmp_path)
    child.communicate(timeout=30)
    lost = arrl("explain", "run", "1", cwd=tmp_path).stdout
    assert lost.startswith("Trial 1 of tiny: waits to run again")
    assert "told to stop: stopped on request" in lost
    assert "interrupted, which is no attempt used" in lost


@pytest.mark.parametrize(
    "verb", ["validate", "run-one", "init", "resume", "replay", "stop", "enqueue", "note", "status", "explain", "ui"]
)
def test_each_verb_teaches_with_an_example(tmp_path: Path, verb: str) -> None:
    said = arrl(verb, "--help", cwd=tmp_path).stdout
    assert f"example:\n  arrl {verb} " in said
