import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from autoresearch_rl.telemetry.fanout import FanOut
from autoresearch_rl.testing.entries import FakeCampaign

CONF = Path(__file__).parents[2] / "autoresearch_rl" / "conf" / "telemetry"


def test_every_option_is_tested() -> None:
    assert {path.stem for path in CONF.iterdir()} == {"console", "ledger", "mlflow", "timeline", "off"}


@pytest.mark.parametrize("name", ["console", "ledger", "mlflow", "timeline"])
def test_an_option_is_one_sink_under_its_own_name(name: str) -> None:
    sinks = instantiate(OmegaConf.load(CONF / f"{name}.yaml"))
    assert list(sinks) == [name]
    assert type(sinks[name]).__name__ == name.capitalize()
    assert type(sinks[name]).__module__ == f"autoresearch_rl.telemetry.{name}"


def test_all_of_them_together(tmp_path: Path, mlflow_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [OmegaConf.load(CONF / f"{name}.yaml") for name in ("console", "ledger", "timeline", "mlflow")]
    own = {"mlflow": {"uri": f"sqlite:///{tmp_path}/mlflow.db", "cache": str(mlflow_cache)}}
    with FanOut(instantiate(OmegaConf.merge(*parts, own)), tmp_path) as out:
        for entry in FakeCampaign(trials=3):
            out.record(entry)
        assert out.active == ("console", "ledger", "timeline", "mlflow")
    assert {path.name for path in tmp_path.iterdir()} >= {"results.tsv", "timeline.json", "mlflow.db"}
    assert "the campaign ends: 3 trials reached" in capsys.readouterr().out


def test_off_is_no_sink() -> None:
    assert instantiate(OmegaConf.load(CONF / "off.yaml")) == {}


def test_mlflow_is_not_imported_before_a_campaign_starts() -> None:
    code = (
        "import sys, autoresearch_rl.telemetry.mlflow as m, autoresearch_rl.telemetry.console; from pathlib import Path;"
        "m.Mlflow().open(Path('.')); sys.exit('mlflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
