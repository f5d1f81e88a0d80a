"""The comparison: run what is missing, then rank strategies by labels to the target."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from fal_bench.data.folders import use_data_folder
from fal_bench.external.folder import ExternalFolder
from fal_bench.inputs.arguments import (
    as_names,
    as_path,
    as_paths,
    as_whole,
    check_seconds,
    check_text,
)
from fal_bench.isolation.interrupts import signals_noticed
from fal_bench.learning.device import CPU, Device
from fal_bench.sweep.plan import Plan
from fal_bench.report.answer import Comparison
from fal_bench.report.context import Accounting, MissingRun, TaskFacts, task_facts
from fal_bench.report.targets import Question
from fal_bench.sweep.cluster import check_backend, device_for
from fal_bench.sweep.memory import LEAST_MIB
from fal_bench.results.sessions import recorded_session
from fal_bench.sweep.spec import RunSpec
from fal_bench.results.store import Corrupt, Store
from fal_bench.sweep.supervisor import Backend, Supervisor
from fal_bench.task import Task

if TYPE_CHECKING:
    from fal_bench.external.folder import Import
    from fal_bench.sweep.collect import FinishedRun

__all__ = ["Comparison", "Plan", "compare", "run_missing", "summarise"]

Monitor = Callable[[Store, Sequence[RunSpec]], AbstractContextManager[None]]
"""Shows the progress of runs while its context is open."""


def compare(
    strategies: Sequence[str] | str | None = None,
    *,
    target_acc: float | str | Sequence[float | str] | None = None,
    suite: str | Path | None = None,
    task: str | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
    accounting: Accounting = "strict",
    baseline: str | None = None,
    out: str | Path = "results",
    plugins: Sequence[str | Path] | str | Path = (),
    data_dir: str | Path | None = None,
    backend: Backend = "loky",
    device: Device = "auto",
    call_timeout: float = 600.0,
    memory_limit: int | None = None,
    progress: bool = True,
    external: bool = True,
) -> Comparison:
    """Compare strategies by the labels they need to reach a target accuracy.

    Finished runs are taken from ``out``; only missing ones run. Changing the target, the
    accounting or the number of workers never runs anything again.

    Args:
        strategies: names, with parameters as in ``"logo[n_init=4]"``; several values give several
            rows, as in ``"logo[n_init=1,4]"``, and ``"random[trainer=evidential]"`` changes how
            clients train. ``"all"`` stands for every strategy that suits the tasks; by default
            the suite's own, or random, fal-margin, logo and fedral.
        target_acc: the target accuracy, above 0 and at most 1; several of them; or ``"auto"``,
            what the baseline reaches with 25, 50 and 75 % of the budget cap; by default the
            suite's own, or 0.5.
        suite: a suite's name or TOML file; ``quick`` by default.
        task: compare on one task only.
        seeds: number of seeds; the suite's own number by default.
        jobs: worker processes; by default one per CPU core, and one alone on a GPU.
        accounting: the labels that rank: ``"strict"`` (all that were read) or ``"paper"``.
        baseline: the strategy that savings refer to; random by default.
        out: the results folder.
        plugins: a Python file or folder with further strategies, or several of them.
        data_dir: the folder of downloaded data sets and of relative paths to your own; by default
            what ``FALBENCH_DATA`` names, else a folder in the user's cache.
        backend: ``"loky"`` for worker processes, ``"sequential"`` to stay in this process,
            ``"ray"`` or ``"dask"`` for a cluster.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"``: the GPU if PyTorch can use one. Results of
            different devices are different runs.
        call_timeout: seconds one call of a strategy or of a plugin's trainer may take.
        memory_limit: MiB a worker may take, at least 1024; by default 80 % of what is free,
            divided by the workers.
        progress: show a live display on the terminal.
        external: also show curves measured elsewhere that were imported into ``out``.

    Returns:
        The leaderboard and the curves as pandas DataFrames; nothing but the runs is written
        to ``out`` (see ``Comparison.write``).

    Raises:
        FalbenchError: a name is unknown or a value cannot be used; nothing has run then.
    """
    check_backend(backend)
    names = as_names("strategies", strategies)
    suite = str(suite) if isinstance(suite, Path) else suite
    for text, value in (("suite", suite), ("task", task), ("baseline", baseline)):
        check_text(text, value)
    seeds, jobs = as_whole("seeds", seeds, 1), as_whole("jobs", jobs, 1)
    memory_limit = as_whole("memory_limit", memory_limit, LEAST_MIB)
    check_seconds("call_timeout", call_timeout)
    root, paths = as_path("out", out), as_paths("plugins", plugins)
    data = None if data_dir is None else as_path("data_dir", data_dir)
    with signals_noticed(), use_data_folder(data):
        plan = Plan.make(
            names,
            suite=suite,
            task=task,
            seeds=seeds,
            plugins=paths,
            device=device_for(backend, device),
        )
        for note in plan.notes:
            warnings.warn(note, stacklevel=2)
        targets = plan.targets if target_acc is None else target_acc
        question = Question.make(targets, accounting, baseline, plan.strategies)
        store = Store(root)
        imports = ExternalFolder(store.root).imports() if external else None
        missing, _ = plan.missing(store)
        plan.check(missing)
        store.prepare()
        if missing:
            workers = jobs or default_jobs(plan.device)
            supervisor = Supervisor(
                store, workers, backend, plan.plugins, call_timeout, memory_limit
            )
            run_missing(supervisor, plan, progress_monitor(progress))
        return summarise(plan, store, question, imports)


def run_missing(supervisor: Supervisor, plan: Plan, monitor: Monitor) -> None:
    """Run the missing runs of a plan under the store's lock; broken ones are set aside first."""
    store = supervisor.store
    with store.lock():
        # Looked at under the lock: another run may have finished some in the meantime.
        missing, corrupt = plan.missing(store)
        for broken in corrupt:
            store.set_aside(broken)
        record = recorded_session(store, missing, jobs=supervisor.jobs, backend=supervisor.backend)
        with record, monitor(store, plan.runs):
            supervisor.run(missing)


