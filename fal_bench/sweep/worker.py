"""What a worker process does: run one group of runs, on one thread."""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
    redirect_stdout,
)
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fal_bench.data.folders import Folders, use_folders
from fal_bench.errors import DataError, FalbenchError, PluginError, StoreError, message_of
from fal_bench.isolation.calls import Call
from fal_bench.isolation.child import NO_LIMITS, Channel, Limits
from fal_bench.isolation.interrupts import let_interrupts_pass, signals_noticed
from fal_bench.learning.device import CPU, full_precision, resolve_device
from fal_bench.plugins.built_in import DATASET, STRATEGY, TRAINER, Kind
from fal_bench.plugins.registry import Registry, use_registry
from fal_bench.plugins.trial import TIME_LIMIT
from fal_bench.results.folder import CorruptRunError
from fal_bench.results.store import Corrupt, Store
from fal_bench.sweep.metrics import ForeignMetric, all_metrics
from fal_bench.sweep.spec import RunSpec, aggregation_fingerprint, fingerprint_of, plugins_of

if TYPE_CHECKING:
    from fal_bench.data.base import Dataset
    from fal_bench.federation.journal import Row
    from fal_bench.federation.setting import Setting
    from fal_bench.federation.state import RunState
    from fal_bench.plugins.metric import Metric
    from fal_bench.plugins.trainer import Trainer


@dataclass(frozen=True)
class Job:
    """A group of runs for one worker.

    Attributes:
        root: the results folder.
        specs: the runs, all of one company (``RunSpec.company``).
        metrics: the metrics that are not falbench's own.
        limits: what a plugin's code may take.
        folders: where the data lie.
        targets: metrics that are recorded because they are asked for.
    """

    root: Path
    specs: tuple[RunSpec, ...]
    metrics: tuple[ForeignMetric, ...] = ()
    limits: Limits = NO_LIMITS
    folders: Folders | None = None
    targets: tuple[str, ...] = ()

    @property
    def company(self) -> frozenset[str]:
        """The foreign code that its runs need."""
        return self.specs[0].company


def get_ready(channel: Channel) -> None:  # noqa: ARG001
    """Import what every run needs, which takes seconds."""
    gc.disable()  # looking through modules for garbage takes a fifth of the time of their import
    import fal_bench.data.loading
    import fal_bench.federation.loop
    import fal_bench.sweep.scheduler  # noqa: F401

    gc.freeze()  # what was imported stays, and is not looked through for garbage any more
    gc.enable()


def unfinished(store: Store, specs: Sequence[RunSpec]) -> tuple[RunSpec, ...]:
    """Return the runs that are neither done nor failed."""
    return tuple(spec for spec in specs if store.phase(spec) not in ("done", "failed"))


def run_job(channel: Channel, job: Job) -> None:
    """Run a group of runs together to their ends.

    Failures are recorded in the store, and a failed run does not stop the others.

    Args:
        channel: learns which plugin is at work.
        job: the group.

    Raises:
        StoreError: the results folder cannot be written.
    """
    store = Store(job.root)
    with (
        signals_noticed(),
        # Plugins may print, and standard output may be read by a program.
        redirect_stdout(sys.stderr),
        one_thread(),
        _full_precision(job),
        use_folders(job.folders),
        ExitStack() as opened,
    ):
        # In one order everywhere, so that two groups can never wait for each other.
        for spec in sorted(job.specs, key=lambda spec: spec.key):
            opened.enter_context(store.run_lock(spec))
        # Looked at under the locks: a cluster hands out groups once more when a worker has died,
        # and another worker may have finished some of these runs.
        job = replace(job, specs=unfinished(store, job.specs))
        if not job.specs:
            return
        journals = {spec.key: WorkerJournal(store, spec, channel) for spec in job.specs}
        try:
            with channel.calls.open(_loading(job)):
                registry = Registry.discover(plugins_of(job.specs))
            metrics = opened.enter_context(
                all_metrics(registry, job.metrics, job.limits, job.targets)
            )
            with use_registry(registry):
                _run_with(registry, metrics, job, journals)
        except StoreError:
            raise
        except BaseException as error:
            let_interrupts_pass(error)
            for journal in journals.values():
                if journal.folder.in_progress():
                    journal.fail(f"The worker failed: {message_of(error)}", traceback.format_exc())


def _loading(job: Job) -> Call:
    """Return the call that imports the plugins of a group."""
    return Call(
        f"The import of {', '.join(sorted(job.company))}",
        runs=tuple(spec.key for spec in job.specs),
        ours=not job.company,
        patience=TIME_LIMIT,
    )


def _run_with(
    registry: Registry, metrics: Sequence[Metric], job: Job, journals: dict[str, WorkerJournal]
) -> None:
    from fal_bench.federation.loop import simulate
    from fal_bench.sweep.scheduler import run_together

    settings = _Settings(journals)
    runs = {}
    for spec in job.specs:
        journal = journals[spec.key]
        journal.open({one.name: one.higher_is_better for one in metrics})
        try:
            setting = settings.of(spec)
        except Exception as error:
            reason = f"Cannot set the task up: {message_of(error)}"
            journal.fail(reason, traceback.format_exc())
            continue
        journal.folder.note_pool(setting.pool)
        try:
            trainer = _trainer(spec, registry, journal)
        except FalbenchError as error:
            journal.fail(message_of(error), traceback.format_exc())
            continue
        make_strategy = partial(registry.make, spec.strategy)
        runs[spec.key] = simulate(setting, make_strategy, journal, trainer, metrics)
    run_together(
        runs,
        on_failure=lambda key, reason, details: journals[key].fail(reason, details),
        calls=next(iter(journals.values())).calls,
    )


