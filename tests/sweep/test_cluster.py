"""Ray and Dask on this machine: the same runs as with local workers, bit for bit."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from importlib.util import find_spec
from tempfile import TemporaryDirectory

import joblib
import psutil
import pytest
from untimed import assert_same_curves

from fal_bench.errors import FalbenchError
from fal_bench.results.store import Store
from fal_bench.sweep import cluster, supervisor
from fal_bench.sweep.cluster import BackendError, Cluster, check_backend
from fal_bench.sweep.plan import Plan, run_missing
from fal_bench.sweep.supervisor import Supervisor

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


def test_a_retry_leaves_finished_runs_as_they_are(monkeypatch, suite, tmp_path, bad_plugins):
    """Those that failed, too: the same command tries them again, not the retry."""
    plugins = [bad_plugins / "raising.py"]
    plan = Plan.make(["random", "raising"], suite=suite, plugins=plugins, device="cpu")
    store = Store(tmp_path / "results")
    store.prepare()
    ended = []

    class Mortal:
        """A cluster with a worker that dies once, before the last group."""

        def call(self, function, jobs, _):
            for job in jobs if ended else jobs[:-1]:
                function(job)
            if not ended:
                ended.append(files())
                raise ConnectionResetError

    def files():
        found = [path for path in store.runs.rglob("*") if path.is_file()]
        return {(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in found}

    monkeypatch.setattr(supervisor, "connected", lambda *_: nullcontext(Mortal()))
    monkeypatch.setattr(supervisor, "worker_deaths", lambda _: (ConnectionResetError,))
    run_missing(Supervisor(store, 2, "ray", plugins=tuple(plugins)), plan)
    assert len(ended[0]) > 0
    assert ended[0] < files()
    assert {(run.strategy.name, store.phase(run)) for run in plan.runs} == {
        ("random", "done"),
        ("raising", "failed"),
    }


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


VARIABLES = {"ray": "RAY_ADDRESS", "dask": "DASK_SCHEDULER_ADDRESS"}
MAIN = "import sys; sys.argv[0] = 'falbench'; from fal_bench.cli import main; main()"


@pytest.fixture
def port():
    """A port at which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def environment(backend, port):
    """The environment of a command that computes on a cluster at ``port``."""
    host = "tcp://127.0.0.1" if backend == "dask" else "127.0.0.1"
    with TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as short:  # for its sockets
        place = {"RAY_TMPDIR": short, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
        yield {**os.environ, **place, VARIABLES[backend]: f"{host}:{port}"}


def start(environment, *arguments):
    return psutil.Popen(
        [sys.executable, "-m", *arguments], env=environment, start_new_session=True,
        stdout=sys.__stderr__, stderr=subprocess.STDOUT,
    )  # fmt: skip


def dask_cluster(environment, port):
    """Start a scheduler and two workers; return their processes, the scheduler's first."""
    common = ("--no-dashboard", "--host", "127.0.0.1")
    head = start(environment, "distributed.cli.dask_scheduler", "--port", str(port), *common)
    worker = ("distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1")
    return [head, *(start(environment, *worker, *common) for _ in range(2))]


def ray_cluster(environment, port):
    """Start a head with two workers; return its processes, the one that has to answer first."""
    environment = {name: value for name, value in environment.items() if name != "RAY_ADDRESS"}
    options = ("--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats", "--block")
    head = start(environment, "ray.scripts.scripts", "start", "--head", f"--port={port}", *options)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for one in head.children(recursive=True):
            if "gcs_server" in one.name():
                return [one, head]
        time.sleep(0.2)
    raise AssertionError("Ray's head does not start")


@pytest.fixture
def processes(backend, environment, port):
    """The processes of a cluster, its head first."""
    found = (dask_cluster if backend == "dask" else ray_cluster)(environment, port)
    yield found
    for one in found:
        if one.is_running():
            for process in [*one.children(recursive=True), one]:
                process.kill()
    for one in found:
        one.wait(30)


def test_a_lost_head_ends_the_command_by_name_and_costs_no_finished_cycle(
    backend, environment, processes, port, compare, suite, tmp_path, write_plugin
):
    """The runs of one strategy wait for a file, so that they are not over by themselves."""
    wait = f"while client.cycle and not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.1)"
    plugins = [write_plugin(tmp_path / "waiting.py", {"waiting": wait})]
    results = tmp_path / "lost"
    command = subprocess.Popen(
        [sys.executable, "-c", MAIN, "compare", "--suite", suite, "--plugin", plugins[0], "-s",
         "random,waiting", "--backend", backend, "--jobs", "2", "--out", results],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not any(len(path.read_text().splitlines()) > 2 for path in results.glob("*/*/curve.csv")):
        assert command.poll() is None, command.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    processes[0].kill()
    try:
        _, errors = command.communicate(timeout=180)
    finally:
        command.kill()
    (tmp_path / "go").touch()  # what the workers may still be at comes to its end
    assert command.returncode == 2, errors
    assert "fal_bench/sweep" not in errors  # a traceback; Dask logs those of its own
    assert str(port) in errors.splitlines()[-1]
    options = {"plugins": plugins, "jobs": 2}
    resumed = compare(["random", "waiting"], "lost", **options)
    assert not resumed.context.missing
    assert not (results / "set-aside").exists()
    assert_same_curves(resumed, compare(["random", "waiting"], "whole", **options))


def test_a_cluster_that_is_not_there_is_named(backend, environment, port, compare, monkeypatch):
    monkeypatch.setenv(VARIABLES[backend], environment[VARIABLES[backend]])
    if backend == "dask":
        import dask

        monkeypatch.setitem(
            dask.config.config, "scheduler-address", environment[VARIABLES[backend]]
        )
    before = time.monotonic()
    with pytest.raises(BackendError, match=rf"{port}.*{VARIABLES[backend]}"):
        compare(["random"], backend=backend, jobs=2)
    assert time.monotonic() - before < 60


def test_a_head_that_answers_no_more_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(cluster, "SECONDS_OF_SILENCE", 0.3)
    monkeypatch.setattr(cluster, "SECONDS_BETWEEN_LOOKS", 0.05)
    over = threading.Event()
    answers = iter([True, True])
    one = Cluster(
        "The cluster at nowhere:1",
        lambda: next(answers, False),
        lambda: joblib.parallel_config("threading"),
    )
    with pytest.raises(BackendError, match="nowhere:1"):
        one.call(lambda _: over.wait(), [1, 2], jobs=2)
    over.set()


def test_errors_of_calls_come_back_while_the_head_answers():
    one = Cluster("a cluster", lambda: True, lambda: joblib.parallel_config("threading"))
    seen = []
    one.call(seen.append, range(5), jobs=2)
    assert sorted(seen) == [0, 1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError):
        one.call(lambda _: 1 / 0, [1], jobs=2)
