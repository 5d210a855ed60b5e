"""Optimizers of parameters through Optuna: TPE and CMA-ES.

The study is made anew from the history for every ask, so that what is proposed depends on nothing else. Parameters measured
under another source than the next proposal will run with are left out: that is another objective.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from autoresearch_rl.errors import ConfigError, Problem
from autoresearch_rl.history import History
from autoresearch_rl.parameter import Choice, Parameter, Range
from autoresearch_rl.policy import Ask
from autoresearch_rl.policy.tried import Taken, Tried, parent_of, require_at_least, require_parameters, untried
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.trial import Curve, Params, ParamValue, Proposal, Status

_WHOLE = 10**6
_DRAWS = 20  # tries to find a cell that was not measured yet, before one is drawn at random


class Tpe:
    """Tree-structured Parzen estimator: draws where good results are dense compared with bad ones.

    All active parameters are drawn together. Cancelled trials, failures and timeouts count as worse than every score; so do
    pending trials, so that proposals made at the same time differ.
    """

    def __init__(self, space: SearchSpace, n_startup_trials: int = 10) -> None:
        """`n_startup_trials`: results (the baseline's among them) before which proposals are random.

        Raises ConfigError for an empty space or a negative count.
        """
        require_parameters(space, "tpe")
        require_at_least(0, n_startup_trials, "policy.n_startup_trials")
        self._space, self._startup = space, n_startup_trials
        self._tried = Tried(space)
        self._known: list[tuple[_Point, Any]] = []

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        """Up to `ask.count` cells, none of them settled or pending; fewer where no more are left."""
        import optuna

        with warnings.catch_warnings():  # for the whole interpreter, so as short as can be
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of `group`
            sampler = optuna.samplers.TPESampler(
                seed=_seed(ask),
                n_startup_trials=self._startup,
                multivariate=True,
                group=self._space.conditional,
                constant_liar=True,
            )
        points = _points(ask.history)
        study = _study(sampler, [*self._finished(points), *_running(self._space, ask.history)])
        said = f"tpe on {len(points)} results"
        return _draw(
            study, self._space, ask, self._tried.at(ask.history), lambda _: Proposal(params={}, source="tpe", rationale=said)
        )

    def _finished(self, points: Sequence[_Point]) -> list[Any]:
        """The points as finished trials; those of the ask before are used again where they are the same."""
        known = self._known
        del known[len(points) :]
        for index, point in enumerate(points):
            if index == len(known):
                known.append((point, _frozen(self._space, point)))
            elif known[index][0] != point:
                known[index] = (point, _frozen(self._space, point))
        return [trial for _, trial in known]


class CmaEs:
    """Covariance matrix adaptation: a normal distribution that moves, generation by generation, to where scores are better.

    It works on the ranges that are always active; choices and conditional parameters are drawn by TPE. Each proposal's memo
    names its generation; the distribution itself is computed again from the scores of the generations before.
    """

    def __init__(self, space: SearchSpace, n_startup_trials: int = 1, population: int | None = None) -> None:
        """`n_startup_trials`: results before which proposals are random. `population`: of a generation, default 4 + 3 ln(ranges).

        Raises ConfigError for a space without a range that is always active, or counts that make no sense.
        """
        require_parameters(space, "cmaes")
        require_at_least(0, n_startup_trials, "policy.n_startup_trials")
        if population is not None:
            require_at_least(2, population, "policy.population")
        self._ranges = tuple(p for p in space.parameters if not isinstance(p, Choice) and not p.when)
        if not self._ranges:
            message = "policy cmaes needs a range of numbers that is always active, and the search space has none."
            raise ConfigError([Problem(code="policy-space-unfit", message=message, remedy="Use policy=tpe for choices.")])
        self._space, self._startup = space, n_startup_trials
        self._population = population or 4 + math.floor(3 * math.log(len(self._ranges)))
        self._tried = Tried(space)
        self._told: list[tuple[list[_Point], dict[str, Any]]] = []

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        """Up to `ask.count` cells, none of them settled or pending; fewer where no more are left."""
        import optuna

        points = _points(ask.history)
        seed = _seed(ask)
        rest = optuna.samplers.TPESampler(seed=seed, multivariate=False, constant_liar=False)
        begun = sum(point.value is not None for point in points) >= self._startup
        known = [self._carrier(self._evolve(points))]
        if len(self._ranges) < len(self._space.parameters):
            known += [_frozen(self._space, point) for point in points]  # for TPE
        study = _study(self._sampler(seed, 0 if begun else len(known) + 1, rest), known)

        def proposal(attributes: Mapping[str, Any]) -> Proposal:
            generation = attributes.get(_GENERATION)
            if generation is None:
                return Proposal(params={}, source="cmaes", rationale="drawn at random, to begin with")
            memo = {_MEMO: generation}
            return Proposal(params={}, source="cmaes", rationale=f"cmaes, generation {generation}", memo=memo)

        return _draw(study, self._space, ask, self._tried.at(ask.history), proposal)

    def _evolve(self, points: Sequence[_Point]) -> dict[str, Any]:
        """The sampler's state after all complete generations, as attributes of a trial; empty before the first is complete.

        A generation is the first `population` of its trials to settle with a score. Replaying them gives the state again, so it
        need not be kept in the journal, from where it would have to be unpickled.
        """
        state: dict[str, Any] = {}
        for generation in range(len(points)):
            solutions = [p for p in points if p.generation == generation and p.value is not None][: self._population]
            if len(solutions) < self._population:
                del self._told[generation:]
                break
            if generation < len(self._told) and self._told[generation][0] == solutions:
                state = self._told[generation][1]
                continue
            del self._told[generation:]
            attributes = {_GENERATION: generation}
            trials = [_frozen(self._space, point, self._ranges, attributes) for point in solutions]
            study = _study(self._sampler(0, 0, None), [self._carrier(state), *trials])
            _suggest(study.ask(), self._ranges[0])  # has the sampler look at the generation and move on
            asked = study.get_trials(deepcopy=False)[-1].system_attrs
            state = {key: value for key, value in asked.items() if key.startswith(_STATE)}
            self._told.append((solutions, state))
        return state

    def _carrier(self, state: Mapping[str, Any]) -> Any:
        """A trial that carries the state, and whose parameters are those that CMA-ES is to work on. Its value beats none."""
        point = _Point(params=self._space.defaults, value=math.inf)
        return _frozen(self._space, point, self._ranges, state)

    def _sampler(self, seed: int, startup: int, rest: Any) -> Any:
        import optuna

        return optuna.samplers.CmaEsSampler(
            seed=seed,
            n_startup_trials=startup,
            popsize=self._population,
            independent_sampler=rest,
            warn_independent_sampling=False,
        )


_GENERATION = "cma:generation"
_STATE = "cma:optimizer"
_MEMO = "cma_generation"
# Ends that speak against the parameters. Without them TPE spends most of its trials in a region that fails beside a good one.
_BAD = (Status.CANCELLED, Status.FAILED, Status.TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """What one candidate says.

    Attributes:
        value: Mean score, to be minimised; None if it ended badly.
        curve: Last report (step, value) of one that was cancelled, where it is known.
        generation: From the memo.
    """

    params: Params
    value: float | None
    curve: tuple[int, float] | None = None
    generation: int | None = None


def _points(history: History) -> list[_Point]:
    """Candidates with a score or a bad end, measured under the source that is asked about, in the order settled."""
    parent = parent_of(history)
    sign = 1.0 if history.direction == "minimize" else -1.0
    points = []
    for settled in history.settled:
        trial = settled.trial
        candidate = history.candidate(trial.number)
        if parent is None or trial.source_hash != parent.source_hash or candidate is None:  # repeats are in their candidate
            continue
        if candidate.mean is not None and math.isfinite(candidate.mean):
            generation = trial.proposal.memo.get(_MEMO)
            points.append(_Point(params=trial.proposal.params, value=sign * candidate.mean, generation=generation))
        elif settled.outcome.status in _BAD:
            known = settled.outcome.status is Status.CANCELLED
            points.append(
                _Point(params=trial.proposal.params, value=None, curve=_last(settled.outcome.curve, sign) if known else None)
            )
    return points


def _last(curve: Curve, sign: float) -> tuple[int, float] | None:
    """Last finite point of the curve's metric; None where there is none, or where several make it unclear which one counts."""
    if len(curve.metrics) != 1:
        return None
    (values,) = curve.metrics.values()
    known = [(round(step), sign * value) for step, value in zip(curve.steps, values, strict=True) if math.isfinite(value)]
    return known[-1] if known else None


def _seed(ask: Ask) -> int:
    return int(ask.rng.integers(2**31))


def _study(sampler: Any, trials: Sequence[Any]) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=sampler, direction="minimize")
    study.add_trials(trials)
    return study


