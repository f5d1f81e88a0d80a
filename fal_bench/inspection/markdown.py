"""Inspected tasks as one Markdown table, for a page about them: a row a task, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from fal_bench.inspection.facts import Finding, MoreTraining, SeedsNeeded, Smoothness, Training
from fal_bench.inspection.findings import RANDOM, SAVINGS, USUAL
from fal_bench.inspection.wording import difference, sentence
from fal_bench.reporting.export import markdown_cell
from fal_bench.reporting.wording import percent, share

if TYPE_CHECKING:
    from fal_bench.inspection.inspection import InspectedTask

UNKNOWN: Final = "-"

Written = Callable[[Finding], str | None]
"""Writes what a column shows of a finding; None for a finding that it is not about."""


def to_markdown(tasks: Sequence[InspectedTask]) -> str:
    """Return a table of tasks, faults in bold, and below it a line for each fault."""
    lines = [list(_HEADINGS), ["---"] * len(_HEADINGS), *map(_row, tasks)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    faults = [line for task in tasks for line in _faults(task)]
    return "\n\n".join([table, *(["\n".join(faults)] if faults else [])]) + "\n"


def _row(task: InspectedTask) -> list[str]:
    worth = {True: "yes", False: "no", None: "not known"}[task.verdict.worth]
    return [
        f"`{task.task.name}`",
        worth,
        *(_cell(task.findings, written) for written in _COLUMNS.values()),
    ]


def _cell(findings: Sequence[Finding], written: Written) -> str:
    for one in findings:
        text = written(one)
        if text is not None:
            return f"**{text}**" if one.grade == "fault" else text
    return UNKNOWN


def _faults(task: InspectedTask) -> Iterator[str]:
    for one in task.findings:
        if one.grade == "fault":
            yield f"- `{task.task.name}`: {markdown_cell(sentence(one))}"


def _seeds(saving: float) -> Written:
    def written(one: Finding) -> str | None:
        if not isinstance(one, SeedsNeeded) or not one.needs:
            return None
        seeds = next(need.seeds for need in one.needs if need.saving == saving)
        return "over 1000" if seeds is None else str(seeds)

    return written


def _change(strategy: str) -> Written:
    def written(one: Finding) -> str | None:
        if not isinstance(one, MoreTraining) or one.strategy != strategy:
            return None
        change = difference(one.change, one.metric)
        if one.saving != one.saving:  # the middle target is not reached
            return change
        return f"{change}, {-100 * one.saving:+.1f} % labels"

    return written


def _step(one: Finding) -> str | None:
    return share(one.share) if isinstance(one, Smoothness) and one.grade != "unknown" else None


def _fit(one: Finding) -> str | None:
    return share(one.smallest) if isinstance(one, Training) and one.grade != "unknown" else None


_COLUMNS: Final[dict[str, Written]] = {
    **{f"seeds for {percent(saving)}": _seeds(saving) for saving in SAVINGS},
    **{f"twice the training, {strategy}": _change(strategy) for strategy in (RANDOM, USUAL)},
    "largest step": _step,
    "fits its labels": _fit,
}
_HEADINGS: Final = ("task", "worth its minutes", *_COLUMNS)
