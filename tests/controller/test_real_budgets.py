"""Real campaigns with a price: what was spent stands in all places, and a raised limit goes on."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch_rl.controller.journal import read
from autoresearch_rl.controller.run import replay_run, resume
from autoresearch_rl.controller.status import show_status
from autoresearch_rl.errors import ConfigError
from autoresearch_rl.events import Opened, Resumed, SettledEvent, StartTrial
from autoresearch_rl.metering import MICRO, Meter
from autoresearch_rl.target.command import Command
from autoresearch_rl.telemetry.ledger import Ledger
from autoresearch_rl.telemetry.mlflow import Mlflow
from autoresearch_rl.trial import Status
from tests.controller.plans import go, plan_of
from tests.tasks import tiny_task


def test_a_priced_campaign_ends_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database, run_dir = tmp_path / "mlflow.db", tmp_path / "run"
    sinks = {"ledger": Ledger(), "mlflow": Mlflow(uri=f"sqlite:///{database}", cache=str(tmp_path / "template"))}
    task = tiny_task(tmp_path / "task")
    plan = replace(plan_of(task, telemetry=sinks, max_trials=None, max_usd=18.0), target=Command(usd_per_h={"trial": 1000}))
    finished = go(plan, tmp_path)  # 60 s at most, so 16.67 USD
    assert finished.exit_code == 0
    assert finished.stop.reason == f"{finished.spent} are spent, and a trial may take 16.67 (controller.max_usd)"
    assert finished.spent.endswith(" of 18.00 USD")
    settled = len(finished.history)

    again = replace(plan, target=Command(usd_per_h={"trial": 5}))  # the price of then holds
    more = resume(again, run_dir, limits={"max_usd": 18.5}, cache_dir=tmp_path / "cache", announce=lambda _: None)
    assert more.stop.reason.endswith("of 18.50 USD are spent, and a trial may take 16.67 (controller.max_usd)")
    assert len(more.history) > settled
    assert "came out the same" in replay_run(plan, run_dir)

    meter = Meter()
    for entry in read(run_dir):
        meter.feed(entry.record, entry.elapsed_s)
    spent = meter.spent["usd"] / MICRO
    with (run_dir / "results.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert sum(float(row["usd"]) for row in rows) == pytest.approx(spent, abs=1e-6)
    capsys.readouterr()
    show_status(run_dir, last=1, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["spent"], shown["limits"]) == ({"usd": pytest.approx(spent)}, {"max_usd": 18.5})
    assert shown["trials"][0]["usd"] == pytest.approx(float(rows[-1]["usd"]))
    show_status(run_dir, last=1, as_json=False)
    assert f"spent: {more.spent}" in capsys.readouterr().out
    with closing(sqlite3.connect(database)) as connection:
        values = connection.execute("SELECT value FROM latest_metrics WHERE key = 'spent/usd'").fetchall()
        tags = connection.execute("SELECT value FROM tags WHERE key = 'spent'").fetchall()
    assert (values, tags) == ([(pytest.approx(spent),)], [(more.spent,)])


def test_a_limit_that_makes_no_sense_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    plan = plan_of(tiny_task(tmp_path / "task"), max_trials=1)
    go(plan, tmp_path)
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()
    for limits, code in (({"max_usd": 5}, "budget-without-price"), ({"max_tokens": 0}, "controller-value")):
        with pytest.raises(ConfigError, match=code):
            resume(plan, tmp_path / "run", limits=limits, cache_dir=tmp_path / "cache", announce=lambda _: None)
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == before


def test_a_controller_that_died_pays_for_what_its_trial_did_meanwhile(tmp_path: Path) -> None:
    """Nothing was journalled between the start of trial 1 and the crash: its folder tells how long it lived."""
    task = tiny_task(tmp_path / "task")
    plan = replace(plan_of(task, max_trials=2, max_usd=1e6), target=Command(usd_per_h={"trial": 3600}))
    go(plan, tmp_path)
    path = tmp_path / "run" / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    entries = list(read(tmp_path / "run"))
    (last,) = [e for e in entries if isinstance(e.record, StartTrial) and e.record.trial.number == 1]
    path.write_bytes(b"".join(lines[: last.seq + 1]))
    resume(plan, tmp_path / "run", limits={}, cache_dir=tmp_path / "cache", announce=lambda _: None)
    after = list(read(tmp_path / "run"))
    assert [type(entry.record) for entry in after[last.seq + 1 : last.seq + 3]] == [Resumed, SettledEvent]
    lost = after[last.seq + 2].record
    assert isinstance(lost, SettledEvent)
    assert lost.outcome.status is Status.LOST
    assert 0.05 < lost.outcome.elapsed_s < 60.0
    opened = after[0].record
    assert isinstance(opened, Opened)
    assert opened.terms.timeouts == {"train": 20.0, "predict": 20.0, "evaluate": 20.0}
    meter = Meter()
    for entry in after[: last.seq + 3]:
        meter.feed(entry.record, entry.elapsed_s)
    assert meter.ended["usd"] == pytest.approx(lost.outcome.elapsed_s)