def summarise(
    plan: Plan, store: Store, question: Question, imports: Sequence[Import] | None = None
) -> Comparison:
    """Build the comparison from what is in the store; runs nothing.

    Args:
        plan: what is compared.
        store: the results folder.
        question: what is asked.
        imports: its external curves; None leaves them out.
    """
    from fal_bench.report.answer import answer
    from fal_bench.report.evidence import Evidence
    from fal_bench.sweep.collect import finished_runs

    runs = finished_runs(store, plan.runs)
    evidence = Evidence.read(
        runs,
        suite=plan.suite,
        tasks=[_facts(task, runs) for task in plan.tasks],
        strategies=plan.strategies,
        seeds=plan.seeds,
        missing=_missing(plan, store),
        command=plan.command if imports is not None else f"{plan.command} --no-external",
        imports=imports or (),
    )
    return answer(question, evidence)


def default_jobs(device: str) -> int:
    """Return the number of worker processes if the user names none.

    One per CPU core that this process may use. On a GPU one: it stacks all runs that can be
    stacked, and several processes would take turns on the device, each with a context of its own.
    """
    if device != CPU:
        return 1
    import joblib

    cores: int = joblib.cpu_count()
    return cores


def progress_monitor(shown: bool) -> Monitor:
    """Return the live display, or one that shows nothing."""
    if not shown:
        return _show_nothing
    from fal_bench.report.progress import show_progress

    return show_progress


def _show_nothing(
    store: Store,  # noqa: ARG001
    runs: Sequence[RunSpec],  # noqa: ARG001
) -> AbstractContextManager[None]:
    return nullcontext()


def _facts(task: Task, runs: Sequence[FinishedRun]) -> TaskFacts:
    first = next((run for run in runs if run.task == task.name), None)
    return task_facts(task, 0 if first is None else first.folder.pool())


def _missing(plan: Plan, store: Store) -> list[MissingRun]:
    runs = []
    for run in plan.runs:
        phase = store.phase(run)
        if phase == "done":
            continue
        reason, traceback = "not run to its end yet", ""
        if isinstance(phase, Corrupt):
            reason = phase.reason
        elif phase == "failed":
            status = store.folder(run).status()
            reason, traceback = status["reason"], status.get("details", "")
        runs.append(MissingRun(run.task.name, run.label, run.seed, reason, traceback))
    return runs
