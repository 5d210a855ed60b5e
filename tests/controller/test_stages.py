"""Whole trials in real processes: each way to misbehave ends as the right status, with a sentence that says what happened."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autoresearch_rl.controller.journal import Blobs, read
from autoresearch_rl.controller.leases import Leases
from autoresearch_rl.controller.live import Clock
from autoresearch_rl.controller.prepare import prepare
from autoresearch_rl.controller.run import _guard
from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.controller.stages import Control, Stages
from autoresearch_rl.controller.workspace import Workspace, scored_baseline
from autoresearch_rl.errors import EvaluatorError
from autoresearch_rl.events import Released, Reported, SettledEvent, StartTrial
from autoresearch_rl.target.command import Command
from autoresearch_rl.task import Task
from autoresearch_rl.trial import Order, Proposal, Status, Trial
from tests.controller.plans import go, plan_of, run_modes
from tests.tasks import EVALUATE, PREDICT, TRAIN, task_config, tiny_task


def test_a_good_trial(tmp_path: Path) -> None:
    finished = go(plan_of(tiny_task(tmp_path / "task"), max_trials=3), tmp_path)
    assert finished.exit_code == 0
    trial = finished.history.settled[1]
    x = float(trial.trial.proposal.params["x"])
    outcome = trial.outcome
    assert outcome.status is Status.OK
    assert outcome.score == pytest.approx((x - 0.3) ** 2)
    assert set(outcome.metrics) == {"loss", "label"}
    assert outcome.curve.steps == (1, 2, 3)
    assert outcome.curve.step_target == 3
    assert outcome.reported["loss"] == pytest.approx(abs(x - 0.3) + 1 / 3)
    assert [span.stage for span in outcome.spans] == ["train", "predict", "evaluate"]
    assert set(outcome.sealed) == {"model/model.json", "outputs/prediction.json"}
    assert outcome.verdict is not None
    assert (outcome.verdict.kind, outcome.verdict.tier) == ("untrusted", 0)
    assert outcome.usage["cpu_s"] > 0
    folder = finished.run_dir / "trials" / "0001" / "1"
    kept = {path.name for path in folder.iterdir()}
    assert {"outcome.json", "progress.jsonl", "train.stdout.log", "train.stderr.log", "outputs"} <= kept
    assert "workspace" not in kept
    assert json.loads((folder / "outcome.json").read_text())["score"] == outcome.score


def test_the_history_of_the_journal_is_that_of_the_campaign(tmp_path: Path) -> None:
    finished = go(plan_of(tiny_task(tmp_path / "task"), max_trials=4, concurrency=2), tmp_path)
    journalled = [e.record.outcome for e in read(finished.run_dir) if isinstance(e.record, SettledEvent)]
    assert journalled == [settled.outcome for settled in finished.history.settled]


MODES = (
    """
import json, os, subprocess, sys, time
mode = os.environ["AR_PARAM_MODE"]
if mode == "exit3":
    sys.stderr.write("Traceback: something broke\\n"); sys.exit(3)
if mode == "signal":
    os.kill(os.getpid(), 11)
if mode == "hang":
    time.sleep(60)
if mode == "stubborn":
    import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)
if mode == "daemon":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], start_new_session=True)
if mode == "bytes":
    sys.stdout.buffer.write(bytes(range(256)) * 10); sys.stderr.buffer.write(b"\\xff\\xfe"); sys.exit(1)
if mode == "nomodel":
    sys.exit(0)
if mode == "link":
    os.symlink("/etc/hostname", os.path.join(os.environ["AR_MODEL_DIR"], "model.json")); sys.exit(0)
if mode == "huge":
    open(os.path.join(os.environ["AR_MODEL_DIR"], "big"), "wb").truncate(5_000_000)
