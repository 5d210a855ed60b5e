"""`arrl explain` and `arrl status` read every kind of trial from a journal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.activity import told
from autoresearch_rl.controller.explain import explain, summary
from autoresearch_rl.controller.explain_view import lines, show_explained
from autoresearch_rl.controller.journal import Blobs, Journal
from autoresearch_rl.controller.seen import read_campaign
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.controller.status import show_status
from autoresearch_rl.errors import JournalError
from autoresearch_rl.events import Record, StartTrial
from autoresearch_rl.testing.entries import HOSTILE
from autoresearch_rl.testing.simulation import FakeRun, Simulation
from autoresearch_rl.trial import Curve, Order, Outcome, Progress, Proposal, Status
from tests.controller.campaigns import FILES, Condemning, Scripted, ok, opened, simulation
from tests.faults.world import PATCH, RepeatOnce

UGLY = HOSTILE.replace("\ud800", "")  # which no journal takes
BROKEN = "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-y = 1\n+y = 2\n"


class CancelHigh(Condemning):
    """Cancels what is above 0.6."""

    def doomed(self, curve: Curve) -> Order | None:
        return Order(kind="cancel", reason="too high") if curve.metrics["loss"][-1] > 0.6 else None


def run_trial(start: StartTrial) -> FakeRun:
    trial = start.trial
    x = float(trial.proposal.params["x"])
    if start.refusal:
        return FakeRun(seconds=0.1, outcome=Outcome(status=Status.REJECTED, message=start.refusal))
    if x == 0.2 and trial.attempt == 1 and trial.proposal.repeat_of is None:
        return FakeRun(seconds=3.0, outcome=Outcome(status=Status.LOST, message="the node went away"))
    curve = Curve(steps=(2.0, 10.0), elapsed_s=(2.0, 10.0), metrics={"loss": (x, x)}, step_target=10.0)
    report = Progress(step=2.0, step_target=10.0, metrics={"loss": x})
    usage = {"cpu_s": 9.0, "usd": 0.25}
    return FakeRun(seconds=10.0, outcome=ok(x, curve=curve, elapsed_s=10.0, usage=usage), reports={2.0: report})


def campaign(tmp_path: Path, control_share: float) -> Simulation:
    """0 baseline; then one that is lost once, one cancelled or spared, one patched, one refused; repeats of some."""
    proposals = [
        Proposal(params={"x": 0.2}, source="uniform", rationale=f"why not {UGLY}", memo={"k": 1}),
        Proposal(params={"x": 0.9}, source="uniform"),
        Proposal(params={"x": 0.3}, source="uniform", patch=PATCH),
        Proposal(params={"x": 0.4}, source="uniform", patch=BROKEN),
    ]
    answers = [lambda _, p=p: [p] for p in proposals]
    settings: dict[str, Any] = {"concurrency": 1, "lookahead": 0, "max_trials": 8, "control_share": control_share}
    sim = simulation(
        tmp_path, run_trial, policy=Scripted(*answers, lambda _: []), cancel=CancelHigh(), keep=RepeatOnce(), **settings
    )
    sources = Sources(Blobs(tmp_path / "blobs"))
    manifest = sources.manifest(sources.add(FILES))
    sim.run([replace(opened(sim, tmp_path), max_trials=8, sources=manifest, tags={"policy": "uniform"})])
    with Journal(tmp_path) as journal:
        for entry in sim.entries:
            assert not isinstance(entry.record, type(None))
            record: Any = entry.record
            written: Record = record
            journal.append(written, entry.elapsed_s)
    return sim


def text_of(tmp_path: Path, trial: int) -> str:
    return "\n".join(lines(summary(explain(tmp_path, trial))))


def test_each_kind_of_trial_is_explained(tmp_path: Path) -> None:
    sim = campaign(tmp_path, control_share=0.0)
    repeats = [s.trial for s in sim.campaign.log.settled if s.trial.proposal.repeat_of is not None]
    assert repeats, "some are measured again"
    for trial, wanted in {
        0: ["Trial 0 of t: ok, loss 0.5", "by the campaign itself: the baseline", "keep (leads): loss 0.5 is the baseline"],
        1: [
            "Trial 1 of t: ok, loss 0.2",
            "by policy uniform, 10s into the campaign",
            "in answer to ask 1 for 1",
            "because: why not =HYPERLINK",
            'memo: {"k": 1}',
            "differs from the defaults: x 0.5 → 0.2",
            "2 attempts, 10s of running",
            "usage: cpu 9.0s, usd 0.25",
            "lost: the node went away",
            "starts again (attempt 2)",
            "measured 2 times, mean 0.2",
        ],
        repeats[0].number: ["repeats trial 1 under another seed", "by the keep rule", f"trial {repeats[0].number}, seed"],
    }.items():
        text = text_of(tmp_path, trial)
        for part in wanted:
            assert part in text, (trial, part, text)
        assert all(line.isprintable() for line in text.splitlines())
    kinds = {str(s.outcome.status): s.trial.number for s in sim.campaign.log.settled}
    cancelled = text_of(tmp_path, kinds["cancelled"])
    assert "told to cancel: too high" in cancelled
    refused = text_of(tmp_path, kinds["rejected"])
    assert "patch refused (no_match)" in refused
    assert "| +y = 2" in refused
    (patched,) = [
        s.trial.number for s in sim.campaign.log.settled if s.trial.proposal.patch == PATCH and not s.trial.proposal.repeat_of
    ]
    assert summary(explain(tmp_path, patched))["why"]["patch"] == "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
    assert "differs from the parent (trial 1): x 0.2 → 0.3" in text_of(tmp_path, patched)


def test_the_control_group_and_what_cancelling_came_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "all").mkdir()
    campaign(tmp_path / "none", control_share=0.0)
    campaign(tmp_path / "all", control_share=1.0)
    show_status(tmp_path / "none", last=0, as_json=True)
    cancelling = json.loads(capsys.readouterr().out)["cancelling"]
    assert (cancelling["cancelled"], cancelling["saved_steps"], cancelling["saved_s"]) == (1, 10.0, 10.0)
    (spared,) = read_campaign(tmp_path / "all").tally.spared
    assert "would have been cancelled, but is of the control group and runs on: too high" in text_of(tmp_path / "all", spared)
    said = list(told(read_campaign(tmp_path / "all"), tmp_path / "all"))
    assert said == ["cancelling: 0 trials; 1 of the control group ran on, 0 of them came to lead"]
    show_explained(tmp_path / "all", spared, as_json=True)
    assert json.loads(capsys.readouterr().out)["trial"] == spared


def test_every_trial_at_every_moment_of_a_campaign_can_be_explained(tmp_path: Path) -> None:
    sim = campaign(tmp_path, control_share=0.5)
    journal = (tmp_path / "journal.jsonl").read_text().splitlines(keepends=True)
    states = set()
    for length in range(1, len(journal) + 1):
        (tmp_path / "journal.jsonl").write_text("".join(journal[:length]))
        seen = read_campaign(tmp_path)
        list(told(seen, tmp_path))
        for trial in range(seen.tally.waiting.numbers):
            found = summary(explain(tmp_path, trial))
            list(lines(found))
            states.add(found["state"])
        with pytest.raises(JournalError, match=f"has no trial {seen.tally.waiting.numbers}: they go from 0"):
            explain(tmp_path, seen.tally.waiting.numbers)
    assert states == {"waiting", "running", "settled"}
    assert len(sim.entries) == len(journal)
