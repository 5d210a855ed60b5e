"""From a composed configuration to objects: the only place that instantiates classes named in configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.errors import ConfigError, Problem
from autoresearch_rl.policy import Policy
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.target import Target
from autoresearch_rl.task import Task
from autoresearch_rl.telemetry import Telemetry

_OURS = "autoresearch_rl"
_PASSWORD = re.compile(r"://[^/@\s:]*:(?!\$\{)[^/@\s]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a campaign is made of.

    Attributes:
        task: What is to be improved, and how it is scored.
        policy: Proposes trials of `task.search_space`.
        target: Runs them.
        settings: How the campaign is run.
        telemetry: Sinks by name.
        config: The composed configuration as YAML, interpolations unresolved.
        labels: What was chosen, for telemetry: `policy`, `target`.
    """

    task: Task
    policy: Policy
    target: Target
    settings: Settings
    telemetry: Mapping[str, Telemetry]
    config: str
    labels: Mapping[str, str]


def assemble(config: DictConfig) -> Plan:
    """Makes the plan of a composed configuration. Raises ConfigError with every problem of every group."""
    plugins = _plugins(config)
    problems = [*_passwords(OmegaConf.to_container(config), "")]

    def make(group: str) -> Any:
        try:
            return _make(config, group, plugins)
        except ConfigError as error:
            # A reference into a task that is wrong says nothing new.
            problems.extend(problem for problem in error.problems if problem.code != "config-value" or not problems)
            return None

    task: Task | None = make("task")
    target, settings = make("target"), make("controller")
    telemetry = {name: make(f"telemetry.{name}") for name in config.get("telemetry") or {}}
    policy = None
    try:
        partial: Callable[[SearchSpace], Policy] | None = make("policy")
        policy = partial(space=task.search_space) if partial is not None and task is not None else None  # type: ignore[call-arg]
    except ConfigError as error:
        problems.extend(error.problems)
    except TypeError as error:
        remedy = "Its class must take the search space as the argument `space`, and its YAML say `_partial_: true`."
        problems.append(Problem(code="policy-arguments", message=f"policy {_class(config.policy)}: {error}.", remedy=remedy))
    if problems or task is None or policy is None:
        raise ConfigError(problems)
    labels = {"policy": _class(config.policy), "target": _class(config.target)}
    return Plan(
        task=task,
        policy=policy,
        target=target,
        settings=settings,
        telemetry=telemetry,
        config=OmegaConf.to_yaml(config, resolve=False),
        labels=labels,
    )


def _make(config: DictConfig, group: str, plugins: Sequence[str]) -> Any:
    from hydra.errors import HydraException
    from hydra.utils import instantiate

    try:
        node = OmegaConf.select(config, group, throw_on_missing=True)
        if node is None:
            remedy = f"Choose one with {group}=NAME; `arrl --help` lists them."
            raise ConfigError([Problem(code="group-missing", message=f"No {group} is chosen.", remedy=remedy)])
        plain = OmegaConf.to_container(node, resolve=True)
        _check_classes(plain, group, plugins)
        return instantiate(plain, _convert_="all")
    except ConfigError:
        raise
    except HydraException as error:
        raise _unwrapped(error, group) from error
    except OmegaConfBaseException as error:
        remedy = "Set the value, or fix the interpolation."
        raise ConfigError([Problem(code="config-value", message=f"{group}: {_line(error)}.", remedy=remedy)]) from error


def _unwrapped(error: Exception, group: str) -> ConfigError:
    """Our own error behind Hydra's, or one that says what the class's constructor did not like."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConfigError):
            return cause
        last, cause = cause, cause.__cause__
    remedy = f"Look at the group's file in conf/, or at the class named by {group}._target_."
    return ConfigError([Problem(code="config-arguments", message=f"{group}: {_line(last)}.", remedy=remedy)])


def _plugins(config: DictConfig) -> tuple[str, ...]:
    plugins = OmegaConf.to_container(config.plugins) if config.get("plugins") else []
    return (_OURS, *(str(name) for name in plugins)) if isinstance(plugins, list) else (_OURS,)


def _check_classes(node: Any, where: str, plugins: Sequence[str]) -> None:
    """No class from elsewhere than our package and the user's plugins is ever imported, not even to look at it."""
    if isinstance(node, Mapping):
        name = node.get("_target_")
        if name is not None and not any(str(name).startswith(f"{plugin}.") for plugin in plugins):
            message = f"{where}._target_ names {name!r}, which is neither of {_OURS} nor of a plugin."
            remedy = f"If you trust it, add plugins=[{str(name).partition('.')[0]}] to the command line."
            raise ConfigError([Problem(code="class-not-allowed", message=message, remedy=remedy)])
        if name is not None and not _defined_there(str(name), plugins):
            message = f"{where}._target_ names {name!r}, which is no class that is defined in {' or '.join(plugins)}."
            remedy = "Name the class by the module that defines it."
            raise ConfigError([Problem(code="class-not-allowed", message=message, remedy=remedy)])
        for key, item in node.items():
            _check_classes(item, f"{where}.{key}", plugins)
    elif isinstance(node, list):
        for index, item in enumerate(node):
            _check_classes(item, f"{where}[{index}]", plugins)
    elif isinstance(node, str) and "${" in node:
        # It would be resolved a second time, by `instantiate`, and could bring in a class that was never checked.
        message = f"{where} is {node[:80]!r}: '${{' cannot be a part of a value."
        remedy = "Write $NAME without braces, or move the command into a script of the task."
        raise ConfigError([Problem(code="config-braces", message=message, remedy=remedy)])


def _passwords(node: Any, where: str) -> Iterator[Problem]:
    """Addresses that hold a password as it is, which the journal would keep."""
    if isinstance(node, Mapping):
        for key, item in node.items():
            yield from _passwords(item, f"{where}.{key}".removeprefix("."))
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from _passwords(item, f"{where}[{index}]")
    elif isinstance(node, str) and _PASSWORD.search(node):
        message = f"{where} holds an address with a password, and the configuration is kept in the run directory."
        remedy = "Put the address into a variable of the environment and name that: ${oc.env:NAME}."
        yield Problem(code="config-password", message=message, remedy=remedy)


def _defined_there(name: str, plugins: Sequence[str]) -> bool:
    """Whether it is a class of these packages, not one that a module of theirs has imported. What cannot be found is told later."""
    from hydra.utils import get_object

    try:
        found = get_object(name)
    except Exception:  # Hydra's errors on names are many; `instantiate` says what is wrong
        return True
    return isinstance(found, type) and any(f"{found.__module__}.".startswith(f"{plugin}.") for plugin in plugins)


def _class(node: Any) -> str:
    return str(node.get("_target_", "")).rpartition(".")[2]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")