"""
    + TRAIN
)


def test_every_way_of_training_to_go_wrong(tmp_path: Path) -> None:
    modes = ["exit3", "signal", "hang", "stubborn", "daemon", "bytes", "nomodel", "link", "huge"]
    begun = time.monotonic()
    settled = run_modes(
        tmp_path,
        MODES,
        modes,
        timeouts={"train_s": 2},
        model={"max_bytes": 1_000_000},
        settings={"concurrency": 4},
    )
    assert time.monotonic() - begun < 30
    said = {mode: (s.outcome.status, s.outcome.message) for mode, s in settled.items()}
    assert said["good"][0] is Status.OK
    assert said["exit3"] == (Status.FAILED, "train ended with exit code 3\nTraceback: something broke")
    assert said["signal"] == (Status.FAILED, "train ended with signal 11")
    assert said["hang"] == (Status.TIMEOUT, "train took longer than its timeout and was killed")
    assert said["stubborn"][0] is Status.TIMEOUT
    assert said["daemon"][0] is Status.OK
    assert said["bytes"] == (Status.FAILED, "train ended with exit code 1\n\ufffd\ufffd")
    assert said["nomodel"][0] is Status.FAILED
    assert "predict ended with exit code 1" in said["nomodel"][1]
    assert said["link"][0] is Status.FAILED
    assert said["link"][1].startswith("model refused (")
    assert said["huge"][0] is Status.FAILED
    assert said["huge"][1].startswith("model refused (too_large)")
    assert all(s.outcome.score is None for s in settled.values() if s.outcome.status is not Status.OK)


OUTPUTS = """
import json, os, sys
model = json.load(open(os.path.join(os.environ["AR_MODEL_DIR"], "model.json")))
path = os.path.join(os.environ["AR_OUTPUT_DIR"], "prediction.json")
mode = os.environ["AR_PARAM_MODE"]
if mode == "good":
    open(path, "w").write(json.dumps(model["x"]))
if mode == "list":
    open(path, "w").write("[1]")
if mode == "nojson":
    open(path, "w").write("{")
if mode == "large":
    open(path, "w").write("1" * 2000)
if mode == "link":
    os.symlink("/etc/hostname", path)
if mode == "fifo":
    os.mkfifo(path)
if mode == "folder":
    os.mkdir(path)
"""


def test_every_way_of_outputs_to_be_wrong(tmp_path: Path) -> None:
    modes = ["none", "list", "nojson", "large", "link", "fifo", "folder"]
    settled = run_modes(tmp_path, TRAIN, modes, texts={"predict.py": OUTPUTS}, settings={"concurrency": 2})
    said = {mode: s.outcome.message for mode, s in settled.items()}
    assert {s.outcome.status for mode, s in settled.items() if mode != "good"} == {Status.FAILED}
    assert said["none"].startswith("output refused (missing)")
    assert said["list"].startswith("the evaluator refused the outputs")
    assert said["nojson"].startswith("output refused (bad_format)")
    assert said["large"].startswith("output refused (too_large)")
    assert said["link"].startswith("output refused (linked)")
    for mode in ("fifo", "folder"):
        assert said[mode].startswith("output refused (not_regular)"), said[mode]


def crashing(when: str) -> str:
    crash = f"if {when}:\n    sys.stderr.write('evaluator bug\\n'); sys.exit(1)\n"
    head, mark, tail = EVALUATE.partition("label =")
    return head + crash + mark + tail


def test_an_evaluator_that_crashes_on_the_baseline_ends_the_campaign(tmp_path: Path) -> None:
    task = tiny_task(tmp_path / "task", {"evaluate.py": crashing("True")})
    finished = go(plan_of(task), tmp_path)
    assert finished.exit_code == 1
    assert finished.stop.reason.startswith("the evaluator ended with exit code 1, on the baseline too")
    assert "evaluator bug" in finished.stop.reason


def test_an_evaluator_that_crashes_on_one_trials_outputs_fails_that_trial(tmp_path: Path) -> None:
    train = """
import json, os
x = 9.0 if os.environ["AR_PARAM_MODE"] == "odd" else 0.5
with open(os.path.join(os.environ["AR_MODEL_DIR"], "model.json"), "w") as stream:
    json.dump({"x": x}, stream)
