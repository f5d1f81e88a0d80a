"""Reading a results folder: its runs describe themselves, so no suite or plugin is needed."""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import pandas as pd
from pydantic import ValidationError

from fal_bench.errors import StoreError
from fal_bench.federation.journal import Row
from fal_bench.inputs.limits import MOST_TASKS
from fal_bench.inputs.validation import explained
from fal_bench.results.folder import CorruptRunError, Facts, Outcome, Phase, RunFolder
from fal_bench.results.identity import (
    identity_columns,
    measured_label,
)
from fal_bench.results.imported import ImportFolder, import_frames
from fal_bench.results.model import (
    CHARGES,
    RUNS,
    TASKS,
    Provenance,
    Results,
    empty_run,
    of_suite,
    stacked,
    task_row,
)
from fal_bench.results.sessions import sessions_problem
from fal_bench.results.store import Keyed, Store
from fal_bench.task import Task
from fal_bench.task.suite import DEFAULT_SUITE, Suite, load_suite, suite_names

NOT_FINISHED = "not run to its end yet"
"""Why a run has no curve that is new, or was interrupted."""

_UNKNOWN: Final[Mapping[str, Any]] = {"pool": 0, "metrics": {}, "sealed": True}
"""What is not known of a run that is not finished."""


class NoRunsError(StoreError):
    """A results folder holds no runs."""


@dataclass(frozen=True)
class _Read:
    """A run as it was read.

    Attributes:
        row: its row of ``Results.runs``, with its ``pool``, its ``metrics`` (whether higher is
            better, by name), the ``spec`` of its task, and whether it is ``sealed``.
        curve: its curve, if it is finished.
        charges: the labels that it read, by cycle, purpose and client, likewise.
    """

    row: dict[str, Any]
    curve: Sequence[Row] = ()
    charges: Mapping[tuple[int, str, int], int] = field(default_factory=dict)


def read_store(store: Store, *, suite: str | None = None) -> Results:
    """Read everything in a results folder.

    The name of a task comes from the suite; without one, from the smallest suite of the package
    that has all stored tasks, or that task. Tasks that no suite knows have the name with which
    they were run, and the beginning of their hash where several have it. Without a suite, twins
    of tasks are left out: ``falbench inspect`` made them.

    Args:
        store: the results folder.
        suite: a suite's name or TOML file, whose tasks alone are taken, stored or not.

    Raises:
        NoRunsError: it holds no runs.
        FalbenchError: the suite is unknown, or imported curves cannot be read.
    """
    named = load_suite(suite) if suite else None
    runs, problems = _described(map(RunFolder, store.directories()))
    if not runs and not problems:
        raise NoRunsError(_no_runs(store.root))
    if named is None:
        runs = [run for run in runs if not run.row["spec"].twin_of]
    runs.sort(key=lambda run: (measured_label(run.row), run.row["variant"], run.row["seed"]))
    tasks = {(run.row["task_hash"], run.row["own"]): run.row["spec"] for run in runs}
    called = {run.row["task_hash"]: run.row["called"] for run in runs}
    found, suites = _named_tasks(tasks, _pools(runs), called)
    problems += _problems(store, runs)
    results = _gathered(runs, found, suites, ImportFolder(store.root), problems)
    return results if named is None else of_suite(results, named)


class Planned(Keyed, Protocol):
    """A run as it is planned."""

    @property
    def task(self) -> Task:
        """Its task, under its name."""

    @property
    def reference(self) -> bool:
        """Whether its strategy is a yardstick and never ranked."""

    @property
    def description(self) -> dict[str, Any]:
        """Its canonical description."""

    @property
    def trainer_named(self) -> bool:
        """Whether the trainer belongs to what its strategy is called."""


def read_planned(
    planned: Sequence[Planned], store: Store, suite: Suite | None = None, *, external: bool = False
) -> Results:
    """Read the runs of a plan, whatever else the results folder holds.

    Args:
        planned: the runs; those that are not stored are there without a curve.
        store: the results folder.
        suite: the suite that their tasks are of.
        external: whether imported curves are read, too.
    """
    runs = [_planned_run(one, store) for one in planned]
    pools = _pools(runs)
    tasks = {(run.row["task_hash"], run.row["own"]): run.row["spec"] for run in runs}
    name = suite.name if suite else ""
    found = [
        task_row(task, name, own, pools.get((digest, own), 0))
        for (digest, own), task in tasks.items()
    ]
    suites = {suite.name: suite} if suite else {}
    imported = ImportFolder(store.root) if external else None
    return _gathered(runs, found, suites, imported, _problems(store, runs))


