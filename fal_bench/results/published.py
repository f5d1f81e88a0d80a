"""Reading published results: the provenance of a comparison, its curves and its charges."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice, pairwise, product
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fal_bench.errors import InvalidSpecError, PublicationError, one_line
from fal_bench.federation.ledger import PURPOSES
from fal_bench.inputs.cells import (
    MOST_CELLS,
    cells_in,
    fault_of_name,
    read_count,
    read_number,
    read_whole,
)
from fal_bench.inputs.files import (
    MissingFileError,
    UnreadableFileError,
    parsed,
    read_bytes,
    read_text,
)
from fal_bench.inputs.selector import Selector
from fal_bench.inputs.validation import explained
from fal_bench.plugins.registry import current_registry
from fal_bench.results.accounts import imbalance
from fal_bench.results.identity import (
    DEFAULT_TRAINER,
    SHOWN,
    describe,
    description_key,
    identity_columns,
    run_label,
)
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

FORMAT = 4
"""Version of the format; raised by whatever an older falbench could misread.

2 added ``charges.csv``; 3 records which way metrics are better, may hold targets of any metric, and
says runs where 2 said cells, and sessions where it said runs; 4 has no labels of strategies, which
follow from the selectors, and says which code drew the board and the page.
"""

FILE = PUBLISHED
LEADERBOARD = "leaderboard.csv"
CURVES_FILE = "curves.csv"
CHARGES_FILE = "charges.csv"
PAGE = "leaderboard.html"
FILES = (LEADERBOARD, CURVES_FILE, CHARGES_FILE, PAGE)
"""The files besides ``provenance.json``."""

_WITHOUT_CHARGES = 1
_CELLS = 2
"""The last format that said cells."""
_LABELS = 3
"""The last format that held labels of strategies."""

_FALBENCH = r"^[0-9][0-9A-Za-z.+!-]{0,39}$"

_DIGEST = "digest"

_MOST_BYTES = 4 * 1024**2
"""Of ``provenance.json``."""

_LONGEST_TEXT = 100_000
"""Characters of a text in it; of a command line that names hundreds of strategies, say."""

_LONGEST_REASON = 300

_NAMED = 5
"""Unknown files that are named."""

_MOST_SECONDS = 1e9
"""Of training or selection in a cycle: 30 years, so that sums of them stay finite."""

_ROUNDING = 1e-9
"""By which a share may lie outside 0 and 1, since it may be a sum."""

_BY_CLIENT = re.compile(r"[0-9]+(?: [0-9]+)*")

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

    count: Annotated[int, Field(ge=0)]
    runs: Annotated[int, Field(ge=0)]
    wall_seconds: Annotated[float, Field(ge=0)]
    jobs: tuple[Annotated[int, Field(ge=1)], ...]


class PublishedEnvironment(Section):
    """Where runs were computed.

    Attributes:
        runs: number of runs computed there.
        facts: versions, processor and device by name.
    """

    runs: Annotated[int, Field(ge=1)]
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
        aggregation: what identifies the aggregation's behaviour, where it is not FedAvg.
    """

    name: str
    hash: str
    canonical: dict[str, Any]
    pool: int
    data: str | None = None
    model: str | None = None
    aggregation: str | None = None