"""
    settled = run_modes(tmp_path, train, ["odd"], texts={"evaluate.py": crashing("prediction > 5")})
    assert settled["odd"].outcome.status is Status.FAILED
    assert settled["odd"].outcome.message.startswith("the evaluator ended with exit code 1 on this trial's outputs")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('{"loss": NaN}', "NaN is not a finite number"),
        ('{"loss": 1e999}', "not a finite number"),
        (f'{{"loss": 1{"0" * 400}}}', "not a finite number"),
        ('{"loss": "0.1"}', "not a finite number"),
        ('{"loss": true}', "not a finite number"),
        ('{"loss": 1, "loss": 2}', "stands there twice"),
        ('{"other": 1}', "lacks 'loss' (it has other)"),
        ("[1]", "no JSON object"),
        ("", "no JSON object"),
    ],
)
def test_answers_of_the_evaluator_that_are_no_scores(tmp_path: Path, answer: str, said: str) -> None:
    evaluate = f"import os\nos.write(int(os.environ['AR_ANSWER_FD']), {answer.encode()!r})\n"
    finished = go(plan_of(tiny_task(tmp_path / "task", {"evaluate.py": evaluate})), tmp_path)
    assert finished.exit_code == 1
    assert said in finished.stop.reason


def test_a_prepare_that_fails_ends_the_campaign_before_any_trial(tmp_path: Path) -> None:
    task = tiny_task(tmp_path / "task", {"prepare.py": "import sys; sys.exit('no data here')"})
    with pytest.raises(EvaluatorError, match="no data here"):
        go(plan_of(task), tmp_path)


def test_prepared_data_is_shared_and_mended(tmp_path: Path) -> None:
    task = tiny_task(tmp_path / "task")
    go(plan_of(task, max_trials=1), tmp_path, "first")
    (data,) = (tmp_path / "cache" / "tiny").glob("*/data")
    built = data.stat().st_ino
    go(plan_of(task, max_trials=1), tmp_path, "second")
    assert data.stat().st_ino == built, "found, not built again"
    (data / "train.txt").write_text("changed")
    assert go(plan_of(task, max_trials=1), tmp_path, "third").exit_code == 0
    assert (data / "train.txt").read_text() == "7\n"


@pytest.mark.parametrize("damage", ["gone", "link", "manifest"])
def test_damaged_prepared_data_is_built_again(tmp_path: Path, damage: str) -> None:
    task = tiny_task(tmp_path / "task")
    go(plan_of(task, max_trials=1), tmp_path, "first")
    (data,) = (tmp_path / "cache" / "tiny").glob("*/data")
    if damage == "gone":
        shutil.rmtree(data)
    elif damage == "link":
        (data / "more").symlink_to("/etc/hostname")
    else:
        (data.parent / "manifest.json").write_text("{}")
    assert go(plan_of(task, max_trials=1), tmp_path, "second").exit_code == 0
    assert sorted(path.name for path in data.iterdir()) == ["train.txt"]


def test_what_a_killed_controller_left_of_building_data_goes(tmp_path: Path) -> None:
    task = tiny_task(tmp_path / "task")
    go(plan_of(task, max_trials=1), tmp_path, "first")
    (data,) = (tmp_path / "cache" / "tiny").glob("*/data")
    left = data.parent.with_name(f"{data.parent.name[:8]}.abc")
    left.mkdir()
    (data / "train.txt").write_text("changed")
    assert go(plan_of(task, max_trials=1), tmp_path, "second").exit_code == 0
    assert not left.exists()
    assert data.parent.with_suffix(".lock").is_file()


def test_losing_the_prepared_data_with_its_seed_ends_the_campaign_and_says_so(tmp_path: Path) -> None:
    train = f"import os, shutil\nif os.environ['AR_TRIAL'] == '1':\n    shutil.rmtree({str(tmp_path / 'cache')!r})\n" + TRAIN
    stop = go(plan_of(tiny_task(tmp_path / "task", {"train.py": train})), tmp_path).stop
    assert stop.failed
    assert "was changed or deleted, and what was built again is not the same" in stop.reason


def test_a_task_may_ask_for_0_of_a_resource(tmp_path: Path) -> None:
    task = tiny_task(tmp_path / "task", resources={"cpu": 0, "gpu": 0})
    assert go(plan_of(task, max_trials=2), tmp_path).exit_code == 0


TAMPER = """
import os, sys
if os.environ["AR_PARAM_MODE"] == "labels":
    with open(os.path.join(os.environ["AR_DATA_DIR"], "..", "private", "labels.txt"), "w") as stream:
        stream.write("8")
