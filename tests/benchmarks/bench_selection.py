"""What selection costs: milliseconds and peak memory of ``select``, for every strategy there is.

One client with 100 labels, a budget of 50 and pools of 1,000, 10,000 and 50,000 random 8x8 images;
models are MLPs 64-128-10 fresh from initialisation. The time includes the passes of the models over
the pool, as it does in results (``fal-entropy`` is little else), but not the training of local
models; it is CPU time of one thread, so that a busy machine matters less. Memory is the growth of
the process's largest resident size, after a first selection from a pool of 200 that imports what is
imported late. Every figure comes from a process of its own. Coordinated strategies run with this
one client, and are stopped after some minutes a figure.

Run by hand (``python tests/benchmarks/bench_selection.py [strategy ...]``) or by ``tox -e bench``.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Generator

import numpy as np
import torch

from fal_bench.data.shares import ClientShares
from fal_bench.errors import FalbenchError
from fal_bench.federation.declared import check_suits
from fal_bench.federation.ledger import Ledger
from fal_bench.federation.models import ClientModels
from fal_bench.federation.view import LiveClientView, LiveFederationView
from fal_bench.inputs.selector import Selector
from fal_bench.learning.model import Architecture
from fal_bench.plugins.registry import Registry
from fal_bench.task import ModelSpec, Task
from fal_bench.trainers.cross_entropy import CROSS_ENTROPY

POOLS = (1_000, 10_000, 50_000)
BUDGET = 50
LABELLED = 100
LIMIT = 200  # seconds a figure


class World:
    """One client with a pool of random images.

    Args:
        pool: unlabelled samples.
    """

    def __init__(self, pool: int) -> None:
        rng = np.random.default_rng(0)
        ids, nothing = np.arange(pool + LABELLED), np.empty(0, dtype=np.int64)
        self.shares = ClientShares(nothing, nothing, nothing, ids)
        labels = rng.integers(10, size=len(ids))
        self.ledger = Ledger(lambda number: labels, [self.shares])
        self.ledger.buy(0, rng.choice(ids, LABELLED, replace=False), "initial", 0)
        self.features = torch.from_numpy(rng.random((len(ids), 1, 8, 8), dtype=np.float32))
        architecture = Architecture(ModelSpec(kind="mlp", hidden=(128,)), (1, 8, 8), 10)
        streams = [torch.Generator().manual_seed(seed) for seed in range(4)]
        self.models = [architecture.fresh(stream) for stream in streams]

    def client(self, reference: bool) -> LiveClientView:
        """Return a new view, that has predicted nothing yet."""
        ours, previous, own, distilled = self.models
        return LiveClientView(
            index=0,
            cycle=0,
            shares=self.shares,
            ledger=self.ledger,
            features=self.features,
            models=ClientModels(
                ours, previous, own, distilled, epochs=(previous, ours, own), snapshots=(own, ours)
            ),
            trainer=CROSS_ENTROPY,
            rng=np.random.default_rng(1),
            memory={},
            reference=reference,
        )

    def select(self, text: str) -> float:
        """Run a strategy's selection once and return its seconds."""
        strategy = Registry.discover().make(Selector.parse(text))
        client = self.client(strategy.reference)
        federation = LiveFederationView(
            [client], [BUDGET], np.random.default_rng(2), {}, beat=lambda: None
        )
        started = time.process_time()
        [chosen] = strategy.select_all(federation)
        if isinstance(chosen, Generator):
            chosen = _finish(chosen, client)
        taken = time.process_time() - started
        assert len(set(np.asarray(chosen).tolist())) <= BUDGET
        assert strategy.adaptive or len(chosen) == BUDGET
        return taken


def _finish(selection: Generator, client: LiveClientView):
    """Answer every training that is asked for with the local model, at no cost."""
    try:
        next(selection)
        while True:
            selection.send(client.local_model)
    except StopIteration as stop:
        return stop.value


def measure(text: str, pool: int) -> dict[str, float]:
    """Return CPU milliseconds and megabytes of one strategy, measured in this process."""
    torch.set_num_threads(1)
    World(200).select(text)
    world = World(pool)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = [world.select(text)]
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    while len(seconds) < 5 and sum(seconds) < 2:
        seconds.append(world.select(text))
    kilo = 1024 if sys.platform == "darwin" else 1  # bytes there, kilobytes elsewhere
    return {"ms": statistics.median(seconds) * 1000, "mb": growth / 1024 / kilo}


def in_a_child(text: str, pool: int) -> dict[str, float] | None:
    """Return what ``measure`` says in a new process, or None if it takes too long."""
    command = [sys.executable, __file__, "--measure", text, str(pool)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, env=environment, timeout=LIMIT, check=True, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{text} failed at a pool of {pool}: {error.stderr}") from None
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def unfit(text: str) -> str | None:
    """Return why a strategy cannot run in this world, or None."""
    task = Task(name="bench", query_size=BUDGET, initial_labels=LABELLED, budget_cap=1000)
    sizes = {"state": 0, "warm_start": 0, "agent": 0, "pool": POOLS[0]}
    try:
        strategy = Registry.discover().make(Selector.parse(text))
        check_suits(strategy, task)
        strategy.check_shares(task, sizes)
    except FalbenchError as error:
        return str(error)
    return None


def table(names: list[str], show=print) -> dict[tuple[str, int], dict[str, float] | None]:
    """Measure strategies and show them line by line; return the figures."""
    figures = {}
    width = max(map(len, names))
    pools = "".join(f"{f'{pool:,}':>20}" for pool in POOLS)
    show(f"{'select, budget ' + str(BUDGET):{width}}{pools}")
    show(f"{'':{width}}" + f"{'ms':>12}{'MB':>8}" * len(POOLS))
    for name in names:
        if reason := unfit(name):
            show(f"{name:{width}}  not here: {reason}")
            continue
        line = f"{name:{width}}"
        for pool in POOLS:
            figures[name, pool] = found = in_a_child(name, pool)
            line += f"{found['ms']:12.1f}{found['mb']:8.1f}" if found else f"{f'> {LIMIT} s':>20}"
        show(line)
    return figures


def test_no_selection_is_quadratic_in_memory(capsys):
    with capsys.disabled():
        print()
        figures = table(Registry.discover().names())
    # All distances of the largest pool in single precision would take 10 GB.
    assert all(found["mb"] < 1000 for found in figures.values() if found)


def main() -> None:
    """Measure the strategies named on the command line, or all."""
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
    else:
        table(sys.argv[1:] or Registry.discover().names())


if __name__ == "__main__":
    main()
