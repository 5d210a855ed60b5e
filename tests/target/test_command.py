import json
import os
import re
import resource
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from autoresearch_rl.errors import ConfigError, LaunchError
from autoresearch_rl.target.command import Command
from autoresearch_rl.testing.target_contract import TargetContract
from autoresearch_rl.trial import Order, Progress
from tests.target.running import BARE, alive, job, quiet, run


class TestCommand(TargetContract):
    """The fixture `target` is that of all tests here."""


# ---------------------------------------------------------------- construction


def test_strict_cannot_be_met() -> None:
    with pytest.raises(ConfigError, match="confines nothing yet") as caught:
        Command(isolation="strict")
    assert caught.value.problems[0].code == "isolation-unavailable"


def test_unknown_isolation() -> None:
    with pytest.raises(ConfigError, match="Use auto, strict or off"):
        Command(isolation="paranoid")  # type: ignore[arg-type]


def test_a_closed_target_opens_nothing() -> None:
    target = Command(isolation="off")
    target.close()
    with pytest.raises(LaunchError, match="c/1/1 cannot be run"):
        target.open("c/1/1", {}, {})


def test_a_session_that_outlives_its_target_is_lost(tmp_path: Path) -> None:
    target = Command()
    with target.open("c/1/1", {}, {}) as session:
        target.close()
        assert session.run(job(tmp_path, "true"), quiet).lost == "the target is closed"


# ---------------------------------------------------------------- starting


