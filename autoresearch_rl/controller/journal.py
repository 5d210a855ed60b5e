"""The journal: the one source of truth of a campaign, append-only, one checksummed record a line."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import math
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from filelock import FileLock, Timeout
from pydantic import TypeAdapter
from pydantic_core import from_json

from autoresearch_rl.errors import JournalError
from autoresearch_rl.events import KINDS, Entry, Opened, Record
from autoresearch_rl.trial import LlmReply, LlmRequest, Outcome, Proposal

FORMAT = 1
_LOCK_S = 2.0  # a controller that was killed holds its lock a moment longer, through a child that it was about to start
_KIND_OF = {cls: kind for kind, cls in KINDS.items()}
_IN_BLOBS = {(Proposal, "patch"), (Outcome, "curve"), (LlmRequest, "messages"), (LlmReply, "texts")}
_HEAD_BYTES = 200  # of a line, in which its sequence number, times and kind stand
_KIND, _TAIL, _TAIL_BYTES = b',"kind":"', b',"crc":"%08x"}\n', 19  # of a line that is whole
_BLOB = "$blob"
_BLOB_NAME = _BLOB.encode()
_REFERENCE = re.compile(rb'\{"\$blob":"([0-9a-f]{64})"\}')
_HEAD = re.compile(rb'\{"seq":(\d+),"at":"([^"]*)","elapsed_s":([-+.\deE]+),"kind":"(\w+)"')  # as `encode` begins each line
_LOCK = "controller.lock"
_CACHED = 16
_LOG = logging.getLogger(__name__)


class Blobs:
    """Texts by SHA-256 in a folder; never pruned."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unsynced: list[Path] = []

    def put(self, text: str) -> str:
        """Stores a text, returns its SHA-256 in hex. Raises JournalError where the disk refuses it."""
        content = text.encode("utf-8", "surrogatepass")
        name = hashlib.sha256(content).hexdigest()
        path = self._folder / name
        if not path.exists():
            # The writer's thread is part of the name: two threads may store the same text at once.
            scratch = path.with_suffix(f".{threading.get_ident()}.tmp")
            try:
                self._folder.mkdir(exist_ok=True)
                scratch.write_bytes(content)
                scratch.replace(path)
            except OSError as error:
                raise JournalError(f"{path} cannot be written: {error.strerror or error}") from error
            self._unsynced.append(path)
        return name

    def get(self, name: str) -> str:
        """The text of that SHA-256. Raises JournalError where it is missing or not what its name says."""
        try:
            content = (self._folder / name).read_bytes()
        except OSError as error:
            raise JournalError(f"blob {name} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != name:
            raise JournalError(f"blob {name} in {self._folder} was changed: its content has another hash")
        return content.decode("utf-8", "surrogatepass")

    def sync(self) -> None:
        """Forces what was stored since the last call to the disk."""
        paths, self._unsynced = self._unsynced, []
        for path in paths:
            _sync_path(path)
        if paths:
            _sync_path(self._folder)


class Journal:
    """Writes a campaign's journal; one controller at a time, held by a file lock. A context manager.

    Each line is in the kernel before `append` returns, so a killed process loses nothing; `fdatasync` follows in groups
    within half a second in a thread of its own (`sync="each"`: before `append` returns).
    """

    def __init__(self, run_dir: Path, *, sync: Literal["group", "each"] = "group") -> None:
        self.path = run_dir / "journal.jsonl"
        self.blobs = Blobs(run_dir / "blobs")
        self._sync_each = sync == "each"
        self._lock = FileLock(run_dir / _LOCK)
        self._dirty, self._closing = threading.Event(), threading.Event()
        self._failure: OSError | None = None
        self._seq = self._size = 0

    def __enter__(self) -> Self:
        """Locks the run directory, cuts a torn last line. Raises JournalError if another controller has it."""
        try:
            self._lock.acquire(timeout=_LOCK_S)
        except Timeout:
            raise JournalError(
                f"{self.path.parent} is in use by another controller; wait for it, or stop it with `arrl stop {self.path.parent}`"
            ) from None
        except OSError as error:
            raise JournalError(f"{self.path.parent} cannot be written: {error.strerror or error}") from error
        try:
            self._seq, self._size = _usable(self.path)
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            self._lock.release()
            raise JournalError(f"{self.path} cannot be written: {error.strerror or error}") from error
        except JournalError:
            self._lock.release()
            raise
        self._syncer = threading.Thread(target=self._sync_groups, name="journal-sync", daemon=True)
        self._syncer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        self._dirty.set()
        self._syncer.join()
        os.close(self._descriptor)
        self._lock.release()

    def append(self, record: Record, elapsed_s: float) -> Entry:
        """Writes a record before it takes effect, returns it with its place and time.

        Raises JournalError where the disk refuses it; the file then ends with the record before.
        """
        entry = Entry(seq=self._seq, at=datetime.now(UTC).isoformat(timespec="microseconds"), elapsed_s=elapsed_s, record=record)
        try:
            line = encode(entry, self.blobs)
            written = os.write(self._descriptor, line)
            if written < len(line):
                raise OSError(28, "no space left on device")
            if self._sync_each:
                self.blobs.sync()
                os.fdatasync(self._descriptor)
        except OSError as error:
            with suppress(OSError):  # the torn line is cut off by the next reader then
                os.ftruncate(self._descriptor, self._size)
            raise JournalError(f"{self.path} cannot be written: {error.strerror or error}") from error
        if self._failure is not None:
            raise JournalError(f"{self.path} cannot be synced to disk: {self._failure.strerror}")
        self._seq, self._size = self._seq + 1, self._size + len(line)
        self._dirty.set()
        return entry

    def _sync_groups(self) -> None:
        last = False
        while not last:
            self._dirty.wait()
            self._closing.wait(0.5)
            self._dirty.clear()
            last = self._closing.is_set()  # looked at before syncing, so that what came before the end is synced
            try:
                self.blobs.sync()
                os.fdatasync(self._descriptor)
            except OSError as error:
                self._failure = error


def in_use(run_dir: Path) -> bool:
    """Whether a controller has the run directory now."""
    try:
        with FileLock(run_dir / _LOCK).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError as error:
        raise JournalError(f"{run_dir} cannot be written: {error.strerror or error}") from error


def begun(run_dir: Path) -> bool:
    """Whether a campaign has begun in a run directory: its journal has a whole line."""
    try:
        with (run_dir / "journal.jsonl").open("rb") as stream:
            return stream.readline().endswith(b"\n")
    except FileNotFoundError:
        return False


def encode(entry: Entry, blobs: Blobs) -> bytes:
    """One journal line: strict JSON with the checksum of everything before it as the last field."""
    assert not isinstance(entry.record, tuple)
    kind = _KIND_OF[type(entry.record)]  # type: ignore[index]  # Reported never gets here
    row = {"seq": entry.seq, "at": entry.at, "elapsed_s": round(entry.elapsed_s, 6), "kind": kind, **_plain(entry.record, blobs)}
    body = json.dumps(row, separators=(",", ":"), allow_nan=False)[:-1]
    return f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def read(run_dir: Path) -> Iterator[Entry]:
    """Entries of a run directory's journal in order, also while a controller writes it.

    A last line without its end is left out. Raises JournalError on a missing or broken journal, naming the line,
    and on one of a newer format.
    """
    path = run_dir / "journal.jsonl"
    blob = lru_cache(_CACHED)(
        Blobs(run_dir / "blobs").get
    )  # many trials have the same one: an empty curve, no patch of their own
    try:
        stream = path.open("rb")
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}; is {run_dir} a run directory?") from error
    with stream:
        for number, line, _ in _lines(path, stream):
            yield _decode(path, number, line, blob)


