"""What `arrl enqueue` and `arrl note` do: check a person's request as far as a journal tells, and put it into the inbox."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autoresearch_rl.controller.inbox import known_trial, put_request, waiting_requests
from autoresearch_rl.controller.journal import in_use, storable
from autoresearch_rl.controller.lineage import Lineage
from autoresearch_rl.controller.seen import Seen, read_campaign
from autoresearch_rl.errors import ConfigError, PatchError, Problem
from autoresearch_rl.events import Opened
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.trial import Proposal, Trial

_TAKEN_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants tried.

    Attributes:
        params: Values that differ from the parent's.
        patch: Of the parent's source, or empty.
        parent: Number of a trial, None for the leader.
        rationale: Why.
    """

    params: Mapping[str, Any]
    patch: str = ""
    parent: int | None = None
    rationale: str = ""


def enqueue(run_dir: Path, wish: Wish, command: str) -> str:
    """Puts a person's proposal into the inbox; returns what becomes of it. `command` is how `arrl` is called.

    Raises ConfigError where it is not in the search space, or its patch does not apply; JournalError for the run directory.
    """
    seen = read_campaign(run_dir)
    parent = _parent(seen, wish.parent)
    params = _params(seen.opened, wish.params, parent)
    _check(run_dir, seen, wish, parent)
    request = {"request": "enqueue", "params": params, "parent": parent.number}
    request |= {"patch": wish.patch} if wish.patch else {}
    request |= {"rationale": wish.rationale} if wish.rationale else {}
    given = seen.tally.waiting.numbers + len(seen.tally.waiting.held) + len(waiting_requests(run_dir)) + 1
    path = put_request(run_dir, request)
    live, taken = in_use(run_dir), _is_taken(run_dir, path)
    what = [f"{name}={value}" for name, value in params.items() if parent.proposal.params.get(name) != value]
    what += ["its source patched"] if wish.patch else []
    as_what = "the leader" if wish.parent is None else "--parent"
    said = f"Enqueued: as trial {parent.number} ({as_what}) with {', '.join(what) or 'nothing changed'}."
    if live and not taken:
        resume = f"{command} resume {shlex.quote(str(run_dir))}"
        return f"{said} It waits in the inbox: the campaign starts no more trials before it ends; then `{resume}` takes it up."
    return f"{said} {_fate(run_dir, seen, command, given=given, live=live)}"


def note(run_dir: Path, text: str, command: str) -> str:
    """Puts a note into the inbox; returns what becomes of it. Raises ConfigError for an empty one, JournalError."""
    if not text.strip() or not storable(text):
        message = f"The note {text!r} is {'empty' if not text.strip() else 'no text that UTF-8 can hold'}."
        raise ConfigError([Problem(code="note-empty", message=message, remedy="Write what you want to remember.")])
    put_request(run_dir, {"request": "note", "text": text, "at": datetime.now(UTC).isoformat(timespec="seconds")})
    resume = f"{command} resume {shlex.quote(str(run_dir))}"
    return "Noted." if in_use(run_dir) else f"Noted: no controller runs in {run_dir}, the journal gets it with `{resume}`."


def _is_taken(run_dir: Path, path: Path) -> bool:
    """Whether the controller takes a request up, which it does within a second if it does at all."""
    until_s = time.monotonic() + _TAKEN_S
    while path.exists() and in_use(run_dir) and time.monotonic() < until_s:
        time.sleep(0.05)
    return not path.exists()


def _parent(seen: Seen, number: int | None) -> Trial:
    history = seen.log.view()
    if number is None and history.leader is None and history.find(0) is None:
        return Trial(number=0, proposal=Proposal(params=seen.opened.defaults), seed=0)
    try:
        return known_trial((history.leader or 0) if number is None else number, history)
    except ValueError as error:
        most = max(trial.number for trial in (*history.pending, *(s.trial for s in history.settled[-1:])))
        remedy = f"Those that have started go up to trial {most}; without --parent it is the leader."
        raise ConfigError(
            [Problem(code="enqueue-parent", message=f"{str(error)[:1].upper()}{str(error)[1:]}.", remedy=remedy)]
        ) from error


def _params(opened: Opened, given: Mapping[str, Any], parent: Trial) -> dict[str, Any]:
    space = recorded_space(opened)
    if space is None:
        return {**parent.proposal.params, **given}
    try:
        return dict(space.completed(given, parent.proposal.params))
    except ValueError as error:
        said, _, remedy = str(error).partition(": ")
        remedy = f"{remedy[:1].upper()}{remedy[1:]}"
        raise ConfigError([Problem(code="enqueue-params", message=f"--params: {said}.", remedy=remedy)]) from error


def _check(run_dir: Path, seen: Seen, wish: Wish, parent: Trial) -> None:
    if not storable([wish.patch, wish.rationale]):
        message = "The patch or the rationale holds what UTF-8 cannot."
        raise ConfigError([Problem(code="enqueue-text", message=message, remedy="Write plain text.")])
    if not wish.patch:
        return
    history = seen.log.view()
    lineage = Lineage(run_dir, seen.opened, lambda number: known_trial(number, history).proposal)
    try:
        lineage.changes(Proposal(params={}, patch=wish.patch, parent=parent.number if history.find(0) else None))
    except PatchError as error:
        message = f"The patch does not apply to the source of trial {parent.number} ({error.code}): {error}."
        remedy = "Make it against that source, or name another trial with --parent."
        raise ConfigError([Problem(code="enqueue-patch", message=message, remedy=remedy)]) from error


def recorded_space(opened: Opened) -> SearchSpace | None:
    """The search space of a campaign's recorded configuration, None where that cannot be read here."""
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        config = OmegaConf.create(opened.config)
        space = OmegaConf.select(config, "task.space")
        plain: Any = OmegaConf.to_container(space, resolve=True) if isinstance(space, DictConfig) else {}
        return SearchSpace.from_config(plain)
    except (OmegaConfBaseException, ConfigError, ValueError):  # such as a variable that is not set here
        return None


def _fate(run_dir: Path, seen: Seen, command: str, *, given: int, live: bool) -> str:
    """Says when it will be taken up; `given` trials are wanted, this one included."""
    resume = f"{command} resume {shlex.quote(str(run_dir))}"
    limit = seen.opened.max_trials
    if limit is not None and given > limit:
        kept = "is kept" if live else "waits in the inbox"
        return (
            f"It {kept}: all {limit} trials (controller.max_trials) are taken; `{resume} controller.max_trials={given}` runs it."
        )
    if live:
        return "The campaign has taken it up; it starts before all that waits."
    if seen.tally.stop is not None and not seen.tally.stop.interrupted:
        return f"It waits in the inbox: the campaign has ended ({seen.tally.stop.reason}); `{resume}` takes it up, with that limit raised."
    return f"It waits in the inbox: no controller runs in {run_dir}; `{resume}` takes it up."