def _draw(
    study: Any, space: SearchSpace, ask: Ask, taken: Taken, proposal: Callable[[Mapping[str, Any]], Proposal]
) -> list[Proposal]:
    """Asks the study for cells that are not taken; `proposal` makes one without parameters from the trial's attributes."""
    import optuna

    proposals: list[Proposal] = []
    while len(proposals) < ask.count:
        for _ in range(_DRAWS):
            trial = study.ask()
            params: dict[str, ParamValue] | None = space.build(partial(_suggest, trial))
            made = proposal(study.get_trials(deepcopy=False)[-1].system_attrs)
            assert params is not None
            if space.canonical(params) not in taken:
                break
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            params = untried(space, taken, ask.rng)
            if params is None:
                break
            made = Proposal(params={}, source=made.source, rationale="drawn at random: what it would try was tried")
        taken.add(space.canonical(params))
        proposals.append(replace(made, params=params, parent=taken.parent))
    return proposals


# ---------------------------------------------------------------- parameters as Optuna sees them
def _scale(parameter: Range) -> tuple[float, float, bool]:
    """Low, high and whether values between are whole, as Optuna is to see them: steps are numbered.

    Where there are very many whole numbers they are rounded afterwards: TPE loses a single one's share of the density.
    """
    low, high = parameter.low, parameter.high
    if parameter.step is not None:
        low, high = 0, (parameter.size or 1) - 1
    return low, high, parameter.size is not None and high - low <= _WHOLE