@contextmanager
def all_kept() -> Iterator[None]:
    """For readers of whole journals: nothing is searched for garbage meanwhile, as every object of a million is kept."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()  # else the next search, a moment later, looks at all of them
            gc.enable()


def _lines(path: Path, stream: Any) -> Iterator[tuple[int, bytes, int]]:
    """(line number, line, offset of the line's end) of each whole line; checks order and checksums."""
    end = 0
    for number, line in enumerate(stream, start=1):
        if not line.endswith(b"\n"):
            return  # torn by a crash, or a live controller is writing it; what it adds meanwhile is another reading's
        whole = line[-_TAIL_BYTES:] == _TAIL % zlib.crc32(line[:-_TAIL_BYTES]) and line.startswith(b'{"seq":%d,' % (number - 1))
        if (not whole or line.find(_KIND, 0, _HEAD_BYTES) < 0) and (bad := _broken(line, number - 1)):
            raise JournalError(f"{path}: line {number} is broken ({bad}); the journal cannot be trusted from there on")
        end += len(line)
        yield number, line, end


def _broken(line: bytes, seq: int) -> str:
    """What is wrong with a line, empty if nothing is. It is not parsed: a long journal is read when a campaign goes on."""
    body, mark, rest = line.rpartition(_TAIL[:8])
    if not line.endswith(b'"}\n') or not mark:
        return "cut off"
    if rest[:-3] != f"{zlib.crc32(body):08x}".encode():
        return "wrong checksum"
    if line.startswith(b'{"seq":%d,' % seq):
        return "" if line.find(_KIND, 0, _HEAD_BYTES) > 0 else "incomplete"
    return f"sequence number {from_json(line).get('seq')} where {seq} should stand"


def _usable(path: Path) -> tuple[int, int]:
    """Number of whole lines and the bytes they take."""
    if not path.exists():
        return 0, 0
    count = size = 0
    with path.open("rb") as stream:
        for count, _, size in _lines(path, stream):  # noqa: B007  # the last values count
            pass
    if path.stat().st_size > size:
        _LOG.warning("%s: the last line is torn and cut off", path)
    return count, size


def _decode(path: Path, number: int, line: bytes, blob: Callable[[str], str]) -> Entry:
    # References are found in the line itself: within a text its quotation marks would be escaped.
    if _BLOB_NAME in line:
        line = _REFERENCE.sub(lambda match: blob(match[1].decode()).encode(), line)
    head = _HEAD.match(line)
    if head is None:
        raise JournalError(f"{path}: line {number} is broken (incomplete); the journal cannot be trusted from there on")
    seq, at, elapsed_s, kind = int(head[1]), head[2].decode(), float(head[3]), head[4].decode()
    if kind == "opened" and (newer := from_json(line).get("format", 0)) > FORMAT:
        raise JournalError(f"{path} has format {newer}, this version reads up to {FORMAT}; upgrade autoresearch-rl")
    if kind not in KINDS:
        raise JournalError(f"{path}: line {number} has the unknown kind {kind!r}; upgrade autoresearch-rl")
    try:
        record = _adapter(kind).validate_json(line)  # fields of the head are none of the record's, and are left out
    except ValueError as error:
        raise JournalError(f"{path}: line {number} is not a valid {kind!r} record: {error}") from error
    if seq == 0 and not isinstance(record, Opened):
        raise JournalError(f"{path}: line 1 is {kind!r}, not 'opened'")
    return Entry(seq=seq, at=at, elapsed_s=elapsed_s, record=record)


@cache
def _adapter(kind: str) -> TypeAdapter[Record]:
    return TypeAdapter(KINDS[kind])


def _plain(value: Any, blobs: Blobs | None) -> Any:
    """Plain JSON types: dataclasses as objects, numbers that JSON cannot write as strings, long fields as blobs.

    Within a blob (`blobs` is None) there are no further ones.
    """
    if is_dataclass(value) and not isinstance(value, type):
        out = {}
        for field in fields(value):
            apart = blobs is not None and (type(value), field.name) in _IN_BLOBS
            item = _plain(getattr(value, field.name), None if apart else blobs)
            if item and apart and blobs is not None:
                item = {_BLOB: blobs.put(json.dumps(item))}
            out[field.name] = item
        return out
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        plain = {_text(str(key)): _plain(item, blobs) for key, item in value.items()}
        if blobs is not None and plain.keys() == {_BLOB}:  # somebody's own name, e.g. of a metric, that would read as a reference
            return {_BLOB: blobs.put(json.dumps({_BLOB: _plain(value[_BLOB], None)}))}
        return plain
    if isinstance(value, tuple | list):
        return [_plain(item, blobs) for item in value]
    return _text(value) if isinstance(value, str) else value


def storable(value: object, levels: int = 100) -> bool:
    """Whether plain JSON comes back from the journal as it is: text, finite numbers, not nested deeper than `levels`."""
    match value:
        case str():
            return _text(value) == value
        case float():
            return math.isfinite(value)
        case Mapping():
            return levels > 0 and all(storable(str(key)) and storable(item, levels - 1) for key, item in value.items())
        case list() | tuple():
            return levels > 0 and all(storable(item, levels - 1) for item in value)
        case _:
            return value is None or isinstance(value, int)


def _text(value: str) -> str:
    """As it is where it is text; lone surrogates (file names that are no UTF-8, in a message) could not be read back."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
