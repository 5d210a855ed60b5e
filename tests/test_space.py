"""The search space: what may stand in a task, and what every sample of it satisfies."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from autoresearch_rl.errors import ConfigError
from autoresearch_rl.parameter import Range
from autoresearch_rl.space import SearchSpace

EXAMPLE: dict[str, Any] = {
    "optimizer": ["sgd", "adam"],
    "epochs": 3,
    "width": {"choices": [32, 64, 128], "default": 64},
    "lr": {"low": 1e-4, "high": 1e-1, "log": True},
    "layers": {"low": 1, "high": 5, "int": True, "default": 2},
    "dropout": {"low": 0, "high": 0.5, "step": 0.1},
    "momentum": {"low": 0.0, "high": 0.99, "when": {"optimizer": "sgd"}},
}


def test_every_form_has_a_default() -> None:
    space = SearchSpace.from_config(EXAMPLE)
    assert space.names == tuple(EXAMPLE)
    assert space.defaults == {
        "optimizer": "sgd", "epochs": 3, "width": 64, "lr": 0.0032, "layers": 2, "dropout": 0.2, "momentum": 0.495,
    }  # fmt: skip
    assert space.check(space.defaults) == ""
    assert space.size is None


def test_yaml_containers_are_read_like_plain_ones() -> None:
    assert SearchSpace.from_config(OmegaConf.create(EXAMPLE)).defaults == SearchSpace.from_config(EXAMPLE).defaults


@pytest.mark.parametrize(
    ("raw", "default"),
    [
        ({"low": 1, "high": 6, "int": True}, 3),
        ({"low": 2, "high": 10, "int": True, "step": 4}, 6),
        ({"low": 1, "high": 1000, "int": True, "log": True}, 32),
        ({"low": 0, "high": 1}, 0.5),
        ({"low": 0.1, "high": 0.7, "step": 0.2}, 0.3),
        ({"low": 3, "high": 4, "log": True}, 3.5),
        ({"low": 1e-300, "high": 1e300, "log": True}, 1.0),
        ({"low": 0, "high": 4, "default": 1}, 1.0),
        ([False, True], False),
        ("adam", "adam"),
    ],
)
def test_default(raw: Any, default: object) -> None:
    value = SearchSpace.from_config({"x": raw}).defaults["x"]
    assert value == default
    assert type(value) is type(default)


PROBLEMS: list[tuple[Any, list[str]]] = [
    ({"x": []}, ["choices-empty"]),
    ({"x": {"choices": 3}}, ["choices-empty"]),
    ({"x": [1, 2, 1]}, ["choices-duplicate"]),
    ({"x": None}, ["choice-value"]),
    ({"x": [1, [2]]}, ["choice-value"]),
    ({"x": [1.0, math.nan]}, ["choice-value"]),
    ({"x": 10**30}, ["choice-value"]),
    ({"x": ["a\0b"]}, ["choice-value"]),
    ({"x": ["maybe", False]}, ["choices-bool-and-text"]),
    ({"x": {"choices": [1, 2], "default": 3}}, ["default-outside"]),
    ({"x": {"choices": [1, 2], "default": True}}, ["default-outside"]),
    ({"x": {"low": 1, "high": 1}}, ["range-empty"]),
    ({"x": {"low": 2, "high": 1}}, ["range-empty"]),
    ({"x": {"low": 0, "high": 1, "log": True}}, ["range-log"]),
    ({"x": {"low": -1e308, "high": 1e308}}, ["range-too-wide"]),
    ({"x": {"low": "1e-4", "high": 1}}, ["range-bound"]),
    ({"x": {"low": math.nan, "high": math.inf}}, ["range-bound", "range-bound"]),
    ({"x": {"low": 1}}, ["range-bound"]),
    ({"x": {}}, ["range-bound", "range-bound"]),
    ({"x": {"low": True, "high": 10**400}}, ["range-bound", "range-bound"]),
    ({"x": {"low": 0.5, "high": 3, "int": True}}, ["range-int"]),
    ({"x": {"low": 0, "high": 2**60, "int": True}}, ["range-int"]),
    ({"x": {"low": 0, "high": 1, "log": "yes"}}, ["range-flag"]),
    ({"x": {"low": 0, "high": 1, "step": 0.3}}, ["range-step"]),
    ({"x": {"low": 0, "high": 1, "step": 0}}, ["range-step"]),
    ({"x": {"low": 1e9, "high": 1e9 + 1, "step": 0.125}}, ["range-step"]),
    ({"x": {"low": 0, "high": 1, "step": -0.5}}, ["range-step"]),
    ({"x": {"low": 0, "high": 1, "step": "a"}}, ["range-step"]),
    ({"x": {"low": 1, "high": 2, "step": 0.5, "log": True}}, ["range-step"]),
    ({"x": {"low": 1, "high": 3, "step": 0.5, "int": True}}, ["range-step"]),
    ({"x": {"low": 0, "high": 1, "default": 2}}, ["default-outside"]),
    ({"x": {"low": 0, "high": 4, "int": True, "default": 2.0}}, ["default-outside"]),
    ({"x": {"low": 0, "high": 4, "int": True, "step": 2, "default": 1}}, ["default-outside"]),
    ({"x": {"low": 0, "high": 1, "stepp": 1}}, ["parameter-key"]),
    ({"x": {"choices": [1], "low": 1}}, ["parameter-key"]),
    ({"x y": 1}, ["parameter-name"]),
    ({"1x": 1}, ["parameter-name"]),
    ({True: 1}, ["parameter-name"]),
    ({"seed": 1}, ["parameter-reserved"]),
    ({"Run_Dir": 1}, ["parameter-reserved"]),
    ({"ar_lr": 1}, ["parameter-reserved"]),
    ({"lr": 1, "LR": 1}, ["parameter-clash"]),
    ({"x": {"choices": [1], "when": {"y": 1}}}, ["when-unknown"]),
    ({"x": {"choices": [1], "when": {"x": 1}}}, ["when-self"]),
    ({"x": {"choices": [1], "when": {"y": 2}}, "y": [1]}, ["when-value"]),
    ({"x": {"choices": [1], "when": {"y": True}}, "y": [1]}, ["when-value"]),
    ({"x": {"choices": [1], "when": {"y": 0.5}}, "y": {"low": 0, "high": 1}}, ["when-continuous"]),
    ({"x": {"choices": [1], "when": "y"}, "y": [1]}, ["when-form"]),
    ({"x": {"choices": [1], "when": {}}}, ["when-form"]),
    ({"x": {"choices": [1], "when": {"y": []}}, "y": [1]}, ["when-form"]),
    ({"x": {"choices": [1], "when": {"y": 1}}, "y": {"choices": [1], "when": {"x": 1}}}, ["when-cycle"]),
    ([1], ["space-form"]),
]


@pytest.mark.parametrize(("config", "codes"), PROBLEMS, ids=repr)
def test_problem(config: Any, codes: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        SearchSpace.from_config(config)
    assert [problem.code for problem in caught.value.problems] == codes
    for problem in caught.value.problems:
        assert problem.message.endswith(".")
        assert problem.remedy.endswith(".")
        assert ("space." in problem.message) or ("space has" in problem.message) or ("space is" in problem.message)


def test_all_problems_are_found_at_once() -> None:
    config: dict[Any, Any] = {}
    expected: list[str] = []
    for number, (part, codes) in enumerate(PROBLEMS):
        if isinstance(part, dict) and set(part) == {"x"} and "when" not in str(part):
            config[f"p{number}"] = part["x"]
            expected += codes
    config["last"] = {"low": 3, "high": 1, "when": {"nobody": 1}}
    with pytest.raises(ConfigError) as caught:
        SearchSpace.from_config(config)
    assert [problem.code for problem in caught.value.problems] == [*expected, "range-empty", "when-unknown"]


def test_bare_words_of_yaml_are_explained() -> None:
    with pytest.raises(ConfigError, match="quote"):
        SearchSpace.from_config({"schedule": ["linear", False]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lr": 1.0}, "lr is 1.0, which is outside its range: give a number from 0.0001 to 0.1."),
        ({"lr": math.nan}, "lr is nan, which is outside"),
        ({"lr": "x"}, "lr is 'x', which is not a number: "),
        ({"layers": 2.0}, "layers is 2.0, which is not a whole number: "),
        ({"layers": True}, "layers is True, which is not a whole number: "),
        ({"dropout": 0.25}, "dropout is 0.25, which is off its steps of 0.1: "),
        ({"optimizer": "rmsprop"}, "optimizer is 'rmsprop', which is not among its choices: give one of 'sgd', 'adam'."),
        ({"epochs": 3.0}, "epochs is 3.0, which is not among its choices: give one of 3."),
        ({"width": [64]}, "width is [64], which is not among its choices"),
        ({"nobody": 1}, "'nobody' is not a parameter of the space: drop it, or use a name that is (optimizer, "),
    ],
)
def test_check_names_parameter_value_and_remedy(change: dict[str, Any], said: str) -> None:
    space = SearchSpace.from_config(EXAMPLE)
    assert space.check({**space.defaults, **change}).startswith(said)


def test_check_wants_complete_parameters() -> None:
    space = SearchSpace.from_config(EXAMPLE)
    assert space.check({**{n: v for n, v in space.defaults.items() if n != "lr"}}).startswith("lr is missing")
    assert "the space is empty" in SearchSpace().check({"lr": 1})


def test_values_are_told_apart_by_type() -> None:
    space = SearchSpace.from_config({"x": [1, 1.0, True]})
    assert space.size == 3
    assert len({space.canonical(cell) for cell in space.cells()}) == 3
    assert [type(cell["x"]) for cell in space.cells()] == [int, float, bool]


def test_a_step_is_the_same_whatever_rounding_gave_it() -> None:
    space = SearchSpace.from_config({"x": {"low": 0, "high": 0.3, "step": 0.1}})
    assert space.canonical({"x": 0.1 + 0.2}) == space.canonical({"x": 0.3})
    assert [cell["x"] for cell in space.cells()] == [0.0, 0.1, 0.2, 0.3]
    assert space.check({"x": 0.1 + 0.1 + 0.1 - 1e-17}) == ""


CONDITIONAL: dict[str, Any] = {
    "beta": {"choices": [0.9, 0.99], "when": {"optimizer": ["adam", "lion"]}},
    "optimizer": ["sgd", "adam", "lion"],
    "warmup": {"low": 1, "high": 4, "int": True, "when": {"schedule": "cosine", "optimizer": "adam"}},
    "schedule": {"choices": ["none", "cosine"], "when": {"optimizer": "adam"}},
}


def test_inactive_parameters_do_not_count() -> None:
    space = SearchSpace.from_config(CONDITIONAL)
    sgd = {**space.defaults, "optimizer": "sgd"}
    assert space.active(sgd) == {"optimizer"}
    assert space.canonical(sgd) == space.canonical({**sgd, "beta": 0.99, "schedule": "cosine", "warmup": 3})
    adam = {**sgd, "optimizer": "adam"}
    assert space.active(adam) == {"optimizer", "beta", "schedule"}
    assert space.active({**adam, "schedule": "cosine"}) == {"optimizer", "beta", "schedule", "warmup"}
    assert space.canonical(adam) != space.canonical({**adam, "beta": 0.99})
    assert space.active({**adam, "optimizer": "lion", "schedule": "cosine"}) == {"optimizer", "beta"}


def test_cells_of_a_conditional_space() -> None:
    space = SearchSpace.from_config(CONDITIONAL)
    cells = list(space.cells())
    assert space.size == 1 + 2 * (1 + 4) + 2 == len(cells)
    assert len({space.canonical(cell) for cell in cells}) == len(cells)
    assert cells[0] == {"beta": 0.9, "optimizer": "sgd", "warmup": 2, "schedule": "none"}
    assert cells == list(space.cells())


def test_a_wide_parent_is_counted_without_listing_it() -> None:
    config = {
        "width": {"low": 1, "high": 10**12, "int": True},
        "extra": {"choices": [1, 2, 3], "when": {"width": [5, 7]}},
        "rest": {"low": 1, "high": 10**12, "int": True},
    }
    assert SearchSpace.from_config(config).size == (10**12 + 2 * 2) * 10**12


def test_listing_is_lazy_and_refused_for_a_continuum() -> None:
    huge = SearchSpace.from_config({f"x{i}": {"low": 0, "high": 10**9, "int": True} for i in range(20)})
    assert next(huge.cells())["x19"] == 0
    with pytest.raises(ValueError, match="lr is continuous"):
        list(SearchSpace.from_config(EXAMPLE).cells())


def test_points_of_a_grid() -> None:
    def points(count: int, **raw: Any) -> list[Any]:
        return [cell["x"] for cell in SearchSpace.from_config({"x": raw}).cells(count)]

    assert points(4, low=1e-4, high=1e-1, log=True) == [1e-4, 1e-3, 1e-2, 1e-1]
    assert points(3, low=0, high=1) == [0.0, 0.5, 1.0]
    assert points(5, low=1, high=3, int=True) == [1, 2, 3]
    assert points(3, low=0, high=10, int=True, step=2) == [0, 4, 10]
    assert points(10, low=1, high=8, int=True, log=True) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert points(5, low=1, high=20, int=True, log=True) == [1, 2, 4, 9, 20]
    assert points(1, low=0, high=4, default=3) == [3.0]


def test_the_empty_space_is_one_cell() -> None:
    space = SearchSpace.from_config({})
    assert (space.size, space.names, dict(space.defaults), list(space.cells())) == (1, (), {}, [{}])
    assert space.check({}) == ""


def test_samples_cover_ends_and_follow_the_logarithm() -> None:
    rng = np.random.default_rng(0)
    space = SearchSpace.from_config(
        {
            "a": {"low": 1, "high": 4, "int": True},
            "b": {"low": 1, "high": 100, "int": True, "log": True},
            "c": {"low": 1e-4, "high": 1, "log": True},
        }
    )
    drawn = [space.sample(rng) for _ in range(4000)]
    counts = np.bincount([sample["a"] for sample in drawn], minlength=5)[1:]
    assert (np.abs(counts - 1000) < 150).all()
    assert {sample["b"] for sample in drawn} >= {1, 2, 50}
    assert abs(np.mean([sample["b"] <= 10 for sample in drawn]) - math.log(21) / math.log(201)) < 0.05
    assert abs(np.mean([sample["c"] < 1e-2 for sample in drawn]) - 0.5) < 0.05


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """Valid spaces of all forms, with conditions on what stands before."""
    config: dict[str, Any] = {}
    values: dict[str, list[Any]] = {}
    for index in range(draw(st.integers(0, 5))):
        name = f"p{index}"
        kind = draw(st.sampled_from(["choice", "int", "float", "step", "log", "intlog"]))
        low = draw(st.integers(1, 50))
        span = draw(st.integers(1, 6))
        raw: dict[str, Any] = {"low": low, "high": low + span}
        if kind == "choice":
            raw = {"choices": draw(st.lists(st.sampled_from(["a", "b", 1, 1.0, 2.5]), min_size=1, unique_by=repr))}
            values[name] = raw["choices"]
        elif kind == "step":
            raw = {"low": low / 10, "high": low / 10 + span * 0.1, "step": 0.1}
        elif kind != "float":
            raw |= {"int": kind in ("int", "intlog"), "log": kind in ("log", "intlog")}
        parents = draw(st.lists(st.sampled_from(sorted(values)), max_size=2, unique=True)) if values else []
        when = {parent: draw(st.sampled_from(values[parent])) for parent in parents if parent != name}
        config[name] = {**raw, **({"when": when} if when else {})}
    return config


@given(configs(), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_samples_are_inside_and_complete(config: dict[str, Any], seed: int) -> None:
    space = SearchSpace.from_config(config)
    sample = space.sample(np.random.default_rng(seed))
    assert space.check(sample) == space.check(space.defaults) == ""
    assert tuple(sample) == space.names
    assert sample == space.sample(np.random.default_rng(seed))
    inactive = set(space.names) - space.active(sample)
    assert {name: sample[name] for name in inactive} == {name: space.defaults[name] for name in inactive}
    again = pickle.loads(pickle.dumps(space))
    assert again == space
    assert again.canonical(sample) == space.canonical(sample)


@given(configs())
@settings(max_examples=100, deadline=None)
def test_size_is_the_number_of_cells(config: dict[str, Any]) -> None:
    space = SearchSpace.from_config(config)
    cells = [space.canonical(cell) for _, cell in zip(range(3000), space.cells(3), strict=False)]
    assert len(set(cells)) == len(cells)
    if space.size is not None and space.size <= 2000:
        cells = [space.canonical(cell) for cell in space.cells()]
        assert len(set(cells)) == len(cells) == space.size


@given(st.integers(0, 10**6), st.integers(1, 10**4), st.sampled_from([0.1, 0.05, 1e-3, 0.3, 1 / 3]))
@settings(deadline=None)
def test_steps_have_places(start: int, count: int, step: float) -> None:
    parameter = Range(name="x", low=start * step, high=start * step + count * step, default=start * step, step=step)
    for index in {0, count // 2, count}:
        value = parameter.nth(index)
        assert parameter.index(value) == index
        assert parameter.wrong(value) == ""
