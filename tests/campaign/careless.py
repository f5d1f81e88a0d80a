"""Careless plugins beside built-in strategies, which must not lose a bit (``tox -e faults``).

Each plugin does one thing to its process, once, in its first call. All run in one comparison, with
one worker and with two. The curves of random, fal-margin and logo must be those of a comparison
without any plugin, and every plugin's own runs must fail by name, or run.
"""

import pytest
from untimed import untimed

BUILT_IN = ["random", "fal-margin", "logo"]

# By name: a line of Python that runs where the strategy selects.
DEEDS = {
    "dtype": "torch.set_default_dtype(torch.float64)",
    "device": "torch.set_default_device('meta')",
    "matmul": "torch.set_float32_matmul_precision('medium')",
    "autocast": "torch.autocast('cpu', dtype=torch.bfloat16).__enter__()",
    "inference": "torch.inference_mode().__enter__()",
    "grad": "torch.set_grad_enabled(False)",
    "deterministic": "torch.use_deterministic_algorithms(True)",
    "threads": "torch.set_num_threads(2)",
    "anomaly": "torch.autograd.set_detect_anomaly(True)",
    "hook": "torch.nn.modules.module.register_module_forward_hook(lambda m, i, o: o * 0)",
    "function-mode": "torch.device('meta').__enter__()",
    "seeds": "torch.manual_seed(0); np.random.seed(0); random.seed(0)",
    "denormals": "torch.set_flush_denormal(True)",
    "mkldnn": "torch.backends.mkldnn.enabled = False",
    "previous": "[t.mul_(0) for t in client.previous_model.weights.values()]",
    "global": "[t.data.fill_(3) for t in client.global_model.weights.values()]",
    "numpy-view": "[t.numpy().fill(1) for t in client.global_model.weights.values()]",
    "scratch": "client.global_model.architecture.network.double()",
    "features": "client._features.zero_()",
    "shares": "client._shares.pool.setflags(write=True); client._shares.pool[:] = 0",
    "patched-sgd": "torch.optim.SGD.step = lambda self, closure=None: None",
    "patched-average": "import fal_bench.federation.loop as l; l.average = lambda w, c: w[0]",
    "patched-evaluate": "import fal_bench.federation.loop as l; l.evaluate = lambda m, *a: "
    "{one.name: 1.0 for one in m}",
    "patched-numpy": "np.argsort = lambda a, *b, **c: np.arange(len(a))",
    "recursion": "sys.setrecursionlimit(len(inspect.stack()) + 60)",
    "timer": "signal.setitimer(signal.ITIMER_REAL, 1.0)",
    "files": "resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))",
    "file-size": "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))",
    "fork": "os.fork()",
    "fork-and-wait": "os.fork() or time.sleep(1)",
    "daemon": "os.fork() or (os.setsid(), time.sleep(3600))",
    "thread": "threading.Thread(target=lambda: time.sleep(3600)).start()",
    "busy-thread": "threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True)"
    ".start()",
    "environment": "os.environ.update(OMP_NUM_THREADS='8', FALBENCH_DATA='/nowhere')",
    "directory": "os.chdir('/')",
    "path": "sys.path.clear()",
    "modules": "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('fal_b')]",
    "warnings": "__import__('warnings').simplefilter('error')",
    "errors": "np.seterr(all='raise')",
    "garbage": "gc.disable()",
    "garbage-digger": "[o.clear() for o in gc.get_objects() if type(o) is dict and 'pool' in o]",
    "closed": "[os.close(fd) for fd in range(3, 60) if fd_open(fd)]",
    "closed-output": "os.close(1); os.close(2)",
    "signals": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "exit": "os._exit(3)",
    "crash": "os.abort()",
    "interrupt": "raise KeyboardInterrupt",
    "memory": "KEPT.append(bytearray(3 * 10**9))",
}
HEAD = """
import gc, inspect, random, resource, torch
KEPT = []
def fd_open(fd):
    try:
        return os.fstat(fd) is not None
    except OSError:
        return False
"""


@pytest.fixture
def plugins(tmp_path, write_plugin):
    """A folder with one plugin a file."""
    folder = tmp_path / "careless"
    folder.mkdir()
    for name, deed in DEEDS.items():
        once = (
            f"exec({deed!r}, globals() | locals()) if client.cycle == client.index == 0 else None"
        )
        head = f"{HEAD}OUT = {str(tmp_path)!r}\n"
        write_plugin(folder / f"{name.replace('-', '_')}.py", {f"evil-{name}": once}, head=head)
    return folder


@pytest.mark.parametrize("jobs", [1, 2])
def test_built_in_strategies_lose_no_bit_beside_careless_plugins(compare, plugins, jobs):
    alone = untimed(compare(BUILT_IN, "alone", backend="sequential"))
    names = [f"evil-{name}" for name in DEEDS]
    result = compare(
        [*names[::2], *BUILT_IN, *names[1::2]], jobs=jobs, plugins=[plugins], call_timeout=30,
        memory_limit=2500,
    )  # fmt: skip
    beside = untimed(result)
    ours = beside[beside.strategy.isin(BUILT_IN)].reset_index(drop=True)
    assert len(ours) == len(alone)
    assert ours.equals(alone)
    failed = {run.strategy for run in result.context.missing}
    assert not failed & set(BUILT_IN)
    for run in result.context.missing:
        print(run.strategy, "|", run.reason[:150])
    # Whatever ran to its end has as many rows as it should.
    counts = beside.groupby(["task", "strategy", "seed"]).size()
    assert set(counts) == {4}
