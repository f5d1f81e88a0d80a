"""Running worker processes on a Ray or Dask cluster, through joblib's own backends.

Nothing here distributes work: joblib does, and the cluster's own tools start and stop it. All
machines must see the results folder and the plugin files under the same paths.
"""

from __future__ import annotations

import itertools
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Literal

from fal_bench.errors import FalbenchError, message_of
from fal_bench.inputs.arguments import check_choice
from fal_bench.learning.device import CPU

ClusterBackend = Literal["ray", "dask"]

SECONDS_OF_SILENCE: Final = 20.0
"""Seconds after which a head that does not answer is lost. Ray ends our process after a minute."""
SECONDS_BETWEEN_LOOKS: Final = 2.0
SECONDS_TO_CONNECT: Final = 10.0

_MODULES = {"ray": "ray", "dask": "distributed"}


class BackendError(FalbenchError):
    """A backend cannot be used as it is installed or set up."""


def check_backend(backend: str) -> None:
    """Check that a backend's library is there; processes and sequential always are.

    Raises:
        InvalidSpecError: there is no such backend.
        BackendError: it is not.
    """
    check_choice("backend", backend, ("processes", "sequential", "ray", "dask"))
    module = _MODULES.get(backend)
    if module and find_spec(module) is None:
        raise BackendError(
            f"The backend {backend!r} needs a library that is not installed; run "
            f"pip install 'falbench[{backend}]'."
        )


def device_for(backend: str, choice: str) -> str:
    """Return the device to ask for: on a cluster the processor, unless another is named.

    Raises:
        BackendError: a GPU is asked for on a cluster, whose workers need not have one.
    """
    if backend not in _MODULES or choice == CPU:
        return choice
    if choice != "auto":
        raise BackendError(
            f"device {choice} does not work with backend {backend}; use backend processes on the "
            "machine that has the GPU, or device cpu."
        )
    return CPU


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        head: what runs it, in words, and its address.
        answers: whether the head is there.
        joblib: opens a context in which joblib runs on the cluster.
    """

    head: str
    answers: Callable[[], bool]
    joblib: Callable[[], AbstractContextManager[Any]]

    def call(self, function: Callable[[Any], None], arguments: Iterable[Any], jobs: int) -> None:
        """Call a function with each argument at some worker.

        Args:
            function: one that can be found by the name of its module.
            arguments: what it is called with, one after the other.
            jobs: most calls at a time.

        Raises:
            BackendError: the head does not answer any more.
            Exception: what a call raised, or the error by which the library says that a worker
                died (``worker_deaths``).
        """
        ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        stopped = threading.Event()

        def work() -> None:
            import joblib

            given = itertools.takewhile(lambda _: not stopped.is_set(), arguments)
            try:
                with self.joblib():
                    pool = joblib.Parallel(pre_dispatch=jobs, batch_size=1)
                    pool(joblib.delayed(function)(one) for one in given)
                ended.put(None)
            except BaseException as error:
                ended.put(error)

        # In a thread that can be left behind: a library may wait for a lost head for ever.
        threading.Thread(target=work, daemon=True, name="falbench-cluster").start()
        try:
            error = self._first_of(ended)
        finally:
            stopped.set()
        if error is None:
            return
        if not self.answers():
            raise self._lost() from error
        raise error

    def _first_of(self, ended: queue.SimpleQueue[BaseException | None]) -> BaseException | None:
        """Wait for the end, as long as the head answers."""
        heard = time.monotonic()
        while time.monotonic() - heard < SECONDS_OF_SILENCE:
            with suppress(queue.Empty):
                return ended.get(timeout=SECONDS_BETWEEN_LOOKS)
            if self.answers():
                heard = time.monotonic()
        raise self._lost()

    def _lost(self) -> BackendError:
        return BackendError(
            f"{self.head} does not answer any more; start it again, and the same command goes on."
        )


def connected(backend: ClusterBackend, jobs: int) -> AbstractContextManager[Cluster]:
    """Return a context with a cluster.

    The cluster is the one this process is connected to, else the one that the library's own
    environment variable names (``RAY_ADDRESS``, ``DASK_SCHEDULER_ADDRESS``), else a new one of
    ``jobs`` workers on this machine, which ends with the context.

    Args:
        backend: the cluster's library.
        jobs: workers of a new cluster.

    Raises:
        BackendError: the named cluster does not answer, or its workers cannot be used.
    """
    return _ray(jobs) if backend == "ray" else _dask(jobs)


def worker_deaths(backend: ClusterBackend) -> tuple[type[Exception], ...]:
    """Return the errors by which a cluster says that a worker died."""
    if backend == "ray":
        from ray.exceptions import RayError

        return (RayError,)
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    return (KilledWorker, CommClosedError, CancelledError)


@contextmanager
def _ray(jobs: int) -> Iterator[Cluster]:
    import joblib
    import ray
    from ray.util.joblib import register_ray

    started = not ray.is_initialized()
    named = os.environ.get("RAY_ADDRESS")
    if started:
        where: dict[str, Any] = {"address": named}
        if named is None:  # "local", because Ray would join one that happens to run here
            where = {"address": "local", "num_cpus": max(jobs, 2)}
        elif not _listens(named):
            raise _no_head("Ray cluster", named, "RAY_ADDRESS")
        try:
            ray.init(include_dashboard=False, log_to_driver=False, **where)
        except ConnectionError as error:
            raise _no_head("Ray cluster", str(named), "RAY_ADDRESS", error) from error
    address = str(named or ray.get_runtime_context().gcs_address)
    register_ray()
    try:
        yield Cluster(
            f"The Ray cluster at {address}",
            lambda: _listens(address),
            lambda: joblib.parallel_config("ray"),
        )
    finally:
        if started:
            ray.shutdown()


def _listens(address: str) -> bool:
    """Whether something listens at an address; of ``auto`` and the like, only Ray can tell."""
    host, separator, port = address.rpartition("/")[2].rpartition(":")
    if not separator:
        return True
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT).close()
    except (OSError, ValueError):
        return False
    return True


def _no_head(
    what: str, address: str, variable: str, error: Exception | None = None
) -> BackendError:
    reason = f" ({message_of(error).rstrip('.')})" if error else ""
    return BackendError(
        f"No {what} answers at {address!r}{reason}; start it, or correct {variable}."
    )


@contextmanager
def _dask(jobs: int) -> Iterator[Cluster]:
    import joblib

    with _dask_client(jobs) as client:
        threads = client.nthreads()
        if not threads or max(threads.values()) > 1:
            raise BackendError(
                "Every Dask worker must have one thread, because bits depend on the number of "
                "threads; start them with dask worker --nthreads 1."
            )
        yield Cluster(
            f"The Dask scheduler at {client.scheduler.address}",
            lambda: client.status == "running",
            lambda: joblib.parallel_config("dask", client=client),
        )


@contextmanager
def _dask_client(jobs: int) -> Iterator[Any]:
    """Yield the client of this process, or a new one that is closed afterwards."""
    import dask
    from distributed import Client, LocalCluster, get_client

    try:
        client = get_client()
    except ValueError:
        pass
    else:
        yield client
        return
    address = dask.config.get("scheduler-address", None)
    if address:
        try:
            client = Client(address, timeout=SECONDS_TO_CONNECT)
        except (OSError, ValueError) as error:
            where = "DASK_SCHEDULER_ADDRESS"
            raise _no_head("Dask scheduler", str(address), where, error) from error
        with client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=max(jobs, 2), threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
