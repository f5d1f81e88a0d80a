"""The comparison: run what is missing, then rank strategies by labels to the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fal_bench._version import __version__
from fal_bench.errors import InvalidSpecError
from fal_bench.registry import Registry
from fal_bench.report.context import Accounting, MissingCell, ReportContext, TaskFacts
from fal_bench.selector import Selector
from fal_bench.suites.loading import find_task, load_suite
from fal_bench.sweep.cluster import check_backend
from fal_bench.sweep.spec import CellSpec, plan_cells
from fal_bench.sweep.store import Corrupt, Store
from fal_bench.sweep.supervisor import Backend, Supervisor
from fal_bench.task import Task

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console, ConsoleOptions, RenderResult

DEFAULT_STRATEGIES = ("random", "fal-margin", "logo", "fedral")
DEFAULT_SUITE = "quick"
BASELINE = "random"

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
        left_out: default strategies that cannot work on these tasks, and why.
    """

    suite: str
    tasks: tuple[Task, ...]
    seeds: tuple[int, ...]
    cells: tuple[CellSpec, ...]
    command: str
    left_out: tuple[str, ...] = ()

    @classmethod
    def make(
        cls,
        strategies: Sequence[str] | None = None,
        *,
        suite: str | None = None,
        task: str | None = None,
        seeds: int | None = None,
        plugins: Sequence[Path] = (),
    ) -> Plan:
        """Resolve names to cells.

        Args:
            strategies: selectors; if None, the default strategies as far as the tasks suit them.
            suite: a suite's name or TOML file; the default suite if None.
            task: run one task only: of ``suite``, or of any suite that ships with the package.
            seeds: number of seeds; the suite's own number if None.
            plugins: plugin files and folders.

        Raises:
            FalbenchError: a name is unknown or a value cannot be used.
        """
        if seeds is not None and seeds < 1:
            raise InvalidSpecError(f"--seeds must be at least 1, not {seeds}.")
        loaded = load_suite(suite or DEFAULT_SUITE)
        tasks: tuple[Task, ...] = loaded.tasks
        if task is not None:
            tasks = (loaded.task(task) if suite else find_task(task),)
        registry = Registry.discover(plugins)
        left_out: list[str] = []
        if strategies:
            selectors = [Selector.parse(text) for text in strategies]
        else:
            selectors, left_out = _default_strategies(tasks, registry)
        chosen = tuple(range(loaded.seeds if seeds is None else seeds))
        cells = plan_cells(tasks, selectors, chosen, registry)
        arguments = [f"--task {task}"] if task else []
        if suite or not task:
            arguments.insert(0, f"--suite {suite or DEFAULT_SUITE}")
        arguments += [f"--plugin {path}" for path in plugins]
        arguments += [f"-s {_quoted(label)}" for label in sorted({cell.label for cell in cells})]
        command = " ".join(["falbench compare", *arguments, f"--seeds {len(chosen)}"])
        name = task or loaded.name
        return cls(name, tasks, chosen, tuple(cells), command, tuple(left_out))

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
        """
        if not cells:
            return  # nothing to check, and PyTorch need not be imported
        from fal_bench.data.loading import load_dataset
        from fal_bench.federation.setting import Setting

        for task in {cell.task.hash: cell.task for cell in cells}.values():
            Setting.draw(task, 0, load_dataset(task.dataset))


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison; in a notebook it shows itself as the table.

    Attributes:
        leaderboard: one row a strategy, best first.
        curves: one row a cell and cycle.
        context: the question and its provenance.
    """

    leaderboard: pd.DataFrame
    curves: pd.DataFrame
    context: ReportContext

    def write(self, out: Path) -> list[Path]:
        """Write ``leaderboard.csv``, ``curves.csv`` and ``leaderboard.html`` into a folder.

        Raises:
            StoreError: the folder cannot be written.
        """
        from fal_bench.report.leaderboard import write_csv
        from fal_bench.report.page import render_page
        from fal_bench.sweep.files import write_atomically

        paths = [out / name for name in ("leaderboard.csv", "curves.csv", "leaderboard.html")]
        write_csv(self.leaderboard, paths[0])
        write_csv(self.curves, paths[1])
        page = render_page(self.leaderboard, self.curves, self.context).encode()
        write_atomically(paths[2], lambda file: file.write(page))
        return paths

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=120, color_system=None)
        with console.capture() as capture:
            console.print(self)
        return capture.get()

    __repr__ = __str__

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Show the table and its footer, laid out for the console's width."""
        from rich.text import Text

        from fal_bench.report.table import footer, leaderboard_table

        yield leaderboard_table(self.leaderboard, self.context, width=options.max_width)
        yield from map(Text, footer(self.leaderboard, self.context))

    def _repr_html_(self) -> str:
        shown: str = self.leaderboard.to_html(index=False, float_format="{:.3g}".format)
        return shown


