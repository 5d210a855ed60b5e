"""The language model: next bytes that stay secret, a score that logits cannot cheat, and training where torch is there."""

import importlib.util

import numpy as np
import pytest

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed (extra `learned`)")


@pytest.fixture
def language(prepared):
    return prepared("stdlib_lm")


def test_no_context_holds_the_target_of_another_and_training_saw_none(language):
    contexts, targets = np.load(language.folder("test") / "contexts.npy"), np.load(language.folder("private") / "targets.npy")
    text = (language.folder("data") / "train.bin").read_bytes()
    assert (contexts.shape, contexts.dtype, targets.shape, targets.dtype) == ((4096, 128), np.uint8, (4096,), np.uint8)
    assert len(text) > 3_000_000
    # A file is cut into windows one after another: laid end to end they are source again.
    joined = np.concatenate([contexts, targets[:, None]], axis=1).tobytes()
    assert joined.count(b"\n    def ") > 500
    found = sum(row.tobytes() in text for row in contexts[::64])
    assert found <= 3  # licence texts and the like stand in several files


def test_the_evaluator_normalises_the_logits_itself(language):
    targets = np.load(language.folder("private") / "targets.npy")

    def bits(logits):
        np.save(language.folder("output") / "logits.npy", logits)
        return language.score()["val_bpb"]

    assert bits(np.full((4096, 256), 60000, np.float16)) == pytest.approx(8)  # high for all bytes is no better than low
    rows = np.arange(4096)
    certain = np.zeros((4096, 256), np.float32)
    certain[rows, targets] = np.log(255)  # as likely as all others together
    assert bits(certain) == pytest.approx(1, abs=1e-6)
    wrong = np.zeros((4096, 256), np.float32)
    wrong[rows, targets] = -3e38
    assert 1e37 < bits(wrong) < np.inf


@needs_torch
@pytest.mark.slow
def test_a_trial_learns_and_better_parameters_learn_more(language):
    scores = []
    for changed in ({}, {"lr": 0.003, "schedule": "cosine", "d_model": 128, "layers": 1, "batch_size": 8}):
        params = language.task.search_space.defaults | changed
        assert language.task.search_space.check(params) == ""
        for stage in ("train", "predict"):
            done = language.run(stage, params)
            assert (done.returncode, done.stderr) == (0, "")
        scores.append(language.score()["val_bpb"])
    assert scores[0] < 4.5
    assert scores[1] < scores[0] - 0.5
    assert language.progress()[-1]["metrics"]["val_bpb"] < language.progress()[0]["metrics"]["val_bpb"]
    assert sorted(path.name for path in language.folder("model").iterdir()) == ["config.json", "weights.npz"]


@needs_torch
@pytest.mark.slow
def test_a_trial_that_was_paused_comes_to_the_same_as_one_that_was_not(language, prepared):
    """Its checkpoint holds all that training depends on, the order in which it reads the text too."""
    params = language.task.search_space.defaults | {"layers": 1, "d_model": 48, "batch_size": 32}
    whole, paused = language, prepared("stdlib_lm", "b")
    assert whole.run("train", params).returncode == 0
    control = paused.root / "control.json"
    for _ in range(2):
        control.write_text('{"order": "pause", "reason": "to see"}')
        assert paused.run("train", params, AR_CONTROL_FILE=str(control)).returncode == 43
        assert (paused.folder("checkpoint") / "checkpoint.pt").exists()
        control.unlink()
    assert paused.run("train", params, AR_CONTROL_FILE=str(control)).returncode == 0
    steps = [report["step"] for report in paused.progress()]
    assert steps == [report["step"] for report in whole.progress()]
    first, second = (np.load(each.folder("model") / "weights.npz") for each in (whole, paused))
    assert all(np.array_equal(first[name], second[name]) for name in first)
