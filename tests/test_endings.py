"""What is said of a campaign by `status` and at its end: what is confirmed, and what only leads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch_rl.composition import say_end
from autoresearch_rl.controller.journal import Blobs, Journal
from autoresearch_rl.controller.keep.noise import NoiseRule
from autoresearch_rl.controller.run import Finished
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.controller.status import show_status
from autoresearch_rl.events import StartTrial, StopCampaign
from autoresearch_rl.testing.simulation import FakeRun, Simulation
from tests.controller.campaigns import FILES, ok, opened, simulation
from tests.controller.keep.test_noise import noisy


def campaign(run_dir: Path, effects: dict[int, float], max_trials: int) -> Simulation:
    """A campaign of normal noise with a journal; `effects` by number of the candidate."""
    run_dir.mkdir(exist_ok=True)
    score = noisy(effects)

    def run_trial(start: StartTrial) -> FakeRun:
        found = score(start.trial.candidate, start.trial.seed)
        return FakeRun(seconds=1.0, outcome=ok(float(found), elapsed_s=1.0))

    sim = simulation(run_dir, run_trial, keep=NoiseRule("loss"), max_trials=max_trials)
    sources = Sources(Blobs(run_dir / "blobs"))
    manifest = sources.manifest(sources.add(FILES))
    sim.run([replace(opened(sim, run_dir), max_trials=max_trials, sources=manifest, tags={"policy": "uniform"})])
    with Journal(run_dir) as journal:
        for entry in sim.entries:
            journal.append(entry.record, entry.elapsed_s)  # type: ignore[arg-type]
    return sim


def test_a_leader_that_is_not_the_confirmed_one_hides_it_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sim = campaign(tmp_path, {10: 30.0, 39: 31.0}, max_trials=60)
    history = sim.campaign.log.view()
    assert (history.leader, history.confirmed) == (39, 10)
    show_status(tmp_path, last=0, as_json=False)
    shown = capsys.readouterr().out
    assert "best: trial 39 with loss -" in shown
    assert "confirmed: trial 10 with loss -" in shown
    assert " repeats 10 " in shown
    show_status(tmp_path, last=0, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["leader"], told["confirmed"]) == (39, 10)
    assert {row["repeat_of"] for row in told["trials"]} == {None, 0, 10}
    say_end(Finished(stop=StopCampaign(reason="enough"), history=history, run_dir=tmp_path), ui=False)
    end = capsys.readouterr().out
    assert "Best:  trial 39" in end
    mine = history.candidate(10)
    assert mine is not None
    x = mine.trials[0].trial.proposal.params["x"]
    assert f"Confirmed: trial 10: loss {mine.mean:.6g}" in end
    assert f"\n       x={x:.4g}\n" in end.partition("Confirmed:")[2], "one wants its parameters more than the leader's"


def test_status_says_that_nothing_is_confirmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    campaign(tmp_path, {10: 5.0}, max_trials=20)
    show_status(tmp_path, last=1, as_json=False)
    assert "confirmed: nothing yet that is better than the baseline" in capsys.readouterr().out