if os.environ["AR_PARAM_MODE"] == "evaluator":
    with open(os.path.join(os.environ["AR_RUN_DIR"], "..", "..", "..", "frozen", "evaluate.py"), "w") as stream:
        stream.write("forged")
"""


def test_tampering_is_found_named_and_mended(tmp_path: Path) -> None:
    settled = run_modes(tmp_path, TAMPER + TRAIN, ["labels", "evaluator"], settings={"concurrency": 1})
    for mode, name in (("labels", "labels.txt"), ("evaluator", "evaluate.py")):
        outcome = settled[mode].outcome
        assert outcome.status is Status.TAMPERED
        assert name in outcome.message
    assert "forged" not in (tmp_path / "run" / "frozen" / "evaluate.py").read_text()


def test_a_task_without_an_evaluator_reads_the_printed_metric(tmp_path: Path) -> None:
    train = """
import os
mode = os.environ["AR_PARAM_MODE"]
print("loss = 0.9"); print("step 3 loss: 0.7 (best)")
print({"good": "loss: 2.5e-1", "nothing": "done", "nan": "loss: nan", "text": "loss: low", "inf": "loss=1e999"}[mode])
"""
    plain = {"predict_cmd": None, "evaluate_cmd": None, "outputs": []}
    settled = run_modes(tmp_path, train, ["nothing", "nan", "text", "inf"], **plain)
    assert settled["good"].outcome.score == 0.25
    assert settled["good"].outcome.verdict is not None
    assert settled["good"].outcome.verdict.kind == "self_reported"
    assert {mode: s.outcome.score for mode, s in settled.items() if mode != "good"} == dict.fromkeys(
        ["nothing", "nan", "text", "inf"], 0.9
    )
    silent = tiny_task(tmp_path / "silent", {"train.py": "print('hello')"}, **plain)
    finished = go(plan_of(silent), tmp_path, "silent-run")
    assert finished.exit_code == 1
    assert "train printed no line `loss=<finite number>`" in finished.stop.reason


FLOOD = (
    """
import os, sys
if os.environ["AR_PARAM_MODE"] == "flood":
    block = b"x" * 1_000_000
    for _ in range(200):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.write(b"the end\\n")
