"""The comparison: run what is missing, then rank strategies by labels to the target."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fal_bench.data.folders import use_data_folder
from fal_bench.errors import InvalidSpecError, PluginError
from fal_bench.external.folder import ExternalFolder
from fal_bench.learning.device import CPU, Device, resolve_device
from fal_bench.plugins.files import plugin_paths
from fal_bench.plugins.table import blamed_on
from fal_bench.registry import Registry
from fal_bench.report.answer import Comparison
from fal_bench.report.context import Accounting, MissingCell, TaskFacts, task_facts
from fal_bench.report.targets import Question
from fal_bench.selector import Selector
from fal_bench.suites.loading import DEFAULT_SUITE, find_task, load_suite
from fal_bench.sweep.cluster import check_backend, device_for
from fal_bench.sweep.spec import TRAINER, CellSpec, plan_cells
from fal_bench.sweep.store import Corrupt, Store
from fal_bench.sweep.supervisor import Backend, Supervisor
from fal_bench.task import Task

if TYPE_CHECKING:
    from fal_bench.external.folder import Import
    from fal_bench.sweep.collect import FinishedCell

__all__ = ["Comparison", "Plan", "compare", "run_missing", "summarise"]

ALL = "all"
"""The selector that stands for every strategy that suits the tasks."""

DEFAULT_STRATEGIES = ("random", "fal-margin", "logo", "fedral")

Monitor = Callable[[Store, Sequence[CellSpec]], AbstractContextManager[None]]
"""Shows the progress of cells while its context is open."""


@dataclass(frozen=True)
class Plan:
    """What a comparison needs, resolved and checked, before anything runs.

    Attributes:
        suite: name of the suite or task.
        tasks: the tasks.
        seeds: the seeds.
        cells: all cells.
        command: the command line that repeats the comparison.
        plugins: plugin files and folders.
        notes: what the user should know: default strategies that are left out, plugin files that
            cannot be loaded.
        device: class of the device that the cells are computed on.
    """

    suite: str
    tasks: tuple[Task, ...]
    seeds: tuple[int, ...]
    cells: tuple[CellSpec, ...]
    command: str
    plugins: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    device: str = CPU

    @classmethod
    def make(
        cls,
        strategies: Sequence[str] | str | None = None,
        *,
        suite: str | None = None,
        task: str | None = None,
        seeds: int | None = None,
        plugins: Sequence[Path] = (),
        device: str = "auto",
    ) -> Plan:
        """Resolve names to cells.

        Args:
            strategies: selectors, several separated by commas, with grids as in
                ``"logo[n_init=1,2]"``; ``"all"`` stands for every strategy that suits the tasks.
                If None, the default strategies as far as the tasks suit them.
            suite: a suite's name or TOML file; the default suite if None.
            task: run one task only: of ``suite``, or of any suite that ships with the package.
            seeds: number of seeds; the suite's own number if None.
            plugins: plugin files and folders.
            device: ``"auto"`` (a GPU if PyTorch can use one), ``"cpu"`` or ``"cuda"``.

        Raises:
            FalbenchError: a name is unknown, a value cannot be used, or there is no such device.
        """
        if seeds is not None and seeds < 1:
            raise InvalidSpecError(f"--seeds must be at least 1, not {seeds}.")
        loaded = load_suite(suite or DEFAULT_SUITE)
        tasks: tuple[Task, ...] = loaded.tasks
        if task is not None:
            tasks = (loaded.task(task) if suite else find_task(task),)
        plugins = plugin_paths(plugins)
        registry = Registry.discover(plugins)
        notes = [f"{one.source} could not be loaded: {one.reason}" for one in registry.unavailable]
        if isinstance(strategies, str):
            strategies = [strategies]
        if strategies:
            named = [selector for text in strategies for selector in Selector.expand(text)]
            wanted = [one for one in named if one.name != ALL]
            if len(wanted) < len(named):
                wanted += [Selector(name) for name in registry.names()]
                selectors, left_out = _suitable(wanted, tasks, registry)
            else:
                selectors, left_out = named, []
        else:
            defaults = [Selector(name) for name in DEFAULT_STRATEGIES]
            selectors, left_out = _suitable(defaults, tasks, registry)
        notes += left_out
        chosen = tuple(range(loaded.seeds if seeds is None else seeds))
        found = resolve_device(device)
        cells = plan_cells(tasks, selectors, chosen, registry, found)
        arguments = [f"--task {task}"] if task else []
        if suite or not task:
            arguments.insert(0, f"--suite {suite or DEFAULT_SUITE}")
        arguments += [] if found == CPU else [f"--device {found}"]
        arguments += [f"--plugin {shlex.quote(str(path))}" for path in plugins]
        arguments += [
            f"-s {shlex.quote(label)}" for label in sorted({cell.label for cell in cells})
        ]
        command = " ".join(["falbench compare", *arguments, f"--seeds {len(chosen)}"])
        name = task or loaded.name
        return cls(name, tasks, chosen, tuple(cells), command, tuple(plugins), tuple(notes), found)

    @property
    def strategies(self) -> tuple[str, ...]:
        """The strategies' labels, in the order they were asked for."""
        return tuple(dict.fromkeys(cell.label for cell in self.cells))

    def missing(self, store: Store) -> tuple[list[CellSpec], list[Corrupt]]:
        """Return the cells that have to run, and those among them whose files are broken."""
        phases = [(cell, store.phase(cell)) for cell in self.cells]
        missing = [cell for cell, phase in phases if phase != "done"]
        return missing, [phase for _, phase in phases if isinstance(phase, Corrupt)]

    def check(self, cells: Sequence[CellSpec]) -> None:
        """Check that the tasks of ``cells`` can be run on their data.

        Raises:
            InvalidSpecError: a task asks for more than its data hold.
            DataError: data or weights are not there and cannot be downloaded.
        """
        if not cells:
            return  # nothing to check, and PyTorch need not be imported
        import torch

        from fal_bench.data.loading import load_dataset
        from fal_bench.federation.setting import Setting

        registry = Registry.discover(self.plugins)
        settings: dict[str, Setting] = {}
        for task, selector in {(cell.task, str(cell.strategy)): None for cell in cells}:
            if task.hash not in settings:
                settings[task.hash] = Setting.draw(task, 0, load_dataset(task.dataset))
                # Refuses images it cannot take, and fetches the weights it starts from.
                settings[task.hash].architecture.fresh(torch.Generator())
            with blamed_on(selector):
                strategy = registry.make(Selector.parse(selector))
                strategy.check_shares(task, settings[task.hash].smallest_shares)


