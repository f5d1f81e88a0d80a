"""What a worker process does: run one group of runs, on one thread."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
    redirect_stdout,
)
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING

from fal_bench.data.folders import Folders, use_folders
from fal_bench.errors import DataError, FalbenchError, PluginError, message_of
from fal_bench.isolation.interrupts import let_interrupts_pass, signals_noticed
from fal_bench.isolation.leftover import leave_despite_threads
from fal_bench.learning.device import CPU, full_precision, resolve_device
from fal_bench.plugins.given import Source
from fal_bench.plugins.registry import Registry, use_registry
from fal_bench.results.folder import CorruptRunError, RunFolder
from fal_bench.results.store import Corrupt, Store
from fal_bench.sweep.memory import resident_mib
from fal_bench.sweep.spec import RunSpec, fingerprint_of

if TYPE_CHECKING:
    from fal_bench.data.base import Dataset
    from fal_bench.federation.setting import Setting
    from fal_bench.plugins.metric import Metric
    from fal_bench.plugins.trainer import Trainer

SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Job:
    """A group of runs for one worker.

    Attributes:
        root: the results folder.
        specs: the runs.
        plugins: plugin files and folders, and plugins given in Python.
        attempt: name of the supervisor's round, kept in the status of every run it starts.
        parent: process id of the supervisor; a worker whose supervisor is gone stops. None on a
            cluster, which looks after its workers itself.
        time_limit: seconds after which the worker ends itself if a plugin call has not returned;
            None if the supervisor does that.
        memory_limit: MiB above which the worker ends itself; None if the supervisor does that, or
            there is no limit.
        folders: where the data lie; None for what the worker's own environment says.
    """

    root: Path
    specs: tuple[RunSpec, ...]
    plugins: tuple[Source, ...]
    attempt: str
    parent: int | None
    time_limit: float | None = None
    memory_limit: int | None = None
    folders: Folders | None = None


def run_job(job: Job) -> None:
    """Run a group of runs together to their ends.

    Failures are recorded in the store, never raised; a failed run does not stop the others.
    """
    if job.parent is not None and os.getpid() != job.parent:
        become_worker(job.parent)
    store = Store(job.root)
    limits = _end_if_over_limits(job, store)
    with (
        signals_noticed(),
        # Plugins may print, and standard output may be read by a program.
        redirect_stdout(sys.stderr),
        one_thread(),
        _full_precision(job),
        use_folders(job.folders),
        limits,
        ExitStack() as locks,
    ):
        # In one order everywhere, so that two groups can never wait for each other.
        for spec in sorted(job.specs, key=lambda spec: spec.key):
            locks.enter_context(store.run_lock(spec))
        try:
            _run_group(job, store)
        except BaseException as error:
            let_interrupts_pass(error)
            for spec in job.specs:
                if store.folder(spec).in_progress():
                    reason = f"The worker failed: {message_of(error)}"
                    store.folder(spec).fail(reason, traceback.format_exc())


def _run_group(job: Job, store: Store) -> None:
    registry = Registry.discover(job.plugins)
    with use_registry(registry):
        _run_with(registry, job, store)


def _run_with(registry: Registry, job: Job, store: Store) -> None:
    from fal_bench.federation.loop import simulate
    from fal_bench.sweep.scheduler import run_together

    metrics = registry.metrics.all()
    folders = {spec.key: store.folder(spec) for spec in job.specs}
    drawn: dict[tuple[str, int], Setting] = {}
    loaded: dict[str, Dataset] = {}
    runs = {}
    for spec in job.specs:
        _open_folder(job, store, spec, metrics)
        try:
            setting = _setting(spec, drawn, loaded)
        except Exception as error:
            reason = f"Cannot set the task up: {message_of(error)}"
            folders[spec.key].fail(reason, traceback.format_exc())
            continue
        folders[spec.key].note_pool(setting.pool)
        try:
            trainer = _trainer(spec, registry, folders[spec.key])
        except FalbenchError as error:
            folders[spec.key].fail(message_of(error), traceback.format_exc())
            continue
        make_strategy = partial(registry.make, spec.strategy)
        runs[spec.key] = simulate(setting, make_strategy, folders[spec.key], trainer, metrics)
    run_together(
        runs,
        on_failure=lambda key, reason, details: folders[key].fail(reason, details),
        marks=folders,
    )


def _trainer(spec: RunSpec, registry: Registry, folder: RunFolder) -> Trainer:
    """Return a run's trainer, if the plugins are still those that the run was planned with.

    Raises:
        PluginError: they are not, or cannot be set up.
    """
    with folder.plugin_call(0):
        own = fingerprint_of(spec.strategy, registry)
    with folder.plugin_call(0, spec.trainer.name):
        trainer = registry.trainers.fingerprint(spec.trainer.name)
        model = registry.models.fingerprint(spec.task.model.kind)
        if (own, trainer, model) != (spec.fingerprint, spec.trainer_fingerprint, spec.model):
            raise PluginError(
                "A plugin, or a module that it imports, is not the one that the run was planned "
                "with; run it again."
            )
        return registry.trainers.make(spec.trainer)


def _setting(
    spec: RunSpec, drawn: dict[tuple[str, int], Setting], loaded: dict[str, Dataset]
) -> Setting:
    """Return the setting of a run; runs of one (task, seed) share it."""
    from fal_bench.federation.setting import Setting

    key = (spec.task.hash, spec.seed)
    if key not in drawn:
        if spec.task.dataset not in loaded:
            loaded[spec.task.dataset] = _dataset(spec)
        device = resolve_device(spec.device)
        drawn[key] = Setting.draw(spec.task, spec.seed, loaded[spec.task.dataset], device)
    return drawn[key]


def _dataset(spec: RunSpec) -> Dataset:
    """Return the data of a run, if they are still those that the run was planned with."""
    from fal_bench.data.loading import dataset_digest, load_dataset

    if dataset_digest(spec.task.dataset) != spec.data:
        raise DataError(
            f"The data of {spec.task.dataset!r} are not those that the run was planned with: they "
            "were changed in the meantime, or differ on this machine; run it again."
        )
    return load_dataset(spec.task.dataset)


def _open_folder(job: Job, store: Store, spec: RunSpec, metrics: Sequence[Metric]) -> None:
    """Describe the run; one whose files do not fit together is set aside and starts again."""
    from fal_bench.sweep.environment import environment

    folder = store.folder(spec)
    folder.clear_marker()  # a cluster may run a job again whose worker died
    facts = {
        **spec.facts,
        "metrics": {one.name: one.higher_is_better for one in metrics},
    }
    folder.create(facts, environment(spec.device), job.attempt)
    try:
        folder.resume()
    except CorruptRunError as error:
        store.set_aside(Corrupt(folder.path, str(error)))
        folder.create(facts, environment(spec.device), job.attempt)


@lru_cache(maxsize=1)
def become_worker(parent: int) -> None:
    """Make this process a worker: leave Ctrl-C to the supervisor, and end when it is gone.

    A supervisor that was killed cannot stop its workers, and another run may have taken over. A
    worker that is asked to end does not wait for threads of plugins either.
    """
    os.dup2(2, 1)  # what compiled code prints goes to standard error, too
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    Finalize(None, leave_despite_threads, (0, None, 1.0), exitpriority=0)


@contextmanager
def _end_if_over_limits(job: Job, store: Store) -> Iterator[None]:
    """End this process if it takes too long or too much memory while the context is open."""
    if job.time_limit is None and job.memory_limit is None:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            if _takes_too_long(job, store) or _takes_too_much(job, store):
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _full_precision(job: Job) -> AbstractContextManager[None]:
    """Keep a GPU's arithmetic at 32 bits; a processor knows nothing else."""
    on_gpu = any(spec.device != CPU for spec in job.specs)
    return full_precision() if on_gpu else nullcontext()


def _takes_too_long(job: Job, store: Store) -> bool:
    if job.time_limit is None:
        return False
    # All of them, because all that hang leave a note.
    now = time.time()
    hangs = [store.folder(spec).note_hang(job.time_limit, now) for spec in job.specs]
    return any(pid is not None for pid in hangs)


def _takes_too_much(job: Job, store: Store) -> bool:
    taken = resident_mib(os.getpid())
    if job.memory_limit is None or taken is None or taken <= job.memory_limit:
        return False
    for spec in job.specs:
        if store.folder(spec).in_progress():
            store.folder(spec).note_memory(taken)
    return True


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
