"""Requests of people to a campaign: one file each in `RUN_DIR/inbox`, which the loop journals and deletes.

A request has its file's name as id. One that the journal holds is not taken up again, whatever became of its file.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from autoresearch_rl.controller.journal import in_use, storable
from autoresearch_rl.errors import JournalError
from autoresearch_rl.events import Requested
from autoresearch_rl.history import History
from autoresearch_rl.space import SearchSpace
from autoresearch_rl.trial import Trial

_LOG = logging.getLogger(__name__)
_FOLDER = "inbox"


class Inbox:
    """The requests of one run directory, as its controller reads them."""

    def __init__(self, run_dir: Path, taken: Iterable[str] = ()) -> None:
        """`taken`: ids of requests that are journalled already."""
        self._folder = run_dir / _FOLDER
        self._taken = set(taken)

    def next(self, space: SearchSpace, history: History, *, ending: bool = False) -> Requested | None:
        """The oldest request that was not taken yet, None if there is none; broken ones are put aside with a warning.

        Where the campaign is `ending`, what is to be tried stays for a resume, where `arrl enqueue` sees that it does.
        """
        for path in waiting_requests(self._folder.parent):
            if path.stem in self._taken:
                with suppress(OSError):
                    path.unlink()
                continue
            try:
                request = _read(path, space, history)
                if not (ending and request.request == "enqueue"):
                    self._taken.add(path.stem)  # what cannot be deleted (another user's) is taken once all the same
                    return request
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                self._taken.add(path.stem)
                _LOG.warning("request %s cannot be read and is put aside: %s", path, error)
                with suppress(OSError):
                    path.rename(path.with_suffix(".bad"))
        return None

    def done(self, request: Requested) -> None:
        """Deletes the file of a request that is journalled now."""
        name = request_id(request)
        if name:
            with suppress(OSError):
                (self._folder / f"{name}.json").unlink()


def request_id(request: Requested) -> str:
    """The name of its file, empty for one that came without."""
    return str(request.arguments.get("id", ""))


def put_request(run_dir: Path, request: Mapping[str, Any]) -> Path:
    """Puts a request into the inbox, atomically; returns its file, which a controller that runs deletes when it takes it up.

    Raises JournalError if it is no run directory or cannot be written.
    """
    if not (run_dir / "journal.jsonl").is_file():
        raise JournalError(f"{run_dir} is no run directory: it has no journal.jsonl")
    folder = run_dir / _FOLDER
    path = folder / f"{time.time_ns()}-{os.getpid()}.json"
    scratch = path.with_suffix(".tmp")
    try:
        folder.mkdir(exist_ok=True)
        scratch.write_text(json.dumps(request))
        scratch.replace(path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        raise JournalError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def ask_stop(run_dir: Path) -> None:
    """Asks a live campaign to stop.

    Raises JournalError if it is no run directory, or no controller runs there.
    """
    if (run_dir / "journal.jsonl").is_file() and not in_use(run_dir):
        raise JournalError(f"no controller runs in {run_dir}, so there is nothing to stop")
    put_request(run_dir, {"request": "stop"})


def drop_stop_requests(run_dir: Path) -> None:
    """Drops stop requests that a controller did not live to see: whoever resumes wants to go on."""
    for path in waiting_requests(run_dir):
        with suppress(OSError, ValueError, RecursionError):  # what cannot be read is put aside by the loop
            raw = json.loads(path.read_text())
            if isinstance(raw, dict) and raw.get("request") == "stop":
                path.unlink()


def waiting_requests(run_dir: Path) -> list[Path]:
    """Request files that no controller has taken up yet, the oldest first."""
    folder = run_dir / _FOLDER
    return sorted(folder.glob("*.json")) if folder.is_dir() else []


def known_trial(number: object, history: History) -> Trial:
    """The trial of that number, settled or pending. Raises ValueError where there is none."""
    if isinstance(number, int) and not isinstance(number, bool):
        settled = history.find(number)
        if settled is not None:
            return settled.trial
        for trial in history.pending:
            if trial.number == number:
                return trial
    raise ValueError(f"the parent {number!r} is no trial of this campaign")


def _read(path: Path, space: SearchSpace, history: History) -> Requested:
    raw = json.loads(path.read_text())
    kind, given = str(raw["request"]), {**raw, "id": path.stem}
    match kind:
        case "stop":
            pass
        case "note":
            given["text"] = _text(given, "text")
        case "enqueue":
            parent = known_trial(given.get("parent", 0 if history.leader is None else history.leader), history)
            given |= {
                "parent": parent.number,
                "params": space.completed(given.get("params") or {}, parent.proposal.params),
                "patch": _text(given, "patch"),
                "rationale": _text(given, "rationale"),
            }
        case _:
            raise ValueError(f"{kind!r} is none of stop, enqueue, note")
    if not storable(given):
        raise ValueError("it holds what the journal cannot")
    return Requested(request=kind, arguments=given)


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}, which is no text")
    return value
