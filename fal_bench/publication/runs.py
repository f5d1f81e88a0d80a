"""The runs of published results, rebuilt from their provenance alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from pydantic import ValidationError

from fal_bench.errors import PublicationError
from fal_bench.inputs.selector import Selector
from fal_bench.inputs.validation import explained
from fal_bench.publication.record import FILE, PublishedStrategy, PublishedTask, Record
from fal_bench.sweep.spec import RunSpec
from fal_bench.task import Task


@dataclass(frozen=True)
class PublishedRun:
    """A run, and the names under which its curve is published.

    Attributes:
        spec: the run.
        label: the strategy's name in the tables.
    """

    spec: RunSpec
    label: str

    @property
    def identity(self) -> tuple[str, str, int]:
        """Task, strategy and seed, as ``curves.csv`` names them."""
        return self.spec.task.name, self.label, self.spec.seed


def published_tasks(record: Record) -> list[Task]:
    """Rebuild the tasks, in the order of the record.

    Raises:
        PublicationError: a task is not the one that was published, or a name stands twice.
    """
    tasks = [_task(published) for published in record.tasks]
    _refuse_twins("task", [task.name for task in tasks])
    return tasks


def published_runs(record: Record) -> list[PublishedRun]:
    """Rebuild all runs, task by task; neither suite nor plugin is needed.

    Their keys are those that were published if the record is of this numerics version.

    Raises:
        PublicationError: a task is not the one that was published, or a name stands twice.
    """
    tasks = published_tasks(record)
    _refuse_twins("strategy", [row.label for row in record.strategies])
    _refuse_twins("seed", [str(seed) for seed in record.seeds])
    return [
        PublishedRun(_spec(record, task, own, row, seed), row.label)
        for (task, own), row, seed in product(
            zip(tasks, record.tasks, strict=True), record.strategies, record.seeds
        )
    ]


def _spec(
    record: Record, task: Task, published: PublishedTask, row: PublishedStrategy, seed: int
) -> RunSpec:
    trainer = Selector.parse(row.trainer)
    return RunSpec(
        task,
        Selector.parse(row.strategy),
        row.fingerprint,
        seed,
        device=record.device,
        trainer=trainer,
        trainer_fingerprint=row.trainer_fingerprint,
        own_trainer=trainer,
        reference=row.reference,
        data=published.data or "",
        model=published.model or "",
    )


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
