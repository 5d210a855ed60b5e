"""Every example runs as a campaign, and its journal replays: decisions and proposals come out the same."""

import importlib.util
import json
import shutil

import pytest

from autoresearch_rl.controller.journal import read
from autoresearch_rl.controller.run import replay_run
from autoresearch_rl.errors import JournalError
from autoresearch_rl.policy.optimizer import Tpe
from tests.controller.plans import go, plan_of
from tests.controller.test_journal import rewrite
from tests.examples.conftest import load_task

NAMES = ["skeleton", "digits", pytest.param("stdlib_lm", marks=pytest.mark.slow)]


def plan_for(name):
    """Two trials at a time, proposals of an optimizer from the second on."""
    task = load_task(name)
    policy = Tpe(space=task.search_space, n_startup_trials=2)
    return plan_of(task, policy=policy, max_trials=3 if name == "stdlib_lm" else 5, concurrency=2, grace_s=5.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_campaign_of_the_example_replays(name, tmp_path):
    if name == "stdlib_lm" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed (extra `learned`)")
    finished = go(plan_for(name), tmp_path)
    assert finished.history.leader is not None, finished.stop.reason
    said = replay_run(plan_for(name), tmp_path / "run")
    assert said == f"{len(list(read(tmp_path / 'run')))} entries: every decision and proposal came out the same"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    folder = tmp_path_factory.mktemp("skeleton")
    go(plan_for("skeleton"), folder)
    return folder / "run"


def edited(campaign, folder, proposal=False, **opened):
    """A copy of the campaign whose first line, and if asked for its first proposal, says something else."""
    run_dir = shutil.copytree(campaign, folder / "copy", symlinks=True)
    rows = [json.loads(line) for line in (run_dir / "journal.jsonl").read_text().splitlines()]
    rewrite(run_dir, 0, **{name: {**rows[0][name], **changes} for name, changes in opened.items()})
    if proposal:
        index = next(index for index, row in enumerate(rows) if row["kind"] == "proposed")
        changed = [{**row, "rationale": "another"} for row in rows[index]["proposals"]]
        rewrite(run_dir, index, proposals=changed)
        start = next(index for index, row in enumerate(rows) if row["kind"] == "start" and row["trial"]["number"] == 1)
        trial = rows[start]["trial"]
        rewrite(run_dir, start, trial={**trial, "proposal": {**trial["proposal"], "rationale": "another"}})
        for start, row in enumerate(rows):
            if row["kind"] == "start" and row["trial"]["number"] == 2 and len(changed) > 1:
                rewrite(run_dir, start, trial={**row["trial"], "proposal": {**row["trial"]["proposal"], "rationale": "another"}})
    return run_dir


def test_with_other_versions_the_recorded_proposals_are_fed(campaign, tmp_path):
    run_dir = edited(campaign, tmp_path, versions={"numpy": "1.0", "optuna": "2.0"})
    assert replay_run(plan_for("skeleton"), run_dir).endswith("every decision and proposal came out the same")


@pytest.mark.parametrize(
    ("then", "since"),
    [({"versions": {"numpy": "1.0"}}, "numpy was 1.0"), ({"hardware": {"cpu": "Z80"}}, "cpu was Z80")],
)
def test_and_where_they_differ_the_difference_is_reported(campaign, tmp_path, then, since):
    said = replay_run(plan_for("skeleton"), edited(campaign, tmp_path, proposal=True, **then))
    assert "every decision came out the same; 1 answers of the policy differ, as they may since" in said
    assert since in said
    assert "the policy now proposes" in said


def test_with_the_same_versions_it_is_an_error(campaign, tmp_path):
    run_dir = edited(campaign, tmp_path, proposal=True)
    with pytest.raises(JournalError, match=r"line \d+: the policy now proposes"):
        replay_run(plan_for("skeleton"), run_dir)
