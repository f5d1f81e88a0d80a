"""The plan of a comparison: names resolved to runs, and checked, before anything runs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fal_bench.data.folders import Folders, current_folders, use_folders
from fal_bench.errors import FalbenchError, InvalidSpecError, PluginError, shown
from fal_bench.federation.declared import check_suits
from fal_bench.federation.holdings import Holdings
from fal_bench.inputs.arguments import as_seeds, check_text
from fal_bench.inputs.selector import Selector
from fal_bench.isolation.calls import Call
from fal_bench.isolation.child import NO_CHANNEL, Channel, Ended, Limits
from fal_bench.isolation.memory import default_limit, free_bytes
from fal_bench.learning.device import CPU, resolve_device
from fal_bench.plugins.built_in import DATASET, MODEL, Kind
from fal_bench.plugins.files import plugin_sources
from fal_bench.plugins.given import Source
from fal_bench.plugins.registry import Registry, use_registry
from fal_bench.plugins.tables import blamed_on
from fal_bench.results.model import Results
from fal_bench.results.sessions import recorded_session
from fal_bench.results.store import Corrupt, Store
from fal_bench.results.stored import read_planned
from fal_bench.sweep.attending import CHILDREN, OURS
from fal_bench.sweep.metrics import (
    ForeignMetric,
    all_metrics,
    check_recordable,
    foreign_metrics,
)
from fal_bench.sweep.spec import RunSpec, plan_runs, plugins_of, with_known_plugins
from fal_bench.sweep.supervisor import Supervisor
from fal_bench.task import Task
from fal_bench.task.suite import DEFAULT_SUITE, Suite, find_suite, load_suite

if TYPE_CHECKING:
    from fal_bench.federation.setting import Setting

ALL = "all"
"""The selector that stands for every strategy that suits the tasks."""

CHECK_SECONDS: Final = 600.0
"""Seconds that one call of a plugin may take before anything runs."""

DEFAULT_STRATEGIES = ("random", "fal-margin", "logo", "fedral")

NOTHING: Final[Mapping[str, str]] = {}

GB = 1e9

Result = TypeVar("Result")

Monitor = Callable[[Store, Sequence[RunSpec]], AbstractContextManager[None]]
"""Shows the progress of runs while its context is open."""


def no_monitor(
    store: Store,  # noqa: ARG001
    runs: Sequence[RunSpec],  # noqa: ARG001
) -> AbstractContextManager[None]:
    """Show nothing."""
    return nullcontext()


@dataclass(frozen=True)
class Plan:
    """What a comparison needs, resolved and checked, before anything runs.

    Attributes:
        suite: the suite that its tasks are of; None if it is not known.
        task: name of the one task that was asked for; empty if none was.
        runs: all runs.
        command: the command line that repeats the comparison, without the question.
        plugins: the plugin files that can be loaded.
        notes: what the user should know: strategies that are left out, plugin files and metrics
            that cannot be loaded.
        device: class of the device that the runs are computed on.
        unnamed: the strategies that were not named: the default ones, or those of ``"all"``.
    """

    suite: Suite | None
    runs: tuple[RunSpec, ...]
    task: str = ""
    command: str = ""
    plugins: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    device: str = CPU
    unnamed: frozenset[str] = frozenset()

    @classmethod
    def make(
        cls,
        strategies: Sequence[str] | str | None = None,
        *,
        suite: str | Path | None = None,
        task: str | None = None,
        seeds: int | range | str | None = None,
        plugins: Sequence[Source] = (),
        device: str = "auto",
        left_out: Mapping[str, str] = NOTHING,
    ) -> Plan:
        """Resolve names to runs.

        Args:
            strategies: selectors, several separated by commas, with grids as in
                ``"logo[n_init=1,2]"``; ``"all"`` stands for every strategy that suits the tasks.
                If None, those that the suite names, or else the default strategies as far as the
                tasks suit them.
            suite: a suite's name or TOML file; the default suite if None.
            task: run one task only: of ``suite``, or of any suite that ships with the package,
                whose seeds, targets and strategies are then the default ones.
            seeds: number of seeds, or a range of them, as in ``"100-109"``; the suite's own number
                if None.
            plugins: plugin files and folders, and plugins given in Python.
            device: ``"auto"`` (a GPU if PyTorch can use one), ``"cpu"`` or ``"cuda"``.
            left_out: unnamed strategies that do not take part, and why (``refused``).

        Raises:
            FalbenchError: a name is unknown, a value cannot be used, or there is no such device.
        """
        wanted = as_seeds(seeds, 1)  # before anything is looked for
        suite = str(suite) if isinstance(suite, Path) else suite
        check_text("suite", suite)
        check_text("task", task)
        loaded = find_suite(task) if task and not suite else load_suite(suite or DEFAULT_SUITE)
        tasks = (loaded.task(task),) if task else loaded.tasks
        plugins = plugin_sources(plugins)
        registry = Registry.discover(plugins, try_first=True)
        tasks = tuple(with_known_plugins(task, registry) for task in tasks)
        tasks = tuple(task if task.clients else _with_clients(task, registry) for task in tasks)
        notes = [f"{one.source} could not be loaded: {one.reason}" for one in registry.unavailable]
        notes += [f"{one} is not recorded: {why}" for one, why in registry.metrics.faults().items()]
        asked = loaded.strategies or None if strategies is None else strategies
        named, unnamed, unsuitable = _selectors(asked, tasks, registry, left_out)
        notes += unsuitable
        chosen = range(loaded.seeds) if seeds is None else wanted
        found = resolve_device(device)
        runs = plan_runs(tasks, [*named, *unnamed], chosen, registry, found)
        command = compare_command(
            suite=(suite or DEFAULT_SUITE) if suite or not task else None,
            task=task,
            device=found,
            plugins=[one for one in plugins if isinstance(one, Path)],
            strategies=sorted({run.label for run in runs}),
            seeds=chosen,
        )
        return cls(
            loaded,
            tuple(runs),
            task or "",
            command,
            tuple(registry.files),
            tuple(notes),
            found,
            frozenset(map(str, unnamed)),
        )

    @property
    def strategies(self) -> tuple[str, ...]:
        """The strategies' labels, in the order they were asked for."""
        return tuple(dict.fromkeys(run.label for run in self.runs))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, sorted."""
        return tuple(sorted({run.seed for run in self.runs}))

    def missing(self, store: Store) -> tuple[list[RunSpec], list[Corrupt]]:
        """Return the runs that have to run, and those among them whose files are broken."""
        phases = [(run, store.phase(run)) for run in self.runs]
        missing = [run for run, phase in phases if phase != "done"]
        return missing, [phase for _, phase in phases if isinstance(phase, Corrupt)]

    def results(self, store: Store, *, external: bool = True) -> Results:
        """Return what a results folder holds of the plan, and which runs are missing.

        Args:
            store: the results folder.
            external: whether imported curves are shown, too.
        """
        results = read_planned(self.runs, store, self.suite, external=external)
        command = self.command if external else f"{self.command} --no-external"
        provenance = replace(results.provenance, command=command, asked=self.task)
        return replace(results, provenance=provenance)

    def check(
        self, runs: Sequence[RunSpec], *, here: bool = False, targets: Sequence[str] = ()
    ) -> dict[str, Holdings]:
        """Check that the tasks of ``runs`` can be run on their data.

        Args:
            runs: the runs.
            here: whether plugins that are not falbench's own are checked in this process, too.
            targets: metrics that every run must record.

        Returns:
            What the clients of each task hold with seed 0, by the task's hash.

        Raises:
            InvalidSpecError: a task asks for more than its data hold, or cannot record a metric, or
                a strategy that was named needs more.
            DataError: data or weights are not there and cannot be downloaded.
            PluginError: a plugin ended its process, or did not return.
        """
        companies: dict[frozenset[str], list[RunSpec]] = {}
        for run in runs:
            companies.setdefault(run.company, []).append(run)
        holdings: dict[str, Holdings] = {}
        registry = Registry.discover(self.plugins) if runs else Registry()
        metrics = foreign_metrics(registry, targets)
        foreign = tuple(one for one in metrics if one.name in targets)
        for company, own in companies.items():
            holdings |= _apart(company, check_tasks, own, targets, foreign, here=here)
        for strategy, error in self._refusals(runs, holdings):
            if strategy not in self.unnamed:
                raise error
        return holdings

    def refused(self, runs: Sequence[RunSpec], holdings: Mapping[str, Holdings]) -> dict[str, str]:
        """Return the strategies that were not named and that need more data than clients have.

        Args:
            runs: the runs, whose named strategies passed ``check``.
            holdings: what ``check`` returned.

        Returns:
            Why, by strategy.
        """
        return {name: str(error) for name, error in self._refusals(runs, holdings)}

    def _refusals(
        self, runs: Sequence[RunSpec], holdings: Mapping[str, Holdings]
    ) -> Iterator[tuple[str, FalbenchError]]:
        """Yield the strategies that refuse the clients' shares of a task, and their sentences."""
        registry = Registry.discover(self.plugins) if runs else Registry()
        for run in {(run.task, str(run.strategy)): run for run in runs}.values():
            sizes = holdings[run.task.hash].sizes
            try:
                with blamed_on(str(run.strategy)):
                    registry.make(run.strategy).check_shares(run.task, sizes)
            except (InvalidSpecError, PluginError) as error:
                yield str(run.strategy), error


