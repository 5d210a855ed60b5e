"""Collects the text of Python's own standard library, split by file into training text and test windows. Frozen; runs once."""

import hashlib
import os
import sysconfig
from pathlib import Path

import numpy as np

CONTEXT = 128  # bytes that predict sees before the byte that it has to guess
WINDOWS = 4096
SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"}  # not the library itself


def folder(variable: str, by_hand: str) -> Path:
    """The folder that the campaign names, or one below the current folder when this is run by hand; made where missing."""
    path = Path(os.environ.get(variable, by_hand))
    path.mkdir(parents=True, exist_ok=True)
    return path


def library_files(seed: str) -> list[Path]:
    """The .py files of the standard library, in an order that depends on the seed and on nothing else."""
    root = Path(sysconfig.get_path("stdlib"))
    names = [path.relative_to(root) for path in root.rglob("*.py")]
    names = [name for name in names if not SKIPPED.intersection(name.parts)]
    return [root / name for name in sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name.as_posix()}".encode()).digest())]


def main() -> None:
    """Writes data/train.bin, test/contexts.npy and private/targets.npy: the same bytes for the same AR_DATA_SEED.

    Windows do not overlap, so that no context holds the target of another one.
    """
    texts = [path.read_bytes() for path in library_files(os.environ.get("AR_DATA_SEED", "0"))]
    windows: list[bytes] = []
    while len(windows) < WINDOWS and len(texts) > 1:
        text = texts.pop()
        windows += [text[start : start + CONTEXT + 1] for start in range(0, len(text) - CONTEXT, CONTEXT + 1)]
    if len(windows) < WINDOWS:
        raise SystemExit(f"{sysconfig.get_path('stdlib')} holds too little Python source; install the full standard library.")
    table = np.frombuffer(b"".join(windows[:WINDOWS]), np.uint8).reshape(WINDOWS, CONTEXT + 1)
    (folder("AR_DATA_DIR", "local/data") / "train.bin").write_bytes(b"\0".join(texts))
    np.save(folder("AR_TEST_DIR", "local/test") / "contexts.npy", table[:, :-1])
    np.save(folder("AR_PRIVATE_DIR", "local/private") / "targets.npy", table[:, -1])
    print(
        f"{sum(map(len, texts)):,} bytes of {len(texts)} files to train on, {WINDOWS:,} windows of other files to be tested with"
    )


if __name__ == "__main__":
    main()
