"""The controller's end of the launcher: one small process that starts the stages of a campaign."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from autoresearch_rl import _core
from autoresearch_rl.errors import LaunchError

# Loads the core by path: without `site` and the package the process takes milliseconds to start and little memory.
_PROGRAM = """
import sys, _imp
from importlib.machinery import ExtensionFileLoader, ModuleSpec
path, descriptor = sys.argv[1:]
core = _imp.create_dynamic(ModuleSpec("_core", ExtensionFileLoader("_core", path), origin=path))
_imp.exec_dynamic(core)
core.run_launcher(int(descriptor))
"""
_START_S = 60.0
_END_S = 3.0


class Launcher:
    """A running launcher process. When its socket closes, also because this process died, it kills all that it started."""

    def __init__(self) -> None:
        """Starts it. Raises LaunchError."""
        self._socket, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(_core.__file__), str(theirs.fileno())]
            # Python itself may need the library path; nothing else of our environment is the launcher's business.
            env = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
            try:
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=[theirs.fileno()],
                    env=env,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                self._socket.close()
                raise LaunchError(f"the launcher cannot be started with {sys.executable}: {error}") from error
        self._await_ready()

    @property
    def alive(self) -> bool:
        """Whether it still takes jobs."""
        return self._child.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def connect(self) -> socket.socket:
        """A connection to a new keeper, the process that will own one stage. Raises LaunchError if the launcher died."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._socket, [b"j"], [theirs.fileno()])
        except OSError as error:
            ours.close()
            raise LaunchError(f"the launcher died: {error}") from error
        return ours

    def close(self) -> None:
        """Ends it and with it all that it started."""
        self._socket.close()
        try:
            self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stderr is not None:
            self._child.stderr.close()

    def _await_ready(self) -> None:
        self._socket.settimeout(_START_S)
        try:
            ready = self._socket.recv(1)
        except OSError:
            ready = b""
        self._socket.settimeout(None)
        if not ready:
            self._child.kill()
            _, said = self._child.communicate()
            self._socket.close()
            raise LaunchError(f"the launcher did not start: {said.decode(errors='replace').strip()[-2000:] or 'it said nothing'}")
