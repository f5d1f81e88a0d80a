"""Reading published results: the provenance of a comparison, its curves and its charges."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fal_bench.errors import InvalidSpecError, PublicationError
from fal_bench.inputs.selector import Selector
from fal_bench.inputs.validation import explained
from fal_bench.results.identity import SHOWN, describe, description_key, identity_columns
from fal_bench.results.model import (
    BY_CLIENT,
    CHARGES,
    COSTS,
    KEYS,
    NOT_METRICS,
    RUNS,
    TASKS,
    TIMINGS,
    Environment,
    Provenance,
    Results,
    empty_run,
    task_row,
)
from fal_bench.results.store import PUBLISHED
from fal_bench.task import Task
from fal_bench.task.suite import Suite
from fal_bench.task.target import Target, parse_targets

FORMAT = 3
"""Version of the format; raised by whatever an older falbench could misread.

2 added ``charges.csv``; 3 records which way metrics are better, may hold targets of any metric, and
says runs where 2 said cells, and sessions where it said runs.
"""

FILE = PUBLISHED
LEADERBOARD = "leaderboard.csv"
CURVES_FILE = "curves.csv"
CHARGES_FILE = "charges.csv"
FILES = (LEADERBOARD, CURVES_FILE, CHARGES_FILE, "leaderboard.html")
"""The files besides ``provenance.json``."""

_WITHOUT_CHARGES = 1
_CELLS = 2
"""The last format that said cells."""

_CURVE_KEYS = [*SHOWN, *KEYS, *COSTS, *BY_CLIENT, "task_hash", "reference"]
_CHARGE_COLUMNS = [*SHOWN, "purpose", "cycle", "labels"]


class Section(BaseModel):
    """A piece of the record; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sessions(Section):
    """What the sessions took that computed the runs of the results folder.

    Attributes:
        count: number of sessions.
        runs: runs that they finished; others came from elsewhere, or before sessions were recorded.
        wall_seconds: how long they took by the wall clock, added up.
        jobs: the numbers of worker processes that they had.
    """

    count: int
    runs: int
    wall_seconds: float
    jobs: tuple[int, ...]


class PublishedEnvironment(Section):
    """Where runs were computed.

    Attributes:
        runs: number of runs computed there.
        facts: versions, processor and device by name.
    """

    runs: int
    facts: dict[str, str]


class PublishedTask(Section):
    """A task.

    Attributes:
        name: its name.
        hash: SHA-256 of its canonical JSON.
        canonical: its canonical JSON: every field that is not at its default.
        pool: samples in the query pool over all clients, initial labels included.
        data: digest of the data, where they are somebody's own.
        model: what identifies the model's code, where it is not built in.
    """

    name: str
    hash: str
    canonical: dict[str, Any]
    pool: int
    data: str | None = None
    model: str | None = None


class PublishedStrategy(Section):
    """A row of the leaderboard.

    Attributes:
        label: its name in the tables.
        strategy: the strategy's selector, with the parameters that differ from their defaults.
        fingerprint: what identifies the strategy's behaviour.
        trainer: the trainer's selector, likewise.
        trainer_fingerprint: what identifies the trainer's behaviour.
        reference: whether it is a yardstick and never ranked.
    """

    label: str
    strategy: str
    fingerprint: str
    trainer: str
    trainer_fingerprint: str
    reference: bool


