"""Search space: named choices and ranges, some active only for certain values of others.

What a parameter may be, in `task.yaml`:

    optimizer: [sgd, adam]                            # choices; the first is the default
    epochs: 3                                         # fixed: a choice of one
    width: {choices: [32, 64, 128], default: 64}
    lr: {low: 1e-4, high: 1e-1, log: true}            # default: the geometric mean
    layers: {low: 1, high: 5, int: true, default: 2}  # without `int` values are floats, whatever the bounds look like
    dropout: {low: 0, high: 0.5, step: 0.1}
    momentum: {low: 0.0, high: 0.99, when: {optimizer: sgd}}   # or `{optimizer: [sgd, rmsprop]}`
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from autoresearch_rl.errors import ConfigError
from autoresearch_rl.parameter import Parameter, Range
from autoresearch_rl.space_config import read_parameters
from autoresearch_rl.trial import Params, ParamValue

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class SearchSpace:
    """The space of parameters of a task; empty where only code is to change.

    An inactive parameter has its default in `params` and does not count: two assignments that differ only there are one cell.

    Attributes:
        parameters: In the order of the task; names of `when` are among them, without a cycle.
    """

    parameters: tuple[Parameter, ...] = ()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SearchSpace:
        """The space that a `space:` section describes. Raises ConfigError with one Problem for each thing that is wrong."""
        parameters, problems = read_parameters(config)
        if problems:
            raise ConfigError(problems)
        return cls(parameters)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the task."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def defaults(self) -> Params:
        """Complete parameters with every default."""
        return {parameter.name: parameter.default for parameter in self.parameters}

    @cached_property
    def size(self) -> int | None:
        """Number of cells (assignments that differ in an active parameter), None if infinite; 1 for the empty space."""
        return self._count(0, {})

    @property
    def conditional(self) -> bool:
        """Whether some parameter is active only for certain values of others."""
        return any(parameter.when for parameter in self.parameters)

    def check(self, params: Mapping[str, object]) -> str:
        """Empty if `params` are complete and inside, else a sentence that names parameter, value and remedy."""
        for name in params:
            if name not in self._by_name:
                known = ", ".join(self.names) or "none: the space is empty"
                return f"{name!r} is not a parameter of the space: drop it, or use a name that is ({known})."
        for parameter in self.parameters:
            if parameter.name not in params:
                return f"{parameter.name} is missing: give every parameter a value (its default is {parameter.default!r})."
            wrong = parameter.wrong(params[parameter.name])
            if wrong:
                return wrong
        return ""

    def completed(self, given: Mapping[str, object], base: Params) -> dict[str, ParamValue]:
        """Complete parameters: `given`, the others as in `base`, whole numbers of float ranges as floats.

        Raises ValueError with a sentence that names parameter, value and remedy.
        """
        complete: dict[str, Any] = {**base, **given}
        wrong = self.check(complete)
        if wrong:
            raise ValueError(wrong)
        for parameter in self.parameters:
            if isinstance(parameter, Range) and not parameter.integer:
                complete[parameter.name] = float(complete[parameter.name])
        return complete

    def active(self, params: Params) -> frozenset[str]:
        """Names of the parameters that count in `params`, which must be complete and inside."""
        return frozenset(self._keys(params))

    def canonical(self, params: Params) -> Hashable:
        """A key that two complete assignments share only if they agree on all active parameters."""
        return tuple(self._keys(params).items())

    def build(self, choose: Callable[[Parameter], ParamValue]) -> dict[str, ParamValue]:
        """Complete parameters: `choose` is called for each active one, parents first; the others take their defaults."""
        params = dict(self.defaults)
        keys: dict[str, Hashable] = {}
        for parameter in self._parents_first:
            if self._is_active(parameter, keys):
                params[parameter.name] = value = choose(parameter)
                keys[parameter.name] = parameter.key(value)
        return params

    def sample(self, rng: np.random.Generator) -> dict[str, ParamValue]:
        """Random complete parameters, uniform in each active one (in its logarithm where `log`)."""
        return self.build(lambda parameter: parameter.sample(rng))

    def cells(self, points: int | None = None) -> Iterator[dict[str, ParamValue]]:
        """All cells, each once, lazily and in a fixed order: the last parameter varies fastest.

        With `points`, each range counts with at most so many of its values. Raises ValueError if the space is infinite without.
        """
        return self._expand(0, dict(self.defaults), {}, points)

    # ---------------------------------------------------------------- conditions
    @cached_property
    def _by_name(self) -> Mapping[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def _parents_first(self) -> tuple[Parameter, ...]:
        ordered: dict[str, Parameter] = {}
        while len(ordered) < len(self.parameters):  # ends: a cycle was refused
            for parameter in self.parameters:
                if parameter.name not in ordered and all(parent in ordered for parent, _ in parameter.when):
                    ordered[parameter.name] = parameter
        return tuple(ordered.values())

    @cached_property
    def _conditions(self) -> Mapping[str, tuple[tuple[str, frozenset[Hashable]], ...]]:
        return {
            parameter.name: tuple(
                (parent, frozenset(self._by_name[parent].key(value) for value in values)) for parent, values in parameter.when
            )
            for parameter in self.parameters
        }

    @cached_property
    def _decisive(self) -> Mapping[str, frozenset[Hashable]]:
        """Keys of the values on which others depend, by parent."""
        decisive: dict[str, frozenset[Hashable]] = {}
        for conditions in self._conditions.values():
            for parent, keys in conditions:
                decisive[parent] = decisive.get(parent, frozenset()) | keys
        return decisive

    def _is_active(self, parameter: Parameter, keys: Mapping[str, Hashable]) -> bool:
        """Whether it counts; `keys` holds those of its parents that do."""
        return all(keys.get(parent) in wanted for parent, wanted in self._conditions[parameter.name])

    def _keys(self, params: Params) -> dict[str, Hashable]:
        keys: dict[str, Hashable] = {}
        for parameter in self._parents_first:
            if self._is_active(parameter, keys):
                keys[parameter.name] = parameter.key(params[parameter.name])
        return keys

    # ---------------------------------------------------------------- counting and listing
    def _count(self, depth: int, keys: Mapping[str, Hashable]) -> int | None:
        """Cells below `depth`; branches only over values that others depend on, so that wide ranges cost nothing."""
        if depth == len(self.parameters):
            return 1
        parameter = self._parents_first[depth]
        if not self._is_active(parameter, keys):
            return self._count(depth + 1, keys)
        if parameter.size is None:
            return None
        decisive = self._decisive.get(parameter.name, frozenset())
        branches: list[tuple[int, Mapping[str, Hashable]]] = [(1, {**keys, parameter.name: key}) for key in decisive]
        if parameter.size > len(decisive):
            branches.append((parameter.size - len(decisive), keys))
        total = 0
        for weight, branch in branches:
            count = self._count(depth + 1, branch)
            if count is None:
                return None
            total += weight * count
        return total

    def _expand(
        self, depth: int, params: dict[str, ParamValue], keys: dict[str, Hashable], points: int | None
    ) -> Iterator[dict[str, ParamValue]]:
        if depth == len(self.parameters):
            yield dict(params)
            return
        parameter = self._parents_first[depth]
        if not self._is_active(parameter, keys):
            yield from self._expand(depth + 1, params, keys, points)
            return
        for value in parameter.values(points):
            params[parameter.name], keys[parameter.name] = value, parameter.key(value)
            yield from self._expand(depth + 1, params, keys, points)
        params[parameter.name] = parameter.default
        del keys[parameter.name]
