"""The values that pass between policies, controller, targets and telemetry. Frozen; change is `dataclasses.replace`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

ParamValue = bool | int | float | str
Params = Mapping[str, ParamValue]
Direction = Literal["minimize", "maximize"]


class Status(StrEnum):
    """How a trial ended."""

    OK = "ok"
    FAILED = "failed"  # the trial's own fault
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"  # score unknown: censored
    REJECTED = "rejected"  # patch, contract or smoke run
    TAMPERED = "tampered"
    LOST = "lost"  # controller, host or service died: says nothing about the proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a policy wants tried: parameters, code or both.

    Attributes:
        params: Complete assignment of the search space, defaults filled in.
        patch: The patch as proposed, or empty.
        parent: Number of the trial whose source the patch applies to; None only for the baseline.
        repeat_of: Number of the trial that this one measures again under another seed.
        rationale: Why, in the policy's words; shown to people.
        source: Which policy or model made it.
        memo: Small JSON object with what the policy cannot recompute from the rest.
    """

    params: Params
    patch: str = ""
    parent: int | None = None
    repeat_of: int | None = None
    rationale: str = ""
    source: str = ""
    memo: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A numbered proposal, as one attempt runs it.

    Attributes:
        number: From 0 (the baseline), in the order proposed.
        attempt: From 1; above 1 only after an attempt was lost.
        seed: `AR_SEED`, a function of (campaign seed, repeat index).
        source_hash: SHA-256 over the mutable files as run, its own patch applied; the parent's where the patch is refused.
    """

    number: int
    attempt: int = 1
    proposal: Proposal
    seed: int
    source_hash: str = ""

    @property
    def candidate(self) -> int:
        """Number of the candidate that it measures: its own, or that of the trial that it repeats."""
        return self.number if self.proposal.repeat_of is None else self.proposal.repeat_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One report of a running trial; never trusted as a score.

    Attributes:
        step: Steps done, in the trial's own unit.
        step_target: The last step planned, None where the trial did not say.
        metrics: Values by name; may hold NaN and infinities.
        elapsed_s: Seconds since the stage started, by the trial's clock.
    """

    step: float
    step_target: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The reports of one trial as columns, thinned to at most 1,000 points with the last one kept.

    Attributes:
        steps: Shape [n], not decreasing.
        elapsed_s: Shape [n].
        metrics: By name, each of shape [n]; NaN where a report left a metric out.
        step_target: The last step planned, None where the trial did not say.
    """

    steps: tuple[float, ...] = ()
    elapsed_s: tuple[float, ...] = ()
    metrics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    step_target: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the controller tells a running trial to do.

    Attributes:
        kind: `cancel` (censored), `pause` (write a checkpoint and exit with 43), or `stop` (interrupted: lost, run again on resume).
        reason: A sentence shown to the user.
        grace_s: Seconds that the trial has to obey before it is killed.
    """

    kind: Literal["cancel", "pause", "stop"]
    reason: str
    grace_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpan:
    """When one stage of a trial ran: `begun_s` and `ended_s` are active monotonic seconds of the campaign."""

    stage: str
    begun_s: float
    ended_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How far a score can be believed.

    Attributes:
        kind: `trusted`, `untrusted` (an evaluator scored it, but labels or evaluator were within the trial's reach), `self_reported`.
        tier: Isolation tier of the untrusted stages: 0 hygiene only, 1 Landlock, 2 namespaces.
        reason: Why it is not trusted; empty if it is.
    """

    kind: Literal["trusted", "untrusted", "self_reported"]
    tier: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What training was measured under.

    Attributes:
        hardware: Class of the machine: CPU, its cores, GPUs granted; the same text where the same work takes the same time.
        contention: Share of its time, 0 to 1, for which others kept it from CPUs; None where nobody can tell.
    """

    hardware: str
    contention: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a trial ended and what it is worth.

    Attributes:
        status: See `Status`.
        score: Value of the objective's metric, finite; None is unknown, never 0.
        metrics: All metrics of the evaluator, finite.
        reported: Last metrics that the trial itself reported; never trusted.
        curve: Learning curve of the training stage.
        elapsed_s: Wall seconds from the start of the first stage to the end of the last.
        usage: Amounts by name with unit: `cpu_s`, `gpu_s`, `usd`, `peak_rss_bytes`, `output_bytes`.
        message: One sentence on what happened, with the last lines of stderr where it failed; empty if ok.
        artifacts: Paths relative to the attempt's folder, by name.
        sealed: SHA-256 of each sealed file, by path relative to the attempt's folder.
        spans: When each stage ran.
        verdict: See `Verdict`; None where there is no score.
        conditions: See `Conditions`; None where training did not come to its end.
    """

    status: Status
    score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    reported: Mapping[str, float] = field(default_factory=dict)
    curve: Curve = field(default_factory=Curve)
    elapsed_s: float = 0.0
    usage: Mapping[str, float] = field(default_factory=dict)
    message: str = ""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    sealed: Mapping[str, str] = field(default_factory=dict)
    spans: tuple[StageSpan, ...] = ()
    verdict: Verdict | None = None
    conditions: Conditions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the keep rule says of a candidate; the latest one for a candidate holds.

    Attributes:
        candidate: Number of the candidate's first trial.
        verdict: `keep` means confirmed.
        reason: One sentence, used as log line, ledger field, MLflow tag and feedback to language models alike.
        leads: Whether the candidate becomes the leader: default parent of patches and reference for cancelling.
        evidence: Numbers behind the reason, by name.
        repeats: Numbers of candidates that should be measured under one more seed each; a number may stand there several times.
        reserve: Trials that no policy should get, for repeats that may be asked for later; the latest decision's holds.
    """

    candidate: int
    verdict: Literal["keep", "discard", "undecided"]
    reason: str
    leads: bool = False
    evidence: Mapping[str, float] = field(default_factory=dict)
    repeats: tuple[int, ...] = ()
    reserve: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A trial with its outcome, as the history holds it."""

    trial: Trial
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trial with its repeats. `mean` and `sd` are of the scores known (None without any; `sd` needs two)."""

    number: int
    trials: tuple[Settled, ...]
    n: int
    mean: float | None
    sd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What is left to spend, None where there is no limit; of GPU-seconds and USD what is neither used nor reserved for trials."""

    trials: int | None = None
    wall_s: float | None = None
    gpu_s: float | None = None
    usd: float | None = None
    tokens: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmRequest:
    """(role, text) pairs for a language model, how many replies are wanted, and the temperature (None for the model's default)."""

    messages: tuple[tuple[str, str], ...]
    n: int = 1
    temperature: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmReply:
    """Texts of the replies, tokens in and out, and cost in USD (None if the price is unknown)."""

    texts: tuple[str, ...]
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float | None = None
