"""MLflow's server as a child of `arrl ui`: comes up with links to the campaigns, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from types import FrameType

from autoresearch_rl.errors import ArrlError, ConfigError, Problem
from autoresearch_rl.telemetry import mlflow_database

_HOST = "127.0.0.1"
_PAUSE_S, _ANSWER_S, _END_S = 0.2, 10.0, 10.0
_ENVIRONMENT = {
    # Jobs are judges of language models; their runner would outlive the server and leave a folder in /dev/shm.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore",
}


def serve(uri: str, port: int) -> int:
    """Runs the server until Ctrl-C, SIGTERM or SIGHUP; returns 0.

    It listens on this machine only, and lets everybody on this machine read and change the runs. Raises ConfigError where
    there is no database or nothing can listen at the port, ArrlError if the server ends by itself.
    """
    problems = [problem for problem in (_database_problem(uri), _port_problem(port)) if problem is not None]
    if problems:
        raise ConfigError(problems)
    early: list[int] = []
    _on_signals(lambda number, _: early.append(number))  # a signal during the start must not leave a server behind
    print("MLflow comes up, which takes some seconds ...", flush=True)
    argv = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--registry-store-uri", uri, "--host", _HOST]
    argv += ["--port", str(port), "--workers", "1", "--uvicorn-opts", "--no-access-log --log-level warning"]
    # What `cli.main` set goes along; without it the server waits for a price list from the network. In a session of its own
    # Ctrl-C does not reach it: while it comes up it would answer with tracebacks.
    server = subprocess.Popen(argv, env={**_ENVIRONMENT, **os.environ}, start_new_session=True)
    try:
        _on_signals(signal.default_int_handler)
        if early:
            raise KeyboardInterrupt
        _say_links(server, port)
        code = server.wait()
    except KeyboardInterrupt:
        server.terminate()
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            server.wait(_END_S)
        return 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    raise ArrlError(f"MLflow's server ended by itself with exit code {code}; above is what it said.")


def _on_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _database_problem(uri: str) -> Problem | None:
    path = mlflow_database.sqlite_path(uri)
    if path is None:
        return None
    if not path.is_file():
        remedy = "Run a campaign first, or go to the folder where you ran one, or name it with --uri."
        return Problem(code="no-database", message=f"{path} does not exist here.", remedy=remedy)
    try:
        mlflow_database.check(path)
    except (OSError, sqlite3.DatabaseError) as error:
        return Problem(code="database-unusable", message=f"{path}: {error}.", remedy="Name MLflow's database with --uri.")
    return None


def _port_problem(port: int) -> Problem | None:
    if not 0 < port < 65536:
        message = f"There is no port {port}."
        return Problem(code="port-unusable", message=message, remedy="Choose one from 1 to 65535 with --port PORT.")
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still winding up is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            remedy = "Choose another with --port PORT, or end the program that has it (another `arrl ui`?)."
            return Problem(code="port-unusable", message=f"Port {port} of {_HOST}: {error.strerror}.", remedy=remedy)
    return None


def _say_links(server: subprocess.Popen[bytes], port: int) -> None:
    """Prints where the campaigns are, once the server answers: from its front page it is a long way to them."""
    found = None
    while found is None and server.poll() is None:
        time.sleep(_PAUSE_S)
        found = _experiments(port)
    if found is None:
        return
    for number, name in found:
        print(f"{name}: http://{_HOST}:{port}/#/experiments/{number}/runs?workflowType=machine_learning")
    print(f"All of MLflow: http://{_HOST}:{port} (Ctrl-C ends it)", flush=True)


def _experiments(port: int) -> list[tuple[str, str]] | None:
    """Ids and names of the latest experiments but the one that MLflow itself makes; None while there is no answer."""
    # Not through urllib, which would ask a proxy.
    with closing(HTTPConnection(_HOST, port, timeout=_ANSWER_S)) as connection, suppress(OSError, HTTPException):
        connection.request("GET", "/api/2.0/mlflow/experiments/search?max_results=10&order_by=creation_time%20DESC")
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 200:
            found = json.loads(text).get("experiments", [])
            return [(item["experiment_id"], item["name"]) for item in found if item["experiment_id"] != "0"]
    return None