class Record(Section):
    """The provenance of published results; every run is a (task, strategy, seed) of it.

    Attributes:
        format: version of the format.
        falbench: version of falbench that published.
        command: the command line that repeats the comparison.
        published: when the results were published, in UTC, as ISO 8601.
        first_finished: when the first run was finished, likewise.
        last_finished: when the last one was.
        compute_seconds: seconds of training and selection, over all runs.
        sessions: what the sessions took; None where the results folder does not say.
        suite: the suite, or the task if there is but one.
        targets: the targets asked for: accuracies, ``"auto"``, or ``"metric=value"``.
        accounting: the labels that rank.
        baseline: the strategy that savings refer to.
        numerics: version of the arithmetic.
        device: class of the device.
        seeds: the seeds.
        tasks: the tasks.
        strategies: the rows of the leaderboard.
        environments: where the runs were computed, the most frequent one first.
        metrics: whether higher is better, by metric.
        files: SHA-256 of the other files by name.
    """

    format: int = FORMAT
    falbench: str
    command: str
    published: str
    first_finished: str
    last_finished: str
    compute_seconds: float
    sessions: Sessions | None = None
    suite: str
    targets: tuple[float | str, ...] = Field(min_length=1)
    accounting: Literal["strict", "paper"]
    baseline: str
    numerics: int
    device: str
    seeds: tuple[int, ...] = Field(min_length=1)
    tasks: tuple[PublishedTask, ...] = Field(min_length=1)
    strategies: tuple[PublishedStrategy, ...] = Field(min_length=1)
    environments: tuple[PublishedEnvironment, ...]
    metrics: dict[str, bool] = Field(default_factory=dict)
    files: dict[str, str]

    @property
    def asked(self) -> tuple[Target, ...]:
        """The targets asked for."""
        return parse_targets(self.targets, "targets")

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return len(self.tasks) * len(self.strategies) * len(self.seeds)

    @property
    def summary(self) -> str:
        """What was published, in a few words."""
        counts = [
            f"{count} {one if count == 1 else many}"
            for count, one, many in (
                (len(self.tasks), "task", "tasks"),
                (len(self.strategies), "strategy", "strategies"),
                (len(self.seeds), "seed", "seeds"),
            )
        ]
        return f"{self.n_runs} runs of {self.suite} ({', '.join(counts)})"

    @property
    def text(self) -> str:
        """The content of ``provenance.json``; keys stand in the order of the attributes."""
        content = self.model_dump(mode="json", exclude_none=True)
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def read_record(folder: Path) -> Record:
    """Read the provenance of published results.

    Raises:
        PublicationError: it is missing, broken, or of a newer format.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PublicationError(
            f"There is no {FILE} in {str(folder)!r}; name a folder that falbench publish wrote."
        ) from None
    except (OSError, ValueError) as error:
        raise _broken(path, str(getattr(error, "strerror", None) or error)) from None
    written = content.get("format") if isinstance(content, dict) else None
    if not isinstance(written, int) or isinstance(written, bool):
        raise _broken(path, "it does not say its format")
    if written > FORMAT:
        raise PublicationError(
            f"{str(path)!r} was written by a newer falbench (format {written}, this one reads "
            f"{FORMAT}); upgrade falbench."
        )
    try:
        return parse_record(json.dumps(_runs_for_cells(content) if written <= _CELLS else content))
    except ValidationError as error:
        where, what = explained(error, Record)
        raise _broken(path, f"{where}: {what}") from None
    except InvalidSpecError as error:
        raise _broken(path, str(error)) from None


def parse_record(text: str) -> Record:
    """Read a record of today's format.

    Raises:
        ValidationError, InvalidSpecError: something in it is wrong.
    """
    record = Record.model_validate_json(text, strict=True)
    parse_targets(record.targets, "targets")
    return record


def _runs_for_cells(content: dict[str, Any]) -> dict[str, Any]:
    """Return a record of format 1 or 2 in the words of today."""
    content = dict(content)
    if "runs" in content:
        content["sessions"] = content.pop("runs")
    for section in (content.get("sessions"), *content.get("environments", ())):
        if isinstance(section, dict) and "cells" in section:
            section["runs"] = section.pop("cells")
    return content


def _broken(path: Path, why: str) -> PublicationError:
    return PublicationError(f"Cannot read {str(path)!r} ({why}); restore it, or publish again.")


@dataclass(frozen=True)
class FileState:
    """What became of a published file.

    Attributes:
        name: its name.
        state: whether its content is the one that was published.
    """

    name: str
    state: Literal["same", "changed", "missing"]


def is_published(folder: Path) -> bool:
    """Whether a folder holds published results."""
    return (folder / FILE).is_file()


def has_charges(record: Record) -> bool:
    """Whether the results were published with ``charges.csv``."""
    return record.format > _WITHOUT_CHARGES


def file_states(folder: Path, record: Record) -> tuple[FileState, ...]:
    """Compare the files of a folder with their checksums.

    Raises:
        PublicationError: the record does not hold the checksums of exactly these files.
    """
    names = [name for name in FILES if name != CHARGES_FILE or has_charges(record)]
    if sorted(record.files) != sorted(names):
        raise PublicationError(
            f"{FILE} in {str(folder)!r} must hold the SHA-256 of {', '.join(names)}, and of "
            "nothing else; restore it, or publish again."
        )
    return tuple(FileState(name, _state(folder / name, record.files[name])) for name in names)


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
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(path: Path, published: str) -> Literal["same", "changed", "missing"]:
    if not path.is_file():
        return "missing"
    return "same" if sha256_of(path) == published else "changed"


def read_published(folder: Path, *, suite: str | None = None) -> Results:
    """Read published results.

    Args:
        folder: what ``falbench publish`` wrote; its curves and charges are as they were published.
        suite: nothing, or the suite that was published.

    Raises:
        PublicationError: a file was changed or cannot be read.
    """
    record = read_record(folder)
    refuse_changed(folder, record, (CURVES_FILE, CHARGES_FILE))
    if suite not in (None, record.suite):
        raise PublicationError(
            f"The results in {str(folder)!r} are of {record.suite!r}; leave --suite out."
        )
    return results_of(record, folder)


def results_of(record: Record, folder: Path) -> Results:
    """Return published results, whether or not the files are those that were published.

    Args:
        record: the provenance.
        folder: the folder of ``curves.csv`` and ``charges.csv``.

    Raises:
        PublicationError: they cannot be read.
    """
    tasks = published_tasks(record)
    runs = _runs(record, tasks)
    keys = {(run["task"], run["label"], run["seed"]): run["key"] for run in runs}
    table = read_published_curves(folder / CURVES_FILE)
    curves = _keyed(table, keys, CURVES_FILE)
    _check_runs(table, runs)
    charges = pd.DataFrame(columns=CHARGES)
    if has_charges(record):
        found = _keyed(read_published_charges(folder / CHARGES_FILE), keys, CHARGES_FILE)
        charges = found.assign(client=None)[CHARGES]
    there = set(curves["key"])
    for run in runs:
        if run["key"] not in there:
            run |= {"state": "new", "reason": "not among the published curves"}
    data = [one.data or "" for one in record.tasks]
    pools = [one.pool for one in record.tasks]
    rows = [
        task_row(task, record.suite, digest, pool)
        for task, digest, pool in zip(tasks, data, pools, strict=True)
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
        ),
    )


def published_tasks(record: Record) -> list[Task]:
    """Rebuild the tasks, in the order of the record.

    Raises:
        PublicationError: a task is not the one that was published, or a name stands twice.
    """
    tasks = [_task(published) for published in record.tasks]
    _refuse_twins("task", [task.name for task in tasks])
    return tasks


def _runs(record: Record, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Rebuild all runs, task by task; neither suite nor plugin is needed.

    Raises:
        PublicationError: a name stands twice.
    """
    _refuse_twins("strategy", [row.label for row in record.strategies])
    _refuse_twins("seed", [str(seed) for seed in record.seeds])
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
        )
        runs.append(
            {
                **empty_run(),
                **identity_columns(description, trainer_named=row.label != row.strategy),
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


def _metric(text: str) -> float:
    return float(text) if text else math.nan


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys((*_CURVE_KEYS, *_CHARGE_COLUMNS), str),
    **dict.fromkeys(("seed", *KEYS, "bytes_up", "bytes_down"), int),
    **dict.fromkeys(TIMINGS, float),
    "reference": {"True": True, "False": False}.__getitem__,
}
"""How a value is read, by column; those of other columns are metrics."""


def read_published_curves(path: Path) -> pd.DataFrame:
    """Read ``curves.csv`` to the last bit."""
    curves = _read_text(path)
    if not {*_CURVE_KEYS} <= {*curves.columns} or not {*curves.columns} - NOT_METRICS:
        raise PublicationError(f"{str(path)!r} does not have the columns of curves; restore it.")
    return _values(curves, path)


def read_published_charges(path: Path) -> pd.DataFrame:
    """Read ``charges.csv``."""
    charges = _read_text(path)
    if list(charges.columns) != _CHARGE_COLUMNS:
        raise PublicationError(f"{str(path)!r} does not have the columns of charges; restore it.")
    return _values(charges, path)


def _read_text(path: Path) -> pd.DataFrame:
    try:
        # As text: a strategy may be called "NA", and not every reader of numbers keeps all bits.
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PublicationError(f"Cannot read {str(path)!r} ({error}); restore it.") from None


def _values(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    for name in table.columns:
        read = _READERS.get(name, _metric)
        try:
            table[name] = [read(text) for text in table[name].tolist()]
        except (ValueError, KeyError) as error:
            raise PublicationError(
                f"Cannot read column {name!r} of {str(path)!r} ({error}); restore it."
            ) from None
    return table


def _task(published: PublishedTask) -> Task:
    try:
        task = Task.model_validate({**published.canonical, "name": published.name})
    except ValidationError as error:
        reason = ": ".join(filter(None, explained(error, Task)))
        raise PublicationError(
            f"This falbench does not know the task {published.name!r} of {FILE} "
            f"({reason}); use the falbench that published it."
        ) from None
    if task.hash != published.hash:
        raise PublicationError(
            f"The task {published.name!r} of {FILE} does not belong to its hash; restore the file."
        )
    return task


def _refuse_twins(kind: str, names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise PublicationError(f"The {kind} {name!r} stands twice in {FILE}; restore the file.")


def _day(moment: str) -> date:
    return datetime.fromisoformat(moment).date()
