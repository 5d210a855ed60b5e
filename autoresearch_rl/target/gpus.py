"""The GPUs of this machine: as `nvidia-smi` lists them, as the pool counts them, and as CUDA is told of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SLICES = 100  # device k of GPU g that is split (MIG) has the index 100 (g + 1) + k, so that it is no whole GPU's


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU, or a part of one (MIG).

    Attributes:
        index: As `nvidia-smi` counts whole ones; from 100 for parts.
        model: Its name, or the profile of a part.
        uuid: `GPU-...` or `MIG-...`.
    """

    index: int
    model: str
    uuid: str

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a GPU."""
        return self.index >= _SLICES


def listed() -> Sequence[Gpu]:
    """All of this machine, parts after their whole; empty where `nvidia-smi` is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        said = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return parsed(said)


def parsed(said: str) -> Sequence[Gpu]:
    """The GPUs in what `nvidia-smi -L` prints."""
    found: list[Gpu] = []
    whole = 0
    for line in said.splitlines():
        if match := re.match(r"GPU (\d+): (.*) \(UUID: (GPU-[^)]+)\)", line):
            whole = int(match[1])
            found.append(Gpu(index=whole, model=match[2], uuid=match[3]))
        elif match := re.match(r" +(MIG .*?) +Device +(\d+): \(UUID: (MIG-[^)]+)\)", line):
            found.append(Gpu(index=_SLICES * (whole + 1) + int(match[2]), model=match[1], uuid=match[3]))
    return tuple(found)


def visible(gpus: Sequence[Gpu], environment: Mapping[str, str] = os.environ) -> Sequence[Gpu]:
    """Those that this process may use: the whole ones, or what `CUDA_VISIBLE_DEVICES` names by index, UUID, or its beginning.

    From the first name on that is none of them, the rest does not count, as for CUDA itself.
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return tuple(gpu for gpu in gpus if not gpu.is_part)
    found: list[Gpu] = []
    for name in (part.strip() for part in named.split(",")):
        meant = [gpu for gpu in gpus if _is_called(gpu, name)]
        if len(meant) != 1:
            break
        found += meant
    return tuple(dict.fromkeys(found))


def shown(indices: Sequence[int]) -> dict[str, str]:
    """The environment in which a process sees the GPUs with these indices, and no others."""
    parts = {gpu.index: gpu.uuid for gpu in listed()} if any(index >= _SLICES for index in indices) else {}
    names = [parts.get(index, str(index)) for index in indices]
    # By default CUDA counts the fastest first, which is not how they are listed.
    return {"CUDA_VISIBLE_DEVICES": ",".join(names), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def _is_called(gpu: Gpu, name: str) -> bool:
    by_index = name == str(gpu.index) and not gpu.is_part
    return by_index or (name.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(name))
