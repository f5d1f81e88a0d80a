"""The runs of an inspection: which are planned, and what the results folder has of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from fal_bench.errors import InvalidSpecError, UnknownNameError
from fal_bench.inputs.arguments import check_text
from fal_bench.inputs.limits import MOST_ROUNDS
from fal_bench.inspection.findings import DOUBLED, HINDSIGHT, RANDOM, USUAL, Evidence
from fal_bench.inspection.looks import Curve, Judged
from fal_bench.plugins.given import Source
from fal_bench.plugins.registry import Registry
from fal_bench.results.identity import records
from fal_bench.results.model import TIMINGS, MissingRun, Results
from fal_bench.results.record import is_published
from fal_bench.results.store import Store
from fal_bench.results.stored import NoRunsError, read_store
from fal_bench.sweep.plan import Plan
from fal_bench.task import Task
from fal_bench.task.suite import load_suite, suite_names

DEFAULT_SEEDS: Final = 5

RUN: Final = (RANDOM, USUAL, HINDSIGHT)
"""The strategies that are run."""

FOLDER: Final = "inspection"
"""The folder, inside a results folder, of the runs that inspections compute."""


def inspection_store(store: Store) -> Store:
    """Return where an inspection's runs are: reports on the results folder leave them out."""
    return store.within(FOLDER)


def inspection_plan(
    name: str | Path | None,
    *,
    suite: str | Path | None,
    seeds: int,
    plugins: Sequence[Source] = (),
    device: str = "auto",
) -> Plan:
    """Plan the runs of an inspection: of three strategies, and of two with twice the rounds.

    Args:
        name: a task, a suite's name, or a suite's TOML file.
        suite: the suite that has the task.
        seeds: number of seeds.
        plugins: plugin files and folders, and plugins given in Python.
        device: as for ``Plan.make``.

    Raises:
        FalbenchError: a name is unknown, or a value cannot be used.
    """
    name = str(name) if isinstance(name, Path) else name
    check_text("task_or_suite", name)
    if name is not None and is_published_folder(name):
        raise InvalidSpecError(
            f"{name!r} holds published results, of which nothing is run; leave out --dry-run."
        )
    whole = name is not None and suite is None and is_suite(name)
    if name is not None and suite is None and not whole:
        check_task(name)
    plan = Plan.make(
        RUN,
        suite=name if whole else suite,
        task=None if whole else name,
        seeds=seeds,
        plugins=plugins,
        device=device,
    )
    twice = [
        replace(run, task=twice_trained(run.task))
        for run in plan.runs
        if run.strategy.name in DOUBLED
    ]
    return replace(plan, runs=(*plan.runs, *twice))


def is_suite(name: str) -> bool:
    """Whether a name is that of a suite or of a suite's file; else it is a task's."""
    return name in suite_names() or Path(name).suffix == ".toml"


def is_published_folder(name: str) -> bool:
    """Whether a name is that of a folder of published results, and of no suite."""
    return name not in suite_names() and is_published(Path(name))


def check_task(name: str) -> None:
    """Check that a suite of the package has a task.

    Raises:
        UnknownNameError: none has it, and it is no suite's name either.
    """
    tasks = [task.name for suite in map(load_suite, suite_names()) for task in suite.tasks]
    if name not in tasks:
        raise UnknownNameError("task or suite", name, {*suite_names(), *tasks})


def twice_trained(task: Task) -> Task:
    """Return a task with twice the rounds, and everything that is random as in the task itself.

    Raises:
        InvalidSpecError: it has too many rounds for that.
    """
    if 2 * task.rounds > MOST_ROUNDS:
        raise InvalidSpecError(
            f"Task {task.name!r} has {task.rounds} rounds, and twice as many are more than "
            f"{MOST_ROUNDS}; lower rounds."
        )
    sgd = task.optimiser
    later = sgd.model_copy(update={"milestones": tuple(2 * one for one in sgd.milestones)})
    return task.model_copy(
        update={
            "name": f"{task.name}+twice",
            "rounds": 2 * task.rounds,
            "optimiser": later,
            "twin_of": task.twin_of or task.hash,
        }
    )


def evidence(
    plan: Plan, store: Store, metric: str
) -> tuple[list[Evidence], tuple[MissingRun, ...]]:
    """Read what a results folder has of every task of a plan, in the plan's order.

    Args:
        plan: the plan of the inspection.
        store: the results folder, with the inspection's own inside it.
        metric: the metric that tasks are judged by.

    Returns:
        The finished runs of every task, and the planned runs that are not finished.
    """
    planned = plan.results(inspection_store(store), external=False)
    try:
        compared = read_store(store)
    except NoRunsError:
        compared = None
    judged = _judged(planned, metric, Registry.discover(plan.plugins))
    tasks = {run.task.hash: run.task for run in plan.runs if run.strategy.name not in DOUBLED}
    missing = tuple(
        MissingRun(run["task"], run["strategy"], run["seed"], run["reason"], run["details"])
        for run in records(planned.here)
        if run["state"] != "done"
    )
    return [_evidence(task, planned, compared, judged) for task in tasks.values()], missing


def published_evidence(results: Results, metric: str) -> list[Evidence]:
    """Read what published results have of every task: all but runs with twice the training.

    Args:
        results: the results.
        metric: the metric that tasks are judged by.
    """
    judged = _judged(results, metric, Registry.discover())
    return [_evidence(task, results, results, judged) for task in results.tasks["spec"]]


def _judged(results: Results, metric: str, registry: Registry) -> Judged:
    known = registry.metrics.known(metric)
    return Judged(metric, results.higher_is_better(metric), known is not None and known.share)


def _evidence(task: Task, planned: Results, compared: Results | None, judged: Judged) -> Evidence:
    own = _finished(planned, task)
    own = own[own["strategy"].isin(RUN)]
    runs = _by_strategy(own, planned, judged)
    keys = {str(name): list(rows["key"]) for name, rows in own.groupby("strategy", sort=False)}
    costs = planned.curves.groupby("key")[list(TIMINGS)].sum().sum(axis=1)
    twice = _finished(planned, twice_trained(task))
    return Evidence(
        task,
        runs,
        _by_strategy(twice, planned, judged),
        {
            **({} if compared is None else _ranked(task, own, compared, judged)),
            **{name: curves for name, curves in runs.items() if name != HINDSIGHT},
        },
        {name: float(costs.reindex(keys[name]).mean()) for name in keys},
        judged,
    )


def _ranked(
    task: Task, own: pd.DataFrame, compared: Results, judged: Judged
) -> dict[str, dict[int, Curve]]:
    """Return the curves of all ranked strategies on the same data, device and numerics."""
    like = own[["own", "device", "numerics"]].drop_duplicates()
    ranked = _finished(compared, task).merge(like)
    return _by_strategy(ranked[~ranked["reference"].astype(bool)], compared, judged)


def _finished(results: Results, task: Task) -> pd.DataFrame:
    here = results.here
    return here[(here["task_hash"] == task.hash) & (here["state"] == "done")]


def _by_strategy(
    runs: pd.DataFrame, results: Results, judged: Judged
) -> dict[str, dict[int, Curve]]:
    """Return the curves of runs that recorded the metric, by strategy and seed."""
    curves = results.curves[results.curves["key"].isin(runs["key"])]
    rows = {str(key): Curve.read(own, judged) for key, own in curves.groupby("key")}
    found: dict[str, dict[int, Curve]] = {}
    for run in records(runs.sort_values("seed", kind="stable")):
        if not np.isnan(rows[run["key"]].values).any():
            found.setdefault(run["strategy"], {})[int(run["seed"])] = rows[run["key"]]
    return found
