"""What is confirmed where nothing is to be found: 30 code patches that change nothing that matters, on a task that is noisy.

Real campaigns of real processes: a policy proposes patches of `train.py` (comments, renamed variables, another order, a spare
function), each on top of the leader; the score is a constant and a noise that the trial draws from `AR_SEED`, evaluated by a frozen
evaluator. What `controller/keep=strict` keeps are lucky seeds: every one of them is a false discovery. `controller/keep=noise` confirms
only what wins under the same seeds again; its alpha is 0.05 a campaign. In half of the campaigns the noise is the seed's alone (all
trials with one seed score the same), in the others each trial has some of its own. See `bench_keep.py` for a thousand campaigns.

About 2 minutes. Run: python benchmarks/bench_null_edits.py [CAMPAIGNS]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch_rl.controller.journal import read
from autoresearch_rl.controller.keep import KeepRule
from autoresearch_rl.controller.keep.noise import NoiseRule
from autoresearch_rl.controller.keep.strict import StrictRule
from autoresearch_rl.controller.plan import Plan
from autoresearch_rl.controller.run import run
from autoresearch_rl.controller.settings import Settings
from autoresearch_rl.events import Decide
from autoresearch_rl.policy import Ask
from autoresearch_rl.target.command import Command
from autoresearch_rl.task import Task
from autoresearch_rl.trial import Proposal

EDITS = 30
TRUE_SCORE = 1.0
NOISE = 0.1
TRAIN = """
import json, os, random
# begin
scale = 1.0
offset = 0.0
# end
seed = int(os.environ["AR_SEED"])
noise = random.Random(seed).gauss(0, 1)
own = random.Random(seed * 1000003 + int(os.environ["AR_TRIAL"])).gauss(0, 1)
share = {own_share}
with open(os.path.join(os.environ["AR_OUTPUT_DIR"], "prediction.json"), "w") as stream:
    json.dump({true} + {sd} * (noise * (1 - share) ** 0.5 + own * share ** 0.5) * scale + offset, stream)
"""
EVALUATE = """
import json, os
prediction = json.load(open(os.path.join(os.environ["AR_OUTPUT_DIR"], "prediction.json")))
os.write(int(os.environ["AR_ANSWER_FD"]), json.dumps({"loss": prediction}).encode())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one campaign came to.

    Attributes:
        trials: Settled ones, repeats included.
        kept: Edits that were confirmed, each of them falsely.
        claimed: How much better than the baseline the last of them is said to be, 0 without any.
        leads: Whether an edit leads at the end, which claims nothing.
    """

    trials: int
    kept: int
    claimed: float
    leads: bool


class NullEdits:
    """Proposes up to `EDITS` patches without effect, each for the source of the leader of that moment."""

    def propose(self, ask: Ask) -> Sequence[Proposal]:
        """The next ones; none once all were proposed."""
        trials = [*(settled.trial for settled in ask.history.settled), *ask.history.pending]
        first = sum(trial.proposal.source == "null" for trial in trials)
        return [self._edit(number) for number in range(first, min(EDITS, first + ask.count))]

    def _edit(self, number: int) -> Proposal:
        after = (
            f"# begin\n# idea {number}: a word on what follows\n",
            f"# begin\nspare_{number} = {number}  # not used\n",
            f"# begin\ndef unused_{number}():\n    return {number}\n",
            f"# begin\nscale = float('{number}') * 0.0  # what follows sets it\n",
        )[number % 4]
        patch = f"<<<<<<< SEARCH\n# begin\n=======\n{after}>>>>>>> REPLACE\n"
        return Proposal(params={}, patch=patch, source="null", rationale=f"idea {number}")


def main() -> None:
    """Prints the table."""
    campaigns = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    print(f"{campaigns} campaigns each of {EDITS} null edits: true score {TRUE_SCORE:g}, noise {NOISE:g}, lower is better")
    columns = ("campaigns with a false keep", "false keeps", "claimed gain / noise", "led by an edit", "trials")
    print(f"{'keep rule':30}" + "".join(f"{column:>30}" for column in columns))
    rules: dict[str, KeepRule] = {"strict": StrictRule("loss"), "noise": NoiseRule("loss")}
    for name in rules:
        for own_share in (0.0, 1.0):
            found = [campaign(rules[name], own_share, seed) for seed in range(campaigns)]
            cells = (
                f"{sum(each.kept > 0 for each in found)} of {campaigns}",
                f"{sum(each.kept for each in found) / campaigns:.2f} a campaign",
                f"{sum(each.claimed for each in found) / campaigns / NOISE:.2f}",
                f"{sum(each.leads for each in found)} of {campaigns}",
                f"{sum(each.trials for each in found) / campaigns:.1f}",
            )
            title = f"{name}, {'noise of each trial' if own_share else 'noise of the seed'}"
            print(f"{title:30}" + "".join(f"{cell:>30}" for cell in cells), flush=True)


def campaign(keep: KeepRule, own_share: float, seed: int) -> Found:
    """Runs one campaign whose policy proposes all edits; the trials that the rule asks for come on top."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        settings = Settings(keep=keep, seed=seed, max_trials=EDITS * 10 // 7, concurrency=2, min_free_disk_mb=1.0)
        plan = Plan(
            task=task(root / "task", own_share),
            policy=NullEdits(),
            target=Command(),
            settings=settings,
            telemetry={},
            config="",
            labels={},
        )
        finished = run(plan, root / "run", cache_dir=root / "cache", tags={}, announce=lambda _: None)
        decisions = [entry.record.decision for entry in read(root / "run") if isinstance(entry.record, Decide)]
    history = finished.history
    kept = {decision.candidate for decision in decisions if decision.verdict == "keep"} - {0}
    confirmed = history.candidate(history.confirmed or 0)
    baseline = history.candidate(0)
    gain = baseline.mean - confirmed.mean if baseline and confirmed and baseline.mean and confirmed.mean else 0.0
    return Found(trials=len(history), kept=len(kept), claimed=gain, leads=history.leader not in (None, 0))


def task(folder: Path, own_share: float) -> Task:
    """A real task: a mutable `train.py`, a frozen evaluator, no parameters."""
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN.format(own_share=own_share, true=TRUE_SCORE, sd=NOISE).lstrip())
    (folder / "evaluate.py").write_text(EVALUATE.lstrip())
    return Task(
        path=folder,
        name="null-edits",
        files={"frozen": ["evaluate.py"], "mutable": ["train.py"]},
        train_cmd=["python", "train.py"],
        evaluate_cmd=["python", "evaluate.py"],
        outputs=[{"name": "prediction.json", "format": "json", "max_bytes": 1000}],
        objective={"metric": "loss", "direction": "minimize"},
        space={},
    )


if __name__ == "__main__":
    main()
