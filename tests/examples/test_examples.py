"""What holds for every example: the files agree, data are deterministic, scripts run by hand, bad outputs are refused."""

import ast
import hashlib
import importlib.util
import json
import shutil
import sys

import numpy as np
import pytest

NAMES = ["skeleton", "digits", pytest.param("stdlib_lm", marks=pytest.mark.slow)]
torch_missing = importlib.util.find_spec("torch") is None


def hashes(example):
    return {
        f"{part}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for part in ("data", "test", "private")
        for path in sorted(example.folder(part).iterdir())
    }


def prepared(example, seed="5"):
    done = example.run("prepare", AR_DATA_SEED=seed)
    assert done.returncode == 0, done.stderr
    return hashes(example)


def defaults_in(path):
    """The dictionary DEFAULTS of a script, without running it."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "DEFAULTS":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path} has no DEFAULTS")


@pytest.mark.parametrize("name", ["skeleton", "digits", "stdlib_lm"])
def test_the_task_is_valid_and_train_knows_its_defaults(example, name):
    task = example(name).task
    assert task.check() == []
    assert defaults_in(task.path / "train.py") == task.search_space.defaults


@pytest.mark.parametrize("name", ["digits", "stdlib_lm"])
def test_a_packaged_task_is_one_file(example, name):
    link = example(name).task.path / "task.yaml"
    assert link.is_symlink()
    assert str(link.readlink()) == f"../../conf/task/{name}.yaml"


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_makes_the_same_data(example, name):
    first = prepared(example(name, "a"))
    assert first
    assert prepared(example(name, "b")) == first
    other = prepared(example(name, "c"), seed="6")
    assert other.keys() == first.keys()
    assert all(other[file] != first[file] for file in first)


@pytest.mark.parametrize("name", ["skeleton", "digits", "stdlib_lm"])
def test_train_by_hand_asks_for_the_data(example, name):
    if name == "stdlib_lm" and torch_missing:
        pytest.skip("torch is not installed (extra `learned`)")
    done = example(name).by_hand("train.py")
    assert done.returncode == 1
    assert done.stderr.startswith("local/data/train.")
    assert "run `python prepare.py` first" in done.stderr


@pytest.mark.parametrize("name", ["skeleton", "digits"])
def test_all_scripts_run_by_hand(example, name):
    example = example(name)
    for script in ("prepare.py", "train.py", "predict.py"):
        done = example.by_hand(script)
        assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(example.by_hand("evaluate.py").stdout)
    assert example.task.objective.metric in answer


@pytest.mark.parametrize("name", NAMES)
def test_bad_outputs_are_the_trials_fault(example, name):
    example = example(name)
    prepared(example)
    file = example.folder("output") / example.task.outputs[0].name
    right = {"skeleton": ((500,), np.float64), "digits": ((899,), np.int64), "stdlib_lm": ((4096, 256), np.float32)}[name]
    shape, dtype = right
    poison = np.zeros(shape, dtype)
    poison.flat[0] = -1 if name == "digits" else np.nan

    def refused():
        done = example.run("evaluate")
        return done.returncode == 10 and done.stderr.startswith(f"{file.name}: ") and done.stdout == ""

    assert refused()  # there is none
    for content in (b"", b"no array", b"\x80\x04K\x01.", b"\x93NUMPY\x01\x00"):
        file.write_bytes(content)
        assert refused(), content
    wrong = (np.zeros((7, 3), dtype), np.zeros(shape, np.complex64), np.zeros((), dtype), np.array([None, {}], object), poison)
    for array in wrong:
        np.save(file, array)
        assert refused(), (array.shape, array.dtype)
    with file.open("wb") as stream:
        np.savez(stream, a=np.zeros(shape, dtype))
    assert refused()
    np.save(file, np.zeros(shape, dtype))
    assert example.run("evaluate").returncode == 0


def test_the_skeleton_holds_what_a_newcomer_needs(example, tmp_path):
    """Copied elsewhere, as `arrl init` does, it is a task of its own."""
    folder = example("skeleton").task.path
    copy = shutil.copytree(folder, tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    names = ["README.md", "evaluate.py", "predict.py", "prepare.py", "program.md", "task.yaml", "train.py"]
    assert sorted(path.name for path in copy.iterdir()) == names
    assert "path:" not in (copy / "task.yaml").read_text()
    assert sum("YOURS" in (copy / name).read_text() for name in names) >= 4
    assert sys.executable == example("skeleton").task.interpreter
