"""The command `arrl`: Hydra composes and runs campaigns, verbs do the rest. Heavy libraries are imported where they are used."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from autoresearch_rl.errors import ArrlError, ConfigError, Problem

_EARLY = {
    "HYDRA_FULL_ERROR": "1",  # exceptions reach `run`, which says them in one sentence
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else its import fetches a price list
    "LITELLM_LOG": "ERROR",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `arrl`; exits with 0, 1 (campaign error), 2 (bad configuration), 3 (no score) or 128 + signal."""
    for name, value in _EARLY.items():
        os.environ.setdefault(name, value)
    code = run(list(sys.argv[1:] if argv is None else argv))
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _unread()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Runs a command line, returns its exit code. Errors become sentences on stderr."""
    from hydra.errors import HydraException

    from autoresearch_rl import composition
    from autoresearch_rl.verbs import VERBS

    try:
        if arguments and arguments[0] in VERBS:
            return VERBS[arguments[0]](arguments[1:])
        if arguments == ["--version"]:
            from importlib.metadata import version

            print(f"arrl {version('autoresearch-rl')}")
            return 0
        if arguments and re.fullmatch(r"[a-z][a-z_-]*", arguments[0], re.IGNORECASE):
            message = f"{arguments[0]!r} is neither a verb nor an override of the form KEY=VALUE."
            meant = "".join(f"Did you mean {verb}? " for verb in get_close_matches(arguments[0].lower(), VERBS, 1))
            remedy = f"{meant}Verbs are {', '.join(VERBS)}; `arrl --help` shows more."
            raise ConfigError([Problem(code="verb-unknown", message=message, remedy=remedy)])
        if late := next((word for word in arguments if word in VERBS and _is_free(word, arguments)), None):
            message = f"The verb {late!r} stands behind other words."
            remedy = f"Write it first: arrl {late} ..."
            raise ConfigError([Problem(code="verb-unknown", message=message, remedy=remedy)])
        return max(composition.run_campaigns(arguments), default=0)
    except composition.Stopped as error:
        return error.code
    except KeyboardInterrupt:
        return 130
    except ConfigError as error:
        composition.say_problems(error.problems)
        return 2
    except ArrlError as error:
        print(f"arrl: {error}", file=sys.stderr)
        return 1
    except HydraException as error:
        from autoresearch_rl.unknown import unknown_name

        problem = unknown_name(error, arguments)
        composition.say_problems([problem]) if problem is not None else print(f"arrl: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return _unread()
    except OSError as error:  # a full disk, a cache that cannot be written: nothing of ours to trace
        print(f"arrl: {error}", file=sys.stderr)
        return 1


def _unread() -> int:
    """Nobody reads on (`arrl status RUN_DIR | head`): what is left to say goes nowhere. Returns 128 + SIGPIPE."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + 13


def _is_free(word: str, arguments: Sequence[str]) -> bool:
    """Whether a word is no value of a flag before it."""
    return not arguments[arguments.index(word) - 1].startswith("-")