def compare(
    strategies: Sequence[str] | str | None = None,
    *,
    target_acc: float | str | Sequence[float | str] = 0.5,
    suite: str | None = None,
    task: str | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
    accounting: Accounting = "strict",
    baseline: str | None = None,
    out: str | Path = "results",
    plugins: Sequence[str | Path] = (),
    data_dir: str | Path | None = None,
    backend: Backend = "loky",
    device: Device = "auto",
    call_timeout: float = 600.0,
    memory_limit: int | None = None,
    progress: bool = True,
    external: bool = True,
) -> Comparison:
    """Compare strategies by the labels they need to reach a target accuracy.

    Finished cells are taken from ``out``; only missing ones run. Changing the target, the
    accounting or the number of workers never runs anything again.

    Args:
        strategies: names, with parameters as in ``"logo[n_init=4]"``; several values give several
            rows, as in ``"logo[n_init=1,4]"``, and ``"random[trainer=evidential]"`` changes how
            clients train. ``"all"`` stands for every strategy that suits the tasks; by default
            random, fal-margin, logo and fedral.
        target_acc: the target accuracy, above 0 and at most 1; several of them; or ``"auto"``,
            what the baseline reaches with 25, 50 and 75 % of the budget cap.
        suite: a suite's name or TOML file; ``quick`` by default.
        task: compare on one task only.
        seeds: number of seeds; the suite's own number by default.
        jobs: worker processes; by default one per CPU core, and one alone on a GPU.
        accounting: the labels that rank: ``"strict"`` (all that were read) or ``"paper"``.
        baseline: the strategy that savings refer to; random by default.
        out: the results folder.
        plugins: Python files or folders with further strategies.
        data_dir: the folder of downloaded data sets and of relative paths to your own; by default
            what ``FALBENCH_DATA`` names, else a folder in the user's cache.
        backend: ``"loky"`` for worker processes, ``"sequential"`` to stay in this process,
            ``"ray"`` or ``"dask"`` for a cluster.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"``: the GPU if PyTorch can use one. Results of
            different devices are different cells.
        call_timeout: seconds a strategy's call may take.
        memory_limit: MiB a worker may take; by default 80 % of what is free, divided by the
            workers, and at least 1024.
        progress: show a live display on the terminal.
        external: also show curves measured elsewhere that were imported into ``out``.

    Returns:
        The leaderboard and the curves as pandas DataFrames; nothing but the cells is written
        to ``out`` (see ``Comparison.write``).

    Raises:
        FalbenchError: a name is unknown or a value cannot be used; nothing has run then.
    """
    check_backend(backend)
    paths = tuple(Path(plugin) for plugin in plugins)
    with use_data_folder(None if data_dir is None else Path(data_dir)):
        plan = Plan.make(
            strategies,
            suite=suite,
            task=task,
            seeds=seeds,
            plugins=paths,
            device=device_for(backend, device),
        )
        for note in plan.notes:
            warnings.warn(note, stacklevel=2)
        question = Question.make(target_acc, accounting, baseline, plan.strategies)
        store = Store(Path(out))
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
    """Run the missing cells of a plan under the store's lock; broken ones are set aside first."""
    store = supervisor.store
    with store.lock():
        # Looked at under the lock: another run may have finished some in the meantime.
        missing, corrupt = plan.missing(store)
        for broken in corrupt:
            store.set_aside(broken)
        with monitor(store, plan.cells):
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
    from fal_bench.sweep.collect import finished_cells

    cells = finished_cells(store, plan.cells)
    evidence = Evidence.read(
        cells,
        suite=plan.suite,
        tasks=[_facts(task, cells) for task in plan.tasks],
        strategies=plan.strategies,
        seeds=plan.seeds,
        missing=_missing(plan, store),
        command=plan.command if imports is not None else f"{plan.command} --no-external",
        imports=imports or (),
    )
    return answer(question, evidence)


