"""Real campaigns of several trials at a time: whatever the order in which they end, the journal leads to the same decisions again."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.cancel.forecast import ForecastRule
from autoresearch_rl.controller.journal import read
from autoresearch_rl.controller.keep.noise import NoiseRule
from autoresearch_rl.controller.plan import Plan
from autoresearch_rl.controller.run import replay_run
from autoresearch_rl.events import Decide, OrderTrial, Proposed, Released, SettledEvent, StartTrial
from autoresearch_rl.policy import Ask
from autoresearch_rl.policy.optimizer import Tpe
from autoresearch_rl.policy.random import Random
from autoresearch_rl.trial import Proposal, Status
from tests.controller.plans import go, plan_of
from tests.tasks import tiny_task

# How long it takes and whether it fails is nobody's to foresee. Half of the trials report a curve, the bad ones a hopeless one.
ERRATIC = """
import json, os, random, sys, time
x, number, seed = float(os.environ["AR_PARAM_X"]), int(os.environ["AR_TRIAL"]), int(os.environ["AR_SEED"])
chance = random.Random()
delay_s = min(0.6, 0.05 * chance.lognormvariate(0, 1))
loss = abs(x - 0.3) + 0.05 * random.Random(seed * 1000 + number).gauss(0, 1)
reports = number == 0 or chance.random() < 0.8
for step in range(1, 21):
    if reports:
        with open(os.environ["AR_PROGRESS_FILE"], "a") as stream:
            stream.write(json.dumps({"step": step, "step_target": 20, "metrics": {"loss": loss + 1 / step}}) + "\\n")
    control = os.environ["AR_CONTROL_FILE"]
    if os.path.exists(control) and "cancel" in open(control).read():
        sys.exit(42)
    time.sleep(delay_s / 20)
if number and chance.random() < 0.15:
    sys.exit(1)
print(f"loss={loss}")
"""
PLAIN: dict[str, Any] = {
    "prepare_cmd": ...,
    "predict_cmd": ...,
    "evaluate_cmd": ...,
    "outputs": [],
    "files": {"mutable": ["train.py"]},
}


def erratic_plan(folder: Path, trials: int, policy: str) -> Plan:
    task = tiny_task(folder / "task", {"train.py": ERRATIC}, **PLAIN)
    proposes = Tpe(space=task.search_space, n_startup_trials=5) if policy == "tpe" else Random(space=task.search_space)
    return plan_of(
        task,
        policy=proposes,
        keep=NoiseRule("loss", confirm_share=0.4),
        cancel=ForecastRule(below=0.3, min_reports=4, min_share=0.2, warmup_trials=3),
        control_share=0.2,
        concurrency=4,
        lookahead=2,
        max_trials=trials,
        max_failure_rate=1.0,
        grace_s=2.0,
    )


def check_replay(folder: Path, trials: int, policy: str) -> Counter[str]:
    finished = go(erratic_plan(folder, trials, policy), folder)
    assert not finished.stop.failed, finished.stop.reason
    entries = list(read(folder / "run"))
    assert replay_run(erratic_plan(folder, trials, policy), folder / "run").endswith(
        "every decision and proposal came out the same"
    )
    starts = [entry.record.trial.number for entry in entries if isinstance(entry.record, StartTrial)]
    ends = [entry.record.number for entry in entries if isinstance(entry.record, SettledEvent)]
    assert sorted(ends) == sorted(starts) == list(range(len(starts)))
    return Counter(
        {
            "overtaken": sum(before > after for before, after in pairwise(ends)),
            "failed": sum(s.outcome.status is Status.FAILED for s in finished.history.settled),
            "cancelled": sum(s.outcome.status is Status.CANCELLED for s in finished.history.settled),
            "orders": sum(isinstance(entry.record, OrderTrial) for entry in entries),
            "repeats": sum(s.trial.proposal.repeat_of is not None for s in finished.history.settled),
            "decisions": sum(isinstance(entry.record, Decide) for entry in entries),
            "asks": sum(isinstance(entry.record, Proposed) for entry in entries),
        }
    )


def test_a_parallel_campaign_replays(tmp_path: Path) -> None:
    seen = check_replay(tmp_path, 24, "tpe")
    assert seen["overtaken"] > 0, seen
    assert seen["repeats"] > 0, seen


@pytest.mark.soak
@pytest.mark.parametrize("policy", ["random", "tpe"])
def test_many_parallel_campaigns_replay(policy: str) -> None:
    seen: Counter[str] = Counter()
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            seen += check_replay(Path(folder), 120, policy)
    assert min(seen[what] for what in ("overtaken", "failed", "cancelled", "orders", "repeats")) > 5, seen


# ---------------------------------------------------------------- resources, as a user asks for them
Span = tuple[float, float, str]
HOLDER = """
import json, os, time
begun = time.time()
time.sleep(0.25)
with open(os.environ["AR_RUN_DIR"] + "/held.json", "w") as stream:
    json.dump([begun, time.time(), os.environ.get("CUDA_VISIBLE_DEVICES", "")], stream)
