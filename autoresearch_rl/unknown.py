"""Names on a command line that nothing has: which option of a group, or which key of the configuration, may have been meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig

from autoresearch_rl import composition
from autoresearch_rl.errors import ArrlError, Problem

_NO_KEY = re.compile(r"Could not override '([^']+)'")


def unknown_name(error: HydraException, arguments: Sequence[str]) -> Problem | None:
    """What is unknown where Hydra could not compose these arguments for that reason, None where it was another one."""
    missing = str(error.missing_cfg_file) if isinstance(error, MissingConfigException) else ""
    if "/" in missing:
        group, _, option = missing.rpartition("/")
        return _unknown_option(group, option, getattr(error, "options", None) or _packaged(group))
    found = _NO_KEY.search(str(error))
    return _unknown_key(found[1], arguments) if found is not None else None


def _unknown_option(group: str, option: str, options: Sequence[str]) -> Problem:
    there_are = f"There are {', '.join(options)}" if options else "There is no such group"
    own = "; a folder of your own is task.path=DIR" if group == "task" else ""
    remedy = f"{_meant(option, options)}{there_are}{own}."
    return Problem(code="option-unknown", message=f"{group} has no option {option!r}.", remedy=remedy)


def _unknown_key(key: str, arguments: Sequence[str]) -> Problem:
    others = [word for word in arguments if "=" in word and not word.startswith("-") and word.partition("=")[0] != key]
    names, what = _names(key, others), "group" if "/" in key else "key"
    keys = f"`arrl --cfg job` prints all keys; one that is left out there is added with a plus: +{key}=VALUE."
    remedy = f"{_meant(key, names)}{'`arrl --help` lists the groups.' if '/' in key else keys}"
    return Problem(code="key-unknown", message=f"There is no {what} {key}.", remedy=remedy)


def _meant(name: str, names: Sequence[str]) -> str:
    close = get_close_matches(name, names, 1)
    return f"Did you mean {close[0]}? " if close else ""


def _packaged(group: str) -> list[str]:
    return sorted(path.stem for path in (Path(composition.__file__).parent / "conf" / group).glob("*.yaml"))


def _names(key: str, others: list[str]) -> list[str]:
    """What could stand in the place of a key: groups, and the keys beside it as the other overrides have it."""
    with suppress(HydraException, ArrlError):
        config, _, chosen = composition.compose(others)
        where, node = "", config
        for part in key.split(".")[:-1]:
            if not isinstance(node.get(part), DictConfig):
                return []
            where, node = f"{where}{part}.", node[part]
        return [*(where + str(name) for name in node), *chosen]
    return []
