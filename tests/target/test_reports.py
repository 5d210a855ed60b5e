import os
from pathlib import Path

from autoresearch_rl.target.command import Command
from autoresearch_rl.trial import Progress
from tests.target.running import job, run

# ---------------------------------------------------------------- reports


def reported(target: Command, tmp_path: Path, content: bytes) -> list[Progress]:
    (tmp_path / "progress.jsonl").write_bytes(content)
    seen: list[Progress] = []
    result = run(target, job(tmp_path, "sleep", "0.15"), lambda progress: seen.append(progress) if progress else None)
    assert result.exit_code == 0
    return seen


def test_reports_that_are_none_are_skipped(target: Command, tmp_path: Path) -> None:
    bad = [
        b"",
        b"no json",
        b"[1]",
        b'{"step": "3"}',
        b'{"step": true}',
        b'{"step": NaN}',
        b'{"step": 1e999}',
        b'{"metrics": {"a": 1}}',
        b'{"step": 1, "metrics": {"a": "\xff"}}',
        b"[" * 60_000,
        b'{"step": ' + b"9" * 5000 + b"}",
        b'{"step": 1, "pad": "' + b"x" * 70_000 + b'"}',
        b"x" * 600_000,
        b"\0" * 100,
    ]
    metrics = b'{"a": NaN, "b": -Infinity, "c": "x", "d": true, "\\ud800": 1, "e": 2, "f": [1]}'
    good = b'{"step": 5, "metrics": %s, "step_target": "?"}' % metrics
    seen = reported(target, tmp_path, b"\n".join([*bad, good, *bad, b'{"step": 6}']))
    assert [progress.step for progress in seen] == [5, 6]
    assert sorted(seen[0].metrics) == ["a", "b", "e"]
    assert (seen[0].step_target, seen[1].metrics) == (None, {})


def test_of_very_many_reports_the_last_are_heard(target: Command, tmp_path: Path) -> None:
    lines = b"".join(b'{"step": %d, "pad": "%s"}\n' % (step, b"x" * 1000) for step in range(10_000))
    seen = reported(target, tmp_path, lines)
    assert seen[0].step == 0
    assert seen[-1].step == 9999
    assert [a.step for a in seen] == sorted({a.step for a in seen})


def test_anything_but_a_file_in_place_of_reports(target: Command, tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    (tmp_path / "else").write_text('{"step": 1}\n')
    for make in (lambda: os.mkfifo(path), path.mkdir, lambda: path.symlink_to("else")):
        make()
        seen: list[Progress | None] = []
        assert run(target, job(tmp_path, "sleep", "0.3"), seen.append).exit_code == 0
        assert seen
        assert set(seen) == {None}
        path.rmdir() if path.is_dir() else path.unlink()
