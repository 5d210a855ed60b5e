from dataclasses import replace

from autoresearch_rl.telemetry import mlflow_notes
from autoresearch_rl.telemetry.tally import Tally
from autoresearch_rl.testing.entries import FakeCampaign

PICTURE = "x` ![x](http://example.org/x.png) `\n```\n# Heading"


def told(campaign: FakeCampaign, until: int | None = None) -> str:
    tally = Tally()
    for entry in list(campaign)[:until]:
        tally.feed(entry)
    return mlflow_notes.summary(tally, {"lr": 0.25, PICTURE: PICTURE})


def test_a_campaign_without_a_score_has_nothing_to_say_yet() -> None:
    assert told(FakeCampaign(trials=2), until=1) == ""


def test_a_running_campaign_tells_its_best_but_counts_nothing() -> None:
    said = told(FakeCampaign(trials=9), until=-1)
    assert said.startswith("**`accuracy` 0.9")
    assert "Trials" not in said


def test_what_others_wrote_stays_code() -> None:
    campaign = FakeCampaign(trials=2)
    campaign.opened = replace(campaign.opened, metric=PICTURE)
    said = told(campaign)
    assert said.count("```") == 2
    before, inside, after = said.split("```")
    assert "lr=0.25" in inside
    assert "example.org" not in "".join((before + after).split("`")[::2])
    assert "example.org" not in "".join(mlflow_notes.about(campaign.opened).split("`")[::2])
    assert mlflow_notes.block(PICTURE).count("`") == 6
    assert mlflow_notes.block("") == ""
