"""Computing many runs in worker processes, and going on when one of them dies or hangs.

joblib ends everything when a worker dies. So every run writes down when it enters a plugin's
code; after a death the supervisor starts a new pool for the rest and runs the suspects alone, one
after the other. A run that dies alone is the culprit: it is marked failed, by name.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from fal_bench.data.folders import current_folders
from fal_bench.errors import StoreError
from fal_bench.plugins.given import Source
from fal_bench.results.folder import RunFolder
from fal_bench.results.store import Store
from fal_bench.sweep.cluster import cluster_pool, worker_deaths
from fal_bench.sweep.groups import plan_groups
from fal_bench.sweep.memory import MemoryGuard, check_limit, default_limit
from fal_bench.sweep.spec import RunSpec
from fal_bench.sweep.worker import Job, run_job

Backend = Literal["loky", "sequential", "ray", "dask"]

LOOKS_A_SECOND = 5
"""At the workers' memory, which can grow by some GiB a second; at the time, one look is enough."""

UNEXPLAINED_DEATHS = 2
"""Deaths outside plugin code (out of memory, say) after which a run is computed alone."""


@dataclass
class Supervisor:
    """Computes runs until each is done or failed.

    Attributes:
        store: the results folder; the caller holds its lock.
        jobs: number of worker processes.
        backend: ``"loky"`` for worker processes, ``"sequential"`` to stay in this process (for
            debuggers: a plugin that kills its process then ends the run), ``"ray"`` or ``"dask"``
            for a cluster (``fal_bench.sweep.cluster``).
        plugins: plugin files and folders, and plugins given in Python.
        call_timeout: seconds a plugin call may take before its worker is killed.
        memory_limit: MiB a worker may take before it is killed; by default a share of what is
            free (``fal_bench.sweep.memory.default_limit``). On a cluster there is no limit unless
            it is given, and in this process there is none.
    """

    store: Store
    jobs: int = 1
    backend: Backend = "loky"
    plugins: tuple[Source, ...] = ()
    call_timeout: float = 600.0
    memory_limit: int | None = None
    _deaths: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_limit(self.memory_limit)

    def run(self, specs: Sequence[RunSpec]) -> None:
        """Compute all runs; what they did is in the store afterwards."""
        if self.memory_limit is None and self.backend == "loky":
            self.memory_limit = default_limit(self.jobs)
        for spec in specs:
            self.store.folder(spec).reopen()
        remaining = list(specs)
        while remaining:
            attempt = uuid.uuid4().hex
            died = self._round(remaining, self.jobs, attempt)
            if not died:
                return
            for suspect in self._suspects(remaining, attempt):
                self._run_alone(suspect)
            remaining = self._unfinished(remaining)

    def _round(self, specs: Sequence[RunSpec], jobs: int, attempt: str) -> bool:
        """Compute runs in one pool; return whether a worker died."""
        import joblib

        for spec in specs:
            self.store.folder(spec).clear_marker()
        # Absolute, because workers outlive a change of the working directory.
        time_limit = self.call_timeout if self._is_cluster else None
        memory_limit = self.memory_limit if self._is_cluster else None
        root, plugins = self.store.root.resolve(), tuple(path.resolve() for path in self.plugins)
        tasks = [
            joblib.delayed(run_job)(
                Job(
                    root,
                    group,
                    plugins,
                    attempt,
                    self._parent,
                    time_limit,
                    memory_limit,
                    current_folders(),
                )
            )
            for group in plan_groups(specs, jobs)
        ]
        with self._pool_options(), self._watch(specs, attempt):
            # A pool of one would run in this process: there are always two workers, and the
            # number of jobs is held by how many tasks are handed out at a time.
            pool = joblib.Parallel(
                n_jobs=1 if self.backend == "sequential" else max(jobs, 2),
                pre_dispatch=jobs,
                batch_size=1,
                return_as="list" if self._is_cluster else "generator_unordered",
            )
            try:
                for _ in pool(tasks):
                    pass
            except self._deaths_of_workers():
                return True
            except OSError as error:
                raise StoreError(
                    f"A worker cannot use {str(self.store.root)!r} ({error}); correct that, and "
                    "the same command goes on."
                ) from error
            except KeyboardInterrupt:
                self._kill_workers()
                raise
        return False

    def _suspects(self, specs: Sequence[RunSpec], attempt: str) -> list[RunSpec]:
        """Return the runs that may have killed a worker in a round."""
        unfinished = self._unfinished(specs)
        in_flight = [spec for spec in unfinished if self._status(spec).get("run") == attempt]
        in_plugin = [spec for spec in in_flight if self.store.folder(spec).marker()]
        hung = [spec for spec in in_plugin if (self.store.folder(spec).marker() or {}).get("hung")]
        too_large = [spec for spec in in_flight if self.store.folder(spec).over_memory()]
        # Whoever was ended is known; with it, joblib ends workers that did nothing.
        at_work = [spec for spec in too_large if spec in in_plugin]
        for few in (hung, at_work, too_large, in_plugin):
            if few:
                return few
        for spec in in_flight:
            self._deaths[spec.key] = self._deaths.get(spec.key, 0) + 1
        return [spec for spec in in_flight if self._deaths[spec.key] >= UNEXPLAINED_DEATHS]

    def _run_alone(self, spec: RunSpec) -> None:
        """Compute one run with nothing beside it; if it dies again, it is to blame."""
        if self._round([spec], 1, uuid.uuid4().hex):
            folder = self.store.folder(spec)
            folder.fail(cause_of_death(spec, folder, self.call_timeout, self.memory_limit))

    def _unfinished(self, specs: Sequence[RunSpec]) -> list[RunSpec]:
        return [spec for spec in specs if self._status(spec).get("phase") not in ("done", "failed")]

    def _status(self, spec: RunSpec) -> dict[str, Any]:
        """Return a run's status; empty if it has none, as for one that was never started."""
        return {} if self.store.phase(spec) == "new" else self.store.folder(spec).status()

    @property
    def _is_cluster(self) -> bool:
        return self.backend in ("ray", "dask")

    @property
    def _parent(self) -> int | None:
        """This process's id, for workers that are its children."""
        return None if self._is_cluster else os.getpid()

    def _deaths_of_workers(self) -> tuple[type[Exception], ...]:
        if self.backend == "ray" or self.backend == "dask":
            return worker_deaths(self.backend)
        return (BrokenProcessPool,)

    @contextmanager
    def _pool_options(self) -> Iterator[None]:
        import joblib

        if self.backend == "loky":
            with joblib.parallel_config("loky", inner_max_num_threads=1):
                yield
        elif self.backend == "ray" or self.backend == "dask":
            with cluster_pool(self.backend, self.jobs):
                yield
        else:
            with joblib.parallel_config(self.backend):
                yield

    @contextmanager
    def _watch(self, specs: Sequence[RunSpec], attempt: str) -> Iterator[None]:
        """Kill workers that take too long or too much memory, while the context is open."""
        if self.backend != "loky":  # a cluster's workers end themselves
            yield
            return
        over = threading.Event()
        guard = None
        if self.memory_limit is not None:
            guard = MemoryGuard(self.store, specs, attempt, self.memory_limit)

        def watch() -> None:
            for look in itertools.count():
                if over.wait(1 / LOOKS_A_SECOND):
                    return
                if guard is not None:
                    guard.look()
                if look % LOOKS_A_SECOND:
                    continue
                if guard is not None:
                    guard.find_workers()
                self._kill_hung(specs)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _kill_hung(self, specs: Sequence[RunSpec]) -> None:
        now = time.time()
        hung = {self.store.folder(spec).note_hang(self.call_timeout, now) for spec in specs}
        for pid in hung:
            if pid is not None:
                with suppress(ProcessLookupError):  # it may have ended in the meantime
                    os.kill(pid, signal.SIGKILL)

    def _kill_workers(self) -> None:
        if self.backend == "loky":
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown(wait=False, kill_workers=True)


