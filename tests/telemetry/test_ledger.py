import csv
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl.telemetry.ledger import COLUMNS, FILE_NAME, Ledger, cell
from autoresearch_rl.testing.entries import FakeCampaign
from autoresearch_rl.testing.telemetry_contract import TelemetryContract


class TestLedger(TelemetryContract):
    def make(self, folder: Path) -> Ledger:
        return Ledger()


def write(folder: Path, campaign: FakeCampaign) -> list[dict[str, str]]:
    with Ledger().open(folder) as sink:
        for entry in campaign:
            sink.record(entry)
    with (folder / FILE_NAME).open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_one_row_a_settled_trial(tmp_path: Path) -> None:
    rows = write(tmp_path, FakeCampaign(trials=24))
    assert sorted(int(row["trial"]) for row in rows) == list(range(24))
    assert {row["status"] for row in rows} == {"ok", "failed", "timeout", "cancelled", "rejected", "tampered"}
    baseline = rows[0]
    assert baseline["decision"] == "keep"
    assert (baseline["metric"], float(baseline["score"])) == ("accuracy", 0.9)
    assert (baseline["peak_rss_mb"], baseline["cpu_s"], baseline["usd"]) == ("123.5", "1.25", "")
    assert (baseline["verdict"], baseline["tier"], baseline["source_hash"]) == ("untrusted", "0", "cd" * 6)
    assert json.loads(baseline["params"]) == {"lr": 0.01, "width": 32, "note": "plain"}
    assert all((row["score"] == "") == (row["status"] != "ok") for row in rows)
    assert "nan" not in (tmp_path / FILE_NAME).read_text().lower()


def test_lost_attempts_that_run_again_are_no_rows(tmp_path: Path) -> None:
    rows = write(tmp_path, FakeCampaign(trials=9, interrupted=True))
    assert sorted(int(row["trial"]) for row in rows) == list(range(7))
    assert [row["attempt"] for row in rows if row["trial"] == "3"] == ["2"]


def test_hostile_strings_stay_in_their_cell_and_are_no_formulas(tmp_path: Path) -> None:
    write(tmp_path, FakeCampaign(trials=24, hostile="=cmd|' /C calc'!A0\tx\n\r\x1b[2J"))
    for line in (tmp_path / FILE_NAME).read_text().splitlines():
        cells = line.split("\t")
        assert len(cells) == len(COLUMNS)
        assert all(text.isprintable() for text in cells)
        assert not any(re.match(r"[=+\-@]", text) and not re.fullmatch(r"-?[\d.e+-]+", text) for text in cells)


def test_a_torn_last_row_is_cut_off_and_written_again(tmp_path: Path) -> None:
    once = write(tmp_path, FakeCampaign(trials=5))
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-20])
    assert write(tmp_path, FakeCampaign(trials=5)) == once


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("something\telse\n1\t2\n")
    with pytest.raises(ValueError, match=r"results.tsv has other columns .* move it away"), Ledger().open(tmp_path):
        pass


def test_every_column_is_documented_in_order() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "ledger.md"
    assert re.findall(r"^\| `(\w+)` \|", page.read_text(), re.MULTILINE) == list(COLUMNS)


@given(st.one_of(st.none(), st.integers(), st.floats(), st.text(st.characters())))
def test_a_cell_is_one_printable_cell(value: str | int | float | None) -> None:
    text = cell(value)
    assert text.isprintable()
    assert text not in ("nan", "inf", "-inf") or isinstance(value, str)
    if isinstance(value, str) and text[:1] in ("=", "@"):
        raise AssertionError(text)