print("loss=1")
"""


def held(folder: Path, trials: int, resources: dict[str, float], has: dict[str, float]) -> tuple[int, list[Span]]:
    """How many held resources at a time, as the journal has it, and when each trial but the baseline really did, with the devices it saw."""
    task = tiny_task(folder / "task", {"train.py": HOLDER}, resources=resources, **PLAIN)
    finished = go(plan_of(task, max_trials=trials, concurrency=4, resources=has), folder)
    assert len(finished.history) == trials, finished.stop.reason
    files = sorted((folder / "run" / "trials").glob("*/1/held.json"))[1:]
    assert len(files) == trials - 1
    holding, most = set[int](), 0
    for entry in read(folder / "run"):
        if isinstance(entry.record, StartTrial):
            holding.add(entry.record.trial.number)
        elif isinstance(entry.record, SettledEvent | Released):
            holding.discard(entry.record.number)
        most = max(most, len(holding))
    return most, [tuple(json.loads(file.read_text())) for file in files]


def at_once(spans: list[Span]) -> int:
    return max(sum(begun <= at < ended for begun, ended, _ in spans) for at, _, _ in spans)


@pytest.mark.parametrize("amount", [1, 3])
def test_as_many_trials_run_as_there_are_licences(tmp_path: Path, amount: int) -> None:
    most, spans = held(tmp_path, 3 * amount, {"licence": 1}, {"licence": amount})
    assert most == amount
    assert at_once(spans) <= amount


def test_halves_of_two_gpus_are_seen_by_two_trials_each(tmp_path: Path) -> None:
    most, spans = held(tmp_path, 13, {"gpu": 0.5}, {"gpu": 2})
    assert most == 4
    assert {seen for _, _, seen in spans} == {"0", "1"}
    for device in ("0", "1"):
        assert at_once([span for span in spans if span[2] == device]) <= 2


def test_two_whole_gpus_are_seen_together(tmp_path: Path) -> None:
    most, spans = held(tmp_path, 3, {"gpu": 2}, {"gpu": 2})
    assert most == at_once(spans) == 1
    assert {seen for _, _, seen in spans} == {"0,1"}


class Edits:
    """Proposes code: each patch makes the user's source print a loss that no other trial should print."""

    def propose(self, ask: Ask) -> list[Proposal]:
        first = len(ask.history) + len(ask.history.pending)
        return [self._edit(first + index) for index in range(ask.count)]

    def _edit(self, number: int) -> Proposal:
        patch = f"<<<<<<< SEARCH\nLOSS = 1000\n=======\nLOSS = {1000 - number}\n>>>>>>> REPLACE\n"
        return Proposal(params={"x": 0.5}, patch=patch, parent=0, source="edits")


EDITED = """
import random, time
LOSS = 1000
time.sleep(random.random() / 5)
print(f"loss={LOSS}")
"""


def test_code_patches_run_in_parallel_each_in_a_source_of_its_own(tmp_path: Path) -> None:
    def plan() -> Plan:
        task = tiny_task(tmp_path / "task", {"train.py": EDITED}, **PLAIN)
        return plan_of(task, policy=Edits(), max_trials=12, concurrency=4)

    finished = go(plan(), tmp_path)
    scores = {s.trial.number: s.outcome.score for s in finished.history.settled}
    assert scores == {number: float(1000 - number) for number in range(12)}, finished.stop.reason
    assert len({s.trial.source_hash for s in finished.history.settled}) == 12
    assert (tmp_path / "task" / "train.py").read_text().count("LOSS = 1000") == 1, "the user's file is as it was"
    assert replay_run(plan(), tmp_path / "run").endswith("every decision and proposal came out the same")
