"""Whether this installation computes what was published, and on what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fal_bench.errors import PublicationError
from fal_bench.inputs.selector import Selector
from fal_bench.learning.device import DeviceError, resolve_device
from fal_bench.learning.numerics import NUMERICS_VERSION
from fal_bench.plugins.registry import Registry
from fal_bench.publication.record import PublishedStrategy, Record
from fal_bench.publication.runs import PublishedRun, published_runs
from fal_bench.sweep.environment import environment
from fal_bench.sweep.spec import TRAINER, RunSpec, plan_runs
from fal_bench.task import Task


def runs_here(record: Record, registry: Registry) -> list[PublishedRun]:
    """Return the published runs as this installation plans them, which has the same keys.

    Args:
        record: the provenance.
        registry: the strategies and trainers here.

    Raises:
        PublicationError: something that decides the curves is missing here, or another version.
        FalbenchError: data cannot be read, or there is no such device.
    """
    if record.numerics != NUMERICS_VERSION:
        raise PublicationError(
            f"The results are of numerics version {record.numerics}, and this falbench computes "
            f"version {NUMERICS_VERSION}; use falbench {record.falbench}, which published them."
        )
    try:
        resolve_device(record.device)
    except DeviceError:
        raise PublicationError(
            f"The results were computed on {record.device!r}, and PyTorch finds no such device "
            "here; verify them on a machine with one."
        ) from None
    runs = published_runs(record)
    tasks = list({run.spec.task.name: run.spec.task for run in runs}.values())
    _refuse_absent(record.strategies, tasks, registry)
    selectors = [_with_trainer(row) for row in record.strategies]
    planned = {
        _name(spec): spec
        for spec in plan_runs(tasks, selectors, record.seeds, registry, record.device)
    }
    for run in runs:
        _refuse_other(run.spec, planned.get(_name(run.spec)), record)
    return [replace(run, spec=planned[_name(run.spec)]) for run in runs]


def environment_note(record: Record) -> str:
    """Say in one sentence what differs from where the runs were computed; empty if nothing does.

    What was not recorded then cannot be told to differ.
    """
    here = {**environment(record.device), "device": record.device}
    differences = [
        (sorted(name for name in one.facts.keys() & here if one.facts[name] != here[name]), one)
        for one in record.environments
    ]
    if not differences:
        return ""
    names, nearest = min(differences, key=lambda pair: len(pair[0]))
    if names:
        told = [f"{name} {nearest.facts[name]} there, {here[name]} here" for name in names]
        return f"The runs were computed elsewhere ({'; '.join(told)}), so bits may differ."
    same = sum(one.cells for names, one in differences if not names)
    if same < record.n_runs:
        return (
            f"{record.n_runs - same} of {record.n_runs} runs were computed in another environment "
            "than this one, so their bits may differ."
        )
    return ""


def _refuse_absent(
    rows: Sequence[PublishedStrategy], tasks: Sequence[Task], registry: Registry
) -> None:
    # A file that cannot be loaded may hold what is missing; the registry then names that file.
    if not registry.unavailable:
        installed = "install its package, or name its file with --plugin"
        _refuse("strategy", (row.strategy for row in rows), registry.names(), installed)
        known = registry.trainers.names()
        _refuse("trainer", (row.trainer for row in rows), known, installed)
        known = registry.datasets.names()
        _refuse("data set", (task.dataset for task in tasks), known, installed)
        _refuse("model", (task.model.kind for task in tasks), registry.models.names(), installed)


def _refuse(kind: str, selectors: Iterable[str], known: Sequence[str], advice: str) -> None:
    for text in selectors:
        if (name := Selector.parse(text).name) not in known:
            raise PublicationError(
                f"The {kind} {name!r} of the published results is not installed here; {advice}."
            )


def _refuse_other(published: RunSpec, planned: RunSpec | None, record: Record) -> None:
    """Refuse a run that this installation would compute otherwise; say what differs."""
    name = published.strategy.name
    if planned is None:
        raise PublicationError(
            f"The strategy {str(published.strategy)!r} has other parameters in this installation; "
            f"use falbench {record.falbench}, which published it."
        )
    for kind, one, there, here in (
        ("strategy", name, published.fingerprint, planned.fingerprint),
        (
            "trainer",
            published.trainer.name,
            published.trainer_fingerprint,
            planned.trainer_fingerprint,
        ),
        ("data set", published.task.dataset, published.data, planned.data),
        ("model", published.task.model.kind, published.model, planned.model),
    ):
        if there != here:
            raise PublicationError(
                f"The {kind} {one!r} is not the one that was published ({there or 'no digest'} "
                f"there, {here or 'no digest'} here); its runs cannot be computed anew."
            )
    if planned.key != published.key:
        raise PublicationError(
            f"The runs of {name!r} have other keys in this installation; use falbench "
            f"{record.falbench}, which published them."
        )


def _with_trainer(row: PublishedStrategy) -> Selector:
    selector = Selector.parse(row.strategy)
    return Selector(selector.name, {**selector.params, TRAINER: row.trainer})


def _name(spec: RunSpec) -> tuple[str, str, str, int]:
    return spec.task.name, str(spec.strategy), str(spec.trainer), spec.seed