def compare(
    strategies: Sequence[str] | None = None,
    *,
    target_acc: float = 0.5,
    suite: str | None = None,
    task: str | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
    accounting: Accounting = "strict",
    out: str | Path = "results",
    plugins: Sequence[str | Path] = (),
    backend: Backend = "loky",
    call_timeout: float = 600.0,
    progress: bool = True,
) -> Comparison:
    """Compare strategies by the labels they need to reach a target accuracy.

    Finished cells are taken from ``out``; only missing ones run. Changing the target, the
    accounting or the number of workers never runs anything again.

    Args:
        strategies: names, with parameters as in ``"logo[n_init=4]"``; by default random,
            fal-margin, logo and fedral.
        target_acc: the target accuracy, above 0 and at most 1.
        suite: a suite's name or TOML file; ``quick`` by default.
        task: compare on one task only.
        seeds: number of seeds; the suite's own number by default.
        jobs: worker processes; one per CPU core by default.
        accounting: the labels that rank: ``"strict"`` (all that were read) or ``"paper"``.
        out: the results folder.
        plugins: Python files or folders with further strategies.
        backend: ``"loky"`` for worker processes, ``"sequential"`` to stay in this process,
            ``"ray"`` or ``"dask"`` for a cluster.
        call_timeout: seconds a strategy's call may take.
        progress: show a live display on the terminal.

    Returns:
        The leaderboard and the curves as pandas DataFrames; nothing but the cells is written
        to ``out`` (see ``Comparison.write``).

    Raises:
        FalbenchError: a name is unknown or a value cannot be used; nothing has run then.
    """
    check_question(target_acc, accounting)
    check_backend(backend)
    paths = tuple(Path(plugin) for plugin in plugins)
    plan = Plan.make(strategies, suite=suite, task=task, seeds=seeds, plugins=paths)
    store = Store(Path(out))
    missing, corrupt = plan.missing(store)
    plan.check(missing)
    store.prepare()
    if missing:
        supervisor = Supervisor(store, jobs or default_jobs(), backend, paths, call_timeout)
        run_missing(supervisor, plan, missing, corrupt, progress_monitor(progress))
    return summarise(plan, store, target_acc, accounting)


def run_missing(
    supervisor: Supervisor,
    plan: Plan,
    missing: Sequence[CellSpec],
    corrupt: Sequence[Corrupt],
    monitor: Monitor,
) -> None:
    """Run the missing cells of a plan under the store's lock; broken ones are set aside first."""
    store = supervisor.store
    with store.lock():
        for broken in corrupt:
            store.set_aside(broken)
        with monitor(store, plan.cells):
            supervisor.run(missing)


def summarise(plan: Plan, store: Store, target_acc: float, accounting: Accounting) -> Comparison:
    """Build the comparison from what is in the store; runs nothing."""
    from fal_bench.report.leaderboard import build_leaderboard
    from fal_bench.sweep.collect import collect_curves

    curves = collect_curves(store, plan.cells)
    context = ReportContext(
        suite=plan.suite,
        target=target_acc,
        accounting=accounting,
        baseline=BASELINE,
        strategies=plan.strategies,
        seeds=plan.seeds,
        tasks=tuple(_facts(task, plan, store) for task in plan.tasks),
        missing=tuple(_missing(plan, store)),
        command=f"{plan.command} --target-acc {target_acc:g} --accounting {accounting}",
        version=__version__,
    )
    return Comparison(build_leaderboard(curves, context), curves, context)


def check_question(target_acc: float, accounting: str) -> None:
    """Check what is asked for.

    Raises:
        InvalidSpecError: the target or the accounting cannot be used.
    """
    if not 0 < target_acc <= 1:
        raise InvalidSpecError(
            f"--target-acc must be above 0 and at most 1, not {target_acc:g}; write 0.5 for 50 %."
        )
    if accounting not in ("strict", "paper"):
        raise InvalidSpecError(f"--accounting must be strict or paper, not {accounting!r}.")


def default_jobs() -> int:
    """Return the number of CPU cores that this process may use."""
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


def _default_strategies(
    tasks: Sequence[Task], registry: Registry
) -> tuple[list[Selector], list[str]]:
    """Return the default strategies that can work on all tasks, and why others cannot."""
    chosen, left_out = [], []
    for name in DEFAULT_STRATEGIES:
        selector = Selector(name)
        try:
            for task in tasks:
                registry.make(selector).check_task(task)
        except InvalidSpecError as error:
            left_out.append(f"{name} is left out of the default strategies: {error}")
            continue
        chosen.append(selector)
    return chosen, left_out


def _facts(task: Task, plan: Plan, store: Store) -> TaskFacts:
    done = (cell for cell in plan.cells if cell.task == task and store.phase(cell) == "done")
    first = next(done, None)
    return TaskFacts(
        name=task.name,
        grid=task.label_grid,
        query_labels=task.query_labels,
        pool=0 if first is None else store.folder(first).pool(),
        description=task.summary,
    )


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


def _quoted(text: str) -> str:
    return f'"{text}"' if "[" in text else text
