"""A misspelt name is answered with the one that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.errors import HydraException

from autoresearch_rl import composition
from autoresearch_rl.unknown import unknown_name

CONF = Path(composition.__file__).parent / "conf"
OPTIONS = sorted(
    (str(path.parent.relative_to(CONF)), path.stem) for path in CONF.rglob("*.yaml") if path.parent != CONF and len(path.stem) > 3
)


def said(*arguments: str) -> str:
    with pytest.raises(HydraException) as caught:
        composition.compose([*arguments])
    return str(unknown_name(caught.value, arguments))


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=["/".join(names) for names in OPTIONS])
def test_every_option_of_every_group_is_found_again(group: str, option: str) -> None:
    told = said(f"{group}={option}e")
    assert told.startswith(f"[option-unknown] {group} has no option '{option}e'. Did you mean {option}? There are ")
    for beside in (CONF / group).glob("*.yaml"):
        assert beside.stem in told


def test_an_option_within_a_list_is_found_too() -> None:
    assert "Did you mean mlflow? There are console, ledger" in said("telemetry=[console,mlfow]")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["polcy=tpe"], "no key polcy. Did you mean policy? `arrl --cfg job`"),
        (["experimnt=overnight"], "Did you mean experiment?"),
        (["controler/keep=strict"], "no group controler/keep. Did you mean controller/keep? `arrl --help` lists"),
        (["controller.max_trails=3"], "Did you mean controller.max_trials?"),
        (["policy=grid", "policy.point_per_range=3"], "Did you mean policy.points_per_range?"),
        (["task=digits", "task.space.lr.lwo=3"], "Did you mean task.space.lr.low?"),
        (["no.such.key=3"], "There is no key no.such.key. `arrl --cfg job` prints"),
        (["policy=grid", "polic.x=3", "polcy=tpee"], "There is no key polic"),
    ],
)
def test_a_key_is_looked_for_among_those_beside_it(arguments: list[str], meant: str) -> None:
    assert meant in said(*arguments)


def test_what_is_wrong_in_another_way_is_left_to_hydra() -> None:
    with pytest.raises(HydraException) as caught:
        composition.compose(["policy=["])
    assert unknown_name(caught.value, ["policy=["]) is None
