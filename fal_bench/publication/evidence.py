"""Published results as evidence: other questions asked of the same curves."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from fal_bench.errors import PublicationError
from fal_bench.publication.charges import no_charges, read_published_charges
from fal_bench.publication.curves import read_published_curves
from fal_bench.publication.folder import CHARGES, CURVES, file_states, has_charges
from fal_bench.publication.record import Record, read_record
from fal_bench.publication.runs import published_tasks
from fal_bench.report.context import Environment, task_facts
from fal_bench.report.evidence import Evidence
from fal_bench.report.external import curves_from_elsewhere
from fal_bench.report.labels import wanted_labels
from fal_bench.report.stored import Filter, report_command
from fal_bench.sweep.collect import Entrant
from fal_bench.task.suite import unknown_task


def published_evidence(folder: Path, chosen: Filter) -> Evidence:
    """Read the evidence of published results.

    Args:
        folder: what ``falbench publish`` wrote; its curves are as they were published.
        chosen: which runs take part. Nothing external was published.

    Raises:
        FalbenchError: the curves were changed, or a name is unknown.
    """
    record = read_record(folder)
    for file in file_states(folder, record):
        if file.name in (CURVES, CHARGES) and file.state != "same":
            raise PublicationError(
                f"{file.name} in {str(folder)!r} is not the one that was published; restore it."
            )
    if chosen.suite not in (None, record.suite):
        raise PublicationError(
            f"The results in {str(folder)!r} are of {record.suite!r}; leave --suite out."
        )
    whole = evidence_of(record, read_published_curves(folder / CURVES), charges_in(folder, record))
    return _narrowed(whole, chosen, report_command(folder, chosen))


def charges_in(folder: Path, record: Record) -> pd.DataFrame:
    """Read the published charges; none where results were published without them.

    Raises:
        PublicationError: the file cannot be read.
    """
    return read_published_charges(folder / CHARGES) if has_charges(record) else no_charges()


def evidence_of(record: Record, curves: pd.DataFrame, charges: pd.DataFrame) -> Evidence:
    """Return everything that was published.

    Args:
        record: the provenance.
        curves: the published curves.
        charges: the published charges.
    """
    facts = tuple(
        task_facts(task, published.pool)
        for task, published in zip(published_tasks(record), record.tasks, strict=True)
    )
    return Evidence(
        suite=record.suite,
        tasks=facts,
        strategies=tuple(row.label for row in record.strategies),
        seeds=record.seeds,
        missing=(),
        command=record.command,
        curves=curves,
        charges=charges,
        environments=tuple(
            Environment(one.cells, tuple(sorted(one.facts.items()))) for one in record.environments
        ),
        entrants=tuple(Entrant(row.label, row.trainer, row.reference) for row in record.strategies),
        targets=record.targets,
        elsewhere=curves_from_elsewhere([], facts, record.seeds),
        computed=(_day(record.first_finished), _day(record.last_finished)),
    )


def _narrowed(whole: Evidence, chosen: Filter, command: str) -> Evidence:
    """Return the part of the evidence that was asked for."""
    tasks = tuple(task for task in whole.tasks if chosen.task in (None, task.name))
    if not tasks:
        raise unknown_task(
            str(chosen.task), [task.name for task in whole.tasks], "not in these results"
        )
    wanted = wanted_labels(set(whole.strategies), chosen.strategies)
    seeds = whole.seeds[: chosen.seeds]

    def kept(rows: pd.DataFrame) -> pd.DataFrame:
        here = (
            rows["task"].isin([task.name for task in tasks])
            & rows["strategy"].isin(wanted)
            & rows["seed"].isin(seeds)
        )
        return rows[here].reset_index(drop=True)

    return replace(
        whole,
        suite=chosen.task or whole.suite,
        tasks=tasks,
        strategies=tuple(label for label in whole.strategies if label in wanted),
        seeds=seeds,
        command=command,
        curves=kept(whole.curves),
        charges=kept(whole.charges),
        entrants=tuple(one for one in whole.entrants if one.strategy in wanted),
    )


def _day(moment: str) -> date:
    return datetime.fromisoformat(moment).date()
