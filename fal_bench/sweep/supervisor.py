"""Computing many runs: groups of them are handed to processes here, or to a cluster."""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from fal_bench.data.folders import current_folders
from fal_bench.isolation.child import NO_CHANNEL, Limits
from fal_bench.isolation.memory import check_limit, default_limit
from fal_bench.plugins.given import Source
from fal_bench.plugins.registry import Registry
from fal_bench.results.store import Store
from fal_bench.sweep.attending import CHILDREN, OURS, Children, attend
from fal_bench.sweep.cluster import BackendError, connected, worker_deaths
from fal_bench.sweep.groups import plan_groups
from fal_bench.sweep.metrics import ForeignMetric, foreign_metrics
from fal_bench.sweep.spec import RunSpec
from fal_bench.sweep.worker import Job, run_job

Backend = Literal["processes", "sequential", "ray", "dask"]

CLUSTER_DEATHS: Final = 3
"""Times that a machine of a cluster may die before its runs are given up."""


@dataclass
class Supervisor:
    """Computes runs until each is done or failed.

    Attributes:
        store: the results folder; the caller holds its lock.
        jobs: number of worker processes.
        backend: ``"processes"`` for workers on this machine, ``"sequential"`` to stay in this
            process (for debuggers: a plugin that kills its process then ends the run, and one that
            changes it changes the runs of others), ``"ray"`` or ``"dask"`` for a cluster
            (``fal_bench.sweep.cluster``).
        plugins: plugin files, and plugins given in Python, that metrics may be in.
        call_timeout: seconds a plugin call may take before its worker is ended.
        memory_limit: MiB a worker may take before it is ended; by default a share of what is free
            (``fal_bench.isolation.memory.default_limit``). On a cluster there is no limit unless
            it is given, and in this process there is none.
        targets: metrics that are recorded because they are asked for, beside all that are listed.
    """

    store: Store
    jobs: int = 1
    backend: Backend = "processes"
    plugins: tuple[Source, ...] = ()
    call_timeout: float = 600.0
    memory_limit: int | None = None
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_limit(self.memory_limit)

    def run(self, specs: Sequence[RunSpec]) -> None:
        """Compute all runs; what they came to is in the store afterwards.

        Raises:
            ChildError: no process can be started.
            StoreError: the results folder cannot be used.
            BackendError: a cluster is not there, does not answer any more, or its workers die.
        """
        if self.memory_limit is None and self.backend == "processes":
            self.memory_limit = default_limit(self.jobs)
        for spec in specs:
            self.store.folder(spec).reopen()
        jobs = [self._job(group) for group in plan_groups(specs, self.jobs)]
        try:
            if self.backend == "sequential":
                # Runs of our own code first: nothing has changed this process by then.
                for job in sorted(jobs, key=lambda job: job.company != OURS):
                    run_job(NO_CHANNEL, job)
            elif self.backend == "processes":
                _run_here(jobs, self.jobs)
            else:
                self._run_on_cluster(jobs)
        finally:
            CHILDREN.end(but=OURS)

    def _job(self, group: Sequence[RunSpec]) -> Job:
        # Absolute, because workers outlive a change of the working directory.
        root = self.store.root.resolve()
        limits = Limits(self.call_timeout, self.memory_limit)
        metrics = self._foreign_metrics
        return Job(root, tuple(group), metrics, limits, current_folders(), self.targets)

    @cached_property
    def _foreign_metrics(self) -> tuple[ForeignMetric, ...]:
        return foreign_metrics(Registry.discover(self.plugins), self.targets)

    def _run_on_cluster(self, jobs: Sequence[Job]) -> None:
        assert self.backend in ("ray", "dask")
        for _ in range(CLUSTER_DEATHS):
            with connected(self.backend, self.jobs) as cluster:
                try:
                    cluster.call(attend_alone, jobs, self.jobs)
                except worker_deaths(self.backend):
                    continue
                return
        raise BackendError(
            f"Workers of the cluster died {CLUSTER_DEATHS} times; look at its logs, and the same "
            "command goes on."
        )


def attend_alone(job: Job) -> None:
    """Run a group on a machine of a cluster."""
    children = Children()
    try:
        attend(job, children)
    finally:
        children.end()


def _run_here(jobs: Sequence[Job], workers: int) -> None:
    """Run groups in processes of this machine, so many at a time."""
    left, stopped = list(jobs), threading.Event()
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    lock = threading.Lock()

    def take() -> Job | None:
        """Return the next group: one for which a process waits, if there is one."""
        with lock:
            waiting = CHILDREN.companies()
            found = next((job for job in left if job.company in waiting), left[0] if left else None)
            if found is not None:
                left.remove(found)
            return found

    def work() -> None:
        try:
            while (job := take()) is not None:
                attend(job, CHILDREN, stopped)
            ended.put(None)
        except BaseException as error:
            ended.put(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(jobs)))]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            if (error := ended.get()) is not None:
                raise error
    except BaseException:
        with lock:
            left.clear()
        stopped.set()
        CHILDREN.end()
        raise


def start_workers(specs: Sequence[RunSpec], workers: int) -> None:
    """Let the processes of this machine get ready that some runs will need.

    Args:
        specs: the runs; those of a plugin start their own processes when they begin.
        workers: how many run at once.
    """
    CHILDREN.start(min(workers, sum(spec.company == OURS for spec in specs)))


def end_workers() -> None:
    """End the processes that wait for more work."""
    CHILDREN.end()


atexit.register(end_workers)
