"""The command `arrl`, as people type it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoresearch_rl.controller.journal import read
from autoresearch_rl.events import Opened, SettledEvent
from autoresearch_rl.trial import Status
from tests.tasks import TRAIN, task_config

ARRL = str(Path(sys.executable).parent / "arrl")
QUIET = ["telemetry=[ledger]", "controller.min_free_disk_mb=1"]


def arrl(
    *arguments: str, cwd: Path, code: int = 0, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "XDG_CACHE_HOME": str(cwd / "cache"), **(environment or {})}
    done = subprocess.run([ARRL, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def write_task(folder: Path, files: Mapping[str, str] | None = None, **changes: Any) -> Path:
    config = task_config(folder, files, **changes)
    del config["path"]
    (folder / "task.yaml").write_text(yaml.safe_dump(config))
    return folder


def only_run(cwd: Path) -> Path:
    (journal,) = cwd.glob("runs/*/*/journal.jsonl")
    return journal.parent


def test_in_a_folder_with_a_task_yaml_it_just_runs(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    done = arrl("controller.max_trials=4", *QUIET, cwd=folder)
    run_dir = only_run(folder)
    assert "Ended: all 4 trials are done" in done.stdout
    assert "Best:  trial" in done.stdout
    assert f"{run_dir.relative_to(folder)}/results.tsv" in done.stdout
    opened = next(read(run_dir)).record
    assert isinstance(opened, Opened)
    assert opened.task == "tiny"
    assert opened.tags["policy"] == "tpe"
    assert (run_dir / ".hydra" / "config.yaml").is_file()


@pytest.mark.parametrize("arguments", [["task.path=task"], ["task=folder", "task.path=task"]])
def test_a_task_folder_by_path(tmp_path: Path, arguments: list[str]) -> None:
    write_task(tmp_path / "task")
    arrl(*arguments, "policy=random", "controller.max_trials=2", *QUIET, cwd=tmp_path)
    assert only_run(tmp_path).parent.name == "tiny"


def test_overrides_reach_the_task(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    arrl("controller.max_trials=2", "task.timeouts.train_s=7", "task.space.x.high=0.9", *QUIET, cwd=folder)
    opened = next(read(only_run(folder))).record
    assert isinstance(opened, Opened)
    config = yaml.safe_load(opened.config)
    assert config["task"]["timeouts"]["train_s"] == 7
    assert config["task"]["space"]["x"]["high"] == 0.9


def test_multirun_runs_every_combination_and_shares_a_tag(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    arrl("-m", "policy=random,tpe", "controller.seed=1,2", "controller.max_trials=2", *QUIET, cwd=folder)
    opened = [next(read(path.parent)).record for path in folder.glob("runs/sweeps/*/*/journal.jsonl")]
    assert len(opened) == 4
    tags = [record.tags for record in opened if isinstance(record, Opened)]
    assert len({tag["sweep"] for tag in tags}) == 1
    assert sorted(tag["policy"] for tag in tags) == ["random", "random", "tpe", "tpe"]


def test_a_sweep_in_other_processes_tells_that_no_campaign_got_a_score(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="hydra-joblib-launcher is not installed")
    folder = write_task(tmp_path / "task", {"train.py": "raise SystemExit(1)\n"})
    sweep = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "controller.seed=1,2", "controller.max_trials=1"]
    arrl(*sweep, "controller.require_baseline=false", *QUIET, cwd=folder, code=3)


def test_a_broken_campaign_of_a_sweep_leaves_the_others_alone(tmp_path: Path) -> None:
    folder = write_task(
        tmp_path / "task", {"train.py": "import os, sys\nif os.environ['AR_PARAM_X'] == '0.25': sys.exit(1)\n" + TRAIN}
    )
    arrl("-m", "task.space.x.high=0.5,1.0", "controller.max_trials=1", *QUIET, cwd=folder, code=1)
    assert len(list(folder.glob("runs/sweeps/*/*/journal.jsonl"))) == 2


def test_flags_of_hydra_may_stand_behind_overrides(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    shown = arrl("policy=random", "controller.seed=7", "--cfg", "job", cwd=folder).stdout
    assert (yaml.safe_load(shown)["task"]["name"], yaml.safe_load(shown)["controller"]["seed"]) == ("tiny", 7)
    assert "--config-dir" in arrl("--hydra-help", cwd=folder).stdout
    said = arrl("controller.seed=1,2", "controller.max_trials=1", *QUIET, "-m", cwd=folder).stderr
    assert "campaign 1 of the sweep: controller.seed=2 controller.max_trials=1" in said


def test_without_telemetry_no_file_of_it_is_promised(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    said = arrl("controller.max_trials=1", "telemetry=[]", "controller.min_free_disk_mb=1", cwd=folder).stdout
    assert "All trials: `" in said
    assert "results.tsv" not in said


def test_cfg_and_help(tmp_path: Path) -> None:
    shown = arrl("--cfg", "job", "policy=random", "task=digits", cwd=tmp_path).stdout
    assert yaml.safe_load(shown)["policy"]["_target_"].endswith("Random")
    taught = arrl("--help", cwd=tmp_path).stdout
    for word in ("policy", "validate", "task.path=", "-m", "controller.max_trials", "digits", "stdlib_lm", "Exit codes"):
        assert word in taught, word


def test_validate_accepts_a_good_task_and_starts_nothing(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    said = arrl("validate", *QUIET, cwd=folder).stdout
    assert said.startswith(
        "Ready: task tiny in ., policy tpe, target command, 48 trials, 2 at a time, keep rule noise, cancel rule auto."
    )
    assert "Search space: x (infinite settings); objective: minimize loss." in said
    assert not (folder / "runs").exists()


def test_who_stops_reading_is_told_nothing_more(tmp_path: Path) -> None:
    command = [ARRL, "validate", "task=digits"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 141


def test_validate_lists_everything_at_once(tmp_path: Path) -> None:
    folder = write_task(
        tmp_path / "task",
        train_cmd=["no-such-program", "{nope}"],
        space={"x": {"low": 1.0, "high": 0.0}, "y": {"low": -1.0, "high": 1.0, "log": True}},
        objective={"metric": "loss", "direction": "up"},
        unknown_key=1,
    )
    said = arrl("validate", "controller.concurrency=0", "policy=grid", "policy.points_per_range=0", cwd=folder, code=2).stderr
    for word in ("low", "log", "direction", "unknown_key", "controller.concurrency"):
        assert word in said, (word, said)
    assert said.count("error: [") >= 5
    good_space = write_task(tmp_path / "other", {}, train_cmd=["no-such-program", "{nope}"])
    (good_space / "evaluate.py").unlink()
    said = arrl("validate", cwd=good_space, code=2).stderr
    for word in ("no-such-program", "'nope'", "evaluate.py"):
        assert word in said, (word, said)


BAD: list[tuple[str, list[str], str]] = [
    ("unknown option", ["policy=tpee"], "[option-unknown] policy has no option 'tpee'. Did you mean tpe? There are cmaes, grid"),
    ("unknown key", ["controller.max_trails=3"], "Did you mean controller.max_trials? `arrl --cfg job` prints all keys"),
    ("bad override", ["controller.max_trials="], ""),
    ("bad value", ["controller.max_trials=-1"], "[controller-value] controller.max_trials is -1"),
    ("half a trial", ["controller.patience=2.5"], "[controller-value] controller.patience is 2.5"),
    ("word", ["polcy"], "[verb-unknown] 'polcy'"),
    (
        "verb with another dash",
        ["run_one"],
        "'run_one' is neither a verb nor an override of the form KEY=VALUE. Did you mean run-one?",
    ),
    ("verb that is not first", ["policy=random", "validate"], "Write it first: arrl validate"),
    ("no option", ["policy=null"], "[override-broken]"),
    ("wrong type", ["controller.concurrency=two"], "controller.concurrency"),
    ("foreign class", ["policy._target_=os.system"], "[class-not-allowed] policy._target_ names 'os.system'"),
    (
        "foreign function behind a module of ours",
        ["policy={_target_: autoresearch_rl.task.shutil.rmtree, _partial_: true}"],
        "[class-not-allowed] policy._target_ names 'autoresearch_rl.task.shutil.rmtree'",
    ),
    ("password", ["task=digits", "task.description='http://me:secret@host/'"], "[config-password] task.description holds"),
    ("missing task", ["task.path=nowhere"], "[task-yaml-missing]"),
    ("key that is left out", ["task=digits", "task.python=3"], "is added with a plus: +task.python=VALUE"),
    ("missing interpreter", ["task=digits", "+task.python=/no/such/python"], "/no/such/python"),
    ("resources", ["task=digits", "+task.resources.gpu=64"], "[resources-never-fit]"),
    ("empty space", ["task=digits", "task.space=null"], "space"),
    ("run dir", ["task=digits", "hydra.run.dir=/proc/nowhere"], "/proc/nowhere"),
    ("disk", ["task=digits", "controller.min_free_disk_mb=1e12"], "[disk-full]"),
]


@pytest.mark.parametrize(("arguments", "said"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_input_is_a_sentence_and_exit_2_before_any_trial(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = arrl(*arguments, "telemetry=[ledger]", cwd=tmp_path, code=2)
    assert said in done.stderr, done.stderr
    assert not list(tmp_path.glob("runs/**/journal.jsonl"))


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [1", "[task-yaml-broken]"), ("just words", "[task-yaml-broken]"), ("", "files"), ("- 1\n- 2\n", "[task-yaml-broken]")],
)
def test_a_broken_task_yaml(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "task.yaml").write_text(text)
    assert said in arrl("validate", cwd=tmp_path, code=2).stderr


def test_no_class_comes_in_through_an_interpolation_that_is_resolved_late(tmp_path: Path) -> None:
    hidden = r"\${oc.create:'{_target_: pathlib.Path, _args_: [x]}'}"
    folder = write_task(tmp_path / "task", space={"x": {"low": 0.0, "high": 1.0, "default": hidden}})
    said = arrl("validate", cwd=folder, code=2).stderr
    assert "[config-braces] task.space.x.default is" in said


def test_a_run_directory_in_use_is_refused(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    arrl("controller.max_trials=1", "hydra.run.dir=here", *QUIET, cwd=folder)
    assert "[run-dir-used]" in arrl("controller.max_trials=1", "hydra.run.dir=here", *QUIET, cwd=folder, code=2).stderr


def test_a_cache_that_cannot_be_written_is_a_sentence_and_the_run_directory_can_be_used_again(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    (folder / "file").write_text("")
    options = ["controller.max_trials=1", "hydra.run.dir=here", *QUIET]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "file")}
    done = subprocess.run([ARRL, *options], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("arrl: [Errno 20] Not a directory")
    arrl(*options, cwd=folder)


def test_a_failed_baseline_exits_1_with_the_last_lines(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task", {"train.py": "raise ValueError('no such layer')"})
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run([ARRL, *QUIET], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the baseline (trial 0) has no score: train ended with exit code 1" in done.stderr
    assert "ValueError: no such layer" in done.stderr


def test_no_score_exits_3(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task", {"train.py": "raise SystemExit(1)"})
    limits = ["controller.require_baseline=false", "controller.max_failure_rate=1.0", "controller.max_trials=3"]
    arrl(*limits, *QUIET, cwd=folder, code=3)


def test_run_one(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    patch = folder / "fix.diff"
    patch.write_text('--- a/train.py\n+++ b/train.py\n@@ -2 +2 @@\n-x = float(os.environ["AR_PARAM_X"])\n+x = 0.3\n')
    done = arrl("run-one", "--params", '{"x": 0.9}', "--patch", "fix.diff", *QUIET, cwd=folder)
    settled = [e.record for e in read(only_run(folder)) if isinstance(e.record, SettledEvent)]
    assert [record.outcome.score for record in settled] == [pytest.approx(0.04), 0.0]
    assert "Best:  trial 1 with 0 (baseline 0.04)\n       x=0.9, patched\n" in done.stdout
    patch.write_text("--- a/train.py\n+++ b/train.py\n@@ -2 +2 @@\n-y = 1\n+x = 0.3\n")
    refused = arrl("run-one", "--patch", "fix.diff", "hydra.run.dir=second", *QUIET, cwd=folder, code=3)
    assert "Trial 1 rejected: patch refused (" in refused.stdout
    for bad in ('{"x": 7}', '{"z": 1}', "[1]", "{"):
        arrl("run-one", "--params", bad, "hydra.run.dir=third", *QUIET, cwd=folder, code=2)


def test_init_makes_a_task_that_runs_at_once(tmp_path: Path) -> None:
    assert "cd new" in arrl("init", "new", cwd=tmp_path).stdout
    done = arrl("controller.max_trials=3", *QUIET, cwd=tmp_path / "new")
    assert "Best:  trial" in done.stdout
    assert "[folder-not-empty]" in arrl("init", "new", cwd=tmp_path, code=2).stderr


def test_status_of_an_ended_campaign(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    arrl("controller.max_trials=4", *QUIET, cwd=folder)
    run_dir = str(only_run(folder).relative_to(folder))
    told = json.loads(arrl("status", run_dir, "--json", "--last", "2", cwd=folder).stdout)
    assert (told["state"], told["settled"], len(told["trials"]), told["running"]) == ("ended", 4, 2, [])
    assert told["reason"].startswith("all 4 trials are done")
    shown = arrl("status", run_dir, cwd=folder).stdout
    assert "best: trial" in shown
    assert "is the baseline" in shown
    assert "nothing to stop" in arrl("stop", run_dir, cwd=folder, code=1).stderr
    assert "is no run directory" in arrl("stop", ".", cwd=folder, code=1).stderr
    assert "cannot be read" in arrl("status", ".", cwd=folder, code=1).stderr


SLOW = "import os, time\nif os.environ['AR_TRIAL'] != '0': time.sleep(60)\n" + TRAIN


def start_slow(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A campaign whose trials after the baseline sleep, started and waited for until two run."""
    write_task(folder, {"train.py": SLOW}, timeouts={"train_s": 100})
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    command = [ARRL, "hydra.run.dir=run", *QUIET, *arguments]
    child = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        journal = folder / "run" / "journal.jsonl"
        if journal.exists() and journal.read_text().count('"kind":"start"') == 3:
            time.sleep(0.5)
            return child
        time.sleep(0.1)
    child.kill()
    raise AssertionError(child.communicate())


