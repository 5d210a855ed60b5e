"""MLflow's pages in a real browser: a stranger finds the campaigns, their trials, and what sets two campaigns apart."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from autoresearch_rl.telemetry.mlflow import Mlflow
from autoresearch_rl.testing.entries import FakeCampaign
from tests.test_cli import ARRL
from tests.test_ui import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WAIT_MS = 30_000
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(150),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium"),
]


def write_campaign(folder: Path, cache: Path, policy: str, letter: str) -> None:
    """A campaign of a sweep, with everything that a campaign of real trials writes."""
    run_dir = folder / policy
    campaign = FakeCampaign(trials=6, run_dir=run_dir)
    tags = {**campaign.opened.tags, "policy": policy, "sweep": "night"}
    campaign.opened = replace(campaign.opened, campaign=letter * 26, tags=tags)
    with Mlflow(f"sqlite:///{folder}/mlflow.db", cache=str(cache)).open(run_dir) as sink:
        for entry in campaign:
            sink.record(entry)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """What `arrl ui` says once it is up; ends it with Ctrl-C, and makes sure that it went quietly and whole."""
    said = folder / "said.txt"
    with said.open("w") as stream:
        verb = subprocess.Popen(
            [ARRL, "ui", "--port", str(free_port())], cwd=folder, stdout=stream, stderr=stream, start_new_session=True
        )
    family = [psutil.Process(verb.pid)]
    try:
        deadline_s = time.monotonic() + 90
        while "Ctrl-C ends it" not in said.read_text() and verb.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.1)
        assert "Ctrl-C ends it" in said.read_text(), said.read_text()
        family += family[0].children(recursive=True)
        yield said.read_text()
        verb.send_signal(signal.SIGINT)
        assert verb.wait(20) == 0
        assert "Traceback" not in said.read_text()
        assert not [process for process in family if process.is_running()]
    finally:
        for process in family:
            if process.is_running():
                process.kill()
        verb.wait()


@contextmanager
def browser_page(sync_api: Any) -> Iterator[Any]:
    """A page of a fresh browser, in which MLflow's assistant does not come up and cover a third of it."""
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root, nor its shared memory in most containers.
        flags = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.set_default_timeout(WAIT_MS)
            page.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
            yield page
        finally:
            browser.close()


def campaigns(folder: Path) -> list[Any]:
    """The campaigns' runs as MLflow has them, the first one first."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("digits").experiment_id
    return list(client.search_runs([experiment], "tags.`arrl.kind` = 'campaign'", order_by=["tags.`arrl.key`"]))


def test_campaigns_and_their_trials_are_found_read_and_compared(tmp_path: Path, mlflow_cache: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    write_campaign(tmp_path, mlflow_cache, "random", "A")
    write_campaign(tmp_path, mlflow_cache, "tpe", "B")
    first, second = campaigns(tmp_path)
    with served(tmp_path) as said, browser_page(sync_api) as page:
        link = re.search(r"^digits: (http\S+)$", said, re.MULTILINE)
        assert link is not None, said
        page.goto(link[1], wait_until="domcontentloaded")

        def see(locator: Any) -> None:
            sync_api.expect(locator.first).to_be_visible(timeout=WAIT_MS)

        # The experiment: campaigns, and below one of them its trials.
        see(page.get_by_text("Campaigns that maximize accuracy."))
        see(page.get_by_role("link", name="tpe seed 7 BBBBBB"))
        page.get_by_role("row").filter(has_text="random seed 7 AAAAAA").get_by_role("button").first.click()
        see(page.get_by_role("link", name="0000 keep"))
        see(page.get_by_role("link", name="0004 timeout"))

        # The campaign: its result, in words and as a metric.
        page.get_by_role("link", name="random seed 7 AAAAAA").click()
        see(page.get_by_role("heading", name="random seed 7 AAAAAA"))
        see(page.get_by_text(f"accuracy {first.data.tags['best.score']}"))
        see(page.get_by_text(str(first.data.metrics["best"]), exact=True))

        # A trial: parameters and score, the learning curve, logs and model.
        page.get_by_role("link", name="0000 keep").click()
        see(page.get_by_role("heading", name="0000 keep"))
        see(page.get_by_text("width", exact=True))
        see(page.get_by_text("0.9", exact=True))
        page.get_by_role("tab", name="Model metrics").click()
        see(page.get_by_role("heading", name="val_accuracy"))
        page.get_by_role("tab", name="Artifacts").click()
        see(page.get_by_text("model", exact=True))
        page.get_by_text("logs", exact=True).click()
        page.get_by_text("train.stdout.log").first.click()
        see(page.get_by_text("a line of output"))

        # The two campaigns side by side.
        ids = json.dumps([first.info.run_id, second.info.run_id])
        page.goto(f"{link[1].partition('#')[0]}#/compare-runs?runs={ids}&experiments={json.dumps([first.info.experiment_id])}")
        see(page.get_by_text("Comparing 2 Runs from 1 Experiment"))
        see(page.get_by_text("random seed 7 AAAAAA"))
        see(page.get_by_text("tpe seed 7 BBBBBB"))
        policy = page.get_by_role("row").filter(has=page.get_by_text("policy", exact=True))
        see(policy.filter(has_text="random").filter(has_text="tpe"))
