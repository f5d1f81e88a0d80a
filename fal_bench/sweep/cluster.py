"""Running worker processes on a Ray or Dask cluster, through joblib's own backends.

Nothing here distributes work: joblib does, and the cluster's own tools start and stop it. All
machines must see the results folder and the plugin files under the same paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Any, Literal

from fal_bench.errors import FalbenchError
from fal_bench.inputs.arguments import check_choice
from fal_bench.learning.device import CPU

ClusterBackend = Literal["ray", "dask"]

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


def cluster_pool(backend: ClusterBackend, jobs: int) -> AbstractContextManager[None]:
    """Return a context in which joblib runs on a cluster.

    The cluster is the one this process is connected to, else the one that the library's own
    environment variable names (``RAY_ADDRESS``, ``DASK_SCHEDULER_ADDRESS``), else a new one of
    ``jobs`` workers on this machine, which ends with the context.

    Args:
        backend: the cluster's library.
        jobs: workers of a new cluster.
    """
    return _ray(jobs) if backend == "ray" else _dask(jobs)


def worker_deaths(backend: ClusterBackend) -> tuple[type[Exception], ...]:
    """Return the errors by which a cluster says that a worker died."""
    if backend == "ray":
        from ray.exceptions import RayError

        return (RayError,)
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    return (KilledWorker, CommClosedError)


@contextmanager
def _ray(jobs: int) -> Iterator[None]:
    import os

    import joblib
    import ray
    from ray.util.joblib import register_ray

    started = not ray.is_initialized()
    if started:
        local = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": max(jobs, 2)}
        ray.init(include_dashboard=False, log_to_driver=False, **local)
    try:
        register_ray()
        with joblib.parallel_config("ray"):
            yield
    finally:
        if started:
            ray.shutdown()


@contextmanager
def _dask(jobs: int) -> Iterator[None]:
    import joblib

    with _dask_client(jobs) as client:
        threads = client.nthreads()
        if not threads or max(threads.values()) > 1:
            raise BackendError(
                "Every Dask worker must have one thread, because bits depend on the number of "
                "threads; start them with dask worker --nthreads 1."
            )
        with joblib.parallel_config("dask", client=client):
            yield


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
    if dask.config.get("scheduler-address", None):
        with Client() as client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=max(jobs, 2), threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
