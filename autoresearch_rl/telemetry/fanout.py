"""Several sinks as one. The only place where exceptions of telemetry are caught."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from autoresearch_rl.events import Entry
from autoresearch_rl.telemetry import Sink, Telemetry

_LOG = logging.getLogger(__name__)


class FanOut:
    """Opens sinks by name, hands every entry to each, closes them in the order given.

    A sink that raises is named in one warning, closed and left out.
    """

    def __init__(self, sinks: Mapping[str, Telemetry], run_dir: Path) -> None:
        """`sinks` as in the configuration: `telemetry.NAME`. Nothing is opened before the context is entered."""
        self._sinks, self._run_dir = dict(sinks), run_dir
        self._open: dict[str, Sink] = {}

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the sinks that still work, in the order given."""
        return tuple(self._open)

    def __enter__(self) -> Self:
        for name, telemetry in self._sinks.items():
            try:
                self._open[name] = telemetry.open(self._run_dir).__enter__()
            except Exception as error:
                _warn(name, error)
        return self

    def record(self, entry: Entry) -> None:
        """Called by the loop's thread; never raises."""
        for name, sink in tuple(self._open.items()):
            try:
                sink.record(entry)
            except Exception as error:
                del self._open[name]
                _warn(name, error)
                _close(name, sink, told=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with ExitStack() as stack:  # a Ctrl-C while one sink drains must not keep the others from closing
            for name, sink in reversed(self._open.items()):
                stack.callback(_close, name, sink)
            self._open.clear()


def _close(name: str, sink: Sink, told: bool = False) -> None:
    try:
        sink.__exit__(None, None, None)
    except Exception as error:
        if not told:
            _warn(name, error)


def _warn(name: str, error: Exception) -> None:
    said = str(error).strip() or type(error).__name__
    _LOG.warning("telemetry.%s is switched off: %s (the campaign goes on; its journal has everything)", name, said)
    _LOG.debug("telemetry.%s", name, exc_info=error)