class PublishedStrategy(Section):
    """A row of the leaderboard.

    Attributes:
        strategy: the strategy's selector, with the parameters that differ from their defaults.
        fingerprint: what identifies the strategy's behaviour.
        trainer: the trainer's selector, likewise.
        trainer_fingerprint: what identifies the trainer's behaviour.
        trainer_named: whether the trainer belongs to what tables call the strategy.
        reference: whether it is a yardstick and never ranked.
    """

    strategy: str
    fingerprint: str
    trainer: str
    trainer_fingerprint: str
    trainer_named: bool
    reference: bool

    @property
    def label(self) -> str:
        """Its name in the tables."""
        return run_label(
            Selector.parse(self.strategy),
            Selector.parse(self.trainer),
            trainer_named=self.trainer_named,
        )


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
        drawn: what identifies the code that drew the board and the page; empty if not recorded.
        files: SHA-256 of the other files by name.
    """

    format: int = FORMAT
    falbench: str = Field(pattern=_FALBENCH)
    command: str
    published: str
    first_finished: str
    last_finished: str
    compute_seconds: float
    sessions: Sessions | None = None
    suite: str
    targets: tuple[float | str, ...] = Field(min_length=1)
    accounting: Literal["strict", "paper", "cost"]
    baseline: str
    numerics: int
    device: str
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    tasks: tuple[PublishedTask, ...] = Field(min_length=1)
    strategies: tuple[PublishedStrategy, ...] = Field(min_length=1)
    environments: tuple[PublishedEnvironment, ...]
    metrics: dict[str, bool] = Field(default_factory=dict)
    drawn: str = ""
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
        """The content of ``provenance.json``.

        Keys stand in the order of the attributes; the SHA-256 of them as JSON follows.
        """
        content = self.model_dump(mode="json", exclude_none=True)
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        return json.dumps({**content, _DIGEST: digest}, indent=2, ensure_ascii=False) + "\n"


def read_record(folder: Path) -> Record:
    """Read the provenance of published results.

    Raises:
        PublicationError: it is missing, broken, or of a newer format.
    """
    path = folder / FILE
    try:
        text = read_text(path, most=_MOST_BYTES)
        content = parsed(path, text)
    except MissingFileError:
        raise PublicationError(
            f"There is no {FILE} in {str(folder)!r}; name a folder that falbench publish wrote."
        ) from None
    except UnreadableFileError as error:
        raise _broken(path, error.cause) from None
    written = content.get("format") if isinstance(content, dict) else None
    if not isinstance(written, int) or isinstance(written, bool):
        raise _broken(path, "it does not say its format")
    if written > FORMAT:
        raise PublicationError(
            f"{str(path)!r} was written by a newer falbench (format {written}, this one reads "
            f"{FORMAT}); upgrade falbench."
        )
    record = _record(path, content, written)
    if written == FORMAT and record.text != text:
        raise _broken(path, "it does not fit its own digest")
    return record


def _record(path: Path, content: dict[str, Any], written: int) -> Record:
    if fault := next(_faults(content, ""), ""):
        raise _broken(path, fault)
    try:
        return parse_record(json.dumps(_in_todays_words(content, written)))
    except ValidationError as error:
        where, what = explained(error, Record)
        raise _broken(path, f"{where}: {what}") from None
    except (InvalidSpecError, PublicationError) as error:
        raise _broken(path, str(error).rstrip(".")) from None


def parse_record(text: str) -> Record:
    """Read a record in the words of today's format.

    Raises:
        ValidationError, InvalidSpecError, PublicationError: something in it is wrong.
    """
    content = json.loads(text)
    content.pop(_DIGEST, None)  # of the whole text, which the caller has
    record = Record.model_validate_json(json.dumps(content), strict=True)
    parse_targets(record.targets, "targets")
    for time in (record.published, record.first_finished, record.last_finished):
        moment(time)
    for row in record.strategies:
        for selector in (row.strategy, row.trainer):
            if str(Selector.parse(selector)) != selector:
                raise PublicationError(f"the selector {selector!r} is not as falbench writes it")
        if Selector.parse(row.trainer) != DEFAULT_TRAINER and not row.trainer_named:
            raise PublicationError(f"the trainer of {row.strategy!r} is missing from its name")
    for kind, names in _shown_names(record).items():
        for name, count in Counter(names).items():
            if count > 1:
                raise PublicationError(f"the {kind} {name!r} stands twice")
            if fault := fault_of_name(name):
                raise PublicationError(f"the {kind} {name!r}: {fault}")
    return record


def _shown_names(record: Record) -> dict[str, list[str]]:
    return {
        "task": [task.name for task in record.tasks],
        "strategy": [row.label for row in record.strategies],
        "seed": [str(seed) for seed in record.seeds],
    }


def moment(text: str) -> datetime:
    """Return a time that a record says, in UTC.

    Raises:
        PublicationError: it is none.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PublicationError(f"{text!r} is no date and time") from None


def _faults(value: Any, where: str) -> Iterator[str]:
    """Yield what is wrong with texts of a record, with the keys that they stand under."""
    if isinstance(value, str) and not value.isprintable():
        yield f"{where.removeprefix('.')}: it holds characters that cannot be shown"
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        yield f"{where.removeprefix('.')}: it has more than {_LONGEST_TEXT} characters"
    parts = value.items() if isinstance(value, dict) else ()
    for key, part in enumerate(value) if isinstance(value, list) else parts:
        yield from _faults(str(key), where)
        yield from _faults(part, f"{where}.{key}")


def _in_todays_words(content: dict[str, Any], written: int) -> dict[str, Any]:
    """Return a record of an older format in the words of today."""
    if written <= _CELLS:
        content = _runs_for_cells(content)
    if written <= _LABELS:
        rows = content.get("strategies")
        named = [_without_label(row) for row in rows] if isinstance(rows, list) else rows
        content = {**content, "strategies": named}
    return content


