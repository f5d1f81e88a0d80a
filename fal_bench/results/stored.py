"""Reading a results folder: its runs describe themselves, so no suite or plugin is needed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from pydantic import ValidationError

from fal_bench.errors import StoreError
from fal_bench.federation.journal import Row
from fal_bench.inputs.validation import explained
from fal_bench.results.folder import CorruptRunError, RunFolder
from fal_bench.results.identity import (
    identity_columns,
    run_label,
    strategy_selector,
    trainer_selector,
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
from fal_bench.results.store import Corrupt, Keyed, Store
from fal_bench.task import Task
from fal_bench.task.suite import DEFAULT_SUITE, Suite, load_suite, suite_names

NOT_FINISHED = "not run to its end yet"
"""Why a run has no curve that is new, or was interrupted."""

_KEY = re.compile(r"[0-9a-f]{64}")


class NoRunsError(StoreError):
    """A results folder holds no runs."""


def read_store(store: Store, *, suite: str | None = None) -> Results:
    """Read everything in a results folder.

    Runs do not store the name of their task. It comes from the suite; without one, from the
    smallest suite of the package that has all stored tasks, or that task; tasks that no suite
    knows are named by their hash.

    Args:
        store: the results folder.
        suite: a suite's name or TOML file, whose tasks alone are taken, stored or not.

    Raises:
        NoRunsError: it holds no runs.
        FalbenchError: the suite is unknown, or imported curves cannot be read.
    """
    named = load_suite(suite) if suite else None
    folders = [RunFolder(path) for path in _directories(store.runs)]
    rows, problems = _described(folders)
    if not rows and not problems:
        raise NoRunsError(_no_runs(store.root))
    rows.sort(key=lambda row: (_label(row), row["variant"], row["seed"]))
    tasks = {(row["task_hash"], row["data"]): row["spec"] for row in rows}
    found, suites = _named_tasks(tasks, _pools(rows))
    results = _gathered(rows, found, suites, ImportFolder(store.root), problems)
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
    rows = [_planned_row(one, store) for one in planned]
    pools = _pools(rows)
    tasks = {(row["task_hash"], row["data"]): row["spec"] for row in rows}
    name = suite.name if suite else ""
    found = [
        task_row(task, name, data, pools.get((digest, data), 0))
        for (digest, data), task in tasks.items()
    ]
    suites = {suite.name: suite} if suite else {}
    return _gathered(rows, found, suites, ImportFolder(store.root) if external else None)


def _planned_row(planned: Planned, store: Store) -> dict[str, Any]:
    phase = store.phase(planned)
    named = {"task": planned.task.name, "spec": planned.task}
    if isinstance(phase, Corrupt):
        state, reason = "corrupted", phase.reason
    elif phase == "new":
        state, reason = "new", NOT_FINISHED
    else:
        return {**run_row(store.folder(planned)), **named}
    return {
        **empty_run(),
        **identity_columns(planned.description, trainer_named=planned.trainer_named),
        **named,
        "key": planned.key,
        "task_hash": planned.task.hash,
        "reference": planned.reference,
        "state": state,
        "reason": reason,
        "metrics": {},
    }


def _described(folders: Iterable[RunFolder]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each run that can be read, and a sentence for each that cannot."""
    rows, problems = [], []
    for folder in folders:
        try:
            rows.append(run_row(folder))
        except CorruptRunError as error:
            where = str(folder.path.parent.parent)
            problems.append(f"Run {folder.path.name[:12]} in {where!r} is corrupted: {error}.")
    return rows, problems


def run_row(folder: RunFolder) -> dict[str, Any]:
    """Return a run's row of ``Results.runs``, from its own directory.

    Raises:
        CorruptRunError: its files do not fit together, or this falbench does not know its task.
    """
    phase = folder.phase()
    try:
        facts = folder.facts()
        description: dict[str, Any] = facts["description"]
        task = Task.model_validate({**description["task"], "name": "unnamed"})
        named = task.model_copy(update={"name": f"task-{task.hash[:8]}"})
        columns = identity_columns(description, trainer_named=_trainer_named(facts))
        environment = {**facts.get("environment", {}), "device": description["device"]}
        status = {} if phase == "new" else folder.status()
        return {
            **columns,
            "key": folder.path.name,
            "task": named.name,
            "task_hash": task.hash,
            "spec": named,
            "reference": bool(facts["reference"]),
            "state": phase,
            "reason": _reason(phase, status),
            "details": str(status.get("details", "")),
            "environment": {str(name): str(value) for name, value in environment.items()},
            "finished": folder.ended() if phase == "done" else pd.NaT,
            "ledger": "",
            "path": str(folder.path),
            "pool": int(facts.get("pool", 0)),
            "metrics": dict(facts.get("metrics", {})),
        }
    except ValidationError as error:
        reason = ": ".join(filter(None, explained(error, Task)))
        raise CorruptRunError(f"this falbench does not know its task ({reason})") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptRunError(f"a file cannot be read ({error})") from None