def alive(folder: Path) -> list[str]:
    """Command lines of processes that run in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").readlink().is_relative_to(folder):
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_campaign_in_order(tmp_path: Path, number: int, code: int) -> None:
    child = start_slow(tmp_path / "task", "controller.grace_s=0.5")
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert child.returncode == code, (out, err)
    assert "Ended: interrupted." in out
    assert alive(tmp_path) == []
    lost = [e.record for e in read(tmp_path / "task" / "run") if isinstance(e.record, SettledEvent) and e.record.interrupted]
    assert len(lost) == 2
    last = out.splitlines()[-1]
    assert last.startswith("Go on with: ")
    verb, run_dir = last.split()[-2:]
    said = arrl(verb, run_dir, "controller.max_trials=1", cwd=tmp_path / "task").stdout
    assert "all 1 trials are done" in said


def test_stop_reaches_a_live_campaign(tmp_path: Path) -> None:
    child = start_slow(tmp_path / "task", "controller.grace_s=0.5")
    assert "run is asked to stop." in arrl("stop", "run", cwd=tmp_path / "task").stdout
    out, err = child.communicate(timeout=30)
    assert child.returncode == 0, (out, err)
    assert "Ended: stopped on request." in out


def test_kill_9_leaves_no_child_and_a_whole_journal(tmp_path: Path) -> None:
    child = start_slow(tmp_path / "task")
    assert len(alive(tmp_path)) >= 3
    child.kill()
    child.communicate()
    time.sleep(2)
    assert alive(tmp_path) == []
    kinds = [type(entry.record).__name__ for entry in read(tmp_path / "task" / "run")]
    assert kinds.count("SettledEvent") == 1
    told = json.loads(arrl("status", "run", "--json", cwd=tmp_path / "task").stdout)
    assert (told["state"], told["settled"], told["running"]) == ("running or killed", 1, [1, 2])


HEAVY = ("torch", "mlflow", "litellm", "ray", "optuna")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["validate", "task=digits"], ["--version"], ["status", "nowhere"], ["-sc", "query=bash"]]
)
def test_what_must_be_quick_imports_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    script = f"""
import sys
from autoresearch_rl.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
print("HEAVY", [name for name in {HEAVY!r} if name in sys.modules])
"""
    env = {**os.environ, "COMP_LINE": "arrl policy=", "COMP_POINT": "12", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["HEAVY []"], done.stdout + done.stderr


def test_a_policy_of_ones_own_in_one_file(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    (folder / "my_policy.py").write_text(
        """
