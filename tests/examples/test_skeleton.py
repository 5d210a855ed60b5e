"""The skeleton's stages, from data to score."""

GOOD = {"width": 64, "frequency": 3.0, "optimizer": "momentum", "lr": 0.5, "beta": 0.9}


def score(example, params):
    for stage in ("prepare", "train", "predict"):
        done = example.run(stage, params, AR_DATA_SEED="5") if stage == "prepare" else example.run(stage, params)
        assert (done.returncode, done.stderr) == (0, "")
    return example.score()


def test_good_parameters_reach_the_noise_and_the_defaults_do_not(example):
    default, good = (score(example("skeleton", name), params) for name, params in (("a", None), ("b", GOOD)))
    assert default["rmse"] > 0.5
    assert 0.09 < good["rmse"] < 0.15
    assert good.keys() == {"rmse", "mae"}


def test_progress_is_reported(example):
    example = example("skeleton")
    score(example, GOOD)
    reports = example.progress()
    assert [report["step"] for report in reports] == list(range(10, 301, 10))
    assert {report["step_target"] for report in reports} == {300}
    assert reports[-1]["metrics"]["rmse"] < reports[0]["metrics"]["rmse"]
