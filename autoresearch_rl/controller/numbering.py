"""Makes trials of proposals: gives them numbers, seeds and sources."""

from __future__ import annotations

import hashlib

from autoresearch_rl.controller.sources import Sources
from autoresearch_rl.errors import PatchError
from autoresearch_rl.trial import Proposal, Trial


class Numbering:
    """One campaign's. A part of the reducer: its state is a function of the events.

    Attributes:
        count: How many trials there are; they are numbered from 0.
        refusals: Why the patch of a trial cannot be applied, by number, where it cannot.
    """

    def __init__(self, sources: Sources, seed: int) -> None:
        self.count = 0
        self.refusals: dict[int, str] = {}
        self._sources, self._seed = sources, seed
        self._source_of: dict[int, str] = {}  # by number; -1 stands for the user's own files
        self._measured: dict[int, int] = {}  # by candidate: index of its latest measurement, from 0

    def begin(self, source_hash: str) -> None:
        """The campaign is opened with these files."""
        self._source_of[-1] = source_hash

    def trial(self, proposal: Proposal) -> Trial:
        """The next trial; where its patch is refused it has its parent's source."""
        number, self.count = self.count, self.count + 1
        root = number if proposal.repeat_of is None else proposal.repeat_of
        repeat = self._measured[root] = self._measured.get(root, -1) + 1
        parent = self._source_of[-1 if proposal.parent is None else proposal.parent]
        try:
            source = self._sources.derive(parent, proposal.patch)
        except PatchError as error:
            source, self.refusals[number] = parent, f"patch refused ({error.code}): {error}"
        self._source_of[number] = source
        return Trial(number=number, proposal=proposal, seed=_seed(self._seed, repeat), source_hash=source)


def _seed(campaign_seed: int, repeat: int) -> int:
    """`AR_SEED` of the `repeat`-th measurement (from 0) of every candidate: 31 bits, the same for all, so that they are paired."""
    return int.from_bytes(hashlib.sha256(f"trial {campaign_seed} {repeat}".encode()).digest()[:4], "big") >> 1
