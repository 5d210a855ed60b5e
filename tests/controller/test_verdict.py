"""How far scores are believed."""

from __future__ import annotations

from pathlib import Path

from autoresearch_rl.controller.verdict import verdict_of
from tests.tasks import tiny_task


def test_every_verdict_says_what_speaks_against_it(tmp_path: Path) -> None:
    private = tiny_task(tmp_path / "private")
    public = tiny_task(tmp_path / "public", labels="public")
    alone = tiny_task(tmp_path / "alone", evaluate_cmd=..., predict_cmd=..., prepare_cmd=...)
    assert verdict_of(private, 1).kind == "trusted"
    assert verdict_of(private, 1).reason == ""
    assert verdict_of(public, 1).kind == "untrusted"
    for task, tier, said in ((private, 0, "tier 0"), (public, 0, "tier 0"), (public, 0, "public"), (public, 1, "public")):
        assert said in verdict_of(task, tier).reason, (tier, said)
    assert "public" not in verdict_of(private, 0).reason
    assert (verdict_of(alone, 1).kind, verdict_of(alone, 1).tier) == ("self_reported", 1)
