"""Gathering what the finished runs of a comparison hold: curves, charges, environments."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fal_bench.federation.journal import Row
from fal_bench.inputs.selector import Selector
from fal_bench.sweep.files import read_json
from fal_bench.sweep.folder import CorruptRunError, RunFolder
from fal_bench.sweep.spec import RunSpec
from fal_bench.sweep.store import Store

IDENTITY = ["task", "strategy", "seed"]
_CHARGE = ["client", "sample", "purpose", "cycle"]


@dataclass(frozen=True)
class FinishedRun:
    """A finished run under the names that a report shows.

    Attributes:
        task: the task's name.
        strategy: the strategy's label.
        seed: the seed.
        folder: the run's directory.
        task_hash: the task's hash, by which others recognise the task.
        reference: whether the strategy is a yardstick and never ranked.
    """

    task: str
    strategy: str
    seed: int
    folder: RunFolder
    task_hash: str
    reference: bool


def finished_runs(store: Store, specs: Sequence[RunSpec]) -> list[FinishedRun]:
    """Return those runs of a comparison that are finished."""
    return [
        FinishedRun(
            spec.task.name,
            spec.label,
            spec.seed,
            store.folder(spec),
            spec.task.hash,
            spec.reference,
        )
        for spec in specs
        if store.phase(spec) == "done"
    ]


def read_curves(runs: Sequence[FinishedRun]) -> pd.DataFrame:
    """Return the curves of finished runs, one row a run and cycle.

    Returns:
        Columns ``task``, ``strategy``, ``seed``, those of ``Row``, ``task_hash`` and
        ``reference``, sorted by the first three and the cycle, whatever the order of ``runs``.
    """
    records = [
        {
            "task": run.task,
            "strategy": run.strategy,
            "seed": run.seed,
            **{name: getattr(row, name) for name in Row.columns()},
            **row.metrics,
            "task_hash": run.task_hash,
            "reference": run.reference,
        }
        for run in runs
        for row in run.folder.rows()
    ]
    given = [*IDENTITY, *Row.columns(), "task_hash", "reference"]
    metrics = {name for record in records for name in record} - {*given}
    columns = [*IDENTITY, *Row.columns(metrics), "task_hash", "reference"]
    frame = pd.DataFrame(records, columns=columns)
    return frame.sort_values([*IDENTITY, "cycle"], ignore_index=True)


def read_charges(runs: Sequence[FinishedRun]) -> pd.DataFrame:
    """Return how many labels each finished run read, by purpose and cycle.

    A label that was read for several purposes is counted once, for the first of them, so that
    the counts of a run add up to its strict labels.

    Returns:
        Columns ``task``, ``strategy``, ``seed``, ``purpose``, ``cycle`` (of the query; the model
        of the next cycle is the first to be trained with it) and ``labels``, sorted by the first
        five, whatever the order of ``runs``.

    Raises:
        CorruptRunError: a ledger cannot be read.
    """
    records = [
        (run.task, run.strategy, run.seed, purpose, cycle, labels)
        for run in runs
        for (purpose, cycle), labels in _counts(run.folder).items()
    ]
    frame = pd.DataFrame(records, columns=[*IDENTITY, "purpose", "cycle", "labels"])
    return frame.sort_values([*IDENTITY, "purpose", "cycle"], ignore_index=True)


def _counts(folder: RunFolder) -> Counter[tuple[str, int]]:
    seen: set[tuple[str, str]] = set()
    counts: Counter[tuple[str, int]] = Counter()
    try:
        with (folder.path / "ledger.csv").open(encoding="utf-8", newline="") as file:
            charges = csv.reader(file)
            if (heading := next(charges, [])) != _CHARGE:
                raise ValueError(f"columns {heading}")
            for client, sample, purpose, cycle in charges:
                if (client, sample) not in seen:
                    seen.add((client, sample))
                    counts[purpose, int(cycle)] += 1
    except (OSError, ValueError) as error:
        raise CorruptRunError(
            f"Cannot read the ledger of run {folder.path.name[:12]} ({error}); delete the run's "
            "directory to run it again."
        ) from None
    return counts


@dataclass(frozen=True)
class Entrant:
    """What the runs of one strategy say about it.

    Attributes:
        strategy: its label.
        trainer: its trainer, as a selector.
        reference: whether it is a yardstick and never ranked.
    """

    strategy: str
    trainer: str
    reference: bool


def read_entrants(runs: Sequence[FinishedRun]) -> list[Entrant]:
    """Return the strategies of finished runs, by label."""
    first = {run.strategy: run for run in reversed(runs)}
    entrants = []
    for label, run in sorted(first.items()):
        content = read_json(run.folder.path / "cell.json")
        trainer = content["description"]["trainer"]
        named = str(Selector(trainer["name"], trainer["params"]))
        entrants.append(Entrant(label, named, run.reference))
    return entrants


def read_environments(runs: Sequence[FinishedRun]) -> list[tuple[int, dict[str, str]]]:
    """Return where finished runs were computed, and how many of them, most first."""
    counts: Counter[tuple[tuple[str, str], ...]] = Counter()
    for run in runs:
        content = read_json(run.folder.path / "cell.json")
        device = str(content.get("description", {}).get("device", "unknown"))
        facts = {**content.get("environment", {}), "device": device}
        counts[tuple(sorted((str(name), str(value)) for name, value in facts.items()))] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(count, dict(facts)) for facts, count in ordered]
