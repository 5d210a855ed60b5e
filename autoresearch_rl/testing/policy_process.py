"""Answers one ask in a process of its own: `python -m autoresearch_rl.testing.policy_process`.

Reads a pickled (policy, ask) from stdin, writes the proposals as JSON to stdout. For the contract suite only: it unpickles
what it is given.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Sequence
from dataclasses import asdict

from autoresearch_rl.trial import Proposal


def as_text(proposals: Sequence[Proposal]) -> str:
    """Proposals as JSON, equal for equal proposals."""
    return json.dumps([asdict(proposal) for proposal in proposals], sort_keys=True)


if __name__ == "__main__":
    policy, ask = pickle.load(sys.stdin.buffer)
    sys.stdout.write(as_text(policy.propose(ask)))
