"""Curves measured elsewhere among those of a comparison: which of them compare, and why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fal_bench.external.columns import Measured
from fal_bench.external.folder import Import
from fal_bench.report import wording
from fal_bench.report.context import External, TaskFacts

_CURVE = [name for name in Measured.columns() if name not in ("task", "strategy", "seed")]
COLUMNS = ["task", "strategy", "seed", *_CURVE, "source"]
"""Columns of the curves; ``source`` is the name of the file they came from."""


@dataclass(frozen=True)
class Elsewhere:
    """The external curves that a comparison shows.

    Attributes:
        externals: their strategies, by label.
        curves: one row a run and cycle, with the columns ``COLUMNS``.
    """

    externals: tuple[External, ...]
    curves: pd.DataFrame


def curves_from_elsewhere(
    imports: Sequence[Import], tasks: Sequence[TaskFacts], seeds: Sequence[int]
) -> Elsewhere:
    """Pick the external curves of the tasks that are compared.

    A task is the same if it has the same hash, whatever its name. Curves of a task with another
    hash, or without one, are shown under the task of their task's name, and never ranked.

    A strategy that can be ranked takes part with the seeds compared, any other one with all of its
    runs: seeds of other code mean nothing here.

    Args:
        imports: the external curves of a results folder.
        tasks: the tasks compared.
        seeds: the seeds compared.
    """
    found = [
        (one, strategy, rows)
        for one in imports
        for strategy, rows in _by_strategy(one, tasks).items()
    ]
    times = Counter(strategy for _, strategy, _ in found)
    externals, records = [], []
    for one, strategy, rows in found:
        origin = f" @{one.name}" if times[strategy] > 1 else ""
        external = _external(one, f"{strategy}{origin} (external)", rows, tasks, seeds)
        externals.append(external)
        records += _records(external, rows)
    frame = pd.DataFrame(records, columns=COLUMNS).astype({"labels_strict": float})
    return Elsewhere(
        tuple(sorted(externals, key=lambda external: external.strategy)),
        frame.sort_values(["task", "strategy", "seed", "cycle"], ignore_index=True),
    )


Placed = tuple[str, Measured]
"""The name of the task compared that a row belongs to, and the row."""


def _by_strategy(one: Import, tasks: Sequence[TaskFacts]) -> dict[str, list[Placed]]:
    """Return the rows of the tasks compared, by strategy."""
    hashes = {facts.hash: facts.name for facts in tasks if facts.hash}
    proven = {hashes[row.task_hash] for row in one.rows if row.task_hash in hashes}
    # A task's name places curves only where no others are proven to be of that task.
    names = {facts.name for facts in tasks} - proven
    strategies: dict[str, list[Placed]] = {}
    for row in one.rows:
        task = hashes.get(row.task_hash or "")
        if task is None and row.task in names:
            task = row.task
        if task is not None:
            strategies.setdefault(row.strategy, []).append((task, row))
    return strategies


def _external(
    one: Import,
    label: str,
    rows: Sequence[Placed],
    tasks: Sequence[TaskFacts],
    seeds: Sequence[int],
) -> External:
    runs = frozenset((task, row.seed) for task, row in rows)
    compared = frozenset((facts.name, seed) for facts in tasks for seed in seeds)
    obstacle = (
        _other_question(rows, {facts.name: facts.hash for facts in tasks})
        or _absent(runs, compared)
        or _unfinished([pair for pair in rows if (pair[0], pair[1].seed) in compared], tasks)
    )
    return External(
        strategy=label,
        name=one.name,
        file=one.file,
        imported=one.imported,
        sha256=one.sha256,
        runs=runs if obstacle else compared,
        strict_known=all(row.labels_strict is not None for _, row in rows),
        obstacle=obstacle,
    )


# Each of the following says why curves cannot be ranked among those compared; empty if they can.


def _other_question(rows: Sequence[Placed], hashes: dict[str, str]) -> str:
    if any(row.reference for _, row in rows):
        return "it is a reference, which sees the true labels"
    unproven = sorted({task for task, row in rows if row.task_hash is None})
    if unproven:
        return (
            f"its file has no task_hash to show that {wording.listed(unproven)} "
            f"{'is the task' if len(unproven) == 1 else 'are the tasks'} compared here"
        )
    others = sorted({task for task, row in rows if row.task_hash != hashes[task]})
    if others:
        return f"by its task_hash {wording.listed(others)} is another task than the one here"
    return ""


def _absent(runs: frozenset[tuple[str, int]], compared: frozenset[tuple[str, int]]) -> str:
    absent = sorted({task for task, _ in compared} - {task for task, _ in runs})
    if absent:
        return f"it has no runs on {wording.listed(absent)}"
    if not compared <= runs:
        lacking = sorted({seed for _, seed in compared - runs})
        noun = "seed" if len(lacking) == 1 else "seeds"
        return f"it lacks runs of {noun} {wording.listed([str(seed) for seed in lacking])}"
    return ""


def _unfinished(rows: Sequence[Placed], tasks: Sequence[TaskFacts]) -> str:
    """Look for curves cut short: a run's has a beginning and an end that the task knows."""
    known = {facts.name: facts for facts in tasks}
    runs: dict[tuple[str, int], list[Measured]] = {}
    for task, row in rows:
        runs.setdefault((task, row.seed), []).append(row)
    for (task, seed), curve in runs.items():
        facts = known[task]
        first, last = curve[0].labels, curve[-1].labels
        end = facts.cap + facts.query_labels
        if first != facts.grid[0] or (last < end and len(curve) < facts.cycle_limit):
            return (
                f"its curve of {wording.one_line(task)}, seed {seed}, goes from {first} to {last} "
                f"labels, and the protocol of that task from {facts.grid[0]} to {end}"
            )
    return ""


def _records(external: External, rows: Sequence[Placed]) -> list[tuple[object, ...]]:
    records = []
    for task, row in rows:
        if (task, row.seed) in external.runs:
            values: dict[str, object] = {name: getattr(row, name) for name in _CURVE}
            values["reference"] = bool(row.reference)
            if not external.strict_known:
                values["labels_strict"] = None
            records.append((task, external.strategy, row.seed, *values.values(), external.file))
    return records


def preview(one: Import, tasks: Sequence[TaskFacts]) -> list[str]:
    """Say what each strategy of an import will be shown as, on the tasks it was measured on."""
    given = {row.task_hash for row in one.rows}
    # Suites may have different tasks of one name; the one that the file means counts.
    known = {facts.name: facts for facts in sorted(tasks, key=lambda facts: facts.hash in given)}
    sentences = []
    for strategy, rows in sorted(_by_strategy(one, list(known.values())).items()):
        names = sorted({task for task, _ in rows})
        mine = [known[name] for name in names]
        seeds = sorted({row.seed for _, row in rows})
        external = _external(one, f"{strategy} (external)", rows, mine, seeds)
        runs = wording.counted(len({(task, row.seed) for task, row in rows}), "run")
        fate = "ranked where these tasks and no other seeds are compared"
        if external.obstacle:
            fate = f"shown but not ranked, since {external.obstacle}"
        elif not external.strict_known:
            fate = f"{fate}, under --accounting paper only, since its file has no labels_strict"
        sentences.append(
            f"{wording.one_line(external.strategy)}: {runs} on {wording.listed(names)}; {fate}."
        )
    return sentences
