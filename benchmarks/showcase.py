"""Runs both examples and draws docs/images: the console half-way, and the scores of each campaign by trial."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Self

import matplotlib
import rich.console

from autoresearch_rl.composition import compose
from autoresearch_rl.controller.plan import assemble
from autoresearch_rl.controller.prepare import cache_root
from autoresearch_rl.controller.run import Finished, run
from autoresearch_rl.events import Entry, Reported, SettledEvent
from autoresearch_rl.telemetry import Telemetry
from autoresearch_rl.telemetry.console import LiveSink

matplotlib.use("Agg")
IMAGES = Path(__file__).parent.parent / "docs" / "images"


class Picture:
    """A telemetry sink that draws what the live console would show once `after` trials have settled."""

    def __init__(self, path: Path, after: int) -> None:
        self._path, self._after = path, after
        self._console = rich.console.Console(record=True, width=118, height=40, force_terminal=True, file=io.StringIO())

    def open(self, run_dir: Path) -> Self:
        """Returns itself; the live display is never started, only rendered once."""
        self._sink, self._settled = LiveSink(self._console, Path("runs") / run_dir.name), 0
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def record(self, entry: Entry) -> None:
        """Draws at the first report after the trial that it waits for."""
        self._sink.record(entry)
        self._settled += isinstance(entry.record, SettledEvent)
        if self._settled >= self._after and isinstance(entry.record, Reported) and entry.record.progress is not None:
            self._after = 10**9
            self._console.print(self._sink._render())
            self._console.save_svg(str(self._path), title="arrl")


def main() -> None:
    """Runs digits with the trials that are the default, and stdlib_lm with 12."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    digits = campaign(["task=digits"], {"picture": Picture(IMAGES / "campaign.svg", after=15)})
    draw(digits, "digits: test accuracy", IMAGES / "digits.svg")
    language = campaign(["task=stdlib_lm", "controller.max_trials=12"], {})
    draw(language, "stdlib_lm: bits per byte on held-out files", IMAGES / "stdlib_lm.svg")


def campaign(overrides: list[str], telemetry: dict[str, Telemetry]) -> Finished:
    """Runs one campaign in a folder that is thrown away."""
    from dataclasses import replace

    config, _, _ = compose([*overrides, "telemetry=console"])
    plan = assemble(config)
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / plan.task.name
        return run(
            replace(plan, telemetry={**plan.telemetry, **telemetry}), run_dir, cache_dir=cache_root(), tags={}, announce=print
        )


def draw(finished: Finished, title: str, path: Path) -> None:
    """Scores by trial, and the best so far as a step line."""
    import matplotlib.pyplot as plt

    history = finished.history
    scored = [(s.trial.number, s.outcome.score) for s in history.settled if s.outcome.score is not None]
    best: list[float] = []
    for _, score in scored:
        best.append(score if not best or history.better(score, best[-1]) else best[-1])
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    axes.step(range(len(best)), best, where="post", color="tab:orange", label="best so far")
    axes.plot([number for number, _ in scored], [score for _, score in scored], "o", color="tab:blue", label="trials")
    axes.set(xlabel="trial", title=title)
    axes.legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