def end_workers() -> None:
    """End the worker processes that wait for more work, and free what is shared with them."""
    from joblib.externals.loky import get_reusable_executor

    executor = get_reusable_executor(reuse=True)
    end = getattr(executor, "terminate", executor.shutdown)  # joblib's own removes its folder too
    end(kill_workers=True)


def cause_of_death(
    spec: RunSpec, folder: RunFolder, call_timeout: float, memory_limit: int | None
) -> str:
    """Return, in one sentence, which plugin did what, from the marks that the worker left.

    Args:
        spec: the run.
        folder: its directory.
        call_timeout: seconds a plugin call may take.
        memory_limit: MiB a worker may take.
    """
    marker, over_memory = folder.marker(), folder.over_memory()
    who, cycle = f"Strategy {spec.strategy.name!r}", marker["cycle"] if marker else None
    verb = "selecting"
    if marker and marker.get("trainer"):
        who, verb = f"Trainer {marker['trainer']!r}", "at work"
    if over_memory and marker is None:
        return (
            f"The worker took {over_memory} MiB while no plugin was at work, above the limit of "
            f"{memory_limit}; raise memory_limit, or keep less in memory between the calls of "
            f"{spec.strategy.name!r} if it keeps anything."
        )
    if over_memory:
        return (
            f"{who} brought its worker to {over_memory} MiB in cycle {cycle}, above the limit of "
            f"{memory_limit}; keep less in memory, or raise memory_limit."
        )
    if marker is None:
        return "The worker process died while training; it may have run out of memory."
    if marker.get("hung"):
        limit = f"within {call_timeout:g} s"
        # A strategy is called once a cycle and client, a trainer at every step.
        when = (
            f"{limit} in cycle {cycle}" if marker.get("trainer") else f"from cycle {cycle} {limit}"
        )
        return f"{who} did not return {when}; make it faster or raise call_timeout."
    return (
        f"The worker process died while {who[0].lower()}{who[1:]} was {verb} (cycle {cycle}); it "
        "exits the process, crashes, or takes too much memory."
    )
