"""What Python users call; the command line is a skin over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fal_bench.data.folders import use_data_folder
from fal_bench.errors import DataError
from fal_bench.federation.holdings import Holdings
from fal_bench.inputs.arguments import (
    Notify,
    as_names,
    as_path,
    as_several,
    as_whole,
    check_seconds,
    check_text,
    warn,
)
from fal_bench.inputs.limits import MOST_JOBS, MOST_RUNS
from fal_bench.inspection.findings import FEWEST_SEEDS
from fal_bench.inspection.inspection import Inspection
from fal_bench.inspection.runs import (
    DEFAULT_SEEDS,
    evidence,
    inspection_plan,
    inspection_store,
    is_published_folder,
    published_evidence,
)
from fal_bench.isolation.interrupts import signals_noticed
from fal_bench.isolation.memory import LEAST_MIB
from fal_bench.learning.device import CPU, Device
from fal_bench.plugins.given import given, named
from fal_bench.plugins.registry import Registry
from fal_bench.publication.index import publish_index
from fal_bench.publication.publishing import publish
from fal_bench.publication.verification import verify
from fal_bench.reporting.answer import Comparison, answer
from fal_bench.reporting.context import Accounting
from fal_bench.reporting.progress import progress_monitor
from fal_bench.reporting.targets import Asked, Question
from fal_bench.results import chosen_results, open_results
from fal_bench.results.identity import records
from fal_bench.results.merging import merge
from fal_bench.results.model import Results
from fal_bench.results.store import Store
from fal_bench.sweep.cluster import check_backend, device_for
from fal_bench.sweep.plan import Plan, run_missing
from fal_bench.sweep.spec import RunSpec
from fal_bench.sweep.supervisor import Backend, Supervisor, start_workers
from fal_bench.task.target import ACCURACY

if TYPE_CHECKING:
    import pandas as pd

    from fal_bench.conformance.report import Report
    from fal_bench.plugins.strategy import Strategy

    Strategies = Sequence[str | type[Strategy] | Strategy] | str | type[Strategy] | None

__all__ = [
    "Comparison",
    "Inspection",
    "Results",
    "check",
    "clients",
    "compare",
    "import_curves",
    "inspect",
    "load",
    "merge",
    "publish",
    "publish_index",
    "report",
    "verify",
]


@dataclass(frozen=True)
class Runs:
    """Runs that are checked, and have not begun.

    Attributes:
        plan: the runs.
        store: the results folder.
        results: what the folder holds of them.
        missing: the runs that have to run.
        jobs: worker processes.
        backend: where they run.
        holdings: what clients hold on the tasks of missing runs, by the task's hash.
    """

    plan: Plan
    store: Store
    results: Results
    missing: tuple[RunSpec, ...]
    jobs: int
    backend: Backend
    holdings: Mapping[str, Holdings]

    @classmethod
    def checked(
        cls,
        plan: Plan,
        store: Store,
        results: Results,
        jobs: int | None,
        backend: Backend,
        metrics: Sequence[str],
    ) -> Runs:
        """Check everything that can be checked before runs begin.

        Args:
            plan: the runs.
            store: the results folder.
            results: what the folder holds of them.
            jobs: worker processes; None for as many as suit the device.
            backend: where they run.
            metrics: those that missing runs must record.

        Raises:
            FalbenchError: a task cannot be run on its data.
        """
        missing, _ = plan.missing(store)
        workers = jobs or default_jobs(plan.device)
        if backend == "processes":
            start_workers(missing, workers)
        holdings = plan.check(missing, here=backend == "sequential", targets=metrics)
        for one in holdings.values():
            one.check_chosen()
        return cls(plan, store, results, tuple(missing), workers, backend, holdings)

    def federations(self, notify: Notify) -> list[Holdings]:
        """Return who holds what on each task, in the plan's order.

        A note stands for tasks whose runs are done and whose data are not there any more.
        """
        runs = {run.task.hash: run for run in self.plan.runs[::-1] if not run.task.twin_of}
        done = [run for hashed, run in runs.items() if hashed not in self.holdings]
        holdings = dict(self.holdings)
        try:
            holdings |= self.plan.check(done, here=self.backend == "sequential")
        except DataError as error:
            notify("note", f"Who holds what is not known of finished tasks: {error}")
        return [holdings[hashed] for hashed in reversed(runs) if hashed in holdings]

    @property
    def corrupted(self) -> list[str]:
        """A sentence on every run whose files contradict each other."""
        return [
            f"run {run['key'][:12]} ({run['task']}, {run['strategy']}, seed {run['seed']}) is "
            f"corrupted: {run['reason']}; it is set aside and runs again."
            for run in records(self.results.here)
            if run["state"] == "corrupted"
        ]

    def compute(
        self,
        call_timeout: float,
        memory_limit: int | None,
        progress: bool,
        notify: Notify,
        metrics: tuple[str, ...] = (ACCURACY,),
    ) -> None:
        """Run what is missing.

        Args:
            call_timeout: as for ``compare``, and so are the next three.
            memory_limit: MiB a worker may take.
            progress: whether the first of the metrics is shown.
            notify: called with a kind and a sentence.
            metrics: those of the targets, which are recorded.
        """
        self.store.prepare()
        for sentence in (*self.results.provenance.problems, *self.corrupted):
            notify("warning", sentence)
        if self.missing:
            supervisor = Supervisor(
                self.store,
                self.jobs,
                self.backend,
                self.plan.plugins,
                call_timeout,
                memory_limit,
                metrics,
            )
            run_missing(supervisor, self.plan, progress_monitor(metrics[0], shown=progress))


@dataclass(frozen=True)
class Prepared:
    """A comparison or inspection that is checked, and has not begun.

    Attributes:
        runs: its runs.
        question: what is asked of them.
    """

    runs: Runs
    question: Question


def compare(
    strategies: Strategies = None,
    *,
    target_acc: Asked = None,
    target: Asked = None,
    suite: str | Path | None = None,
    task: str | None = None,
    seeds: int | range | str | None = None,
    jobs: int | None = None,
    accounting: Accounting = "strict",
    baseline: str | None = None,
    out: str | Path = "results",
    plugins: Sequence[object] | str | Path = (),
    data_dir: str | Path | None = None,
    backend: Backend = "processes",
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
        target_acc: an older name of ``target``, for accuracies alone.
        target: the target accuracy, above 0 and at most 1; several of them; or ``"auto"``, a
            ladder of seven targets between what the baseline has with its initial labels and at
            the budget cap; by default the suite's own targets, or ``"auto"``. Other recorded
            metrics are named, as in ``"balanced_accuracy=0.6"`` or ``"loss=auto"``; one that is
            better when lower is reached from above.
        suite: a suite's name or TOML file; ``quick`` by default.
        task: compare on one task only.
        seeds: number of seeds, or a range of them, as in ``"100-109"``; the suite's own number by
            default.
        jobs: worker processes; by default one per CPU core, and one alone on a GPU.
        accounting: what ranks: ``"strict"`` labels (all that were read), ``"paper"`` labels, or the
            ``"cost"`` of all labels that were read.
        baseline: the strategy that savings refer to; random by default.
        out: the results folder.
        plugins: a Python file or folder with further plugins, or several of them; classes and
            decorated functions do as well.
        data_dir: the folder of downloaded data sets and of relative paths to your own; by default
            what ``FALBENCH_DATA`` names, else a folder in the user's cache.
        backend: ``"processes"`` for workers on this machine, ``"sequential"`` to stay in this
            process, ``"ray"`` or ``"dask"`` for a cluster.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"``: the GPU if PyTorch can use one. Results of
            different devices are different runs.
        call_timeout: seconds one call of a strategy, or of any plugin's code, may take.
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
            strategies, target_acc=target_acc, target=target, suite=suite, task=task, seeds=seeds,
            jobs=jobs, accounting=accounting, baseline=baseline, out=out, plugins=plugins,
            backend=backend, device=device, external=external, notify=notify,
        )  # fmt: skip
        runs = ready.runs
        runs.compute(call_timeout, memory_limit, progress, notify, ready.question.metrics)
        if not runs.missing:
            return answer(ready.question, runs.results)
        return answer(ready.question, runs.plan.results(runs.store, external=external))


def prepare(
    strategies: Strategies,
    *,
    target_acc: Asked,
    target: Asked,
    suite: str | Path | None,
    task: str | None,
    seeds: int | range | str | None,
    jobs: int | None,
    accounting: str,
    baseline: str | None,
    out: str | Path,
    plugins: Sequence[object] | str | Path,
    backend: Backend,
    device: Device,
    external: bool,
    notify: Notify,
) -> Prepared:
    """Plan a comparison and check everything that can be checked before it runs.

    The arguments are those of ``compare``. Nothing is computed or written.

    Raises:
        FalbenchError: a name is unknown or a value cannot be used.
    """
    check_backend(backend)
    texts, classes = named(strategies)
    names = as_names("strategies", texts)
    jobs, root = as_whole("jobs", jobs, 1, MOST_JOBS), as_path("out", out)
    store = Store(root)
    said: set[str] = set()

    def checked(left_out: Mapping[str, str]) -> Prepared:
        plan = Plan.make(
            names,
            suite=suite,
            task=task,
            seeds=seeds,
            plugins=(*given(as_several("plugins", plugins)), *classes),
            device=device_for(backend, device),
            left_out=left_out,
        )
        for note in plan.notes:
            if note not in said:
                notify("note", note)
        said.update(plan.notes)
        results = plan.results(store, external=external)
        question = Question.make(target_acc, target, accounting, baseline, results)
        question.check_metrics(results.metrics, Registry.discover(plan.plugins).metrics)
        return Prepared(
            Runs.checked(plan, store, results, jobs, backend, question.metrics), question
        )

    ready = checked({})
    # What clients hold is known by now, and a strategy that was not named may ask for more.
    refused = ready.runs.plan.refused(ready.runs.missing, ready.runs.holdings)
    return checked(refused) if refused else ready


def inspect(
    task_or_suite: str | Path | None = None,
    *,
    target: Asked = None,
    suite: str | Path | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
    out: str | Path = "results",
    plugins: Sequence[object] | str | Path = (),
    data_dir: str | Path | None = None,
    backend: Backend = "processes",
    device: Device = "auto",
    call_timeout: float = 600.0,
    memory_limit: int | None = None,
    progress: bool = True,
    notify: Notify = warn,
) -> Inspection:
    """Tell whether tasks are worth their minutes: what they measure, and how exactly.

    Runs random, fal-margin and the reference oracle-greedy, and the first two with twice the
    rounds, as far as ``out`` has no such finished runs. They are stored in its folder
    ``inspection``, so that reports leave them out. What else ``out`` holds tells how well the tasks
    tell strategies apart. Of published results nothing is run: what they lack stays unknown.

    Args:
        task_or_suite: a task, a suite's name, a suite's TOML file, or a folder of published
            results; ``quick`` by default.
        target: a target, as for ``compare``, by whose metric tasks are judged; by default the
            first target of the suite, or accuracy.
        suite: a suite's name or TOML file that has the task; all of its tasks if none is named.
        seeds: number of seeds, at least 2; by default 5, and all that are published.
        jobs: as for ``compare``, and so are all other arguments.
        out: the results folder.
        plugins: further plugins.
        data_dir: the folder of data sets.
        backend: where runs are computed.
        device: what computes.
        call_timeout: seconds one call of a plugin's code may take.
        memory_limit: MiB a worker may take.
        progress: show a live display on the terminal.
        notify: called with a kind and a sentence.

    Returns:
        The findings of every task, its verdict, and what to change.

    Raises:
        FalbenchError: a name is unknown or a value cannot be used; nothing has run then.
    """
    memory_limit = as_whole("memory_limit", memory_limit, LEAST_MIB)
    check_seconds("call_timeout", call_timeout)
    data = None if data_dir is None else as_path("data_dir", data_dir)
    if task_or_suite is not None and is_published_folder(str(task_or_suite)):
        return _inspect_published(Path(task_or_suite), target, suite, seeds)
    with signals_noticed(), use_data_folder(data):
        ready = prepare_inspection(
            task_or_suite, target=target, suite=suite, seeds=seeds, jobs=jobs, out=out,
            plugins=plugins, backend=backend, device=device, notify=notify,
        )  # fmt: skip
        runs, metrics = ready.runs, ready.question.metrics
        federations = runs.federations(notify)
        runs.compute(call_timeout, memory_limit, progress, notify, metrics)
        found = evidence(runs.plan, Store(as_path("out", out)), metrics[0])
        return Inspection.of(*found, federations)


def _inspect_published(
    folder: Path, target: Asked, suite: str | Path | None, seeds: int | None
) -> Inspection:
    """Inspect the tasks of published results, as ``inspect`` does."""
    results = open_results(folder, suite=suite)
    count = as_whole("seeds", seeds, FEWEST_SEEDS, MOST_RUNS)
    if count is not None:
        results = results.narrow(seeds=count)
    question = Question.make(None, target, "strict", None, results)
    question.check_metrics(results.metrics, Registry.discover().metrics)
    return Inspection.of(published_evidence(results, question.metrics[0]))


def prepare_inspection(
    task_or_suite: str | Path | None,
    *,
    target: Asked,
    suite: str | Path | None,
    seeds: int | None,
    jobs: int | None,
    out: str | Path,
    plugins: Sequence[object] | str | Path,
    backend: Backend,
    device: Device,
    notify: Notify,
) -> Prepared:
    """Plan an inspection and check everything that can be checked before it runs.

    The arguments are those of ``inspect``. Nothing is computed or written.

    Raises:
        FalbenchError: a name is unknown or a value cannot be used.
    """
    check_backend(backend)
    count = as_whole("seeds", seeds, FEWEST_SEEDS, MOST_RUNS)
    jobs, root = as_whole("jobs", jobs, 1, MOST_JOBS), as_path("out", out)
    plan = inspection_plan(
        task_or_suite,
        suite=suite,
        seeds=DEFAULT_SEEDS if count is None else count,
        plugins=given(as_several("plugins", plugins)),
        device=device_for(backend, device),
    )
    for note in plan.notes:
        notify("note", note)
    store = inspection_store(Store(root))
    results = plan.results(store, external=False)
    question = Question.make(None, target, "strict", None, results)
    question.check_metrics(results.metrics, Registry.discover(plan.plugins).metrics)
    runs = Runs.checked(plan, store, results, jobs, backend, question.metrics)
    return Prepared(runs, question)


def clients(
    suite: str | Path | None = None,
    *,
    task: str | None = None,
    plugins: Sequence[object] | str | Path = (),
    data_dir: str | Path | None = None,
) -> pd.DataFrame:
    """Tell who holds what and buys how many labels, before anything runs.

    Args:
        suite: a suite's name or TOML file; ``quick`` by default.
        task: one task only.
        plugins: further plugins, as for ``compare``.
        data_dir: the folder of data sets.

    Returns:
        A row a client: ``task``, ``client`` (its name, or its number if clients are drawn; those
        of seed 0 then), ``pool`` (samples of its query pool), ``classes`` in it, ``test`` (its
        test samples, where the data say whose they are), its other shares where the task has
        some, and its labels: ``initial`` ones, those of the first ``query``, and all
        ``at_cap``.

    Raises:
        FalbenchError: a name is unknown, or a task does not suit its data.
    """
    import pandas as pd

    data = None if data_dir is None else as_path("data_dir", data_dir)
    with signals_noticed(), use_data_folder(data):
        sources = given(as_several("plugins", plugins))
        plan = Plan.make("random", suite=suite, task=task, seeds=1, plugins=sources, device=CPU)
        holdings = list(plan.check(plan.runs).values())
    for one in holdings:
        one.check_chosen()
    tables = [one.frame() for one in holdings]
    for one, table in zip(holdings, tables, strict=True):
        table.insert(0, "task", one.task.name)
    return pd.concat(tables, ignore_index=True)


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
    seeds: int | range | str | None = None,
    accounting: Accounting = "strict",
    baseline: str | None = None,
    external: bool = True,
    notify: Notify = warn,
) -> Comparison:
    """Rank what was computed before; runs nothing and writes nothing.

    Args:
        path: a results folder, or a folder of published results.
        target_acc: as for ``compare``.
        target: the targets, as for ``compare``.
        strategies: selectors; all stored strategies if there are none.
        suite: a suite's name or TOML file; found from the stored tasks if None.
        task: one task only.
        seeds: the first so many of the stored seeds, or a range of them, as in ``"100-109"``; all
            of them if None.
        accounting: what ranks: ``"strict"`` or ``"paper"`` labels, or ``"cost"``.
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
    from fal_bench.reporting.context import task_facts
    from fal_bench.reporting.external import preview
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