"""
    + TRAIN
)


def test_200_mb_of_output_cost_the_controller_no_memory(tmp_path: Path) -> None:
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    settled = run_modes(tmp_path, FLOOD, ["flood"])
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    outcome = settled["flood"].outcome
    assert outcome.status is Status.OK
    log = tmp_path / "run" / "trials" / "0001" / "1" / "train.stdout.log"
    assert 5_000_000 < log.stat().st_size < 11_000_000
    assert log.read_bytes().endswith(b"the end\n")
    assert outcome.usage["output_bytes"] >= 200_000_000
    assert grown_kb < 20_000


@pytest.mark.parametrize("named", [True, False])
def test_only_named_variables_reach_a_trial(tmp_path: Path, named: bool) -> None:
    mine = "PYTEST_CURRENT_TEST"  # stands in for a key in the controller's environment
    assert mine in os.environ
    train = "import json, os\njson.dump(dict(os.environ), open(os.environ['AR_MODEL_DIR'] + '/env.json', 'w'))\n" + TRAIN
    task = tiny_task(tmp_path / "task", {"train.py": train}, env=[mine] if named else [])
    finished = go(plan_of(task, max_trials=1), tmp_path)
    seen = json.loads((finished.run_dir / "trials" / "0000" / "1" / "model" / "env.json").read_text())
    assert (mine in seen) is named
    assert seen["HOME"].startswith(str(tmp_path))
    assert (seen["AR_TRIAL"], seen["AR_PARAM_X"], json.loads(seen["AR_PARAMS_JSON"])) == ("0", "0.5", {"x": 0.5})
    assert "AR_PRIVATE_DIR" not in seen
    assert "AR_TEST_DIR" not in seen


def test_parameters_in_argv(tmp_path: Path) -> None:
    train = "import sys, os, json\nassert sys.argv[1:] == ['--x', os.environ['AR_PARAM_X']], sys.argv\n" + TRAIN
    task = tiny_task(tmp_path / "task", {"train.py": train}, train_cmd=["python", "train.py", "--x", "{x}"])
    finished = go(plan_of(task, max_trials=2), tmp_path)
    assert [s.outcome.status for s in finished.history.settled] == [Status.OK, Status.OK]


SCRIPT = """
#!/bin/sh
exec python train.py
"""


def test_scripts_stay_executable_and_find_the_interpreter_of_the_task(tmp_path: Path) -> None:
    train = f"import sys\nassert sys.executable == {sys.executable!r}, sys.executable\n" + TRAIN
    roles = {"frozen": ["prepare.py", "evaluate.py"], "mutable": ["train.py", "predict.py", "train.sh"]}
    config = task_config(tmp_path / "task", {"train.py": train, "train.sh": SCRIPT}, train_cmd=["./train.sh"])
    (tmp_path / "task" / "train.sh").chmod(0o755)
    task = Task(**{**config, "files": roles})
    assert task.check() == []
    stop = go(plan_of(task, max_trials=1), tmp_path).stop
    assert not stop.failed, stop.reason


def test_a_frozen_script_may_be_the_evaluator(tmp_path: Path) -> None:
    script = f"#!{sys.executable}\n" + EVALUATE
    roles = {"frozen": ["prepare.py", "score"], "mutable": ["train.py", "predict.py"]}
    config = task_config(tmp_path / "task", {"score": script}, evaluate_cmd=["./score"])
    (tmp_path / "task" / "score").chmod(0o755)
    assert go(plan_of(Task(**{**config, "files": roles}), max_trials=1), tmp_path).exit_code == 0


def test_what_the_evaluator_leaves_in_its_folder_goes(tmp_path: Path) -> None:
    evaluate = "import os\nassert os.listdir() == [], 'own empty folder'\nopen('cache', 'w').close()\n" + EVALUATE
    finished = go(plan_of(tiny_task(tmp_path / "task", {"evaluate.py": evaluate}), max_trials=1), tmp_path)
    assert finished.exit_code == 0
    assert not (finished.run_dir / "trials" / "0000" / "1" / "evaluate").exists()


def test_the_evaluator_is_tried_on_the_attempt_of_the_baseline_that_got_a_score(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "trials" / "0000"
    for attempt, status in (("1", "lost"), ("2", "ok")):
        (folder / attempt / "outputs").mkdir(parents=True)
        (folder / attempt / "outcome.json").write_text(json.dumps({"status": status}))
    found = scored_baseline(tmp_path / "run")
    assert found is not None
    assert found.root == folder / "2"


def test_an_evaluator_that_crashes_fails_the_trial_where_no_baseline_was_ever_scored(tmp_path: Path) -> None:
    train = "import os, sys\nif os.environ['AR_TRIAL'] == '0': sys.exit(1)\n" + TRAIN
    task = tiny_task(tmp_path / "task", {"train.py": train, "evaluate.py": crashing("True")})
    finished = go(plan_of(task, max_trials=2, require_baseline=False), tmp_path)
    assert not finished.stop.failed
    assert "on this trial's outputs" in finished.history.settled[1].outcome.message


class Ordering:
    """Runs the attempts of real stages; gives each but the baseline an order once it has entered a stage."""

    def __init__(self, stage: str, order: Order) -> None:
        self.stage, self.order = stage, order
        self.control: Control | None = None

    def post(self, event: Reported | Released) -> None:
        if isinstance(event, Reported) and event.stage == self.stage and self.control is not None:
            wanted = event.progress is not None if self.stage == "train" else True
            self.control.order = self.order if wanted else None


def ordered(folder: Path, stage: str, kind: Any, files: dict[str, str], grace_s: float = 1.0) -> SettledEvent:
    """How an attempt ends that gets an order while it is in that stage."""
    task = tiny_task(folder / "task", files)
    ordering = Ordering(stage, Order(kind=kind, reason="because"))
    target, local = Command(), Command()
    prepared = prepare(task, local, folder / "cache", announce=lambda _: None)
    sources = Sources(Blobs(folder / "blobs"))
    (folder / "blobs").mkdir()
    frozen = task.frozen_texts()
    stages = Stages(
        task=task,
        campaign="C",
        run_dir=folder,
        target=target,
        local=local,
        prepared=prepared,
        sources=sources,
        frozen=frozen,
        guard=_guard(folder, frozen, prepared, lambda: None),
        grace_s=grace_s,
        keep_workspaces=False,
        leases=Leases(folder),
        hardware={},
        clock=Clock(),
        post=ordering.post,
    )
    ordering.control = Control()
    trial = Trial(number=1, proposal=Proposal(params={"x": 0.5}), seed=0, source_hash=sources.add(task.sources()))
    try:
        return stages.run(StartTrial(trial=trial), ordering.control)
    finally:
        target.close()
        local.close()


SHORT = """
import json, os
from autoresearch_rl import emit_progress
import time
for step in range(1, 1000):
    time.sleep(0.02)
    if not emit_progress(step=step, step_target=STEP_TARGET, metrics={"loss": 1.0}, exit_on_cancel=False):
        break