from autoresearch_rl import Ask, Proposal, SearchSpace


class Corner:
    def __init__(self, space: SearchSpace, x: float) -> None:
        self.x = x

    def propose(self, ask: Ask) -> list[Proposal]:
        return [Proposal(params={"x": self.x}, source="corner")]
"""
    )
    (folder / "my_conf" / "policy").mkdir(parents=True)
    (folder / "my_conf" / "policy" / "corner.yaml").write_text("_target_: my_policy.Corner\n_partial_: true\nx: 0.3\n")
    options = ["--config-dir", "my_conf", "policy=corner", "controller.max_trials=2"]
    assert "[class-not-allowed]" in arrl(*options, *QUIET, cwd=folder, code=2).stderr
    assert "Best:  trial 1 with 0" in arrl(*options, "plugins=[my_policy]", *QUIET, cwd=folder).stdout
    assert "policy corner" in arrl("validate", *options, "plugins=[my_policy]", *QUIET, cwd=folder).stdout
    assert "Best:" in arrl("run-one", *options[:2], "plugins=[my_policy]", *QUIET, cwd=folder).stdout


def test_the_wheel_has_what_the_command_needs() -> None:
    from importlib.resources import files

    package = files("autoresearch_rl")
    for name in ("conf/config.yaml", "examples/skeleton/task.yaml", "py.typed"):
        assert package.joinpath(name).is_file(), name
    assert shutil.which(ARRL)


BUSY = "import os, time\ntime.sleep(0.02 + 0.1 * float(os.environ['AR_PARAM_X']))\n" + TRAIN


def killed_at(folder: Path, delay_s: float) -> tuple[list[Any], list[str]]:
    """Kills a busy campaign some time after its first start; what was settled by then, as a follower of the ledger saw it."""
    write_task(folder, {"train.py": BUSY})
    env = {**os.environ, "XDG_CACHE_HOME": str(folder.parent / "cache")}
    command = [ARRL, "hydra.run.dir=run", "controller.max_trials=500", "controller.concurrency=3", *QUIET]
    child = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = folder / "run" / "journal.jsonl"
    while not (journal.exists() and '"kind":"start"' in journal.read_text()):
        time.sleep(0.01)
    time.sleep(delay_s)
    child.kill()
    child.wait()
    time.sleep(2)
    ledger = folder / "run" / "results.tsv"
    shown = [line.split("\t")[0] for line in ledger.read_text().splitlines()[1:]] if ledger.exists() else []
    return [entry.record for entry in read(folder / "run")], shown


def check_killed(folder: Path, delay_s: float) -> None:
    records, shown = killed_at(folder, delay_s)
    assert alive(folder) == [], "no child survives"
    settled = [str(record.number) for record in records if isinstance(record, SettledEvent)]
    assert set(shown) <= set(settled), "what was shown as settled is in the journal"
    assert len(set(settled)) == len(settled)
    assert json.loads(arrl("status", "run", "--json", cwd=folder).stdout)["settled"] >= len(settled) - 1
    goal = len(settled) + 20  # more than were under way
    said = arrl(
        "resume", "run", f"controller.max_trials={goal}", cwd=folder, environment={"XDG_CACHE_HOME": str(folder.parent / "cache")}
    )
    assert f"all {goal} trials are done" in said.stdout
    numbers = [
        e.record.number
        for e in read(folder / "run")
        if isinstance(e.record, SettledEvent) and e.record.outcome.status is Status.OK
    ]
    assert sorted(numbers) == list(range(goal)), "every trial settles once"
    rows = [line.split("\t")[0] for line in (folder / "run" / "results.tsv").read_text().splitlines()[1:]]
    assert sorted(map(int, rows)) == list(range(goal))
    assert "every decision and proposal came out the same" in arrl("replay", "run", cwd=folder).stdout


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_at_a_random_moment(tmp_path: Path, seed: int) -> None:
    check_killed(tmp_path / "task", random.Random(seed).uniform(0, 2))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 160))
def test_kill_9_at_many_random_moments(tmp_path: Path, seed: int) -> None:
    check_killed(tmp_path / "task", random.Random(seed).uniform(0, 4))


def test_a_resumed_campaign_decides_as_one_that_was_not_interrupted(tmp_path: Path) -> None:
    options = [
        "policy=random",
        "controller.concurrency=1",
        "controller.max_trials=6",
        "hydra.run.dir=run",
        "controller.lookahead=0",
        *QUIET,
    ]
    stories = []
    for name in ("straight", "broken"):
        folder = write_task(tmp_path / name, {"train.py": BUSY})
        if name == "broken":
            env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
            child = subprocess.Popen([ARRL, *options], cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            journal = folder / "run" / "journal.jsonl"
            while not (journal.exists() and journal.read_text().count('"kind":"settled"') >= 3):
                time.sleep(0.01)
            child.kill()
            child.wait()
            arrl("resume", "run", cwd=folder)
        else:
            arrl(*options, cwd=folder)
        status = json.loads(arrl("status", "run", "--json", "--last", "0", cwd=folder).stdout)
        stories.append([(row["trial"], row["params"], row["score"], row["reason"]) for row in status["trials"]])
    assert stories[0] == stories[1]


def test_resume_refuses_what_would_make_it_another_campaign(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    arrl("controller.max_trials=2", "hydra.run.dir=run", *QUIET, cwd=folder)
    for override, said in (
        ("controller.seed=2", "[resume-override] controller.seed"),
        ("controller.max_trails=9", "Did you mean controller.max_trials?"),
        ("policy=random", "[resume-override] policy"),
        ("controller.max_trials=0", "[controller-value]"),
    ):
        assert said in arrl("resume", "run", override, cwd=folder, code=2).stderr
    assert "cannot be read" in arrl("resume", "nowhere", cwd=folder, code=1).stderr
    (folder / "evaluate.py").write_text("# another one\n" + (folder / "evaluate.py").read_text())
    refused = arrl("resume", "run", "controller.max_trials=4", cwd=folder, code=2).stderr
    assert "[frozen-changed] evaluate.py" in refused
