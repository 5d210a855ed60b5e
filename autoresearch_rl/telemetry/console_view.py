"""What the live console shows, as renderables. Text of others goes in as `Text`, never as markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from autoresearch_rl.events import Opened
from autoresearch_rl.telemetry.tally import Row, Running, Tally
from autoresearch_rl.telemetry.text import duration, first_line, number, printable, settings, steps
from autoresearch_rl.trial import Status
from autoresearch_rl.waiting import PERSON

_NARROW = 90
_LISTED = 6
_STYLES: Mapping[str, str] = {
    Status.OK: "green",
    Status.FAILED: "red",
    Status.TIMEOUT: "yellow",
    Status.CANCELLED: "dim",
    Status.REJECTED: "magenta",
    Status.TAMPERED: "bold red",
    Status.LOST: "yellow",
    "keep": "bold green",
    "undecided": "cyan",
    "discard": "dim",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A moment of a campaign.

    Attributes:
        recent: Rows settled last, the latest at the end.
        now_s: Active seconds of the campaign now; `settled_s` when the last trial settled.
        notice: A line to show below, empty for none.
        height: Lines of the terminal; `width` its columns.
    """

    tally: Tally
    recent: Sequence[Row]
    now_s: float
    settled_s: float
    run_dir: Path
    notice: str
    height: int
    width: int


def table(view: View) -> RenderableType:
    """The live display: header, bar, best, running and recent trials, resources."""
    opened = view.tally.opened
    if opened is None:
        return Text("starting ...", style="dim")
    parts: list[RenderableType] = [
        _title(opened, view.run_dir),
        _bar(view, opened),
        _best(view.tally, opened, view.width < _NARROW),
    ]
    running = sorted(view.tally.running.values(), key=lambda run: run.slot)
    aside = [_text(line, "dim") for line in _aside(view.tally)]
    room = view.height - 15 - len(aside)
    if running:
        parts += "", _running(running[: max(1, room)], opened, view)
    parts += aside
    recent = list(view.recent)[-max(1, min(len(view.recent), room - len(running))) :]
    if recent:
        parts += "", _recent(recent, opened, view.width < _NARROW)
    parts.append("")
    if view.notice:
        parts.append(_text(view.notice, "yellow"))
    parts.append(_resources(view.tally, opened))
    if spent := view.tally.meter.line(view.now_s):
        parts.append(_text(f"spent: {spent}", "dim"))
    return Padding(Group(*parts), (0, 1))


def summary(tally: Tally, now_s: float) -> RenderableType:
    """What stays on the screen after the end; the campaign's last words follow, so only what these leave out."""
    opened = tally.opened
    if opened is None:
        return Text("nothing was run", style="dim")
    counts = ", ".join(f"{count} {status}" for status, count in tally.counts.most_common()) or "none settled"
    title = Text.assemble(_text(opened.task, "bold"), "  ", _text(opened.tags.get("policy", ""), "cyan"))
    return Padding(Group(title, Text(f"trials: {counts}, in {duration(now_s)}")), (1, 1, 0, 1))


def _title(opened: Opened, run_dir: Path) -> RenderableType:
    grid = Table.grid(Column(no_wrap=True, overflow="ellipsis", ratio=1), Column(no_wrap=True, justify="right"), expand=True)
    names = Text.assemble(_text(opened.task, "bold"), "  ", _text(opened.tags.get("policy", ""), "cyan"))
    grid.add_row(names, _text(opened.campaign, "dim"))
    return Group(grid, _text(str(run_dir), "dim"), "")


def _bar(view: View, opened: Opened) -> RenderableType:
    done, limit = view.tally.done, opened.max_trials
    said = Text(f"{done}/{limit} trials" if limit is not None else f"{done} trials")
    said.append(f"  {duration(view.now_s)}", style="dim")
    if limit is not None and 0 < done < limit and view.settled_s > 0:
        left_s = view.settled_s / done * (limit - done) - (view.now_s - view.settled_s)
        said.append(f"  about {duration(left_s)} left" if left_s >= 10 else "  a few seconds left", style="dim")
    if limit is None:
        return said
    grid = Table.grid(Column(ratio=1), Column(no_wrap=True), padding=(0, 1), expand=True)
    grid.add_row(ProgressBar(total=limit, completed=min(done, limit)), said)
    return grid


def _best(tally: Tally, opened: Opened, narrow: bool) -> RenderableType:
    if tally.best is None:
        return Text("best  no score yet", style="dim")
    score = Text.assemble(("best  ", "dim"), f"{printable(opened.metric)} ", (number(tally.best), "bold green"))
    said = score.append(f"  trial {tally.leader}  ").append_text(_gain(tally, short=narrow))
    said.no_wrap, said.overflow = True, "ellipsis"
    return said


def _gain(tally: Tally, *, short: bool = False) -> Text:
    gain = tally.gain()
    if gain is None or tally.leader == 0:
        return Text("the baseline", style="dim")
    said = f"{abs(gain):.3g} {'better' if gain >= 0 else 'worse'}"
    return Text(said if short else f"{said} than baseline", style="dim")


