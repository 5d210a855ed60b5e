"""One parameter of a search space: a choice among values, or a range of numbers."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoresearch_rl.trial import ParamValue

if TYPE_CHECKING:
    import numpy as np

Conditions = tuple[tuple[str, tuple[ParamValue, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several values; they are told apart by type and value, so that `True`, `1` and `1.0` are three.

    Attributes:
        name: Identifier.
        choices: At least one, no two the same.
        default: One of them.
        when: (parent, values) pairs: active only if each parent is active and has one of its values.
    """

    name: str
    choices: tuple[ParamValue, ...]
    default: ParamValue
    when: Conditions = ()

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.choices)

    def wrong(self, value: object) -> str:
        """A sentence that says what is wrong with the value; empty if nothing is."""
        if any(type(value) is type(choice) and value == choice for choice in self.choices):
            return ""
        return f"{self.name} is {value!r}, which is not among its choices: give one of {', '.join(map(repr, self.choices))}."

    def key(self, value: ParamValue) -> Hashable:
        """What two values share only if they are the same."""
        return type(value).__name__, value

    def sample(self, rng: np.random.Generator) -> ParamValue:
        """One of the choices, each equally likely."""
        return self.choices[int(rng.integers(len(self.choices)))]

    def values(self, points: int | None = None) -> Sequence[ParamValue]:
        """All choices, in their order, whatever `points` is."""
        return self.choices

    def nth(self, index: int) -> ParamValue:
        """The choice at that place."""
        return self.choices[index]

    def index(self, value: ParamValue) -> int:
        """The place of a choice. Raises ValueError for anything else."""
        return [self.key(choice) for choice in self.choices].index(self.key(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        name: Identifier.
        low: Positive if `log`.
        high: Above `low`.
        default: In the range.
        log: Whether ratios count and not differences.
        integer: Whether values are whole; they are `int` then, else `float`.
        step: Distance of neighbours, which divides the range; None if continuous, or whole and `log`.
        when: As of `Choice`.
    """

    name: str
    low: float
    high: float
    default: float
    log: bool = False
    integer: bool = False
    step: float | None = None
    when: Conditions = ()

    @property
    def size(self) -> int | None:
        """Number of values, None if it is continuous."""
        if self.step is not None:
            return round((self.high - self.low) / self.step) + 1
        return int(self.high - self.low) + 1 if self.integer else None

    def wrong(self, value: object) -> str:
        """A sentence that says what is wrong with the value; empty if nothing is."""
        kind = "a whole number" if self.integer else "a number"
        wanted = f"give {kind} from {self.low} to {self.high}"
        if not isinstance(value, (int, float)) or isinstance(value, bool if not self.integer else (bool, float)):
            return f"{self.name} is {value!r}, which is not {kind}: {wanted}."
        # Sums of steps may be off by rounding.
        slack = 0.0 if self.step is None or self.integer else 1e-11 * max(abs(self.low), abs(self.high))
        if not self.low - slack <= value <= self.high + slack:  # false for NaN too
            return f"{self.name} is {value!r}, which is outside its range: {wanted}."
        if self.step is not None and abs(value - self.nth(self.index(value))) > slack:
            return f"{self.name} is {value!r}, which is off its steps of {self.step}: {wanted} in these steps."
        return ""

    def key(self, value: ParamValue) -> Hashable:
        """What two values share only if they are the same."""
        if self.step is not None and not self.integer:
            return self.nth(self.index(value))
        return int(value) if self.integer else float(value)

    def sample(self, rng: np.random.Generator) -> ParamValue:
        """Uniform over the values, or over their logarithms if `log`."""
        if self.step is not None:
            size = self.size
            assert size is not None
            return self.nth(int(rng.integers(size)))
        margin = 0.5 if self.integer else 0.0  # gives the two ends of whole numbers the same share as the others
        low, high = self.low - margin, self.high + margin
        share = float(rng.random())
        value = math.exp(_mix(math.log(low), math.log(high), share)) if self.log else _mix(low, high, share)
        return self.inside(value)

    def values(self, points: int | None = None) -> Sequence[ParamValue]:
        """All values in ascending order, or `points` of them evenly spread if there are more.

        Raises ValueError if all values of a continuum are wanted.
        """
        size = self.size
        if points is None and size is None:
            raise ValueError(f"{self.name} is continuous: its values cannot be listed.")
        if size is not None and (points is None or size <= points):
            return _Listed(self, size)
        assert points is not None
        if points == 1:
            return [self.default]
        spread = [self._spread(index / (points - 1)) for index in range(points)]
        return list(dict.fromkeys(spread))

    def nth(self, index: int) -> float:
        """The value `index` steps above `low`, where there are steps."""
        if self.integer:
            return int(self.low) + index * int(self.step or 1)
        return tidy(self.low + index * (self.step or 0.0))

    def index(self, value: ParamValue) -> int:
        """How many steps above `low` the value is, where there are steps."""
        return round((float(value) - self.low) / (self.step or 1.0))

    def inside(self, value: float) -> float:
        """The value of the range nearest to a number, where there are no steps."""
        value = min(max(value, self.low), self.high)
        return round(value) if self.integer else value

    def _spread(self, share: float) -> float:
        """The value at that share of the way from low to high."""
        if share in (0.0, 1.0):
            return self.high if share else self.low
        if self.step is not None:
            return self.nth(round(_mix(0, (self.size or 1) - 1, share)))
        if self.log:
            return self.inside(tidy(math.exp(_mix(math.log(self.low), math.log(self.high), share))))
        return self.inside(tidy(_mix(self.low, self.high, share)))


class _Listed(Sequence[ParamValue]):
    """The values of a countable range, made one by one as they are looked at: there may be many."""

    def __init__(self, parameter: Range, size: int) -> None:
        self._parameter, self._size = parameter, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> ParamValue:  # type: ignore[override]  # slices are not needed
        if not 0 <= index < self._size:
            raise IndexError(index)
        return self._parameter.nth(index)


Parameter = Choice | Range


def middle(low: float, high: float, *, log: bool, integer: bool, step: float | None) -> float:
    """Default of a range that names none: its midpoint on the steps, or its geometric mean to two digits if `log`."""
    if log:
        mean = math.exp((math.log(low) + math.log(high)) / 2)
        return min(max(round(mean) if integer else float(f"{mean:.2g}"), low), high)
    if step is None:
        return tidy(low + (high - low) / 2)
    value = low + step * (round((high - low) / step) // 2)
    return int(value) if integer else tidy(value)


def whole(quotient: float) -> bool:
    """Whether it is a whole number but for rounding."""
    return abs(quotient - round(quotient)) <= 1e-9 * max(1.0, abs(quotient))


def tidy(value: float) -> float:
    """The value to twelve digits: 0.3 where sums of floats give 0.30000000000000004."""
    return float(f"{value:.12g}")


def _mix(left: float, right: float, share: float) -> float:
    return left * (1 - share) + right * share
