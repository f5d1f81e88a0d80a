"""The federated work that every engine is timed on, and the timing."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import usual_loop
from sklearn.datasets import load_digits

from fal_bench.learning.engine import train
from fal_bench.learning.model import Architecture, Model
from fal_bench.learning.request import Lane, TrainRequest
from fal_bench.plugins.aggregation import average
from fal_bench.plugins.needs import LocalTraining
from fal_bench.streams import Streams
from fal_bench.task import ModelSpec


@dataclass(frozen=True)
class Workload:
    """One federation's rounds.

    Attributes:
        architecture: the model.
        images: 8-bit images, shape (n, H, W).
        labels: shape (n,).
        clients: number of clients.
        samples: samples a client.
        epochs: local epochs a round.
        rounds: rounds.
    """

    architecture: Architecture
    images: np.ndarray
    labels: np.ndarray
    clients: int = 10
    samples: int = 50
    epochs: int = 5
    rounds: int = 2
    batch_size: int = 10
    lr: float = 0.05

    @classmethod
    def digits(cls, spec, **options) -> Workload:
        """The 8x8 digits of scikit-learn."""
        return cls(Architecture(spec, (1, 8, 8), 10), *_digits(), **options)

    @classmethod
    def noise(cls, spec, size, **options) -> Workload:
        """Random images: speed does not depend on what they show."""
        rng = np.random.default_rng(0)
        images = rng.integers(256, size=(5000, size, size), dtype=np.uint8)
        labels = rng.integers(10, size=5000)
        return cls(Architecture(spec, (1, size, size), 10), images, labels, **options)

    @property
    def updates(self) -> int:
        """Updates of all clients together."""
        per_epoch = -(-self.samples // self.batch_size)
        return self.clients * self.rounds * self.epochs * per_epoch

    def usual(self, per_sample: bool = True) -> Callable[[], None]:
        """Return the usual loop, with transforms per sample or on tensors."""
        data = usual_loop.Images(self.images, self.labels)
        clients = usual_loop.split(
            data if per_sample else usual_loop.as_tensors(data), self.clients, self.samples
        )
        start = self.network()

        def run() -> None:
            model = copy.deepcopy(start)
            for _ in range(self.rounds):
                usual_loop.federated_round(model, clients, self.epochs, self.batch_size, self.lr)

        return run

    def ours(self, federations: int = 1) -> Callable[[], None]:
        """Return our engine on ``federations`` equal federations at once."""
        data = usual_loop.as_tensors(usual_loop.Images(self.images, self.labels))
        features, labels = data.tensors
        recipe = LocalTraining(self.epochs, self.batch_size, self.lr, 0.0, 0.0, None)
        start = self.architecture.fresh(torch.Generator().manual_seed(0))
        counts, streams = np.full(self.clients, self.samples), Streams(0, "benchmark")
        parts = [
            slice(client * self.samples, (client + 1) * self.samples)
            for client in range(self.clients)
        ]

        def request(federation: int, number: int, weights) -> TrainRequest:
            lanes = tuple(
                Lane(
                    weights,
                    features[part],
                    labels[part],
                    streams.numpy("batches", federation, number, client),
                )
                for client, part in enumerate(parts)
            )
            return TrainRequest(self.architecture, recipe, lanes)

        def run() -> None:
            models = [start.weights] * federations
            for number in range(self.rounds):
                answers = train([request(f, number, w) for f, w in enumerate(models)])
                models = [average(answer.weights, counts) for answer in answers]

        return run

    def model(self) -> Model:
        """Return a fresh model."""
        return self.architecture.fresh(torch.Generator().manual_seed(0))

    def client_tensors(self, client: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return one client's samples, normalised."""
        part = slice(client * self.samples, (client + 1) * self.samples)
        images, labels = self.images[part], self.labels[part]
        return usual_loop.as_tensors(usual_loop.Images(images, labels)).tensors

    def network(self):
        """Return a fresh network of one's own."""
        network = copy.deepcopy(self.architecture.network)
        network.load_state_dict(self.model().weights)
        return network.to(memory_format=torch.contiguous_format)


@lru_cache(maxsize=1)
def _digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return (data.images * 15).astype(np.uint8), data.target


@lru_cache(maxsize=8)
def federations_on_digits(spec, rounds: int, federations: int) -> Callable[[], None]:
    """Return our engine on several federations, their data prepared once per process."""
    return Workload.digits(spec, rounds=rounds).ours(federations)


@lru_cache(maxsize=64)
def digits_of_client(client: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one client's digits, prepared once per process."""
    return Workload.digits(ModelSpec(kind="mlp", hidden=(64,))).client_tensors(client)


def interleaved(*functions: Callable[[], object], repeats: int = 3) -> list[float]:
    """Return each function's median CPU seconds, run in turns so that load hits all alike."""
    taken: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(repeats):
        for times, function in zip(taken, functions, strict=True):
            started = time.process_time()
            function()
            times.append(time.process_time() - started)
    return [statistics.median(times) for times in taken]