def _distribution(parameter: Parameter) -> Any:
    """Choices are numbered: Optuna would take `True` and 1 for the same."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(parameter, Choice):
        return CategoricalDistribution(tuple(range(parameter.size)))
    low, high, whole = _scale(parameter)
    return (IntDistribution if whole else FloatDistribution)(low, high, log=parameter.log)


def _encoded(parameter: Parameter, value: ParamValue) -> ParamValue:
    return parameter.index(value) if isinstance(parameter, Choice) or parameter.step is not None else value


def _suggest(trial: Any, parameter: Parameter) -> ParamValue:
    name = parameter.name
    if isinstance(parameter, Choice):
        return parameter.nth(trial.suggest_categorical(name, tuple(range(parameter.size))))
    low, high, whole = _scale(parameter)
    drawn = (trial.suggest_int if whole else trial.suggest_float)(name, low, high, log=parameter.log)
    return parameter.inside(drawn) if parameter.step is None else parameter.nth(round(drawn))


def _frozen(
    space: SearchSpace, point: _Point, parameters: Sequence[Parameter] | None = None, attributes: Mapping[str, Any] | None = None
) -> Any:
    """A finished Optuna trial; of the active parameters, or of those named."""
    from optuna.trial import TrialState, create_trial

    active = space.active(point.params)
    counted = [p for p in parameters or space.parameters if p.name in active]
    trial = create_trial(
        state=TrialState.PRUNED if point.value is None else TrialState.COMPLETE,
        value=point.value,
        params={p.name: _encoded(p, point.params[p.name]) for p in counted},
        distributions={p.name: _distribution(p) for p in counted},
        system_attrs=dict(attributes or {}),
        intermediate_values=dict([point.curve] if point.curve else []),
    )
    trial.__class__ = _shared()
    return trial


@cache
def _shared() -> type[Any]:
    from optuna.trial import FrozenTrial

    class Shared(FrozenTrial):  # type: ignore[misc]
        """A finished trial that a study need not copy whole, as none changes more of it than its number, nor check again."""

        def __deepcopy__(self, memo: object) -> Shared:
            twin = object.__new__(Shared)
            twin.__dict__.update(self.__dict__)
            return twin

        def _validate(self) -> None:
            """`create_trial` did it when it was made; each ask fills a study anew, with all there are."""

    return Shared


def _running(space: SearchSpace, history: History) -> list[Any]:
    """Pending trials as running ones."""
    from optuna.trial import TrialState, create_trial

    parent = parent_of(history)
    trials = []
    for trial in history.pending:
        if parent is not None and trial.source_hash == parent.source_hash and trial.proposal.repeat_of is None:
            active = space.active(trial.proposal.params)
            counted = [p for p in space.parameters if p.name in active]
            params = {p.name: _encoded(p, trial.proposal.params[p.name]) for p in counted}
            distributions = {p.name: _distribution(p) for p in counted}
            trials.append(create_trial(state=TrialState.RUNNING, params=params, distributions=distributions))
    return trials