def _without_label(row: Any) -> Any:
    """Return a row whose label followed from its selectors, without it.

    Raises:
        PublicationError: it did not.
    """
    if not isinstance(row, dict):
        return row
    for key in ("label", "strategy", "trainer"):
        if not isinstance(row.get(key), str):
            raise PublicationError(f"a strategy has no {key}")
    selectors = Selector.parse(row["strategy"]), Selector.parse(row["trainer"])
    rest = {key: value for key, value in row.items() if key != "label"}
    for named in (False, True):
        if row["label"] == run_label(*selectors, trainer_named=named):
            return {**rest, "trainer_named": named}
    raise PublicationError(
        f"the label {row['label']!r} does not belong to the strategy {row['strategy']!r}"
    )


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
    short = why if len(why) <= _LONGEST_REASON else f"{why[:_LONGEST_REASON]} ..."
    return PublicationError(f"Cannot read {str(path)!r} ({short}); restore it, or publish again.")


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
        if wrong := _broken_protocol(curve, tasks[run["task_hash"]]):
            raise PublicationError(
                f"{CURVES_FILE}: {run['task']}, {run['label']}, seed {run['seed']}: {wrong}; "
                "restore the file."
            )


def _broken_protocol(curve: Sequence[Sequence[Any]], task: Task) -> str:
    """Say where a curve is none that the protocol of its task can give.

    Args:
        curve: by cycle: its number, labels, strict labels, and both by client as text.
        task: the task.
    """
    cycles, labels, strict, *_ = zip(*curve, strict=True)
    if cycles != tuple(range(len(curve))):
        return "its cycles are not 0, 1, 2 and so on"
    if labels[0] != task.label_grid_start:
        return f"it begins with {labels[0]} labels, and the task with {task.label_grid_start}"
    if any(now < before for one in (labels, strict) for before, now in pairwise(one)):
        return "its labels fall"
    if any(all_read < bought for bought, all_read in zip(labels, strict, strict=True)):
        return "its labels are more than all that were read"
    end = task.budget_cap + task.query_labels
    if labels[-1] > end or (labels[-1] < end and len(curve) < task.cycle_limit):
        return f"it ends with {labels[-1]} labels, and the protocol with {end}"
    for _, *whole, mine, mine_strict in curve:
        for count, text, name in zip(whole, (mine, mine_strict), BY_CLIENT, strict=True):
            parts = [int(part) for part in text.split(" ")]
            if len(parts) != task.clients or sum(parts) != count:
                return f"{name} does not add up"
    return ""


def _metric(text: str) -> float:
    """Return a metric's value: NaN where it has none; a loss may be infinite."""
    if text in ("", "inf", "-inf"):
        return float(text or "nan")
    return read_number(text)


def _share(text: str) -> float:
    share = float("nan") if text == "" else read_number(text)
    if share < -_ROUNDING or share > 1 + _ROUNDING:
        raise ValueError(f"{text} is not between 0 and 1")
    return share


def _metric_reader(name: str) -> Callable[[str], float]:
    metrics = current_registry().metrics
    return _share if name in metrics.names() and metrics.load(name).share else _metric


def _seconds(text: str) -> float:
    seconds = read_number(text)
    if not 0 <= seconds <= _MOST_SECONDS:
        raise ValueError(f"{text} seconds are not between 0 and {_MOST_SECONDS:g}")
    return seconds


def _counts(text: str) -> str:
    if not _BY_CLIENT.fullmatch(text):
        raise ValueError(f"{text!r} is no list of numbers")
    return text


def _purpose(text: str) -> str:
    if text not in PURPOSES:
        raise ValueError(f"there is no purpose {text!r}")
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys((*SHOWN, "task_hash"), str),
    **dict.fromkeys((*KEYS, "bytes_up", "bytes_down"), read_count),
    **dict.fromkeys(TIMINGS, _seconds),
    **dict.fromkeys(BY_CLIENT, _counts),
    "seed": read_whole,
    "purpose": _purpose,
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
    text = read_text(path)
    if cells_in(text) > MOST_CELLS:
        raise PublicationError(
            f"{str(path)!r} has more than {MOST_CELLS} values; publish it in parts."
        )
    try:
        # As text: a strategy may be called "NA", and not every reader of numbers keeps all bits.
        return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except ValueError as error:
        raise PublicationError(
            f"Cannot read {str(path)!r} ({one_line(str(error))}); restore it."
        ) from None


def _values(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    for name in table.columns:
        read = _READERS.get(str(name)) or _metric_reader(str(name))
        try:
            texts = table[name].tolist()
            values = {text: read(text) for text in set(texts)}
            table[name] = [values[text] for text in texts]
        except (ValueError, KeyError) as error:
            raise PublicationError(
                f"Cannot read column {name!r} of {str(path)!r} ({error}); restore it."
            ) from None
    return table


def _task(published: PublishedTask) -> Task:
    try:
        task = Task.model_validate({**published.canonical, "name": published.name})
    except ValidationError as error:
        reason = ": ".join(filter(None, explained(error, Task)))[:_LONGEST_REASON]
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
