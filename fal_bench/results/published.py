"""Reading published results: the curves and charges that a record belongs to."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import ValidationError

from fal_bench.errors import PublicationError
from fal_bench.inputs.files import MissingFileError, read_bytes
from fal_bench.inputs.selector import Selector
from fal_bench.inputs.validation import explained
from fal_bench.results.accounts import broken_protocol, imbalance
from fal_bench.results.identity import (
    SHOWN,
    describe,
    description_key,
    identity_columns,
    own_digest,
)
from fal_bench.results.model import (
    BY_CLIENT,
    CHARGES,
    KEYS,
    RUNS,
    TASKS,
    Environment,
    Provenance,
    Results,
    empty_run,
    task_row,
)
from fal_bench.results.record import (
    CHARGES_FILE,
    CURVES_FILE,
    FILE,
    FILES,
    FORMAT,
    LONGEST_REASON,
    PublishedTask,
    Record,
    has_charges,
    moment,
    read_record,
)
from fal_bench.results.tables import read_published_charges, read_published_curves
from fal_bench.task import Task
from fal_bench.task.suite import Suite

_NAMED = 5
"""Unknown files that are named."""


@dataclass(frozen=True)
class FileState:
    """What became of a published file.

    Attributes:
        name: its name.
        state: whether its content is the one that was published; ``"unknown"`` if no file of that
            name is ever published.
    """

    name: str
    state: Literal["same", "changed", "missing", "unknown"]


def file_states(folder: Path, record: Record) -> tuple[FileState, ...]:
    """Compare the files of a folder with their checksums.

    Raises:
        PublicationError: the record does not hold the checksums of exactly these files.
        UnreadableFileError: one of them is no plain file, or too large.
    """
    names = [name for name in FILES if name != CHARGES_FILE or has_charges(record)]
    if sorted(record.files) != sorted(names):
        raise PublicationError(
            f"{FILE} in {str(folder)!r} must hold the SHA-256 of {', '.join(names)}, and of "
            "nothing else; restore it, or publish again."
        )
    states = [FileState(name, _state(folder / name, record.files[name])) for name in names]
    others = (entry.name for entry in os.scandir(folder) if entry.name not in {*names, FILE})
    return (*states, *(FileState(name, "unknown") for name in islice(others, _NAMED)))


def refuse_changed(folder: Path, record: Record, names: Collection[str] = FILES) -> None:
    """Check that files are those that were published.

    Raises:
        PublicationError: one of these names is not.
    """
    for file in file_states(folder, record):
        if file.name in names and file.state != "same":
            raise PublicationError(
                f"{file.name} in {str(folder)!r} is not the one that was published; restore it."
            )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        UnreadableFileError: it cannot be read, or is no plain file.
    """
    return hashlib.sha256(read_bytes(path)).hexdigest()


def _state(path: Path, published: str) -> Literal["same", "changed", "missing"]:
    try:
        return "same" if sha256_of(path) == published else "changed"
    except MissingFileError:
        return "missing"


def read_published(folder: Path, *, suite: str | None = None) -> Results:
    """Read published results.

    Args:
        folder: what ``falbench publish`` wrote; its curves and charges are as they were published.
        suite: nothing, or the suite that was published.

    Raises:
        PublicationError: a file was changed, cannot be read, or contradicts another one.
    """
    record = read_record(folder)
    refuse_changed(folder, record, (CURVES_FILE, CHARGES_FILE))
    if suite not in (None, record.suite):
        raise PublicationError(
            f"The results in {str(folder)!r} are of {record.suite!r}; leave --suite out."
        )
    results = results_of(record, folder)
    wrong = (
        imbalance(results.shown_curves(), results.shown_charges()) if has_charges(record) else ""
    )
    if wrong:
        raise PublicationError(
            f"{CHARGES_FILE} and {CURVES_FILE} in {str(folder)!r} contradict each other ({wrong}); "
            "restore them, or ask for others."
        )
    return results


def results_of(record: Record, folder: Path) -> Results:
    """Return published results, whether or not the files are those that were published.

    Args:
        record: the provenance.
        folder: the folder of ``curves.csv`` and ``charges.csv``.

    Raises:
        PublicationError: they cannot be read.
    """
    tasks = published_tasks(record)
    table = read_published_curves(folder / CURVES_FILE)
    if record.n_runs > len(table):  # before they are made, since a short record may name many
        raise PublicationError(
            f"{FILE} in {str(folder)!r} names {record.n_runs} runs, and {CURVES_FILE} has only "
            f"{len(table)} rows; restore the files."
        )
    runs = _runs(record, tasks)
    keys = {(run["task"], run["label"], run["seed"]): run["key"] for run in runs}
    curves = _keyed(table, keys, CURVES_FILE)
    _check_runs(table, runs)
    _check_protocols(curves, runs, {task.hash: task for task in tasks})
    charges = pd.DataFrame(columns=CHARGES)
    if has_charges(record):
        found = _keyed(read_published_charges(folder / CHARGES_FILE), keys, CHARGES_FILE)
        charges = found.assign(client=None)[CHARGES]
    rows = [
        task_row(task, record.suite, own_digest(one.data, one.model, one.aggregation), one.pool)
        for task, one in zip(tasks, record.tasks, strict=True)
    ]
    suite = Suite(record.suite, "", len(record.seeds), tuple(tasks), record.asked)
    return Results(
        pd.DataFrame(runs, columns=RUNS),
        curves,
        charges,
        pd.DataFrame(rows, columns=TASKS),
        Provenance(
            suites={record.suite: suite},
            environments=tuple(
                Environment(one.runs, tuple(sorted(one.facts.items())))
                for one in record.environments
            ),
            higher_is_better=record.metrics,
            computed=(_day(record.first_finished), _day(record.last_finished)),
            problems=() if record.format == FORMAT else (_without_digest(record, folder),),
        ),
    )


