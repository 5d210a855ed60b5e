"""The trial's side runs in processes of its own here, as it keeps a descriptor and reads the environment."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import autoresearch_rl
from autoresearch_rl.target import Job, Limits
from autoresearch_rl.target.command import Command
from autoresearch_rl.trial import Order, Progress

ROOT = Path(autoresearch_rl.__file__).parent.parent
START = "from autoresearch_rl.target.progress import emit_progress\n"


def trial(folder: Path, text: str, *, campaign: bool = True) -> subprocess.CompletedProcess[str]:
    files = {"AR_PROGRESS_FILE": str(folder / "progress.jsonl"), "AR_CONTROL_FILE": str(folder / "control.json")}
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(files if campaign else {})}
    return subprocess.run(
        [sys.executable, "-c", START + text], env=env, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]


def order(folder: Path, kind: object) -> None:
    (folder / "control.json").write_text(json.dumps({"order": kind, "reason": "r"}))


def test_reports_are_lines(tmp_path: Path) -> None:
    done = trial(
        tmp_path, "for n in range(3): assert emit_progress(step=n, step_target=3, metrics={'loss': 1 / (n + 1)}) is True"
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = lines(tmp_path)
    assert [(line["step"], line["step_target"]) for line in found] == [(0, 3), (1, 3), (2, 3)]
    assert found[1]["metrics"] == {"loss": 0.5}
    assert 0 <= found[0]["elapsed_s"] <= found[2]["elapsed_s"] < 30


def test_outside_a_campaign_nothing_happens(tmp_path: Path) -> None:
    done = trial(tmp_path, "assert emit_progress(step=1, metrics={'a': 1}) is True", campaign=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_odd_values_are_left_out(tmp_path: Path) -> None:
    text = """
import numpy as np
class Tensor:
    def __float__(self): return 0.25
class Broken:
    def __float__(self): raise RuntimeError("device lost")
    def __str__(self): raise RuntimeError("no name")
metrics = {"np": np.float32(0.5), "int": np.int64(3), "tensor": Tensor(), "one": np.ones(1), "many": np.ones(2), "text": "1.5",
           "bytes": b"1", "none": None, "nan": float("nan"), "inf": float("-inf"), "broken": Broken(), "flag": True, 7: 1.0}
assert emit_progress(step=np.int32(4), step_target=Tensor(), metrics=metrics)
for step, given in ((1, None), (2, [1]), ("x", {}), (None, {}), (Broken(), {}), (3, {Broken(): 1}), (10**400, {})):
    assert emit_progress(step=step, metrics=given)
"""
    done = trial(tmp_path, text)
    assert (done.returncode, done.stderr) == (0, "")
    first, *rest = lines(tmp_path)
    assert (first["step"], first["step_target"]) == (4.0, 0.25)
    numbers = {name: value for name, value in first["metrics"].items() if name not in ("one", "nan")}
    assert numbers == {"np": 0.5, "int": 3.0, "tensor": 0.25, "inf": float("-inf"), "flag": 1.0, "7": 1.0}
    assert first["metrics"]["nan"] != first["metrics"]["nan"]
    assert all(line["step"] is None for line in rest)


@pytest.mark.parametrize("place", ["folder", "missing"])
def test_a_file_that_cannot_be_written_ends_nothing(tmp_path: Path, place: str) -> None:
    if place == "folder":
        (tmp_path / "progress.jsonl").mkdir()
        (tmp_path / "control.json").mkdir()
    text = "import os\nif %r: os.environ['AR_PROGRESS_FILE'] = '/none/x'\nassert emit_progress(step=1, metrics={})" % (
        place == "missing"
    )
    assert trial(tmp_path, text).returncode == 0


@pytest.mark.parametrize("kind", ["cancel", "stop", "pause"])
def test_an_order_ends_training(tmp_path: Path, kind: str) -> None:
    order(tmp_path, kind)
    assert trial(tmp_path, "emit_progress(step=1, metrics={})\nprint('went on')").returncode == 42
    assert trial(tmp_path, "print(emit_progress(step=1, metrics={}, exit_on_cancel=False))").stdout == "False\n"
    assert len(lines(tmp_path)) == 2


def test_a_pause_saves_first(tmp_path: Path) -> None:
    order(tmp_path, "pause")
    for options in ("", ", exit_on_cancel=False"):
        done = trial(tmp_path, f"emit_progress(step=1, metrics={{}}, save=lambda: print('saved'){options})\nprint('went on')")
        assert (done.returncode, done.stdout) == (43, "saved\n")


def test_a_pause_that_cannot_save_cancels(tmp_path: Path) -> None:
    order(tmp_path, "pause")
    done = trial(tmp_path, "emit_progress(step=1, metrics={}, save=lambda: 1 / 0)")
    assert done.returncode == 42
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"order": "dance"}', '{"order": 3}', "\0", "[" * 70_000])
def test_an_order_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "control.json").write_text(content)
    done = trial(tmp_path, "assert emit_progress(step=1, metrics={})\nassert emit_progress(step=2, metrics={})")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_order_is_heard_later(tmp_path: Path) -> None:
    text = """
