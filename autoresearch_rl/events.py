"""What stands in the journal: events (what happened) and effects (what to do next), and `Reported`, which is only shown.

`KINDS` maps the `kind` field of a journal line to its class. Times are not in the records but in their `Entry`: only the
journal's writer reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from autoresearch_rl.trial import Decision, LlmReply, LlmRequest, Order, Outcome, Params, Progress, Proposal, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the budgets of a campaign depend on.

    Attributes:
        limits: Those that are set, by the name of their setting: `max_gpu_s`, `max_usd`, `max_tokens`, `max_trial_usd`.
        timeouts: Seconds that each stage of a trial may take, by stage.
        usd_per_h: What a trial costs an hour, None where its target does not say.
        released_usd_per_h: The same once it has given back what only its untrusted stages need.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    timeouts: Mapping[str, float] = field(default_factory=dict)
    usd_per_h: float | None = None
    released_usd_per_h: float = 0.0


# ---------------------------------------------------------------- events
@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """First event of a campaign.

    Attributes:
        format: Version of the journal's format; readers refuse a newer one.
        campaign: Id (ULID).
        task: Name of the task; `metric`, `direction` and `progress_metric` are its objective's.
        config: The unresolved composed configuration, as YAML.
        versions: Of Python and the libraries that decisions depend on.
        seed: Campaign seed.
        hardware: Short facts (`cpu`, `cores`, `memory_gb`, `gpus`).
        frozen: SHA-256 of frozen files and prepared data, by name.
        source_hash: Of the user's mutable files; their texts are blobs named in `sources`.
        defaults: The search space's default parameters.
        capacity: Resources of the pool; `trial` is the number of trials at a time.
        devices: Indices of the devices behind a resource, by name.
        checkpoints: Whether training writes checkpoints and can go on from them.
        time_budgeted: Whether scores depend on how fast the machine is, so that they are compared under equal conditions only.
        max_trials: None where trials are not limited.
        terms: What budgets depend on.
        prepare_s: Seconds that preparing the data took just before.
        cwd: Working directory, to which relative addresses in the configuration refer.
        tags: Further facts shown by telemetry (`policy`, `target`, `sweep`, `isolation`).
    """

    format: int = 1
    campaign: str
    task: str
    metric: str
    direction: str
    progress_metric: str
    config: str
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int
    hardware: Mapping[str, str] = field(default_factory=dict)
    frozen: Mapping[str, str] = field(default_factory=dict)
    source_hash: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    defaults: Params = field(default_factory=dict)
    capacity: Mapping[str, float] = field(default_factory=dict)
    devices: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    checkpoints: bool = False
    time_budgeted: bool = False
    max_trials: int | None = None
    terms: Terms = Terms()
    prepare_s: float = 0.0
    cwd: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """The policy answered ask `ask`; `error` is its exception as one line, empty if it answered."""

    ask: int
    proposals: tuple[Proposal, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmCall:
    """A language model was called during ask `ask`."""

    ask: int
    request: LlmRequest
    reply: LlmReply
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """A report on which a cancel rule was asked."""

    number: int
    attempt: int
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """A trial wrote its checkpoint on order and holds no resources.

    Attributes:
        part: What its attempt came to so far, as a cancelled one's: curve, time, usage. The trial's outcome will be the sum of parts.
    """

    number: int
    attempt: int
    part: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A trial no longer needs `resources`: its untrusted stages are over, the evaluator runs."""

    number: int
    attempt: int
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledEvent:
    """An attempt ended. `interrupted`: by Ctrl-C, SIGTERM or `arrl stop`, which is no attempt used."""

    number: int
    attempt: int
    outcome: Outcome
    interrupted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """SIGINT or SIGTERM came (`signal` is its number); `again` for the second and later ones."""

    signal: int
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """A request file was found in the run directory's inbox: `stop`, `enqueue` or `note`."""

    request: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The campaign itself cannot go on: the evaluator, the prepare step or the disk (`message` says what)."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A controller took the campaign up again, with these limits changed."""

    limits: Mapping[str, Any] = field(default_factory=dict)


# ---------------------------------------------------------------- effects
@dataclass(frozen=True, slots=True, kw_only=True)
class AskPolicy:
    """Ask the policy for `count` proposals; it sees the journal up to entry `seen`."""

    ask: int
    seen: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTrial:
    """Run this attempt with these amounts and device indices.

    Attributes:
        refusal: Why its patch cannot be applied, else empty.
        ran_s: Seconds that training took before it was paused; its timeout is about the sum.
    """

    trial: Trial
    resources: Mapping[str, float] = field(default_factory=dict)
    devices: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    refusal: str = ""
    ran_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTrial:
    """Give a running trial an order, `kill` without waiting for it to obey; a paused one settles at once."""

    number: int
    attempt: int
    order: Order
    kill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare:
    """The cancel rule would have given this order, but the trial is of the control group and runs to its end."""

    number: int
    attempt: int
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Incomparable:
    """An attempt was measured under conditions under which its score cannot be compared with the baseline's.

    Attributes:
        reason: A sentence with both conditions.
        then: What follows: `again`, it counts for nothing and the next attempt runs alone on the machine; `fail`, it was the last
            one; `accept`, it was the baseline's last one, and is what others are compared with all the same.
    """

    number: int
    attempt: int
    reason: str
    then: Literal["again", "fail", "accept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide:
    """The keep rule decided."""

    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCampaign:
    """The end. `failed`: with a campaign error; `interrupted`: can be resumed, `signal` says by what."""

    reason: str
    failed: bool = False
    interrupted: bool = False
    signal: int = 0


# ---------------------------------------------------------------- shown, never journalled
@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A running trial entered a stage (`progress` is None) or reported progress in it."""

    number: int
    attempt: int
    stage: str
    progress: Progress | None = None


Event = Opened | Proposed | LlmCall | Progressed | Paused | Released | SettledEvent | Interrupted | Requested | Failed | Resumed
Effect = AskPolicy | StartTrial | OrderTrial | Spare | Incomparable | Decide | StopCampaign
Record = Event | Effect

KINDS: Mapping[str, type[Record]] = {
    "opened": Opened,
    "proposed": Proposed,
    "llm_call": LlmCall,
    "progressed": Progressed,
    "paused": Paused,
    "released": Released,
    "settled": SettledEvent,
    "interrupted": Interrupted,
    "requested": Requested,
    "failed": Failed,
    "resumed": Resumed,
    "ask": AskPolicy,
    "start": StartTrial,
    "order": OrderTrial,
    "spare": Spare,
    "incomparable": Incomparable,
    "decide": Decide,
    "stop": StopCampaign,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record with its place and time.

    Attributes:
        seq: Sequence number in the journal from 0; -1 for `Reported`, which is not in it.
        at: UTC time with offset, ISO 8601 with microseconds.
        elapsed_s: Active monotonic seconds of the campaign.
        record: Event, effect or `Reported`.
    """

    seq: int
    at: str
    elapsed_s: float
    record: Record | Reported
