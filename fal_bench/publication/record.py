"""What ``provenance.json`` says: how results came about, and how to compute them anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fal_bench.errors import PublicationError
from fal_bench.inputs.validation import explained
from fal_bench.report.targets import Question
from fal_bench.sweep.store import PUBLISHED

FORMAT = 2
"""Version of the format; raised by whatever an older falbench could misread.

2 added ``charges.csv``.
"""

FILE = PUBLISHED


class Section(BaseModel):
    """A piece of the record; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sessions(Section):
    """What the runs took that computed the runs of the results folder.

    Attributes:
        count: number of runs.
        cells: cells that they finished; others came from elsewhere, or before runs were recorded.
        wall_seconds: how long they took by the wall clock, added up.
        jobs: the numbers of worker processes that they had.
    """

    count: int
    cells: int
    wall_seconds: float
    jobs: tuple[int, ...]


class PublishedEnvironment(Section):
    """Where runs were computed.

    Attributes:
        cells: number of runs computed there.
        facts: versions, processor and device by name.
    """

    cells: int
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
        runs: what the runs took; None where the results folder does not say.
        suite: the suite, or the task if there is but one.
        targets: the target accuracies asked for; one may be ``"auto"``.
        accounting: the labels that rank.
        baseline: the strategy that savings refer to.
        numerics: version of the arithmetic.
        device: class of the device.
        seeds: the seeds.
        tasks: the tasks.
        strategies: the rows of the leaderboard.
        environments: where the runs were computed, the most frequent one first.
        files: SHA-256 of the other files by name.
    """

    format: int = FORMAT
    falbench: str
    command: str
    published: str
    first_finished: str
    last_finished: str
    compute_seconds: float
    runs: Sessions | None = None
    suite: str
    targets: tuple[float | Literal["auto"], ...] = Field(min_length=1)
    accounting: Literal["strict", "paper"]
    baseline: str
    numerics: int
    device: str
    seeds: tuple[int, ...] = Field(min_length=1)
    tasks: tuple[PublishedTask, ...] = Field(min_length=1)
    strategies: tuple[PublishedStrategy, ...] = Field(min_length=1)
    environments: tuple[PublishedEnvironment, ...]
    files: dict[str, str]

    @property
    def question(self) -> Question:
        """What was asked of the curves."""
        return Question(self.targets, self.accounting, self.baseline)

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
        return Record.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        where, what = explained(error, Record)
        raise _broken(path, f"{where}: {what}") from None


def _broken(path: Path, why: str) -> PublicationError:
    return PublicationError(f"Cannot read {str(path)!r} ({why}); restore it, or publish again.")
