"""The digits example: a score that training can improve and that needs the secret labels."""

import numpy as np
import pytest

GOOD = {"optimizer": "adam", "lr": 0.005, "hidden": 128, "dropout": 0.2, "shift": 0.5}


@pytest.fixture
def digits(example):
    def make(folder="a"):
        made = example("digits", folder)
        assert made.run("prepare", AR_DATA_SEED="5").returncode == 0
        return made

    return make


def score(example, changed=()):
    params = {**example.task.search_space.defaults, **dict(changed)}
    assert example.task.search_space.check(params) == ""
    for stage in ("train", "predict"):
        done = example.run(stage, params)
        assert (done.returncode, done.stderr) == (0, "")
    return example.score()


def test_good_parameters_beat_the_defaults_clearly(digits):
    example = digits()
    default = score(example)
    assert 0.88 < default["accuracy"] < 0.96
    assert default["accuracy"] + default["error_rate"] == pytest.approx(1)
    assert score(example, GOOD)["accuracy"] > default["accuracy"] + 0.02


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_the_same_seed_trains_the_same_model(digits, activation):
    """In another folder too; and every activation learns."""
    params = {**GOOD, "activation": activation}
    first, second = digits("a"), digits("b")
    assert score(first, params) == score(second, params)
    weights = [(example.folder("model") / "weights.npz") for example in (first, second)]
    with np.load(weights[0]) as one, np.load(weights[1]) as two:
        assert all(np.array_equal(one[name], two[name]) for name in one)
    assert [path.name for path in first.folder("model").iterdir()] == ["weights.npz"]
    assert first.score()["accuracy"] > 0.93


def test_progress_is_reported(digits):
    example = digits()
    score(example)
    reports = example.progress()
    assert 20 <= len(reports) <= 40
    assert reports[-1]["step"] == reports[-1]["step_target"]
    assert reports[-1]["metrics"]["accuracy"] > reports[0]["metrics"]["accuracy"]
    assert reports[-1]["metrics"]["loss"] < reports[0]["metrics"]["loss"]


def test_a_learning_rate_far_too_high_costs_score_not_the_trial(digits):
    example = digits()
    params = example.task.search_space.defaults | {"lr": 1e4, "momentum": 0.98}
    for stage in ("train", "predict"):
        done = example.run(stage, params)
        assert (done.returncode, done.stderr) == (0, "")
    assert 0 <= example.score()["accuracy"] < 0.5


def test_the_parts_do_not_overlap_and_only_the_evaluator_has_the_labels(digits):
    example = digits()
    with np.load(example.folder("data") / "train.npz") as data:
        train, known = data["images"], data["labels"]
    test, secret = np.load(example.folder("test") / "images.npy"), np.load(example.folder("private") / "labels.npy")
    assert (len(train), len(known), len(test), len(secret)) == (898, 898, 899, 899)
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}
    assert np.bincount(secret, minlength=10).min() > 50


def test_perfect_and_constant_predictions_score_as_they_should(digits):
    example = digits()
    secret = np.load(example.folder("private") / "labels.npy")
    np.save(example.folder("output") / "predictions.npy", secret)
    assert example.score() == {"accuracy": 1.0, "error_rate": 0.0}
    np.save(example.folder("output") / "predictions.npy", np.full_like(secret, 3))
    assert example.score()["accuracy"] == pytest.approx(np.mean(secret == 3))