def default_jobs(device: str) -> int:
    """Return the number of worker processes if the user names none.

    One per CPU core that this process may use. On a GPU one: it stacks all cells that can be
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
    cells: Sequence[CellSpec],  # noqa: ARG001
) -> AbstractContextManager[None]:
    return nullcontext()


def _suitable(
    selectors: Sequence[Selector], tasks: Sequence[Task], registry: Registry
) -> tuple[list[Selector], list[str]]:
    """Return the strategies that can work on all tasks, and why others cannot."""
    chosen, left_out = [], []
    for selector in selectors:
        params = {key: value for key, value in selector.params.items() if key != TRAINER}
        try:
            strategy = registry.make(Selector(selector.name, params))
            for task in tasks:
                strategy.check_task(task)
        except (InvalidSpecError, PluginError) as error:
            left_out.append(f"{selector} is left out: {error}")
            continue
        chosen.append(selector)
    return chosen, left_out


def _facts(task: Task, cells: Sequence[FinishedCell]) -> TaskFacts:
    first = next((cell for cell in cells if cell.task == task.name), None)
    return task_facts(task, 0 if first is None else first.folder.pool())


def _missing(plan: Plan, store: Store) -> list[MissingCell]:
    cells = []
    for cell in plan.cells:
        phase = store.phase(cell)
        if phase == "done":
            continue
        if isinstance(phase, Corrupt):
            reason = phase.reason
        elif phase == "failed":
            reason = store.folder(cell).status()["reason"]
        else:
            reason = "not run to its end yet"
        cells.append(MissingCell(cell.task.name, cell.label, cell.seed, reason))
    return cells
