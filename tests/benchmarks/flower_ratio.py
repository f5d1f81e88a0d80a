"""The same FedAvg work under Flower's simulation and here; prints the ratios of throughputs.

Run it in an environment with ``flwr[simulation]`` (``tox -e bench-flower``). Flower gets every
core through its Ray actors, one CPU each. Its client is written in two ways:

- ``dataloader``: as in Flower's PyTorch quickstart, with a data loader over the client's samples
  and ``loss.item()`` every step; kinder only in that the samples are tensors already.
- ``tensors``: by hand, without a data loader and without reading the loss.

Ours is a worker process a core, four federations stacked in each, before and after each of
Flower's runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import joblib
import torch
from torch.utils.data import DataLoader, TensorDataset
from workload import Workload, digits_of_client, federations_on_digits

from fal_bench.task import ModelSpec

STACKED = 4
SPECS = {
    "cnn": ModelSpec(kind="cnn", channels=(16, 32)),
    "mlp": ModelSpec(kind="mlp", hidden=(64,)),
}


def workload(kind: str, rounds: int) -> Workload:
    """Return the digits, 10 clients x 50 samples, 5 epochs, batches of 10."""
    return Workload.digits(SPECS[kind], rounds=rounds)


def flower_seconds(kind: str, rounds: int, style: str) -> tuple[float, float]:
    """Return Flower's seconds until the first round is done, and those of a later round."""
    from flwr.client import ClientApp, NumPyClient
    from flwr.common import ndarrays_to_parameters
    from flwr.server import ServerApp, ServerAppComponents, ServerConfig
    from flwr.server.strategy import FedAvg
    from flwr.simulation import run_simulation

    ends: list[float] = []

    class Timed(FedAvg):
        def aggregate_fit(self, server_round, results, failures):
            if failures:
                raise RuntimeError(f"Flower clients failed: {failures[0]}")
            aggregated = super().aggregate_fit(server_round, results, failures)
            ends.append(time.perf_counter())
            return aggregated

    def client(context):
        number = int(context.node_config["partition-id"])
        return _client(NumPyClient, kind, number, style).to_client()

    def server(context):
        start = [tensor.numpy() for tensor in workload(kind, 1).model().weights.values()]
        strategy = Timed(
            fraction_evaluate=0.0,
            min_fit_clients=10,
            min_available_clients=10,
            initial_parameters=ndarrays_to_parameters(start),
        )
        config = ServerConfig(num_rounds=rounds)
        return ServerAppComponents(strategy=strategy, config=config)

    started = time.perf_counter()
    run_simulation(
        server_app=ServerApp(server_fn=server),
        client_app=ClientApp(client_fn=client),
        num_supernodes=10,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
    steady = [later - earlier for earlier, later in pairwise(ends)]
    return ends[0] - started, statistics.median(steady)


def _client(base, kind: str, number: int, style: str):
    """Return Flower client ``number``; made for every call, as Flower does."""

    class Client(base):
        def fit(self, parameters, config):
            torch.set_num_threads(1)
            work = workload(kind, 1)
            network = work.network()
            names = network.state_dict().keys()
            state = {n: torch.tensor(p) for n, p in zip(names, parameters, strict=True)}
            network.load_state_dict(state)
            TRAIN[style](network, work, *digits_of_client(number))
            trained = [tensor.numpy() for tensor in network.state_dict().values()]
            return trained, work.samples, {}

    return Client()


def train_with_loader(network, work, features, labels) -> float:
    """Train as Flower's PyTorch quickstart does; return the mean loss."""
    loader = DataLoader(TensorDataset(features, labels), batch_size=work.batch_size, shuffle=True)
    criterion = torch.nn.CrossEntropyLoss()
    optimiser = torch.optim.SGD(network.parameters(), lr=work.lr)
    network.train()
    running_loss = 0.0
    for _ in range(work.epochs):
        for images, targets in loader:
            optimiser.zero_grad()
            loss = criterion(network(images), targets)
            loss.backward()
            optimiser.step()
            running_loss += loss.item()
    return running_loss / (work.epochs * len(loader))


def train_on_tensors(network, work, features, labels) -> None:
    """Train with as little around the arithmetic as plain PyTorch allows."""
    optimiser = torch.optim.SGD(network.parameters(), lr=work.lr)
    for _ in range(work.epochs):
        for chosen in torch.randperm(work.samples).split(work.batch_size):
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(features[chosen]), labels[chosen])
            loss.backward()
            optimiser.step()


TRAIN = {"dataloader": train_with_loader, "tensors": train_on_tensors}


def ours(kind: str, rounds: int) -> None:
    """Run ``STACKED`` federations on one thread, as a worker does."""
    torch.set_num_threads(1)
    federations_on_digits(SPECS[kind], rounds, STACKED)()


def our_seconds(kind: str, rounds: int, workers: int) -> float:
    """Return our wall seconds for one round of one federation, all workers busy."""
    pool = joblib.Parallel(n_jobs=workers, batch_size=1)
    # Starts the workers and prepares their data, as Flower's clients have theirs prepared.
    pool(joblib.delayed(ours)(kind, rounds) for _ in range(workers))
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        pool(joblib.delayed(ours)(kind, rounds) for _ in range(workers))
        taken.append((time.perf_counter() - started) / (rounds * workers * STACKED))
    return statistics.median(taken)


def main() -> None:
    """Time both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=SPECS, default="cnn")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--client", choices=TRAIN, nargs="+", default=list(TRAIN))
    options = parser.parse_args()
    workers = len(os.sched_getaffinity(0))
    before = our_seconds(options.model, options.rounds, workers)
    for style in options.client:
        first, flower = flower_seconds(options.model, options.rounds, style)
        after = our_seconds(options.model, options.rounds, workers)
        mine = (before + after) / 2
        print(f"Flower, {style}: first round after {first:.1f} s, then {flower:.3f} s a round")
        print(
            f"falbench: {mine:.4f} s a round and federation ({before:.4f} before, {after:.4f} "
            f"after), {workers} workers x {STACKED} stacked"
        )
        print(f"ratio of steady throughput, {style}: {flower / mine:.1f}", flush=True)
        before = after


if __name__ == "__main__":
    main()
