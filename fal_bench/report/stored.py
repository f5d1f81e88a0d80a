"""The evidence of a results folder: everything that is stored in it, and nothing else."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fal_bench.errors import StoreError, UnknownNameError
from fal_bench.external.folder import ExternalFolder
from fal_bench.inputs.arguments import check_text
from fal_bench.report.evidence import Evidence
from fal_bench.report.labels import wanted_labels
from fal_bench.report.selection import Selection, ShownRun
from fal_bench.sweep.inventory import StoredRun, stored_runs
from fal_bench.sweep.store import PUBLISHED, Store
from fal_bench.task import Task
from fal_bench.task.suite import DEFAULT_SUITE, Suite, load_suite, suite_names, unknown_task

_APART = " @"
"""What stands between a name and the short hash that tells it from others of that name."""


@dataclass(frozen=True)
class Filter:
    """Which stored runs take part.

    Attributes:
        suite: a suite's name or TOML file; found from the stored tasks if None.
        task: one task only.
        strategies: selectors; all stored strategies if empty.
        seeds: the first so many of the stored seeds; all of them if None.
        external: whether external curves of the same tasks are shown.
    """

    suite: str | None = None
    task: str | None = None
    strategies: tuple[str, ...] = ()
    seeds: int | None = None
    external: bool = True


def stored_evidence(store: Store, chosen: Filter) -> tuple[Evidence, list[str]]:
    """Read the evidence of a results folder; see ``select_runs``.

    Args:
        store: the results folder.
        chosen: which runs take part.

    Returns:
        The evidence, and a sentence for each run that cannot be read.

    Raises:
        FalbenchError: the folder holds no such run, or a name is unknown.
    """
    imports = ExternalFolder(store.root).imports() if chosen.external else []
    selection = select_runs(store, chosen)
    evidence = selection.evidence(report_command(store.root, chosen), imports)
    return evidence, list(selection.problems)


def select_runs(store: Store, chosen: Filter) -> Selection:
    """Choose among the runs of a results folder.

    Runs do not store the name of their task. It comes from the suite; without one, from the
    smallest suite of the package that has all stored tasks, and tasks that no suite knows are
    named by their hash. Strategies of one name whose code, device or numerics differ are shown
    apart, with a short hash after their name; so are tasks of one name whose data differ.

    Args:
        store: the results folder.
        chosen: which runs take part.

    Raises:
        FalbenchError: the folder holds no such run, or a name is unknown.
    """
    check_text("suite", chosen.suite)
    check_text("task", chosen.task)
    runs, problems = stored_runs(store)
    if not runs:
        raise StoreError(_no_runs(store.root))
    suite, source, tasks = _tasks(runs, chosen)
    tasks, names = _by_data(tasks, runs, chosen.task)
    labels = _labels([run for run in runs if _problem(run) in names])
    wanted = wanted_labels(set(labels.values()), chosen.strategies)
    kept = [run for run in runs if _problem(run) in names and labels[run.key] in wanted]
    if not any(run.phase == "done" for run in kept):
        raise StoreError(
            f"There is no finished run of suite {suite!r} in {str(store.root)!r}; "
            "falbench status shows what there is."
        )
    seeds = tuple(sorted({run.seed for run in kept})[: chosen.seeds])
    shown = tuple(
        ShownRun(run, names[_problem(run)], labels[run.key]) for run in kept if run.seed in seeds
    )
    return Selection(suite, source, tuple(tasks), seeds, shown, tuple(problems))


def _no_runs(root: Path) -> str:
    """Say what a folder without runs holds instead, and what to do."""
    imported = ", ".join(ExternalFolder(root).names())
    advice = "run falbench compare first, or name another folder"
    what = ""
    if not root.exists():
        what = ", which does not exist"
    elif (root / PUBLISHED).exists():
        what, advice = ", only published results", "name the folder that they were published from"
    elif imported:
        what = f", only imported curves ({imported})"
    elif (root.parent / "store.json").exists():
        advice = f"it is a part of the results folder {str(root.parent)!r}, name that"
    return f"There are no runs in {str(root)!r}{what}; {advice}."


def _tasks(runs: Sequence[StoredRun], chosen: Filter) -> tuple[str, Suite | None, list[Task]]:
    """Return what is compared, its suite, and the tasks under the names they have there."""
    stored = {run.task.hash: run.task for run in runs}
    suite = load_suite(chosen.suite) if chosen.suite else _covering_suite(set(stored))
    if chosen.suite and suite:
        tasks = list(suite.tasks)
    else:
        known = {task.hash: task for task in suite.tasks} if suite else _shipped_tasks()
        tasks = [known.get(key, task) for key, task in stored.items()]
    if chosen.task is not None:
        asked = chosen.task.partition(_APART)[0]
        matching = [task for task in tasks if task.name == asked]
        if not matching:
            raise unknown_task(
                chosen.task, [task.name for task in tasks], "not among what is reported"
            )
        # The folder may hold tasks of several suites: what this one's says of targets holds.
        return chosen.task, suite or _covering_suite({matching[0].hash}), matching
    name = suite.name if suite else "all stored tasks"
    if suite and len(tasks) < len(suite.tasks):
        name = f"{suite.name} ({len(tasks)} of {len(suite.tasks)} tasks)"
    return name, suite, sorted(tasks, key=lambda task: task.name)


def _problem(run: StoredRun) -> tuple[str, str]:
    """Return what a run's problem is known by: its task's hash, and the digest of its data."""
    return run.task.hash, run.data


def _by_data(
    tasks: Sequence[Task], runs: Sequence[StoredRun], asked: str | None
) -> tuple[list[Task], dict[tuple[str, str], str]]:
    """Tell tasks on different data apart: other data are another problem.

    Returns:
        The tasks, those on several states of their data once for each, and their names.
    """
    states: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        states[run.task.hash].add(run.data)
    apart: list[Task] = []
    names: dict[tuple[str, str], str] = {}
    for task in tasks:
        several = len(states[task.hash]) > 1
        for data in sorted(states[task.hash]) or [""]:
            name = f"{task.name}{_APART}{data[:8]}" if several else task.name
            if asked in (None, task.name, name):
                apart.append(task.model_copy(update={"name": name}))
                names[task.hash, data] = name
    if not apart:
        known = [f"{task.name}{_APART}{data[:8]}" for task in tasks for data in states[task.hash]]
        raise UnknownNameError("task", str(asked), sorted(known))
    return apart, names


def _covering_suite(hashes: set[str]) -> Suite | None:
    suites = [load_suite(name) for name in suite_names()]
    covering = [suite for suite in suites if hashes <= {task.hash for task in suite.tasks}]
    # Suites share tasks; of several, the one of which most is there, and rather the default one.
    return min(
        covering,
        key=lambda suite: (len(suite.tasks), suite.name != DEFAULT_SUITE, suite.name),
        default=None,
    )


def _shipped_tasks() -> dict[str, Task]:
    return {task.hash: task for name in suite_names() for task in load_suite(name).tasks}


def _labels(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Return every run's label by key; variants of one strategy get a hash behind it."""
    variants: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        variants[run.label].add(run.behaviour_hash)
    return {
        run.key: f"{run.label}{_APART}{run.behaviour_hash}"
        if len(variants[run.label]) > 1
        else run.label
        for run in runs
    }


def report_command(root: Path, chosen: Filter) -> str:
    """Return the command line that leads to such a report, without the question."""
    words = ["falbench report", shlex.quote(str(root))]
    words += [f"--suite {shlex.quote(chosen.suite)}"] if chosen.suite else []
    words += [f"--task {shlex.quote(chosen.task)}"] if chosen.task else []
    words += [f"-s {shlex.quote(text)}" for text in chosen.strategies]
    words += [f"--seeds {chosen.seeds}"] if chosen.seeds else []
    words += [] if chosen.external else ["--no-external"]
    return " ".join(words)
