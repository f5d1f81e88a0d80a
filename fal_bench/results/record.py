"""The record of published results, ``provenance.json``: what was compared, and where."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fal_bench.errors import InvalidSpecError, PublicationError
from fal_bench.inputs.cells import fault_of_name
from fal_bench.inputs.files import MissingFileError, UnreadableFileError, parsed, read_text
from fal_bench.inputs.selector import Selector
from fal_bench.inputs.validation import explained
from fal_bench.results.identity import DEFAULT_TRAINER, run_label
from fal_bench.results.store import PUBLISHED
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

LONGEST_REASON = 300
"""Characters of what is said to be wrong."""


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
    short = why if len(why) <= LONGEST_REASON else f"{why[:LONGEST_REASON]} ..."
    return PublicationError(f"Cannot read {str(path)!r} ({short}); restore it, or publish again.")


def is_published(folder: Path) -> bool:
    """Whether a folder holds published results."""
    return (folder / FILE).is_file()


def has_charges(record: Record) -> bool:
    """Whether the results were published with ``charges.csv``."""
    return record.format > _WITHOUT_CHARGES
