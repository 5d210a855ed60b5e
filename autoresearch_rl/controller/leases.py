"""Leases of devices: by file locks the campaigns of one user and machine queue for whole devices instead of sharing them.

The pool says which devices a trial of this campaign gets; a lease only makes it wait until no other campaign has them. Trials
of one campaign share a lease, since the pool keeps their fractions apart. A process that dies gives its locks back.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

_POLL_S = 0.1


class Leases:
    """The leases of one campaign; used from many worker threads."""

    def __init__(self, cache_dir: Path) -> None:
        """`cache_dir` is shared by all campaigns of this user; a home that several machines share has a folder for each."""
        self._folder = cache_dir / "devices" / (platform.node() or "localhost")
        self._lock = threading.Lock()
        self._held: dict[str, tuple[FileLock, int]] = {}

    def of(self, devices: Mapping[str, tuple[int, ...]]) -> Lease:
        """A lease of these device indices by name, not yet held."""
        return Lease(self, [f"{name}-{index}" for name, indices in sorted(devices.items()) for index in sorted(indices)])

    def turnstile(self, device: str) -> FileLock:
        """Held by whoever is next; all pass it, so that nobody who gives a device back takes it again before those who wait."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self._folder / f"{device}.next", thread_local=False)

    def take(self, device: str) -> bool:
        """Takes a device if no other campaign has it. Only for who holds its turnstile."""
        with self._lock:
            lock, users = self._held.get(device) or (FileLock(self._folder / f"{device}.lock", thread_local=False), 0)
            if users == 0 and not _locked(lock):
                return False
            self._held[device] = lock, users + 1
            return True

    def give_back(self, device: str) -> None:
        """Gives a device back; others may have it once no trial of this campaign uses it."""
        with self._lock:
            lock, users = self._held.pop(device)
            if users > 1:
                self._held[device] = lock, users - 1
            else:
                lock.release()


class Lease:
    """Devices of one trial, taken one after the other in the same order by all, so that nobody waits in a circle."""

    def __init__(self, leases: Leases, devices: list[str]) -> None:
        self._leases, self._devices = leases, devices
        self._taken: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def acquire(self, stopped: Callable[[], bool], waiting: Callable[[str], object]) -> bool:
        """Waits until no other campaign has the devices; returns whether they are held, False once `stopped()`.

        `waiting` is called with the name of each device (`gpu-0`) that has to be waited for. Raises OSError where locks cannot
        be made.
        """
        for device in self._devices:
            turnstile, told = self._leases.turnstile(device), False
            try:
                while not ((turnstile.is_locked or _locked(turnstile)) and self._leases.take(device)):
                    if not told:
                        waiting(device)
                        told = True
                    if stopped():
                        return False
                    time.sleep(_POLL_S)
            finally:
                turnstile.release()
            self._taken.append(device)
        return True

    def release(self) -> None:
        """Gives back what is held, if anything is."""
        while self._taken:
            self._leases.give_back(self._taken.pop())


def _locked(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