class WorkerJournal:
    """The journal of a run in a worker: its folder, and the calls that the outside watches.

    Args:
        store: the results folder.
        spec: the run.
        channel: learns which plugin is at work.

    Attributes:
        folder: the run's directory.
        calls: the calls of this process.
    """

    def __init__(self, store: Store, spec: RunSpec, channel: Channel) -> None:
        self._store = store
        self._spec = spec
        self.calls = channel.calls
        self.folder = store.folder(spec)

    def open(self, metrics: dict[str, bool]) -> None:
        """Describe the run; one whose files do not fit together is set aside and starts again.

        Args:
            metrics: whether higher is better, by name.
        """
        from fal_bench.sweep.environment import environment

        facts = {**self._spec.facts, "metrics": metrics}
        with self._written():
            self.folder.create(facts, environment(self._spec.device))
            try:
                self.folder.resume()
            except CorruptRunError as error:
                self._store.set_aside(Corrupt(self.folder.path, str(error)))
                self.folder.create(facts, environment(self._spec.device))

    def call(self, kind: Any, name: str, where: str = "") -> AbstractContextManager[None]:
        """Call a plugin inside the context.

        Args:
            kind: its kind.
            name: its name.
            where: on what.
        """
        who = f"{kind.word.capitalize()} {name!r}"
        ours = self._spec.is_ours(kind)
        return self.calls.open(Call(who, where, (self._spec.key,), ours=ours))

    def plugin_call(
        self, cycle: int, kind: Kind = STRATEGY, name: str = ""
    ) -> AbstractContextManager[None]:
        """Call the strategy, or a plugin of another kind, inside the context."""
        return self.call(kind, name or self._spec.strategy.name, f"cycle {cycle}")

    def beat(self, cycle: int) -> None:  # noqa: ARG002
        """Say that the open call is getting on."""
        self.calls.beat()

    def resume(self) -> RunState | None:
        """Return the checkpoint; see ``RunFolder.resume``."""
        with self._written():
            return self.folder.resume()

    def append(self, row: Row) -> None:
        """Add a row to the curve."""
        with self._written():
            self.folder.append(row)

    def checkpoint(self, state: RunState) -> None:
        """Replace the checkpoint."""
        with self._written():
            self.folder.checkpoint(state)

    def finish(
        self,
        charges: Sequence[tuple[int, int, str, int]],
        kept: Sequence[dict[str, Any]],
        unrecorded: Mapping[str, str],
    ) -> None:
        """Mark the run done."""
        with self._written():
            self.folder.finish(charges, kept, unrecorded)

    def fail(self, reason: str, details: str = "") -> None:
        """Mark the run failed."""
        with self._written():
            self.folder.fail(reason, details)

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Say of a disc that is full, or of any other fault of a disc, that it is no plugin's.

        Raises:
            StoreError: in place of an ``OSError``.
        """
        try:
            yield
        except OSError as error:
            raise cannot_be_written(self._store, error) from error


def cannot_be_written(store: Store, error: OSError) -> StoreError:
    """Return what is to be said of a results folder that cannot be written."""
    return StoreError(
        f"The results folder {str(store.root)!r} cannot be written "
        f"({error.strerror or message_of(error)}); correct that, and the same command goes on."
    )


def _trainer(spec: RunSpec, registry: Registry, journal: WorkerJournal) -> Trainer:
    """Return a run's trainer, if the plugins are still those that the run was planned with.

    Raises:
        PluginError: they are not, or cannot be set up.
    """
    with journal.plugin_call(0):
        own = fingerprint_of(spec.strategy, registry)
    with journal.plugin_call(0, TRAINER, spec.trainer.name):
        found = (
            own,
            registry.trainers.fingerprint(spec.trainer.name),
            registry.models.fingerprint(spec.task.model.kind),
            aggregation_fingerprint(spec.task, registry),
        )
        planned = (spec.fingerprint, spec.trainer_fingerprint, spec.model, spec.aggregation)
        if found != planned:
            raise PluginError(
                "A plugin, or a module that it imports, is not the one that the run was planned "
                "with; run it again."
            )
        return registry.trainers.make(spec.trainer)


class _Settings:
    """The settings of a group's runs; runs of one (task, seed) share theirs."""

    def __init__(self, journals: dict[str, WorkerJournal]) -> None:
        self._journals = journals
        self._drawn: dict[tuple[str, int], Setting] = {}
        self._loaded: dict[str, Dataset] = {}

    def of(self, spec: RunSpec) -> Setting:
        from fal_bench.federation.setting import Setting

        key = (spec.task.hash, spec.seed)
        if key not in self._drawn:
            dataset = self._dataset(spec)
            device = resolve_device(spec.device)
            self._drawn[key] = Setting.draw(spec.task, spec.seed, dataset, device)
        return self._drawn[key]

    def _dataset(self, spec: RunSpec) -> Dataset:
        """Return the data of a run, if they are still those that the run was planned with."""
        from fal_bench.data.loading import dataset_digest, load_dataset

        name = spec.task.dataset
        if name not in self._loaded:
            with self._journals[spec.key].call(DATASET, name):
                if dataset_digest(name) != spec.data:
                    raise DataError(
                        f"The data of {name!r} are not those that the run was planned with: they "
                        "were changed in the meantime, or differ on this machine; run it again."
                    )
                self._loaded[name] = load_dataset(name)
        return self._loaded[name]


def _full_precision(job: Job) -> AbstractContextManager[None]:
    """Keep a GPU's arithmetic at 32 bits; a processor knows nothing else."""
    on_gpu = any(spec.device != CPU for spec in job.specs)
    return full_precision() if on_gpu else nullcontext()


@contextmanager
def one_thread() -> Iterator[None]:
    """Pin one CPU thread: bits must not depend on the number of cores."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