def test_programs_are_found_in_the_jobs_own_path(target: Command, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "mine"
    program.write_text("#!/bin/sh\nexit 5\n")
    program.chmod(0o755)
    found = replace(job(tmp_path, "mine"), env={"PATH": f"/nowhere::{tmp_path / 'bin'}"})
    assert run(target, found).exit_code == 5
    assert "no such program in the PATH" in run(target, job(tmp_path, "mine")).unstartable


def test_a_program_with_a_slash_is_relative_to_the_working_directory(target: Command, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    program = tmp_path / "work" / "run.sh"
    program.write_text("#!/bin/sh\nexit 6\n")
    program.chmod(0o755)
    assert run(target, job(tmp_path, "./run.sh")).exit_code == 6


def test_why_a_program_cannot_be_started(target: Command, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for name, text, mode in (("plain", "x", 0o644), ("lost", "#!/no/such/python\n", 0o755), ("odd", "\x7fELF nonsense", 0o755)):
        (work / name).write_text(text)
        (work / name).chmod(mode)
    cases = {
        "./nothing": "no such file",
        "./plain": "not executable",
        "./lost": 'bad interpreter: its first line names "/no/such/python"',
        "./odd": "neither a program for this machine",
        "./": "is a folder",
        "a\0b": "NUL",
        "\ud800": "no text",
    }
    for name, said in cases.items():
        result = run(target, job(tmp_path, name))
        assert said in result.unstartable, result
        assert (result.exit_code, result.signal, result.lost) == (None, None, "")
    nowhere = run(target, replace(job(tmp_path, "true"), cwd=tmp_path / "none"))
    assert str(tmp_path / "none") in nowhere.unstartable
    long = run(target, job(tmp_path, "true", "x" * 3_000_000))
    assert "too long" in long.unstartable.lower()


def test_arguments_arrive_byte_for_byte(target: Command, tmp_path: Path) -> None:
    odd = os.fsdecode(bytes(range(1, 256)))
    assert run(target, job(tmp_path, "printf", "%s", odd)).exit_code == 0
    assert (tmp_path / "train.stdout.log").read_bytes() == bytes(range(1, 256))


def test_a_stage_inherits_nothing_but_its_three_streams(target: Command, tmp_path: Path) -> None:
    text = """
import os, resource, signal, sys
print(sorted(int(name) for name in os.listdir("/proc/self/fd"))[:4])
print(os.readlink("/proc/self/fd/0"), os.getsid(0) == os.getpid(), oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_CORE))
print([line for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn"))])
"""
    assert run(target, job(tmp_path, sys.executable, "-c", text)).exit_code == 0
    lines = (tmp_path / "train.stdout.log").read_text().splitlines()
    assert lines[0] == "[0, 1, 2, 3]"  # 3 reads the folder
    assert lines[1] == "/dev/null True 0o22 (0, 0)"
    assert "SigBlk:\\t0000000000000000" in lines[2]
    # CPython ignores SIGPIPE and SIGXFSZ by itself.
    ignored = int(re.findall(r"SigIgn:\\t([0-9a-f]+)", lines[2])[0], 16)
    assert ignored & ~(0b11 << 31) == 0x1001000  # 32 and 33 are the C library's own, which nobody can reset


def test_limits_of_memory_and_files(target: Command, tmp_path: Path) -> None:
    memory = job(tmp_path, *BARE, "x = bytearray(10**9)", memory_bytes=300_000_000)
    result = run(target, memory)
    assert (result.exit_code, "MemoryError" in result.stderr_tail) == (1, True)
    files = job(tmp_path, *BARE, "open('f', 'wb').write(bytes(2_000_000))", file_bytes=1_000_000)
    assert "File too large" in run(target, files).stderr_tail
    assert (tmp_path / "work" / "f").stat().st_size <= 1_000_000


@pytest.mark.parametrize(
    ("resources", "devices", "expected"),
    [
        ({}, {}, None),
        ({"cpu": 1}, {}, None),
        ({"gpu": 2}, {"gpu": (1, 3)}, "1,3"),
        ({"gpu": 0.5}, {"gpu": (2,)}, "2"),
        ({"gpu": 0}, {}, ""),
    ],
)
def test_devices(target: Command, tmp_path: Path, resources: dict, devices: dict, expected: str | None) -> None:
    with target.open("c/1/1", resources, devices) as session:
        session.run(job(tmp_path, *BARE, "import os; print(repr(os.environ.get('CUDA_VISIBLE_DEVICES')))"), quiet)
    assert (tmp_path / "train.stdout.log").read_text() == f"{expected!r}\n"


# ---------------------------------------------------------------- output


def test_200_mb_of_output(target: Command, tmp_path: Path) -> None:
    chunk = "import os\nfor _ in range(200): os.write(1, b'x' * 1_000_000)\nos.write(1, b'end')"
    sizes = []

    def report(_: Progress | None) -> None:
        sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun_s = time.monotonic()
    result = run(target, job(tmp_path, *BARE, chunk, log_bytes=1_000_000), report)
    assert (result.exit_code, result.usage["output_bytes"]) == (0, 200_000_003)
    assert time.monotonic() - begun_s < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
    assert result.usage["peak_rss_bytes"] < 50e6
    log = (tmp_path / "train.stdout.log").read_bytes()
    assert len(log) < 1_000_100
    assert b"\n... 199000003 bytes left out ...\n" in log
    assert log.endswith(b"xend")
    assert max(sizes, default=0) < 1_600_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.stderr.log", "train.stdout.log", "work"]


def test_keepers_memory_stays_small(target: Command, tmp_path: Path) -> None:
    chunk = "import os, time\nfor _ in range(100):\n    os.write(1, b'x' * 1_000_000); time.sleep(0.005)"
    kilobytes: list[int] = []

    def report(_: Progress | None) -> None:
        pid = target._launcher.pid
        keepers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in [str(pid), *keepers]:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
            kilobytes.extend(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    assert run(target, job(tmp_path, *BARE, chunk), report).exit_code == 0
    assert len(kilobytes) >= 4
    assert max(kilobytes) < 30_000


def test_a_pipe_in_place_of_a_log_is_replaced(target: Command, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.stdout.log")
    (tmp_path / "train.stderr.log").symlink_to("/dev/null")
    assert run(target, job(tmp_path, "echo", "hello")).exit_code == 0
    assert (tmp_path / "train.stdout.log").read_text() == "hello\n"
    assert not (tmp_path / "train.stderr.log").is_symlink()


def test_a_folder_in_place_of_a_log(target: Command, tmp_path: Path) -> None:
    (tmp_path / "train.stdout.log").mkdir()
    assert "train.stdout.log" in run(target, job(tmp_path, "true")).lost


def test_answers_are_cut(target: Command, tmp_path: Path) -> None:
    text = "import os\nfor _ in range(30): os.write(int(os.environ['AR_ANSWER_FD']), b'x' * 100_000)"
    result = run(target, replace(job(tmp_path, *BARE, text), answer=True))
    assert (result.exit_code, result.answer) == (0, "x" * 1_000_000)
    assert run(target, replace(job(tmp_path, "true"), answer=True)).answer == ""


# ---------------------------------------------------------------- orders


def test_an_order_is_written_soon_and_once(target: Command, tmp_path: Path) -> None:
    text = """
import os, sys, time
while not os.path.exists("../control.json"): time.sleep(0.01)
print(time.time(), os.stat("../control.json").st_ino, flush=True)
time.sleep(0.5)
print(os.stat("../control.json").st_ino)
"""
    said_s: list[float] = []

    def report(_: Progress | None) -> Order:
        said_s.append(time.time())
        return Order(kind="cancel", reason="r", grace_s=20)

    result = run(target, job(tmp_path, *BARE, text), report)
    assert result.exit_code == 0
    assert result.obeyed == Order(kind="cancel", reason="r", grace_s=20)
    seen_s, first, second = (tmp_path / "train.stdout.log").read_text().split()
    assert float(seen_s) - said_s[0] < 1
    assert first == second


def test_a_stop_follows_a_cancel(target: Command, tmp_path: Path) -> None:
    text = """
import json, time
while True:
    time.sleep(0.02)
    try:
        if json.load(open("../control.json"))["order"] == "stop":
            break
    except OSError:
        pass
"""
    kinds = iter(["cancel", "cancel"])

    def report(_: Progress | None) -> Order:
        return Order(kind=next(kinds, "stop"), reason="r", grace_s=20)  # type: ignore[arg-type]

    result = run(target, job(tmp_path, *BARE, text), report)
    assert (result.exit_code, result.obeyed and result.obeyed.kind) == (0, "stop")


def test_sigterm_comes_before_sigkill(target: Command, tmp_path: Path) -> None:
    text = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\nprint('up', flush=True)\ntime.sleep(60)"
    )

    def report(_: Progress | None) -> Order | None:
        up = (tmp_path / "train.stdout.log").stat().st_size > 0
        return Order(kind="stop", reason="r", grace_s=0.1) if up else None

    assert run(target, job(tmp_path, *BARE, text), report).exit_code == 9


def test_a_link_in_place_of_the_control_file_is_not_followed(target: Command, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "control.json").symlink_to("precious")
    order = Order(kind="cancel", reason="r", grace_s=0.1)
    run(target, job(tmp_path, "sleep", "30"), lambda _: order)
    assert (tmp_path / "precious").read_text() == "precious"
    assert json.loads((tmp_path / "control.json").read_text()) == {"order": "cancel", "reason": "r"}


def test_a_folder_in_place_of_the_control_file_does_not_save_a_trial(target: Command, tmp_path: Path) -> None:
    (tmp_path / "control.json").mkdir()
    order = Order(kind="cancel", reason="r", grace_s=0.1)
    result = run(target, job(tmp_path, "sleep", "30"), lambda _: order)
    assert (result.signal, result.obeyed) == (signal.SIGTERM, order)
    assert [path.name for path in tmp_path.iterdir() if "control" in path.name] == ["control.json"]


def test_what_report_raises_ends_the_stage(target: Command, tmp_path: Path) -> None:
    marker = f"marker-{uuid4()}"

    def report(_: Progress | None) -> None:
        raise RuntimeError("the controller failed")

    with pytest.raises(RuntimeError, match="the controller failed"):
        run(target, job(tmp_path, "sh", "-c", "sleep 300; true", marker), report)
    assert alive(marker) == []
