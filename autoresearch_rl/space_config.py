"""Reads the `space:` section of a task into parameters, and finds everything that is wrong with it at once."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autoresearch_rl.errors import Problem
from autoresearch_rl.parameter import Choice, Conditions, Parameter, Range, middle, whole
from autoresearch_rl.trial import ParamValue

# What a trial gets in AR_<NAME> or a placeholder of the same name: a parameter called so would be taken for it.
RESERVED = frozenset(f"{place}_dir" for place in ("checkpoint", "data", "model", "output", "private", "run", "test")) | {
    "control_file",
    "data_seed",
    "params",
    "params_json",
    "progress_file",
    "seed",
    "trial",
}

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RANGE_KEYS = ("low", "high", "log", "int", "step", "default", "when")
_CHOICE_KEYS = ("choices", "default", "when")
_LARGEST_INT = 2**48  # samplers reckon in floats, which tell the whole numbers of such a range apart
_UNQUOTED = "YAML reads the bare words yes, no, on, off, true and false as booleans: quote those that are meant as text."


def read_parameters(config: Mapping[str, Any]) -> tuple[tuple[Parameter, ...], list[Problem]]:
    """The parameters that could be read, and all problems; a space without problems is complete."""
    if not isinstance(config, Mapping):
        message = f"space is {config!r}, which is not a mapping."
        return (), [Problem(code="space-form", message=message, remedy="Write one `name: choices or range` a line.")]
    problems = list(_check_names(config))
    parameters: dict[str, Parameter] = {}
    conditions: dict[str, Conditions] = {}
    for name, raw in config.items():
        reader = _Reader(str(name))
        parameter = reader.read(raw)
        problems += reader.problems
        conditions[reader.name] = reader.when
        if parameter is not None:
            parameters[parameter.name] = parameter
    problems += _check_conditions(conditions, parameters)
    return tuple(parameters.values()), problems


def _check_names(config: Mapping[str, Any]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name in config:
        remedy = "Use letters, digits and underscores, not starting with a digit."
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            message = f"space has the parameter {name!r}, which is not an identifier."
            if isinstance(name, bool):
                remedy = _UNQUOTED
            yield Problem(code="parameter-name", message=message, remedy=remedy)
        elif name.lower() in RESERVED or name.lower().startswith("ar_"):
            message = f"space has the parameter {name!r}, which is named like a reserved variable of the trial protocol."
            yield Problem(code="parameter-reserved", message=message, remedy=f"Choose another name, such as {'my_' + name!r}.")
        elif name.upper() in first:
            message = f"space has the parameters {first[name.upper()]!r} and {name!r}: both would be AR_PARAM_{name.upper()}."
            yield Problem(code="parameter-clash", message=message, remedy="Let them differ in more than upper and lower case.")
        else:
            first[name.upper()] = name


class _Reader:
    """Reads one parameter; collects problems and goes on as long as it makes sense."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.when: Conditions = ()

    def read(self, raw: Any) -> Parameter | None:
        """The parameter, or None if it cannot be read."""
        if isinstance(raw, Mapping):
            self.when = self._when(raw)
            parameter = self._choice(raw) if "choices" in raw else self._range(raw)
        elif _is_list(raw):
            parameter = self._choice({"choices": raw})
        else:
            parameter = self._choice({"choices": [raw]})
        return None if self.problems else parameter

    def _add(self, code: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(code=code, message=f"space.{self.name}{message}", remedy=remedy))

    def _check_keys(self, raw: Mapping[str, Any], known: Sequence[str]) -> None:
        for key in raw:
            if key not in known:
                self._add("parameter-key", f" has the unknown key {key!r}.", f"Keys are {', '.join(known)}.")

    # ---------------------------------------------------------------- choices
    def _choice(self, raw: Mapping[str, Any]) -> Parameter | None:
        self._check_keys(raw, _CHOICE_KEYS)
        choices = raw["choices"]
        if not _is_list(choices) or not choices:
            self._add("choices-empty", f".choices is {choices!r}, which offers no value.", "List at least one value.")
            return None
        for value in choices:
            self._check_value(value)
        if self.problems:
            return None
        seen: list[ParamValue] = []
        for value in choices:
            if any(_same(value, other) for other in seen):
                self._add("choices-duplicate", f" has the choice {value!r} twice.", "Drop one of them.")
            seen.append(value)
        booleans, texts = ([v for v in choices if isinstance(v, kind)] for kind in (bool, str))
        if booleans and texts:
            self._add("choices-bool-and-text", f" mixes the boolean {booleans[0]!r} with the text {texts[0]!r}.", _UNQUOTED)
        default = raw.get("default", choices[0])
        if not any(_same(default, value) for value in choices):
            self._add("default-outside", f".default {default!r} is not among the choices.", f"Use one of {list(choices)!r}.")
        return Choice(name=self.name, choices=tuple(choices), default=default, when=self.when)

    def _check_value(self, value: Any) -> None:
        remedy = "Use text, a finite number, true or false; names for values that are more than that."
        match value:
            case str():
                fine = "\0" not in value
            case int():  # and bool
                fine = abs(value) < 2**63
            case float():
                fine = math.isfinite(value)
            case _:
                fine = False
        if not fine:
            self._add("choice-value", f" has the value {value!r:.60}, which no parameter can have.", remedy)

    # ---------------------------------------------------------------- ranges
    def _range(self, raw: Mapping[str, Any]) -> Parameter | None:
        self._check_keys(raw, _RANGE_KEYS)
        log, integer = (self._flag(raw, key) for key in ("log", "int"))
        low, high = (self._bound(raw, key, integer) for key in ("low", "high"))
        if low is None or high is None:
            return None
        if low >= high:
            self._add("range-empty", f" has low {low!r} >= high {high!r}.", "Let low be below high, or give one fixed value.")
            return None
        if not math.isfinite(high - low):
            self._add("range-too-wide", f" from {low!r} to {high!r} is too wide.", "Bring the bounds closer together.")
            return None
        if log and low <= 0:
            self._add("range-log", f" is a log range with low {low!r} <= 0.", "Let low be positive, or drop `log`.")
            return None
        step = self._step(raw, low, high, log, integer)
        if self.problems:
            return None
        if not integer:
            low, high = float(low), float(high)
        default = raw.get("default")
        if default is None:
            default = middle(low, high, log=log, integer=integer, step=step)
        parameter = Range(
            name=self.name, low=low, high=high, default=default, log=log, integer=integer, step=step, when=self.when
        )
        wrong = parameter.wrong(default)
        if wrong:
            said = wrong.removeprefix(self.name).split(": ", 1)
            self._add("default-outside", f".default{said[0]}.", f"{said[1][:1].upper()}{said[1][1:]}")
            return None
        return parameter if integer else replace(parameter, default=float(default))

    def _flag(self, raw: Mapping[str, Any], key: str) -> bool:
        value = raw.get(key, False)
        if not isinstance(value, bool):
            self._add("range-flag", f".{key} is {value!r}.", f"Write `{key}: true` or `{key}: false`.")
        return value is True

    def _bound(self, raw: Mapping[str, Any], key: str, integer: bool) -> float | None:
        if key not in raw:
            remedy = f"Add `{key}`, or `choices` if it is no range."
            self._add("range-bound", f" has no `{key}`.", remedy)
            return None
        value = raw[key]
        if not _is_number(value):
            remedy = "Write a finite number; where the file is plain YAML, 1.0e-4 and not 1e-4."
            self._add("range-bound", f".{key} is {value!r}, which is not a finite number.", remedy)
            return None
        if integer and (not isinstance(value, int) or abs(value) > _LARGEST_INT):
            remedy = f"Give a whole number up to {_LARGEST_INT}, or drop `int`."
            self._add("range-int", f".{key} is {value!r} in an int range.", remedy)
            return None
        number: float = value
        return number

    def _step(self, raw: Mapping[str, Any], low: float, high: float, log: bool, integer: bool) -> float | None:
        step, width = raw.get("step"), high - low
        if step is None:
            return 1 if integer and not log else None
        if not _is_number(step) or step <= 0:
            self._add("range-step", f".step is {step!r}.", "Give a number above 0, or drop it.")
        elif log:
            self._add("range-step", f" has step {step!r} and log.", "Drop one of the two.")
        elif integer and not isinstance(step, int):
            self._add("range-step", f".step is {step!r} in an int range.", "Give a whole number, or drop `int`.")
        elif not integer and step < 1e-9 * max(abs(low), abs(high)):
            self._add("range-step", f".step {step!r} is too fine for values like {high!r}.", "Drop it, or use a coarser one.")
        elif not whole(width / step):
            self._add("range-step", f".step {step!r} does not divide high - low = {width!r}.", "Change step or a bound.")
        else:
            number: float = step
            return number if integer else float(number)
        return None

    # ---------------------------------------------------------------- conditions
    def _when(self, raw: Mapping[str, Any]) -> Conditions:
        when = raw.get("when")
        if when is None:
            return ()
        if not isinstance(when, Mapping) or not when:
            self._add("when-form", f".when is {when!r}.", "Write `when: {other: value}` or `when: {other: [value, value]}`.")
            return ()
        conditions = []
        for parent, values in when.items():
            listed = tuple(values) if _is_list(values) else (values,)
            if not listed:
                self._add("when-form", f".when names no value of {parent!r}.", "List at least one, or drop the condition.")
            conditions.append((str(parent), listed))
        return tuple(conditions)


