"""The wheel and the source distribution, installed where no checkout is near."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UV = ROOT / ".boot" / "bin" / "uv"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not UV.exists(), reason="uv is not where make puts it (.boot/bin/uv)")]


def call(*command: object, cwd: Path) -> str:
    env = {**os.environ, "XDG_CACHE_HOME": str(cwd / "cache"), "UV_CACHE_DIR": uv_cache()}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def uv_cache() -> str:
    return subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()


def test_the_wheel_works_in_an_environment_of_its_own(tmp_path: Path) -> None:
    call(UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    assert "-cp311-abi3-" in wheel.name
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "conf/config.yaml",
        "conf/task/digits.yaml",
        "examples/digits/train.py",
        "examples/skeleton/task.yaml",
        "py.typed",
        "_core.pyi",
    ):
        assert f"autoresearch_rl/{name}" in names, name
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "rust/"))]
    call(UV, "venv", "--quiet", "--python", ROOT / ".venv" / "bin" / "python", "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    call(UV, "pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    arrl = tmp_path / "venv" / "bin" / "arrl"
    call(arrl, "init", "new", cwd=tmp_path)
    for task in ("task.path=new", "task=digits"):
        said = call(arrl, task, "controller.max_trials=2", "telemetry=[ledger]", cwd=tmp_path)
        assert "Best:  trial" in said
