"""Ray and Dask on this machine: the same runs as with local workers, bit for bit."""

import os
import signal
import threading
import time
from importlib.util import find_spec

import pytest
from untimed import assert_same_curves

from fal_bench.errors import FalbenchError
from fal_bench.sweep import cluster
from fal_bench.sweep.cluster import check_backend

LIBRARIES = {"ray": "ray", "dask": "distributed"}

# Ray and Dask leave sockets and files to the garbage collector when they shut down.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def installed(backend):
    return pytest.param(
        backend,
        marks=pytest.mark.skipif(
            find_spec(LIBRARIES[backend]) is None,
            reason=f"{backend} is not installed; run tox -e cluster",
        ),
    )


@pytest.fixture(params=[installed("ray"), installed("dask")])
def backend(request):
    return request.param


def test_a_cluster_computes_the_same_runs_bit_for_bit(backend, compare):
    there = compare(["random", "logo"], "there", backend=backend, jobs=2)
    here = compare(["random", "logo"], "here", jobs=2)
    assert not there.context.missing
    assert_same_curves(there, here)


def test_a_killed_worker_costs_its_runs_a_retry(backend, compare, tmp_path, write_plugin):
    touch = f"pathlib.Path({str(tmp_path)!r}, f'{{os.getpid()}}.pid').touch()"
    plugins = [write_plugin(tmp_path / "slow.py", {"slow": f"{touch}; time.sleep(0.2)"})]
    killed = []

    def kill_one():
        while not killed:
            for file in tmp_path.glob("*.pid"):
                killed.append(int(file.stem))
                os.kill(killed[0], signal.SIGKILL)
                return
            time.sleep(0.05)

    killer = threading.Thread(target=kill_one)
    killer.start()
    options = {"plugins": plugins, "jobs": 2}
    result = compare(["random", "slow"], "killed", backend=backend, **options)
    killer.join()
    assert killed
    assert killed[0] != os.getpid()
    assert not result.context.missing
    whole = compare(["random", "slow"], "whole", **options)
    assert_same_curves(result, whole)


@pytest.mark.skipif(find_spec("distributed") is None, reason="dask is not installed")
def test_dask_workers_with_several_threads_are_refused(compare):
    from distributed import Client, LocalCluster

    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with (
        LocalCluster(**options) as local,
        Client(local),
        pytest.raises(FalbenchError, match="--nthreads 1"),
    ):
        compare(["random"], backend="dask", jobs=2)


@pytest.mark.parametrize("missing", ["ray", "dask"])
def test_a_missing_library_is_named(missing, monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(FalbenchError, match=rf"pip install 'falbench\[{missing}\]'"):
        check_backend(missing)
    check_backend("processes")