def _trainer_named(facts: Mapping[str, Any]) -> bool:
    """Whether the trainer belongs to the strategy's name; runs of schema 1 store the name."""
    if "trainer_named" in facts:
        return bool(facts["trainer_named"])
    plain = identity_columns(facts["description"], trainer_named=False)
    return bool(facts["label"] != _label(plain))


def _label(run: Mapping[str, Any]) -> str:
    named = bool(run["trainer_named"])
    return run_label(strategy_selector(run), trainer_selector(run), trainer_named=named)


def _reason(phase: str, status: Mapping[str, Any]) -> str:
    if phase == "failed":
        return str(status["reason"])
    return "" if phase == "done" else NOT_FINISHED


def _gathered(
    rows: Sequence[Mapping[str, Any]],
    tasks: Sequence[Mapping[str, Any]],
    suites: Mapping[str, Suite],
    imported: ImportFolder | None,
    problems: Sequence[str] = (),
) -> Results:
    """Read the curves and charges of finished runs, and put everything together."""
    names = {row["hash"]: row["name"] for row in tasks}
    curves: list[dict[str, Any]] = []
    charges: list[tuple[Any, ...]] = []
    runs = []
    for row in rows:
        run = {**row, "task": names.get(row["task_hash"], row["task"])}
        if row["state"] == "done":
            folder = RunFolder(Path(row["path"]))
            curves += _curve(row["key"], folder.rows())
            counts, run["ledger"] = folder.charges()
            charges += [
                (row["key"], cycle, purpose, client, labels)
                for (cycle, purpose, client), labels in counts.items()
            ]
        runs.append(run)
    given = Row.columns()
    metrics = {name for row in curves for name in row} - {"key", *given}
    imports = [] if imported is None else imported.imports()
    more_runs, more_curves = import_frames(imports)
    measured = pd.DataFrame(curves, columns=["key", *Row.columns(metrics)])
    return Results(
        stacked(pd.DataFrame(runs, columns=RUNS), more_runs),
        stacked(measured, more_curves),
        pd.DataFrame(charges, columns=CHARGES),
        pd.DataFrame(tasks, columns=TASKS),
        Provenance(
            suites=suites,
            imports=tuple(one.origin for one in imports),
            higher_is_better={name: up for row in rows for name, up in row["metrics"].items()},
            problems=tuple(problems),
        ),
    )


def _curve(key: str, rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {"key": key, **{name: getattr(row, name) for name in Row.columns()}, **row.metrics}


def _pools(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    done = [row for row in rows if row["state"] == "done"]
    return {(row["task_hash"], row["data"]): row["pool"] for row in done}


def _directories(runs: Path) -> Iterator[Path]:
    if runs.is_dir():
        for path in sorted(runs.iterdir()):
            if _KEY.fullmatch(path.name) and path.is_dir():
                yield path


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
    tasks: Mapping[tuple[str, str], Task], pools: Mapping[tuple[str, str], int]
) -> tuple[list[dict[str, Any]], dict[str, Suite]]:
    """Return the rows of the stored tasks under the names of their suites, and those suites."""
    whole = _covering_suite({digest for digest, _ in tasks})
    rows, suites = [], {}
    for (digest, data), task in tasks.items():
        suite = whole or _covering_suite({digest})
        named = next((one for one in suite.tasks if one.hash == digest), task) if suite else task
        rows.append(
            task_row(named, suite.name if suite else "", data, pools.get((digest, data), 0))
        )
        if suite:
            suites[suite.name] = suite
    return sorted(rows, key=lambda row: (row["name"], row["data"])), suites


def _covering_suite(hashes: set[str]) -> Suite | None:
    suites = [load_suite(name) for name in suite_names()]
    covering = [suite for suite in suites if hashes <= {task.hash for task in suite.tasks}]
    # Suites share tasks; of several, the one of which most is there, and rather the default one.
    return min(
        covering,
        key=lambda suite: (len(suite.tasks), suite.name != DEFAULT_SUITE, suite.name),
        default=None,
    )