def _apart(
    company: frozenset[str], function: Callable[..., Result], *arguments: Any, here: bool = False
) -> Result:
    """Return what a function finds out about data, with code of a company in its own process.

    Args:
        company: the foreign code that it runs.
        function: takes a channel, the arguments, and the folders where data lie.
        arguments: what can be sent to another process.
        here: whether plugins that are not falbench's own are run in this process, too.

    Raises:
        PluginError: a plugin ended its process, or did not return.
        FalbenchError: the process was ended while no plugin was at work.
        Exception: what the function raises.
    """
    # A worker imports PyTorch anyway, which takes seconds; often nothing here needs it.
    if here or (company == OURS and "torch" in sys.modules):
        return function(NO_CHANNEL, *arguments, current_folders())
    limits = Limits(CHECK_SECONDS, default_limit(1))
    try:
        with CHILDREN.one(company) as child:  # which goes on to run them
            return child.run(function, *arguments, current_folders(), limits=limits)
    except Ended as ending:
        if ending.how == "died" and ending.call is None:  # from outside, as when memory runs out
            raise FalbenchError(
                f"The process that looks at the data was ended ({ending.what}) before anything "
                "ran; give the command again."
            ) from None
        who = ending.call.who if ending.call else "A plugin"
        raise PluginError(f"{who} {ending.deed}, before anything ran.") from None


