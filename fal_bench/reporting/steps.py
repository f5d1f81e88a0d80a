"""Every board that the page can show, computed beforehand: targets, accountings, tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from fal_bench.reporting import wording
from fal_bench.reporting.answer import Board, Comparison
from fal_bench.reporting.context import Accounting, Rung
from fal_bench.reporting.targets import automatic_ladder

_MOST_RUNS: Final = 9000
"""Runs that a page reads for all of its boards: more would make it slow to write and to open."""

ALL_TASKS: Final = ""


@dataclass(frozen=True)
class Step:
    """A board, and the settings of the page under which it is shown.

    Attributes:
        board: the board.
        target: the target's key, as the page's address has it.
        words: the target in words.
        task: the one task; empty for all.
        asked: place, among the boards of the comparison, of the one whose figures stand beside it.
    """

    board: Board
    target: str
    words: str
    task: str
    asked: int

    @property
    def accounting(self) -> Accounting:
        """Which labels rank it."""
        return self.board.context.accounting

    @property
    def settings(self) -> dict[str, str]:
        """The settings by the names of their controls."""
        return {"target": self.target, "labels": self.accounting, "task": self.task}


def steps_of(comparison: Comparison, first: int) -> tuple[Step, ...]:
    """Return the boards of a page; the numbers of each are those that ``report`` gives for it.

    These are the boards asked for; those of each step of the automatic ladder; those asked for
    under the other count of labels, where the two differ; one a task; and the steps under the
    other count. A page for which all of these would be too many does without some of them.

    Args:
        comparison: the boards asked for.
        first: place of the board that the page leads with, which comes first.
    """
    leading = comparison.boards[first]
    asked = [_step(one, place) for place, one in enumerate(comparison.boards)]
    found = [_step(leading, first), *(step for step in asked if step.board is not leading)]
    rungs = [
        _step(Board(leading.runs, leading.context.at(rung)), first) for rung in _rungs(leading)
    ]
    left = _MOST_RUNS - sum(map(_runs, found))
    for group in (rungs, _recounted(found), _by_task(asked), _recounted(rungs)):
        known = [step.settings for step in found]
        new = [step for step in group if step.settings not in known]
        if (cost := sum(map(_runs, new))) <= left:
            found += new
            left -= cost
    return tuple(found)


def _runs(step: Step) -> int:
    context = step.board.context
    return len(context.shown) * len(context.tasks) * len(context.seeds)


def _recounted(steps: Sequence[Step]) -> list[Step]:
    """Return the same boards under the other count of labels, as far as they are others."""
    found = []
    for step in steps:
        if other := _other_accounting(step.board):
            context = replace(step.board.context, accounting=other)
            found.append(replace(step, board=Board(step.board.runs, context)))
    return found


def _by_task(steps: Sequence[Step]) -> list[Step]:
    """Return a board a task; none where there is one task alone."""
    found = []
    for step in steps:
        board, tasks = step.board, step.board.context.task_names
        for task in tasks if len(tasks) > 1 else []:
            runs = {key: run for key, run in board.runs.items() if key[0] == task}
            found.append(replace(step, board=Board(runs, board.context.on(task)), task=task))
    return found


def _rungs(board: Board) -> tuple[Rung, ...]:
    """Return the steps of the automatic ladder, as far as the question has one."""
    context = board.context
    named = tuple(rung for rung in context.ladder or context.wider if rung.name)
    if named or not context.wider:
        return named
    return automatic_ladder(board.runs, context)  # several targets are a ladder of their own


def _other_accounting(board: Board) -> Accounting | None:
    """Return the count of labels under which the board would be another one."""
    others: dict[Accounting, Accounting] = {"strict": "paper", "paper": "strict"}
    other = others.get(board.context.accounting)
    if other is None:
        return None
    differ = any(
        "strict" in run.axes and (run.axes["strict"] != run.axes["paper"]).any()
        for run in board.runs.values()
    )
    return other if differ else None


def _step(board: Board, asked: int) -> Step:
    context = board.context
    if context.ladder:
        words = f"all {len(context.ladder)} targets"
        return Step(board, context.metric + "-auto", words, ALL_TASKS, asked)
    if not context.target_name:
        words = wording.target_value(context)
        return Step(board, f"{context.metric}-{context.target:g}", words, ALL_TASKS, asked)
    share = context.target_name.rpartition("-")[2]
    value = wording.measured(context.target, context.metric)
    words = f"{share} % of the rise: {value}"
    return Step(board, f"{context.metric}-{context.target_name}", words, ALL_TASKS, asked)
