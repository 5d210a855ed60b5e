"""What holds for every example: the files agree, data are deterministic, scripts run by hand, bad outputs are refused."""

import ast
import hashlib
import importlib.util
import io
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


def hashes_of_new(example, seed):
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
def test_the_same_seed_makes_the_same_data(example, prepared, name):
    first = hashes(prepared(name, "a"))
    assert hashes_of_new(example(name, "b"), seed="5") == first
    other = hashes_of_new(example(name, "c"), seed="6")
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


def bad_outputs(shape, dtype, poison):
    """Contents of an output file that no evaluator may take, by what is wrong with them."""
    array = np.full(shape, 1, dtype)
    array.flat[-1] = poison
    arrays = {
        "shape": np.ones((7, 3), dtype),
        "dtype": np.ones(shape, np.complex64),
        "objects": np.array([None, {}], object),
        "value": array,
    }
    for wrong, content in arrays.items():
        stream = io.BytesIO()
        np.save(stream, content)
        yield wrong, stream.getvalue()
    yield "pickle", b"\x80\x04K\x01."
    yield "torn", b"\x93NUMPY\x01\x00"
    stream = io.BytesIO()
    np.savez(stream, array)
    yield "archive", stream.getvalue()


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "poison"),
    [
        ("skeleton", (500,), np.float64, np.inf),
        ("digits", (899,), np.int64, 10),
        pytest.param("stdlib_lm", (4096, 256), np.float32, np.nan, marks=pytest.mark.slow),
    ],
)
def test_bad_outputs_are_the_trials_fault(prepared, name, shape, dtype, poison):
    example = prepared(name)
    file = example.folder("output") / example.task.outputs[0].name

    def refused():
        done = example.run("evaluate")
        return done.returncode == 10 and done.stderr.startswith(f"{file.name}: ") and done.stdout == ""

    assert refused(), "missing"
    for wrong, content in bad_outputs(shape, dtype, poison):
        file.write_bytes(content)
        assert refused(), wrong
    np.save(file, np.ones(shape, dtype))
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