def _without_digest(record: Record, folder: Path) -> str:
    return (
        f"{FILE} in {str(folder)!r} is of format {record.format} and has no digest, so damage to "
        "it cannot be seen; falbench publish writes such results as today's."
    )


def published_tasks(record: Record) -> list[Task]:
    """Rebuild the tasks, in the order of the record.

    Raises:
        PublicationError: a task is not the one that was published.
    """
    return [_task(published) for published in record.tasks]


def _runs(record: Record, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Rebuild all runs, task by task; neither suite nor plugin is needed."""
    runs = []
    for (task, given), row, seed in product(
        zip(tasks, record.tasks, strict=True), record.strategies, record.seeds
    ):
        description = describe(
            task.canonical,
            Selector.parse(row.strategy),
            row.fingerprint,
            Selector.parse(row.trainer),
            row.trainer_fingerprint,
            seed=seed,
            device=record.device,
            numerics=record.numerics,
            data=given.data or "",
            model=given.model or "",
            aggregation=given.aggregation or "",
        )
        runs.append(
            {
                **empty_run(),
                **identity_columns(description, trainer_named=row.trainer_named),
                "key": description_key(description),
                "label": row.label,
                "task": task.name,
                "task_hash": task.hash,
                "reference": row.reference,
                "state": "done",
            }
        )
    return runs


def run_keys(record: Record) -> dict[tuple[str, str, int], str]:
    """Return the key of every published run, by task, strategy's label and seed."""
    runs = _runs(record, published_tasks(record))
    return {(run["task"], run["label"], run["seed"]): run["key"] for run in runs}


def _keyed(
    frame: pd.DataFrame, keys: Mapping[tuple[str, str, int], str], file: str
) -> pd.DataFrame:
    """Return rows with their run's key in place of its names."""
    names = list(zip(*(frame[name] for name in SHOWN), strict=True))
    for task, strategy, seed in names:
        if (task, strategy, seed) not in keys:
            raise PublicationError(
                f"{file} holds a run of {task}, {strategy}, seed {seed}, which {FILE} does not "
                "name; restore the files."
            )
    for task, strategy, seed in keys.keys() - set(names):
        raise PublicationError(
            f"{file} holds nothing of {task}, {strategy}, seed {seed}, which {FILE} names; restore "
            "the files."
        )
    found = [keys[name] for name in names]
    beside = [*SHOWN, "task_hash", "reference"]
    rest = frame.drop(columns=[name for name in beside if name in frame])
    rest.insert(0, "key", found)
    return rest


def _check_runs(curves: pd.DataFrame, runs: Sequence[Mapping[str, Any]]) -> None:
    """Check that the curves say of their runs what the record says."""
    names = [*SHOWN, "task_hash", "reference"]
    known = {
        (run["task"], run["label"], run["seed"], run["task_hash"], run["reference"]) for run in runs
    }
    for row in curves[names].drop_duplicates().itertuples(index=False, name=None):
        if row not in known:
            raise PublicationError(
                f"{CURVES_FILE} has another task_hash or reference than {FILE} for {row[0]}, "
                f"{row[1]}, seed {row[2]}; restore the files."
            )


def _check_protocols(
    curves: pd.DataFrame, runs: Sequence[Mapping[str, Any]], tasks: Mapping[str, Task]
) -> None:
    """Check that the curves are what the protocols of their tasks can give."""
    known = {run["key"]: run for run in runs}
    rows = defaultdict(list)
    columns = ("key", *KEYS, *BY_CLIENT)
    for key, *row in zip(*(curves[name].tolist() for name in columns), strict=True):
        rows[key].append(row)
    for key, curve in rows.items():
        run = known[key]
        if wrong := broken_protocol(curve, tasks[run["task_hash"]]):
            raise PublicationError(
                f"{CURVES_FILE}: {run['task']}, {run['label']}, seed {run['seed']}: {wrong}; "
                "restore the file."
            )


def _task(published: PublishedTask) -> Task:
    try:
        task = Task.model_validate({**published.canonical, "name": published.name})
    except ValidationError as error:
        reason = ": ".join(filter(None, explained(error, Task)))[:LONGEST_REASON]
        raise PublicationError(
            f"This falbench does not know the task {published.name!r} of {FILE} "
            f"({reason}); use the falbench that published it."
        ) from None
    written, canonical = (
        json.dumps(one, sort_keys=True) for one in (published.canonical, task.canonical)
    )
    if task.hash != published.hash or written != canonical:
        raise PublicationError(
            f"The task {published.name!r} of {FILE} does not belong to its hash; restore the file."
        )
    return task


def _day(text: str) -> date:
    return moment(text).date()