with open(os.path.join(os.environ["AR_MODEL_DIR"], "model.json"), "w") as stream:
    json.dump({"x": 0.5}, stream)
"""


@pytest.mark.parametrize(("kind", "status"), [("stop", Status.LOST), ("cancel", Status.CANCELLED)])
def test_a_trial_that_obeys_with_exit_code_0_is_not_scored_for_its_cut_training(
    tmp_path: Path, kind: str, status: Status
) -> None:
    source = f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\n" + SHORT.replace("STEP_TARGET", "1000")
    settled = ordered(tmp_path, "train", kind, {"train.py": source}, grace_s=20.0)
    assert (settled.outcome.status, settled.outcome.score) == (status, None)
    assert settled.interrupted is (kind == "stop")


def test_a_trial_that_reached_its_last_step_is_scored_although_it_was_cancelled(tmp_path: Path) -> None:
    train = TRAIN + "import time; time.sleep(1)\n"
    settled = ordered(tmp_path, "train", "cancel", {"train.py": train}, grace_s=20.0)
    assert settled.outcome.status is Status.OK


SLOW = "import time\ntime.sleep(3)\n"


def test_a_stop_that_outlasts_the_evaluators_grace_is_an_interruption_and_no_crash(tmp_path: Path) -> None:
    settled = ordered(tmp_path, "evaluate", "stop", {"evaluate.py": SLOW + EVALUATE}, grace_s=0.2)
    assert (settled.outcome.status, settled.interrupted) == (Status.LOST, True)
    assert settled.outcome.message == "evaluate: because"


@pytest.mark.parametrize("stage", ["predict", "evaluate"])
def test_a_cancel_order_that_comes_after_training_comes_too_late(tmp_path: Path, stage: str) -> None:
    files = {"predict.py": SLOW + PREDICT} if stage == "predict" else {"evaluate.py": SLOW + EVALUATE}
    assert ordered(tmp_path, stage, "cancel", files, grace_s=0.2).outcome.status is Status.OK


def test_an_evaluator_may_import_its_frozen_neighbours(tmp_path: Path) -> None:
    files = {
        "scoring.py": "def loss(x: float) -> float:\n    return (x - 0.3) ** 2\n",
        "evaluate.py": "import scoring\n" + EVALUATE,
    }
    files["evaluate.py"] = files["evaluate.py"].replace("(prediction - 0.3) ** 2", "scoring.loss(prediction)")
    task = tiny_task(
        tmp_path / "task",
        files,
        files={"frozen": ["prepare.py", "evaluate.py", "scoring.py"], "mutable": ["train.py", "predict.py"]},
    )
    finished = go(plan_of(task, max_trials=2), tmp_path)
    assert [s.outcome.status for s in finished.history.settled] == [Status.OK, Status.OK]
    assert not list((finished.run_dir / "frozen").rglob("__pycache__")), "byte code there would be a trial's"


PLANT = """
import os, sys
frozen = os.path.join(os.environ["AR_RUN_DIR"], "..", "..", "..", "frozen")
mode = os.environ["AR_PARAM_MODE"]
if mode == "module":
    open(os.path.join(frozen, "json.py"), "w").write("raise SystemExit(0)")
