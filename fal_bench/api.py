"""What Python users call; the command line is a skin over it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from fal_bench.data.folders import use_data_folder
from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.arguments import (
    as_names,
    as_path,
    as_several,
    as_whole,
    check_seconds,
    check_text,
)
from fal_bench.isolation.interrupts import signals_noticed
from fal_bench.learning.device import CPU, Device
from fal_bench.plugins.given import given, named
from fal_bench.plugins.registry import Registry
from fal_bench.report.answer import Comparison, answer
from fal_bench.report.context import Accounting
from fal_bench.report.targets import Asked, Question
from fal_bench.results import chosen_results, open_results
from fal_bench.results.identity import records
from fal_bench.results.model import Results
from fal_bench.results.store import Store
from fal_bench.sweep.cluster import check_backend, device_for
from fal_bench.sweep.memory import LEAST_MIB
from fal_bench.sweep.plan import Monitor, Plan, no_monitor, run_missing
from fal_bench.sweep.spec import RunSpec
from fal_bench.sweep.supervisor import Backend, Supervisor

if TYPE_CHECKING:
    from fal_bench.conformance.report import Report
    from fal_bench.plugins.strategy import Strategy
    from fal_bench.publication.verification import Verification
    from fal_bench.results.merging import Keep, Merged
    from fal_bench.results.published import Record

    Strategies = Sequence[str | type[Strategy] | Strategy] | str | type[Strategy] | None

__all__ = [
    "Comparison",
    "Results",
    "check",
    "compare",
    "import_curves",
    "load",
    "merge",
    "publish",
    "report",
    "verify",
]

Kind = Literal["note", "warning"]
Notify = Callable[[Kind, str], None]


def warn(kind: Kind, text: str) -> None:  # noqa: ARG001
    """Say something as Python says it."""
    warnings.warn(text, stacklevel=3)


@dataclass(frozen=True)
class Prepared:
    """A comparison that is checked, and has not begun.

    Attributes:
        plan: its runs.
        store: the results folder.
        results: what the folder holds of them.
        question: what is asked of them.
        missing: the runs that have to run.
        jobs: worker processes.
    """

    plan: Plan
    store: Store
    results: Results
    question: Question
    missing: tuple[RunSpec, ...]
    jobs: int


def compare(
    strategies: Strategies = None,
    *,
    target_acc: Asked = None,
    target: Asked = None,
    suite: str | Path | None = None,
    task: str | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
    accounting: Accounting = "strict",
    baseline: str | None = None,
    out: str | Path = "results",
    plugins: Sequence[object] | str | Path = (),
    data_dir: str | Path | None = None,
    backend: Backend = "loky",
    device: Device = "auto",
    call_timeout: float = 600.0,
    memory_limit: int | None = None,
    progress: bool = True,
    external: bool = True,
    notify: Notify = warn,
) -> Comparison:
    """Compare strategies by the labels they need to reach a target.

    Finished runs are taken from ``out``; only missing ones run. Changing the target, the
    accounting or the number of workers never runs anything again.

    Args:
        strategies: names, with parameters as in ``"logo[n_init=4]"``; several values give several
            rows, as in ``"logo[n_init=1,4]"``, and ``"random[trainer=evidential]"`` changes how
            clients train. ``"all"`` stands for every strategy that suits the tasks; by default
            the suite's own, or random, fal-margin, logo and fedral. A class or an object does as
            well, also one of a notebook.
        target_acc: the target accuracy, above 0 and at most 1; several of them; or ``"auto"``,
            what the baseline reaches with 25, 50 and 75 % of the budget cap; by default the
            suite's own targets, or 0.5.
        target: targets of any recorded metric, as ``"balanced_accuracy=0.6"`` or
            ``"loss=auto"``; one that is better when lower is reached from above.
        suite: a suite's name or TOML file; ``quick`` by default.
        task: compare on one task only.
        seeds: number of seeds; the suite's own number by default.
        jobs: worker processes; by default one per CPU core, and one alone on a GPU.
        accounting: the labels that rank: ``"strict"`` (all that were read) or ``"paper"``.
        baseline: the strategy that savings refer to; random by default.
        out: the results folder.
        plugins: a Python file or folder with further plugins, or several of them; classes and
            decorated functions do as well.
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
        notify: called with ``"note"`` or ``"warning"`` and a sentence; by default a Python warning.

    Returns:
        The leaderboard and the curves as pandas DataFrames; nothing but the runs is written
        to ``out`` (see ``Comparison.write``).

    Raises:
        FalbenchError: a name is unknown or a value cannot be used; nothing has run then.
    """
    memory_limit = as_whole("memory_limit", memory_limit, LEAST_MIB)
    check_seconds("call_timeout", call_timeout)
    data = None if data_dir is None else as_path("data_dir", data_dir)
    with signals_noticed(), use_data_folder(data):
        ready = prepare(
            strategies,
            target_acc=target_acc,
            target=target,
            suite=suite,
            task=task,
            seeds=seeds,
            jobs=jobs,
            accounting=accounting,
            baseline=baseline,
            out=out,
            plugins=plugins,
            backend=backend,
            device=device,
            external=external,
            notify=notify,
        )
        ready.store.prepare()
        for run in records(ready.results.here):
            if run["state"] == "corrupted":
                name = f"{run['key'][:12]} ({run['task']}, {run['strategy']}, seed {run['seed']})"
                notify(
                    "warning",
                    f"run {name} is corrupted: {run['reason']}; it is set aside and runs again.",
                )
        if not ready.missing:
            return answer(ready.question, ready.results)
        supervisor = Supervisor(
            ready.store, ready.jobs, backend, ready.plan.plugins, call_timeout, memory_limit
        )
        run_missing(supervisor, ready.plan, _monitor(shown=progress))
        return answer(ready.question, ready.plan.results(ready.store, external=external))


def prepare(
    strategies: Strategies = None,
    *,
    target_acc: Asked = None,
    target: Asked = None,
    suite: str | Path | None = None,
    task: str | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
    accounting: str = "strict",
    baseline: str | None = None,
    out: str | Path = "results",
    plugins: Sequence[object] | str | Path = (),
    backend: Backend = "loky",
    device: Device = "auto",
    external: bool = True,
    notify: Notify = warn,
) -> Prepared:
    """Plan a comparison and check everything that can be checked before it runs.

    The arguments are those of ``compare``. Nothing is computed or written.

    Raises:
        FalbenchError: a name is unknown or a value cannot be used.
    """
    check_backend(backend)
    texts, classes = named(strategies)
    names = as_names("strategies", texts)
    jobs, root = as_whole("jobs", jobs, 1), as_path("out", out)
    plan = Plan.make(
        names,
        suite=suite,
        task=task,
        seeds=seeds,
        plugins=(*given(as_several("plugins", plugins)), *classes),
        device=device_for(backend, device),
    )
    for note in plan.notes:
        notify("note", note)
    store = Store(root)
    results = plan.results(store, external=external)
    question = Question.make(target_acc, target, accounting, baseline, results)
    question.check_metrics({*results.metrics, *Registry.discover(plan.plugins).metrics.names()})
    missing, _ = plan.missing(store)
    plan.check(missing)
    return Prepared(
        plan,
        store,
        results,
        question,
        tuple(missing),
        jobs or default_jobs(plan.device),
    )


def load(path: str | Path, *, suite: str | Path | None = None) -> Results:
    """Open results as pandas DataFrames.

    Args:
        path: a results folder, a folder of published results, or a CSV file of curves.
        suite: a suite's name or TOML file, whose tasks are taken whether they are there or not;
            by default the tasks that are there.

    Returns:
        ``runs``, ``curves``, ``charges`` and ``tasks``; ``narrow`` and ``merge`` give others.

    Raises:
        FalbenchError: there is nothing of the kind, or something in it cannot be read.
    """
    return open_results(path, suite=suite)


def report(
    path: str | Path = "results",
    *,
    target_acc: Asked = None,
    target: Asked = None,
    strategies: Sequence[str] | str | None = None,
    suite: str | Path | None = None,
    task: str | None = None,
    seeds: int | None = None,
    accounting: Accounting = "strict",
    baseline: str | None = None,
    external: bool = True,
    notify: Notify = warn,
) -> Comparison:
    """Rank what was computed before; runs nothing and writes nothing.

    Args:
        path: a results folder, or a folder of published results.
        target_acc: the target accuracies, as for ``compare``.
        target: targets of any recorded metric, likewise.
        strategies: selectors; all stored strategies if there are none.
        suite: a suite's name or TOML file; found from the stored tasks if None.
        task: one task only.
        seeds: the first so many of the stored seeds; all of them if None.
        accounting: the labels that rank: ``"strict"`` or ``"paper"``.
        baseline: the strategy that savings refer to; random by default.
        external: also show curves measured elsewhere that were imported.
        notify: as for ``compare``.

    Raises:
        FalbenchError: there are no such runs, or a name or value cannot be used.
    """
    results = chosen_results(
        path, suite=suite, task=task, strategies=strategies, seeds=seeds, external=external
    )
    question = Question.make(target_acc, target, accounting, baseline, results)
    for problem in results.provenance.problems:
        notify("warning", problem)
    return answer(question, results)


def publish(
    results: str | Path,
    to: str | Path,
    *,
    target_acc: Asked = None,
    target: Asked = None,
    strategies: Sequence[str] | str | None = None,
    suite: str | Path | None = None,
    task: str | None = None,
    seeds: int | None = None,
    accounting: Accounting | None = None,
    baseline: str | None = None,
    notify: Notify = warn,
) -> Record:
    """Write a comparison where others can verify it; runs nothing.

    Args:
        results: a results folder; or results published before, which are drawn again as a whole.
        to: the folder to write; new, empty, or with results published before, which are replaced.
        target_acc: the target accuracies, as for ``compare``; by default as published before.
        target: targets of any recorded metric, likewise.
        strategies: selectors; all stored strategies if there are none.
        suite: a suite's name or TOML file; found from the stored tasks if None.
        task: one task only.
        seeds: the first so many of the stored seeds; all of them if None.
        accounting: the labels that rank: ``"strict"`` or ``"paper"``; by default strict, or as
            published before.
        baseline: the strategy that savings refer to; random by default, or as published before.
        notify: as for ``compare``.

    Returns:
        What ``provenance.json`` says.

    Raises:
        PublicationError: the runs are no complete comparison that others can compute again, or
            ``to`` holds other files; nothing has been written then.
        FalbenchError: the folder holds no such runs, or a name or value cannot be used.
    """
    from fal_bench.publication import publishing
    from fal_bench.results.published import is_published

    source, folder = as_path("results", results), as_path("to", to)
    parts = {"strategies": strategies, "suite": suite, "task": task, "seeds": seeds}
    if is_published(source):
        if given := [name for name, value in parts.items() if value]:
            raise InvalidSpecError(
                f"Results published before are drawn as a whole; leave --{given[0]} out, or name "
                "the results folder that they came from."
            )
        return publishing.redraw(
            source,
            folder,
            target_acc=target_acc,
            target=target,
            accounting=accounting,
            baseline=baseline,
        )
    record, notes = publishing.publish(
        source,
        folder,
        strategies=strategies,
        target_acc=target_acc,
        target=target,
        suite=suite,
        task=task,
        seeds=seeds,
        accounting=accounting or "strict",
        baseline=baseline,
    )
    for note in notes:
        notify("note", note)
    return record


def verify(
    folder: str | Path,
    *,
    runs: int | None = 4,
    seed: int = 0,
    jobs: int = 1,
    plugins: Sequence[object] | str | Path = (),
    data_dir: str | Path | None = None,
    tolerance: float | None = None,
    call_timeout: float = 600.0,
    memory_limit: int | None = None,
    progress: bool = True,
    announce: Callable[[Verification], None] = lambda _: None,
) -> Verification:
    """Verify published results: compare the files with their checksums, and compute runs again.

    Nothing is computed if a file has changed.

    Args:
        folder: the folder that ``publish`` wrote.
        runs: how many runs to compute; all of them if None.
        seed: seed of their choice.
        jobs: worker processes.
        plugins: further plugins, as for ``compare``.
        data_dir: the folder of data sets, as for ``compare``.
        tolerance: largest allowed difference in metrics; 0 asks for the same bits, which are
            promised on the same processor type and versions alone. None asks for them there, and
            otherwise for curves as close as another environment allows.
        call_timeout: seconds a strategy's call may take.
        memory_limit: MiB a worker may take, as for ``compare``.
        progress: show a live display on the terminal.
        announce: called with what is known so far: after the files, and before runs are computed.

    Raises:
        PublicationError: the results cannot be verified here.
        FalbenchError: a plugin or data cannot be used.
    """
    from fal_bench.publication import verification

    return verification.verify(
        as_path("folder", folder),
        runs=as_whole("runs", runs, 1),
        seed=seed,
        jobs=jobs,
        plugins=as_several("plugins", plugins),
        data_dir=None if data_dir is None else as_path("data_dir", data_dir),
        tolerance=tolerance,
        call_timeout=call_timeout,
        memory_limit=memory_limit,
        monitor=_monitor(shown=progress),
        announce=announce,
    )


def merge(folders: Sequence[str | Path], out: str | Path, *, keep: Keep | None = None) -> Merged:
    """Copy the finished runs of several results folders into one.

    Args:
        folders: the folders, in the order that ``keep`` refers to.
        out: where to; it may hold runs already, which come first.
        keep: which of several differing runs to take, ``"first"`` or ``"last"``; None refuses them
            before anything is written.

    Raises:
        StoreError: runs conflict, a folder holds none, or one cannot be read or written.
    """
    from fal_bench.results.merging import merge_stores

    sources = [Store(as_path("each of folders", folder)) for folder in folders]
    return merge_stores(sources, Store(as_path("out", out)), keep)


@dataclass(frozen=True)
class Imported:
    """What became of a file of curves.

    Attributes:
        name: what the import is called.
        rows: number of rows.
        since: when the same curves were imported before; empty if they are new.
        ignored: columns of the file that are of no use.
        metrics: columns of the file that were taken as metrics.
        preview: a sentence for each strategy on what it will be shown as.
    """

    name: str
    rows: int
    since: str
    ignored: tuple[str, ...]
    metrics: tuple[str, ...]
    preview: tuple[str, ...]


def import_curves(
    file: str | Path,
    *,
    out: str | Path = "results",
    suite: str | Path | None = None,
    name: str | None = None,
) -> Imported:
    """Import learning curves measured elsewhere; ``compare`` and ``report`` show them as external.

    Args:
        file: a CSV file with the columns task, strategy, seed, labels, and a metric.
        out: the results folder.
        suite: the suite of its tasks; by default all suites of the package.
        name: what to call the import; by default the file's name.

    Raises:
        ExternalCurvesError: something in the file cannot be used.
    """
    from fal_bench.report.context import task_facts
    from fal_bench.report.external import preview
    from fal_bench.results.imported import ImportFolder, as_results, read_import
    from fal_bench.task.suite import load_suite, suite_names

    suite = str(suite) if isinstance(suite, Path) else suite
    check_text("suite", suite)
    folder = ImportFolder(Store(as_path("out", out)).root)
    suites = [suite] if suite else suite_names()
    tasks = {(task.name, task.hash): task for one in suites for task in load_suite(one).tasks}
    hint = "" if suite else "without --suite, "
    new = read_import(as_path("file", file), tasks.values(), name=name, hint=hint)
    there = folder.add(new)
    facts = [task_facts(task, pool=0) for task in tasks.values()]
    return Imported(
        there.origin.name,
        len(new.curves.rows),
        there.origin.imported if there is not new else "",
        new.curves.ignored,
        new.curves.metrics,
        tuple(preview(as_results([there]), facts)),
    )


def check(plugin: object, *, only: Sequence[str] | str = (), call_timeout: float = 60.0) -> Report:
    """Check that a plugin satisfies what every plugin of its kind must.

    Args:
        plugin: a class, an object, a decorated function, or the name of an installed plugin.
        only: names of the checks to do; all if empty.
        call_timeout: seconds that one call may take.

    Raises:
        ConformanceError: something does not hold; its text is the report.
        FalbenchError: there is no such check, or no such plugin.
    """
    from fal_bench.conformance import runner

    return runner.check(plugin, only=only, call_timeout=call_timeout)


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


def _monitor(*, shown: bool) -> Monitor:
    """Return the live display, or one that shows nothing."""
    if not shown:
        return no_monitor
    from fal_bench.report.progress import show_progress

    return show_progress


class _ReportRoom(ModuleType):
    """The package ``fal_bench.report``, which has the name of a verb: called, it is the verb."""

    __call__ = staticmethod(report)


sys.modules["fal_bench.report"].__class__ = _ReportRoom