def _with_clients(task: Task, registry: Registry) -> Task:
    """Return a task with the number of clients that its data have."""
    foreign = registry.datasets.foreign(Selector.parse(task.dataset).name)
    if foreign is None:
        return _apart(OURS, see_clients, task, ())
    sources = () if foreign.given is None else (foreign.given,)
    return _apart(frozenset({foreign.place}), see_clients, task, sources)


def see_clients(channel: Channel, task: Task, plugins: Sequence[Source], folders: Folders) -> Task:
    """Return a task with as many clients as its data have.

    Args:
        channel: learns which plugin is at work.
        task: a task whose partition is given.
        plugins: where the data set comes from, if it is not falbench's own.
        folders: where the data lie.

    Raises:
        FalbenchError: the data cannot be loaded, have no clients, or not as many as the task says.
    """
    from fal_bench.data.loading import load_dataset
    from fal_bench.data.partition import with_known_clients

    call = Call(f"{DATASET.word.capitalize()} {task.dataset!r}", ours=not plugins)
    registry = Registry.discover(plugins)
    with use_folders(folders), use_registry(registry), channel.calls.open(call):
        return with_known_clients(task, load_dataset(task.dataset))


def check_tasks(
    channel: Channel,
    runs: Sequence[RunSpec],
    targets: Sequence[str],
    foreign: tuple[ForeignMetric, ...],
    folders: Folders,
) -> dict[str, Holdings]:
    """Check that the tasks of runs can be run on their data; see ``Plan.check``.

    Args:
        channel: learns which plugin is at work.
        runs: the runs, all of one company.
        targets: metrics that every run must record.
        foreign: those of them that are not falbench's own.
        folders: where the data lie.

    Returns:
        What the clients of each task hold with seed 0, by the task's hash.
    """
    import numpy as np
    import torch

    from fal_bench.data.loading import load_dataset
    from fal_bench.federation.setting import Setting

    registry = Registry.discover(plugins_of(runs))
    limits = Limits(CHECK_SECONDS, default_limit(1))
    found: dict[str, Holdings] = {}

    def call(kind: Kind, name: str, run: RunSpec) -> AbstractContextManager[None]:
        return channel.calls.open(
            Call(f"{kind.word.capitalize()} {name!r}", ours=run.is_ours(kind))
        )

    with (
        use_folders(folders),
        use_registry(registry),
        all_metrics(registry, foreign, limits, targets) as metrics,
    ):
        asked = [one for one in metrics if one.name in targets]
        for run in {run.task.hash: run for run in runs}.values():
            task = run.task
            with call(DATASET, task.dataset, run):
                data = load_dataset(task.dataset)
                setting = Setting.draw(task, 0, data)
                found[task.hash] = Holdings.of(setting, data)
                check_recordable(setting, asked, np.random.default_rng(0))
            with call(MODEL, task.model.kind, run):
                _check_room(task, setting.architecture.nbytes)
                # Refuses images it cannot take, and fetches the weights it starts from.
                setting.architecture.fresh(torch.Generator())
                _check_single_samples(setting)
                found[task.hash] = replace(found[task.hash], sizes=setting.sizes)
    return found