def _planned_run(planned: Planned, store: Store) -> _Read:
    row = {
        **identity_columns(planned.description, trainer_named=planned.trainer_named),
        "key": planned.key,
        "task": planned.task.name,
        "task_hash": planned.task.hash,
        "spec": planned.task,
        "reference": planned.reference,
    }
    try:
        folder = store.folder(planned)
        return _completed(row, folder, *folder.look())
    except CorruptRunError as error:
        unread = {**empty_run(), **_UNKNOWN, **row}
        return _Read({**unread, "state": "corrupted", "reason": str(error)})


def _described(folders: Iterable[RunFolder]) -> tuple[list[_Read], list[str]]:
    """Return each run that can be read, and a sentence for each that cannot."""
    runs, problems = [], []
    for folder in folders:
        where = f"Run {folder.path.name[:12]} in {str(folder.path.parent.parent)!r}"
        try:
            phase, outcome = folder.look()
            if folder.is_described:
                row = _described_row(outcome.facts if outcome else folder.facts())
                row["key"] = folder.path.name
                runs.append(_completed(row, folder, phase, outcome))
            elif phase == "failed":
                problems.append(f"{where} failed before it began: {folder.status()['reason']}")
        except CorruptRunError as error:
            problems.append(f"{where} is corrupted: {error}.")
    return runs, problems


