"""Sources of trials from a journal alone: the user's files as blobs, and the patches on the way to a trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autoresearch_rl._core import apply_patch, diff
from autoresearch_rl.controller.journal import Blobs
from autoresearch_rl.errors import PatchError
from autoresearch_rl.events import Opened
from autoresearch_rl.trial import Proposal


class Lineage:
    """Reads what is asked for, writes nothing."""

    def __init__(self, run_dir: Path, opened: Opened, proposal_of: Callable[[int], Proposal]) -> None:
        """`proposal_of` gives the proposal of every trial that is asked for, and of its ancestors."""
        self._blobs, self._opened, self._proposal_of = Blobs(run_dir / "blobs"), opened, proposal_of

    def files(self, number: int | None) -> dict[str, str]:
        """Texts of the mutable files of a trial by path; of None, the user's own. Raises JournalError where a blob is missing."""
        patches: list[str] = []
        while number is not None:
            proposal = self._proposal_of(number)
            patches.append(proposal.patch)
            number = proposal.parent
        files = {path: self._blobs.get(blob) for path, blob in self._opened.sources.items()}
        for patch in reversed(patches):
            try:
                files |= apply_patch(files, patch) if patch else {}
            except PatchError:
                continue  # refused then, too: the trial ran nowhere, and children of it have its parent's source
        return files

    def changes(self, proposal: Proposal) -> str:
        """What a proposal's patch changes, as one canonical diff. Raises PatchError where it is refused."""
        before = self.files(proposal.parent)
        after = apply_patch(before, proposal.patch) if proposal.patch else {}
        return "".join(diff(before.get(path, ""), text, path) for path, text in sorted(after.items()))