import json, os
assert emit_progress(step=1, metrics={})
open(os.environ["AR_CONTROL_FILE"], "w").write('{"order": "dance"}')
assert emit_progress(step=2, metrics={})
open("new", "w").write('{"order": "stop"}')
os.replace("new", os.environ["AR_CONTROL_FILE"])
emit_progress(step=3, metrics={})
"""
    assert trial(tmp_path, text).returncode == 42


def test_reports_of_forked_workers_do_not_mix(tmp_path: Path) -> None:
    text = """
import os
emit_progress(step=0, metrics={})
children = []
for worker in range(4):
    child = os.fork()
    if child == 0:
        for step in range(200): emit_progress(step=step, metrics={f"worker{worker}": step})
        os._exit(0)
    children.append(child)
for child in children: os.waitpid(child, 0)
"""
    assert trial(tmp_path, text).returncode == 0
    found = lines(tmp_path)
    assert len(found) == 801
    assert [line["step"] for line in found if "worker2" in line["metrics"]] == list(range(200))


def test_it_is_cheap_to_import_and_to_call(tmp_path: Path) -> None:
    text = """
import sys, time
heavy = {"numpy", "autoresearch_rl._core", "asyncio", "pydantic", "hydra", "mlflow", "logging", "subprocess"} & set(sys.modules)
assert not heavy, heavy
emit_progress(step=0, metrics={"loss": 1.0})
times = []
for step in range(2000):
    begun = time.perf_counter()
    emit_progress(step=step, step_target=2000, metrics={"loss": 1.0, "accuracy": 0.5})
    times.append(time.perf_counter() - begun)
print(sorted(times)[1000] * 1e6)
"""
    done = trial(tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 500, "microseconds, generous: the machine may be busy"


def test_both_ends_together(tmp_path: Path) -> None:
    loop = "for n in range(1000): time.sleep(0.01); emit_progress(step=n, step_target=1000, metrics={'loss': 1.0})"
    text = f"{START}import time\n{loop}"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    files = {"AR_PROGRESS_FILE": str(tmp_path / "progress.jsonl"), "AR_CONTROL_FILE": str(tmp_path / "control.json")}
    job = Job(
        stage="train",
        argv=(sys.executable, "-c", text),
        env={**env, **files},
        cwd=tmp_path,
        logs=tmp_path,
        progress=tmp_path / "progress.jsonl",
        control=tmp_path / "control.json",
        limits=Limits(timeout_s=30),
    )
    seen: list[Progress] = []
    ordered_s: list[float] = []

    def report(progress: Progress | None) -> Order | None:
        seen.extend([progress] if progress is not None else [])
        if len(seen) < 5:
            return None
        ordered_s.append(time.monotonic())
        return Order(kind="cancel", reason="enough", grace_s=20)

    target = Command()
    with target.open("c/1/1", {}, {}) as session:
        result = session.run(job, report)
    target.close()
    assert (result.exit_code, result.obeyed and result.obeyed.kind) == (42, "cancel")
    assert time.monotonic() - ordered_s[0] < 5
    assert [progress.step for progress in seen] == list(range(len(seen)))
    assert len(seen) == len(lines(tmp_path))