if mode == "bytecode":
    os.mkdir(os.path.join(frozen, "__pycache__"))
    open(os.path.join(frozen, "__pycache__", "evaluate.cpython-311.pyc"), "wb").write(b"x")
if mode == "symlink":
    os.symlink("/etc/hostname", os.path.join(os.environ["AR_DATA_DIR"], "extra"))
if mode == "folder":
    os.symlink("/etc", os.path.join(os.environ["AR_DATA_DIR"], "etc"))
if mode == "fifo":
    os.mkfifo(os.path.join(os.environ["AR_DATA_DIR"], "pipe"))
if mode == "replaced":
    import shutil
    shutil.rmtree(frozen)
    open(frozen, "w").close()
"""


def test_what_a_trial_plants_beside_the_frozen_is_tampering(tmp_path: Path) -> None:
    modes = ["module", "bytecode", "symlink", "folder", "fifo", "replaced"]
    settled = run_modes(tmp_path, PLANT + TRAIN, modes, settings={"concurrency": 1})
    assert {mode: s.outcome.status for mode, s in settled.items()} == {"good": Status.OK, **dict.fromkeys(modes, Status.TAMPERED)}
    assert sorted(path.name for path in (tmp_path / "run" / "frozen").iterdir()) == ["evaluate.py", "prepare.py"]


SNEAK = """
import json, os
if os.environ["AR_PARAM_MODE"] == "sneak":
    open("predict.py", "w").write("import json, os; json.dump(0.3, open(os.path.join(os.environ['AR_OUTPUT_DIR'], 'prediction.json'), 'w'))")
    out = os.path.join(os.environ["AR_RUN_DIR"], "scratch", "outputs")
    os.makedirs(out, exist_ok=True)
    json.dump(0.3, open(os.path.join(out, "prediction.json"), "w"))
assert "AR_OUTPUT_DIR" not in os.environ
"""


def test_predict_runs_its_own_source_and_only_it_writes_outputs(tmp_path: Path) -> None:
    settled = run_modes(tmp_path, SNEAK + TRAIN, ["sneak"])
    assert {mode: s.outcome.score for mode, s in settled.items()} == {"good": pytest.approx(0.04), "sneak": pytest.approx(0.04)}


@pytest.mark.parametrize("attempt", [1, 2])
def test_an_attempt_finds_nothing_of_one_that_the_journal_has_forgotten(tmp_path: Path, attempt: int) -> None:
    trial = Trial(number=3, attempt=attempt, proposal=Proposal(params={}), seed=0)
    for _ in range(2):
        space = Workspace.create(tmp_path, trial)
        assert list(space.scratch_model.iterdir()) == []
        assert not space.progress.exists()
        kept = [path.name for path in space.checkpoint.iterdir()]
        (space.scratch_model / "model.json").write_text("{}")
        space.progress.write_text("{}")
        (space.checkpoint / "state.json").write_text("{}")
    assert kept == ([] if attempt == 1 else ["state.json"]), "later attempts go on from what earlier ones saved"