def _check_single_samples(setting: Setting) -> None:
    """Check that no batch has one sample if the model cannot be trained on one.

    Models with batch normalisation of vectors cannot. The batches of an epoch are of even size: one
    has a single sample only if the client has a single label, or batches have two at most.

    Raises:
        InvalidSpecError: there is such a batch.
    """
    task, fewest = setting.task, min(map(len, setting.initial))
    if fewest > 1 and task.batch_size > 2:
        return
    fault = setting.architecture.fault_of_single_samples()
    if fault is None:
        return
    if fewest > 1:
        advice = f"batches of {task.batch_size} can be one sample; raise batch_size to 3"
    elif setting.smallest_shares["pool"] == 1:
        advice = "a client holds one sample; leave it out, or take another model"
    else:
        advice = "a client begins with one label; raise initial_labels, or take another model"
    raise InvalidSpecError(
        f"Task {task.name!r}: model {task.model.kind!r} cannot be trained on a batch of one sample "
        f"({fault}), and {advice}."
    )


def _check_room(task: Task, nbytes: int) -> None:
    """Check that the memory has room for the models of all clients and of the server.

    A run takes more than that: gradients, data, and what its strategy keeps.

    Args:
        task: the task.
        nbytes: bytes of one model.

    Raises:
        InvalidSpecError: it has not.
    """
    needed, free = (task.clients + 1) * nbytes, free_bytes()
    if needed > free:
        raise InvalidSpecError(
            f"Task {task.name!r}: the models of {task.clients} clients and the server take "
            f"{needed / GB:.1f} GB, and {free / GB:.1f} GB of memory are free; make the "
            f"{task.model.kind} smaller, or use fewer clients."
        )


def run_missing(supervisor: Supervisor, plan: Plan, monitor: Monitor = no_monitor) -> None:
    """Run the missing runs of a plan under the store's lock; broken ones are set aside first."""
    store = supervisor.store
    with store.lock():
        # Looked at under the lock: another session may have finished some in the meantime.
        missing, corrupt = plan.missing(store)
        for broken in corrupt:
            store.set_aside(broken)
        record = recorded_session(store, missing, jobs=supervisor.jobs, backend=supervisor.backend)
        with record, monitor(store, plan.runs):
            supervisor.run(missing)


def compare_command(
    *,
    suite: str | None,
    task: str | None,
    device: str,
    plugins: Sequence[Path] = (),
    strategies: Sequence[str],
    seeds: Sequence[int],
) -> str:
    """Return the command line that runs a comparison's runs, without the question.

    Args:
        suite: a suite's name or TOML file, if it must be named.
        task: the one task, if only one takes part.
        device: class of the device.
        plugins: plugin files and folders.
        strategies: selectors.
        seeds: the seeds, without a gap.
    """
    words = ["falbench", "compare"]
    words += ["--suite", suite] if suite else []
    words += ["--task", task] if task else []
    words += [] if device == CPU else ["--device", device]
    for path in plugins:
        words += ["--plugin", str(path)]
    for label in strategies:
        words += ["-s", label]
    span = f"{seeds[0]}-{seeds[-1]}" if seeds[0] else str(len(seeds))
    return shlex.join([*words, "--seeds", span])


def _selectors(
    asked: Sequence[str] | str | None,
    tasks: Sequence[Task],
    registry: Registry,
    refused: Mapping[str, str],
) -> tuple[list[Selector], list[Selector], list[str]]:
    """Return the strategies that are named, the others that take part, and why some do not.

    Args:
        asked: as for ``Plan.make``.
        tasks: the tasks.
        registry: finds the strategies.
        refused: why some do not take part unless they are named, by strategy.
    """
    texts = [asked] if isinstance(asked, str) else list(asked or ())
    named = Selector.expand(*texts)
    if asked is not None and not named:
        raise InvalidSpecError("Name at least one strategy, or none at all for the default ones.")
    explicit = [selector for selector in named if selector.name != ALL]
    for selector in named:
        if selector.name == ALL and selector.params:
            raise InvalidSpecError(
                f"Cannot use {shown(str(selector))}: parameters belong to one strategy; write "
                f"{ALL!r} alone, and beside it each strategy with its own parameters."
            )
    if explicit and len(explicit) == len(named):
        return named, [], []
    others = registry.names() if named else DEFAULT_STRATEGIES
    others = [name for name in others if Selector(name) not in explicit]
    suitable, why = _suitable([name for name in others if name not in refused], tasks, registry)
    why += [f"{name} is left out: {refused[name]}" for name in others if name in refused]
    return explicit, suitable, why


def _suitable(
    names: Sequence[str], tasks: Sequence[Task], registry: Registry
) -> tuple[list[Selector], list[str]]:
    """Return the strategies that can work on all tasks, and why others cannot."""
    chosen, left_out = [], []
    for selector in map(Selector, names):
        try:
            strategy = registry.make(selector)
            with blamed_on(selector.name):
                for task in tasks:
                    check_suits(strategy, task)
        except (InvalidSpecError, PluginError) as error:
            left_out.append(f"{selector} is left out: {error}")
            continue
        chosen.append(selector)
    return chosen, left_out