def _running(running: Sequence[Running], opened: Opened, view: View) -> RenderableType:
    narrow = view.width < _NARROW
    found = _table("running", "stage", "progress", _numbers(opened.progress_metric))
    if not narrow:
        found.add_column("time", justify="right", no_wrap=True, style="dim")
        found.add_column("settings", no_wrap=True, overflow="ellipsis", ratio=1)
    for run in running:
        progress = run.progress
        value = progress.metrics.get(opened.progress_metric) if progress is not None else None
        cells: list[RenderableType] = [str(run.trial.number), _text(run.stage or "starting"), _own_bar(run), number(value)]
        if not narrow:
            cells.append(duration(view.now_s - run.begun_s))
            cells.append(_text(_marks(run, view.tally) + settings(run.trial.proposal.params, opened.defaults), "dim"))
        found.add_row(*cells)
    return found


def _marks(run: Running, tally: Tally) -> str:
    """What sets an attempt apart from others that run."""
    proposal = run.trial.proposal
    marks = [f"repeats {proposal.repeat_of}"] if proposal.repeat_of is not None else []
    marks += (
        ["control group"] if run.trial.number in tally.spared else [f"told to {run.order.kind}"] if run.order is not None else []
    )
    marks += ["a person's"] if proposal.source == PERSON and not marks else []
    marks += [f"attempt {run.trial.attempt}"] if run.trial.attempt > 1 else []
    return f"[{', '.join(marks)}] " if marks else ""


def _aside(tally: Tally) -> list[str]:
    """A line on what waits and one on what is paused, where there is any."""
    found = []
    waiting = tally.waiting.in_order()
    if waiting or tally.waiting.held:
        said = [f"{waits.number} (a person's)" if waits.is_of_a_person else str(waits.number) for waits in waiting[:_LISTED]]
        said += [f"{len(waiting) - _LISTED} more"] if len(waiting) > _LISTED else []
        said += [f"{len(tally.waiting.held)} without a trial yet"] if tally.waiting.held else []
        found.append(f"waiting: {', '.join(said)}")
    if tally.paused:
        paused = [tally.paused[number] for number in sorted(tally.paused)]
        said = [f"{run.trial.number}{_at(run)}" for run in paused[:_LISTED]]
        said += [f"{len(paused) - _LISTED} more"] if len(paused) > _LISTED else []
        found.append(f"paused: {', '.join(said)}")
    return found


def _at(run: Running) -> str:
    progress = run.progress
    return f" at {steps(progress.step, progress.step_target)}" if progress is not None else ""


def _own_bar(run: Running) -> RenderableType:
    """Steps done of the steps planned, both the trial's own word."""
    progress = run.progress
    if progress is None or not progress.step_target or not progress.step_target > 0:
        return Text(f"step {number(progress.step)}" if progress is not None else "", style="dim")
    share = progress.step / progress.step_target
    share = min(1.0, max(0.0, share)) if share == share else 0.0
    grid = Table.grid(padding=(0, 1))
    grid.add_row(ProgressBar(total=1.0, completed=share, width=12), Text(f"{share:4.0%}", style="dim"))
    return grid


def _recent(rows: Sequence[Row], opened: Opened, narrow: bool) -> RenderableType:
    found = _table("settled", "status", _numbers(opened.metric))
    found.add_column("decision", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in reversed(rows):
        status = Text(row.outcome.status, style=_STYLES.get(row.outcome.status, ""))
        reason = first_line(row.reason or row.outcome.message)
        repeats = row.trial.proposal.repeat_of
        reason = reason if repeats is None else f"(repeats {repeats}) {reason}"
        decision = Text.assemble((f"{row.said} ", _STYLES.get(row.said, "")), (reason, "dim"))
        if narrow and row.outcome.score is not None:
            decision = Text(row.said, style=_STYLES.get(row.said, ""))
        found.add_row(str(row.trial.number), status, number(row.outcome.score), decision)
    return found


def _resources(tally: Tally, opened: Opened) -> RenderableType:
    used: dict[str, float] = {}
    for run in tally.running.values():
        for name, amount in run.resources.items():
            used[name] = used.get(name, 0.0) + amount
    known = [f"{printable(name)} {used.get(name, 0.0):g}/{amount:g}" for name, amount in opened.capacity.items()]
    return Text("in use: " + " · ".join(known) if known else "", style="dim", no_wrap=True, overflow="ellipsis")


def _table(first: str, *columns: str | Column) -> Table:
    headers = [
        Column(first, justify="right", no_wrap=True),
        *(Column(c, no_wrap=True) if isinstance(c, str) else c for c in columns),
    ]
    return Table(
        *headers,
        box=SIMPLE_HEAD,
        show_edge=False,
        expand=True,
        pad_edge=False,
        header_style="dim",
        border_style="dim",
        padding=(0, 1),
    )


def _numbers(header: str) -> Column:
    return Column(printable(header), justify="right", no_wrap=True, overflow="ellipsis", max_width=14)


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")