def _described_row(facts: Facts) -> dict[str, Any]:
    """Return what a run's own directory says of its identity.

    Raises:
        CorruptRunError: it cannot be read, or this falbench does not know its task.
    """
    try:
        task = _task(json.dumps(facts.description["task"], sort_keys=True))
        columns = identity_columns(facts.description, trainer_named=_trainer_named(facts))
    except ValidationError as error:
        reason = ": ".join(filter(None, explained(error, Task)))
        raise CorruptRunError(f"this falbench does not know its task ({reason})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRunError(f"its description cannot be read ({error})") from None
    return {
        **columns,
        "task": task.name,
        "task_hash": task.hash,
        "called": facts.task_name,
        "spec": task,
        "reference": facts.reference,
    }


@functools.lru_cache(maxsize=MOST_TASKS)
def _task(text: str) -> Task:
    """Return the task of a description, under a name made of its hash; many runs share one."""
    task = Task.model_validate({**json.loads(text), "name": "unnamed"})
    return task.model_copy(update={"name": f"task-{task.hash[:8]}"})


def _completed(
    row: Mapping[str, Any], folder: RunFolder, phase: Phase, found: Outcome | None
) -> _Read:
    """Return a run with all that its directory says beside its identity.

    Args:
        row: its identity.
        folder: its directory.
        phase: how far it is.
        found: what it says, if it is finished.

    Raises:
        CorruptRunError: its status is gone.
    """
    row = {**empty_run(), **_UNKNOWN, **row, "state": phase}
    if phase != "new":
        row["path"] = str(folder.path)
    if phase == "failed":
        status = folder.status()
        row["reason"], row["details"] = str(status["reason"]), str(status.get("details", ""))
    elif phase != "done":
        row["reason"] = NOT_FINISHED
    if found is None:
        return _Read(row)
    environment = {**found.facts.environment, "device": row["device"]}
    row |= {
        "environment": {str(name): str(value) for name, value in environment.items()},
        "finished": found.ended,
        "sealed": found.sealed,
        "pool": found.facts.pool,
        "metrics": found.facts.metrics,
        "ledger": found.ledger,
        "unrecorded": _unrecorded(found),
    }
    return _Read(row, found.curve, found.charges)


def _unrecorded(found: Outcome) -> dict[str, str]:
    """Return why a finished run has no values, or not all, of metrics that were there."""
    reasons = {}
    for name in found.facts.metrics:
        values = [row.metrics.get(name) for row in found.curve]
        gaps = [row.cycle for row, value in zip(found.curve, values, strict=True) if value != value]
        if None in values:  # the one thing that a metric is left out for
            reasons[name] = "it asks whose each test sample is, which the data do not say"
        elif gaps:
            reasons[name] = f"it has no value in cycle {gaps[0]}"
    return {**reasons, **found.facts.unrecorded}


def _trainer_named(facts: Facts) -> bool:
    """Whether the trainer belongs to the strategy's name; runs of schema 1 store the name.

    Raises:
        CorruptRunError: the stored name is not that of the description.
    """
    if facts.trainer_named is not None:
        return facts.trainer_named
    labels = {
        named: measured_label(identity_columns(facts.description, trainer_named=named))
        for named in (False, True)
    }
    for named, label in labels.items():
        if facts.label == label:
            return named
    raise CorruptRunError(f"its label is {facts.label!r} and not {labels[False]!r}")


def _problems(store: Store, runs: Sequence[_Read]) -> list[str]:
    """Return sentences on what is damaged beside the runs, and on runs without digests."""
    problems = [*store.problems]
    if problem := sessions_problem(store):
        problems.append(problem)
    if old := sum(not run.row["sealed"] for run in runs):
        problems.append(
            f"{old} runs in {str(store.root)!r} are of an earlier falbench, which did not keep "
            "digests of all their files: damage to them may not be seen."
        )
    return problems


def _gathered(
    runs: Sequence[_Read],
    tasks: Sequence[Mapping[str, Any]],
    suites: Mapping[str, Suite],
    imported: ImportFolder | None,
    problems: Sequence[str],
) -> Results:
    """Put everything together."""
    names = {row["hash"]: row["name"] for row in tasks}
    rows = [{**run.row, "task": names.get(run.row["task_hash"], run.row["task"])} for run in runs]
    charges = [
        (run.row["key"], cycle, purpose, client, labels)
        for run in runs
        for (cycle, purpose, client), labels in run.charges.items()
    ]
    imports = [] if imported is None else imported.imports()
    more_runs, more_curves = import_frames(imports)
    return Results(
        stacked(pd.DataFrame(rows, columns=RUNS), more_runs),
        stacked(_curves(runs), more_curves),
        pd.DataFrame(charges, columns=CHARGES),
        pd.DataFrame(tasks, columns=TASKS),
        Provenance(
            suites=suites,
            imports=tuple(one.origin for one in imports),
            higher_is_better={name: up for run in runs for name, up in run.row["metrics"].items()},
            problems=tuple(problems),
        ),
    )


def _curves(runs: Sequence[_Read]) -> pd.DataFrame:
    """Return the curves, one row a run and cycle."""
    rows = [row for run in runs for row in run.curve]
    metrics = {name for row in rows for name in row.metrics}
    keys = [run.row["key"] for run in runs for _ in run.curve]
    names = Row.columns(metrics)
    values = [
        [row.metrics.get(name, math.nan) if name in metrics else getattr(row, name) for row in rows]
        for name in names
    ]
    return pd.DataFrame([*zip(keys, *values, strict=True)], columns=["key", *names])


def _pools(runs: Iterable[_Read]) -> dict[tuple[str, str], int]:
    rows = [run.row for run in runs if run.row["state"] == "done"]
    return {(row["task_hash"], row["own"]): row["pool"] for row in rows}


def _no_runs(root: Path) -> str:
    """Say what a folder without runs holds instead, and what to do."""
    imported = ", ".join(ImportFolder(root).names())
    advice = "run falbench compare first, or name another folder"
    what = ""
    if not root.exists():
        what = ", which does not exist"
    elif imported:
        what = f", only imported curves ({imported})"
    elif (root.parent / "store.json").exists():
        advice = f"it is a part of the results folder {str(root.parent)!r}, name that"
    return f"There are no runs in {str(root)!r}{what}; {advice}."


def _named_tasks(
    tasks: Mapping[tuple[str, str], Task],
    pools: Mapping[tuple[str, str], int],
    called: Mapping[str, str],
) -> tuple[list[dict[str, Any]], dict[str, Suite]]:
    """Return the rows of the stored tasks under the names of their suites, and those suites.

    Of several tasks of one name, those that no suite has get their hash added.

    Args:
        tasks: the tasks, by hash and digest of what is the user's own.
        pools: samples in their query pools.
        called: with what name each was run, by hash; empty if that is not known.
    """
    known = [load_suite(name) for name in suite_names()]
    whole = _covering_suite({digest for digest, _ in tasks}, known)
    of = {digest: whole or _covering_suite({digest}, known) for digest, _ in tasks}
    shipped = {task.hash: task.name for suite in of.values() if suite for task in suite.tasks}
    names = {
        digest: shipped.get(digest) or called[digest] or task.name
        for (digest, _), task in tasks.items()
    }
    often = Counter(names.values())
    rows, suites = [], {}
    for (digest, own), task in tasks.items():
        name, suite = names[digest], of[digest]
        if often[name] > 1 and digest not in shipped:
            name = f"{name}-{digest[:8]}"
        # The stored task, because one of a suite may not know how many clients its data have.
        named = task.model_copy(update={"name": name})
        rows.append(task_row(named, suite.name if suite else "", own, pools.get((digest, own), 0)))
        if suite:
            suites[suite.name] = suite
    return sorted(rows, key=lambda row: (row["name"], row["own"])), suites


def _covering_suite(hashes: set[str], suites: Sequence[Suite]) -> Suite | None:
    covering = [suite for suite in suites if hashes <= {task.hash for task in suite.tasks}]
    # Suites share tasks; of several, the one of which most is there, and rather the default one.
    return min(
        covering,
        key=lambda suite: (len(suite.tasks), suite.name != DEFAULT_SUITE, suite.name),
        default=None,
    )
