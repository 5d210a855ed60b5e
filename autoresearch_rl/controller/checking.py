"""Checks the arguments of the controller and its rules."""

from __future__ import annotations

from autoresearch_rl.errors import ConfigError, Problem


def check_values(where: str, *arguments: tuple[str, object, bool, str], code: str) -> None:
    """Raises ConfigError for each (name, value, whether it is legal, what it must be) of what stands there that is not legal."""
    problems = [
        Problem(code=code, message=f"{where}.{name} is {value!r}.", remedy=f"It must be {rule}.")
        for name, value, legal, rule in arguments
        if not legal
    ]
    if problems:
        raise ConfigError(problems)


def counts(value: object, least: int) -> bool:
    """Whether a value is a whole number from `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def share(value: object) -> bool:
    """Whether a value is a number between 0 and 1, neither of them."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1
