"""GPUs by index, by UUID, and in parts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch_rl.controller.hardware import hardware_class
from autoresearch_rl.target.gpus import parsed, shown, visible

SAID = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-8932f937-d72c-4106-c12f-20bd9faed9f6)
  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 3g.20gb     Device  1: (UUID: MIG-0c757cd7-e942-5726-a0b8-0e8fb7067135)
"""
GPUS = parsed(SAID)


def test_parts_have_indices_of_their_own() -> None:
    assert [(gpu.index, gpu.model, gpu.uuid[:8]) for gpu in GPUS] == [
        (0, "NVIDIA H100 80GB HBM3", "GPU-5d5b"),
        (1, "NVIDIA A100-SXM4-40GB", "GPU-8932"),
        (200, "MIG 1g.5gb", "MIG-c6d4"),
        (201, "MIG 3g.20gb", "MIG-0c75"),
    ]
    assert parsed("No devices were found\n") == ()


@pytest.mark.parametrize(
    ("named", "indices"),
    [
        (None, [0, 1]),
        ("", []),
        ("1", [1]),
        ("1, 0", [1, 0]),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", [1]),
        ("GPU-5d5,1", [0, 1]),
        ("MIG-0c757cd7-e942-5726-a0b8-0e8fb7067135,MIG-c6d4", [201, 200]),
        ("GPU-8932f937,1", [1]),
        ("0,7,1", [0]),
        ("0,GPU-ffff,1", [0]),
        ("GPU-", []),
        ("200", []),
        ("-1", []),
    ],
)
def test_what_cuda_visible_devices_names(named: str | None, indices: list[int]) -> None:
    environment = {} if named is None else {"CUDA_VISIBLE_DEVICES": named}
    assert [gpu.index for gpu in visible(GPUS, environment)] == indices


def test_whole_gpus_are_shown_by_index_as_they_are_listed() -> None:
    assert shown((1, 0)) == {"CUDA_VISIBLE_DEVICES": "1,0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert shown(())["CUDA_VISIBLE_DEVICES"] == ""


def test_a_part_is_shown_by_its_uuid_and_is_a_class_of_its_own(tmp_path: Path) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\ncat <<'END'\n{SAID}END\n")
    smi.chmod(0o755)
    script = (
        "import json; from autoresearch_rl.controller.hardware import facts; from autoresearch_rl.target.gpus import shown\n"
        "print(shown([201])['CUDA_VISIBLE_DEVICES']); print(json.dumps(facts()))"
    )
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    said = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True).stdout
    assert said.startswith("MIG-0c757cd7-e942-5726-a0b8-0e8fb7067135\n")
    assert '"gpus": "NVIDIA H100 80GB HBM3; NVIDIA A100-SXM4-40GB", "gpu_parts": "200 MIG 1g.5gb; 201 MIG 3g.20gb"' in said
    machine = {"cpu": "X", "cores": "8", "gpus": "H100; A100", "gpu_parts": "200 MIG 1g.5gb; 201 MIG 3g.20gb"}
    assert hardware_class(machine, {"gpu": 1.0}, {"gpu": (201,)}) == "X, 8 cores, 1 x MIG 3g.20gb"
    assert hardware_class(machine, {"gpu": 2.0}, {"gpu": (0, 1)}) == "X, 8 cores, 2 x A100 and H100"
