"""Gathering what the finished cells of a comparison hold: curves, charges, environments."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import pandas as pd

from fal_bench.federation.journal import Row
from fal_bench.inputs.selector import Selector
from fal_bench.sweep.files import read_json
from fal_bench.sweep.folder import CellFolder, CorruptCellError
from fal_bench.sweep.spec import CellSpec
from fal_bench.sweep.store import Store

IDENTITY = ["task", "strategy", "seed"]
_CHARGE = ["client", "sample", "purpose", "cycle"]


@dataclass(frozen=True)
class FinishedCell:
    """A finished cell under the names that a report shows.

    Attributes:
        task: the task's name.
        strategy: the strategy's label.
        seed: the seed.
        folder: the cell's directory.
        task_hash: the task's hash, by which others recognise the task.
        reference: whether the strategy is a yardstick and never ranked.
    """

    task: str
    strategy: str
    seed: int
    folder: CellFolder
    task_hash: str
    reference: bool


def finished_cells(store: Store, specs: Sequence[CellSpec]) -> list[FinishedCell]:
    """Return those cells of a comparison that are finished."""
    return [
        FinishedCell(
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


def read_curves(cells: Sequence[FinishedCell]) -> pd.DataFrame:
    """Return the curves of finished cells, one row a cell and cycle.

    Returns:
        Columns ``task``, ``strategy``, ``seed``, those of ``Row``, ``task_hash`` and
        ``reference``, sorted by the first three and the cycle, whatever the order of ``cells``.
    """
    values = attrgetter(*Row.columns())
    records = [
        (cell.task, cell.strategy, cell.seed, *values(row), cell.task_hash, cell.reference)
        for cell in cells
        for row in cell.folder.rows()
    ]
    columns = [*IDENTITY, *Row.columns(), "task_hash", "reference"]
    frame = pd.DataFrame(records, columns=columns)
    return frame.sort_values([*IDENTITY, "cycle"], ignore_index=True)


def read_charges(cells: Sequence[FinishedCell]) -> pd.DataFrame:
    """Return how many labels each finished cell read, by purpose and cycle.

    A label that was read for several purposes is counted once, for the first of them, so that
    the counts of a cell add up to its strict labels.

    Returns:
        Columns ``task``, ``strategy``, ``seed``, ``purpose``, ``cycle`` (of the query; the model
        of the next cycle is the first to be trained with it) and ``labels``, sorted by the first
        five, whatever the order of ``cells``.

    Raises:
        CorruptCellError: a ledger cannot be read.
    """
    records = [
        (cell.task, cell.strategy, cell.seed, purpose, cycle, labels)
        for cell in cells
        for (purpose, cycle), labels in _counts(cell.folder).items()
    ]
    frame = pd.DataFrame(records, columns=[*IDENTITY, "purpose", "cycle", "labels"])
    return frame.sort_values([*IDENTITY, "purpose", "cycle"], ignore_index=True)


def _counts(folder: CellFolder) -> Counter[tuple[str, int]]:
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
        raise CorruptCellError(
            f"Cannot read the ledger of cell {folder.path.name[:12]} ({error}); delete the cell's "
            "directory to run it again."
        ) from None
    return counts


@dataclass(frozen=True)
class Entrant:
    """What the cells of one strategy say about it.

    Attributes:
        strategy: its label.
        trainer: its trainer, as a selector.
        reference: whether it is a yardstick and never ranked.
    """

    strategy: str
    trainer: str
    reference: bool


def read_entrants(cells: Sequence[FinishedCell]) -> list[Entrant]:
    """Return the strategies of finished cells, by label."""
    first = {cell.strategy: cell for cell in reversed(cells)}
    entrants = []
    for label, cell in sorted(first.items()):
        content = read_json(cell.folder.path / "cell.json")
        trainer = content["description"]["trainer"]
        named = str(Selector(trainer["name"], trainer["params"]))
        entrants.append(Entrant(label, named, cell.reference))
    return entrants


def read_environments(cells: Sequence[FinishedCell]) -> list[tuple[int, dict[str, str]]]:
    """Return where finished cells were computed, and how many of them, most first."""
    counts: Counter[tuple[tuple[str, str], ...]] = Counter()
    for cell in cells:
        content = read_json(cell.folder.path / "cell.json")
        device = str(content.get("description", {}).get("device", "unknown"))
        facts = {**content.get("environment", {}), "device": device}
        counts[tuple(sorted((str(name), str(value)) for name, value in facts.items()))] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(count, dict(facts)) for facts, count in ordered]
