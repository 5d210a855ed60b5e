"""Answers asks in a process of its own: `python -m autoresearch_rl.testing.policy_process`.

Reads a pickled list of (policy, ask) from stdin, writes the proposals to stdout, one line of JSON for each ask. For the
contract suite only: it unpickles what it is given.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Sequence
from dataclasses import asdict

from autoresearch_rl.trial import Proposal


def as_text(proposals: Sequence[Proposal]) -> str:
    """Proposals as one line of JSON, equal for equal proposals."""
    return json.dumps([asdict(proposal) for proposal in proposals], sort_keys=True)


if __name__ == "__main__":
    for policy, ask in pickle.load(sys.stdin.buffer):
        print(as_text(policy.propose(ask)))
