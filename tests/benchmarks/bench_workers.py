"""How much faster two worker processes are than one: wall time of the same groups of runs."""

from __future__ import annotations

import time

import joblib
from workload import Workload

from fal_bench.task import ModelSpec


def train_some(kind: str, rounds: int) -> None:
    """Train several federations, as a worker does with a group of runs."""
    import torch

    torch.set_num_threads(1)
    spec = (
        ModelSpec(kind="mlp", hidden=(128,))
        if kind == "mlp"
        else ModelSpec(kind="cnn", channels=(16, 32))
    )
    Workload.digits(spec, rounds=rounds).ours(4)()


def wall(jobs: int, kind: str, rounds: int) -> float:
    """Return the seconds that ``jobs`` workers need for two groups."""
    started = time.perf_counter()
    tasks = [joblib.delayed(train_some)(kind, rounds) for _ in range(2)]
    pool = joblib.Parallel(n_jobs=2, pre_dispatch=jobs, batch_size=1)
    pool(tasks)
    return time.perf_counter() - started


def test_two_workers(benchmark, report):
    for kind, rounds in (("mlp", 20), ("cnn", 4)):
        wall(2, kind, 1)  # starts the workers
        pairs = [(wall(1, kind, rounds), wall(2, kind, rounds)) for _ in range(3)]
        ratio = sorted(one / two for one, two in pairs)[1]
        report(f"{kind}: two workers against one, wall", ratio, "at least 1.8")
    benchmark.pedantic(lambda: wall(2, "mlp", 1), rounds=1)