def _check_conditions(conditions: Mapping[str, Conditions], parameters: Mapping[str, Parameter]) -> Iterator[Problem]:
    for name, pairs in conditions.items():
        for parent, values in pairs:
            where = f"space.{name}.when names {parent!r}"
            if parent == name:
                yield Problem(code="when-self", message=f"{where}, itself.", remedy="Name another parameter.")
            elif parent not in conditions:
                remedy = f"Use one of {', '.join(sorted(conditions.keys() - {name})) or '(there is no other)'}."
                yield Problem(code="when-unknown", message=f"{where}, which is not in the space.", remedy=remedy)
            elif parent in parameters:  # else it could not be read, which is said already
                yield from _check_parent(where, parameters[parent], values)
    for cycle in _cycles(conditions):
        message = f"space has a cycle of conditions: {' needs '.join([*cycle, cycle[0]])}."
        yield Problem(code="when-cycle", message=message, remedy="Drop one of these conditions.")


def _check_parent(where: str, parent: Parameter, values: Sequence[ParamValue]) -> Iterator[Problem]:
    if parent.size is None:
        remedy = "Give that range a `step` or choices: a single value of a continuum is never met."
        yield Problem(code="when-continuous", message=f"{where}, which is continuous.", remedy=remedy)
        return
    for value in values:
        if parent.wrong(value):
            remedy = parent.wrong(value).split(": ", 1)[1]
            message = f"{where} with {value!r}, which it can never be."
            yield Problem(code="when-value", message=message, remedy=f"{remedy[:1].upper()}{remedy[1:]}")


def _cycles(conditions: Mapping[str, Conditions]) -> Iterator[list[str]]:
    """Each cycle of two or more parameters once, from its member that stands first in the space."""
    parents = {name: [parent for parent, _ in pairs if parent in conditions] for name, pairs in conditions.items()}
    rank = {name: index for index, name in enumerate(conditions)}

    def walk(path: list[str]) -> Iterator[list[str]]:
        for parent in parents[path[-1]]:
            if parent == path[0] and len(path) > 1:
                yield path
            elif parent not in path and rank[parent] > rank[path[0]]:
                yield from walk([*path, parent])

    for name in conditions:
        yield from walk([name])


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_number(value: Any) -> bool:
    """Whether it is a number, finite as a float too."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)
