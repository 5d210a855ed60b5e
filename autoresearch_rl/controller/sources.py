"""Sources of trials by hash: the user's files at the start, plus patches. Never read from where untrusted code has run."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping

from autoresearch_rl._core import apply_patch
from autoresearch_rl.controller.journal import Blobs

_CACHED = 64


def source_hash(files: Mapping[str, str]) -> str:
    """SHA-256 over the sorted (path, SHA-256 of text) pairs."""
    rows = [[path, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()] for path, text in sorted(files.items())]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


class Sources:
    """Texts of the mutable files by source hash, kept in blobs; the latest few also in memory."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._manifests: dict[str, dict[str, str]] = {}
        self._recent: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._lock = threading.Lock()  # the loop adds, workers read

    def add(self, files: Mapping[str, str]) -> str:
        """Stores the texts, returns their source hash."""
        name = source_hash(files)
        if name not in self._manifests:
            self._manifests[name] = {path: self._blobs.put(text) for path, text in files.items()}
        self._remember(name, dict(files))
        return name

    def adopt(self, name: str, manifest: Mapping[str, str]) -> None:
        """Makes a source known whose texts are blobs already, as `manifest` told."""
        self._manifests[name] = dict(manifest)

    def manifest(self, name: str) -> Mapping[str, str]:
        """Blob of each file, by path. Raises KeyError for a source that was never added."""
        return self._manifests[name]

    def files(self, name: str) -> dict[str, str]:
        """Texts by path. Raises KeyError for a source that was never added."""
        with self._lock:
            recent = self._recent.get(name)
        if recent is None:
            recent = {path: self._blobs.get(blob) for path, blob in self._manifests[name].items()}
            self._remember(name, recent)
        return dict(recent)

    def derive(self, parent: str, patch: str) -> str:
        """Source hash of the parent's files with the patch applied. Raises PatchError where it is refused."""
        if not patch:
            return parent
        files = self.files(parent)
        return self.add({**files, **apply_patch(files, patch)})

    def _remember(self, name: str, files: dict[str, str]) -> None:
        with self._lock:
            self._recent[name] = files
            self._recent.move_to_end(name)
            while len(self._recent) > _CACHED:
                self._recent.popitem(last=False)
