"""How the cost of a query grows with the pool: predictions of each model, and the picking."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from workload import interleaved

from fal_bench.geometry.clustering import k_means
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Architecture
from fal_bench.scores import smallest, top_two_margin
from fal_bench.task import Cnn, Cnn4, Mlp

MODELS = {
    "MLP 64-64-10": Architecture(Mlp(hidden=(64,)), (1, 8, 8), 10),
    "CNN 16-32, 8x8": Architecture(Cnn(channels=(16, 32)), (1, 8, 8), 10),
    "CNN4, 28x28": Architecture(Cnn4(), (1, 28, 28), 10),
}
POOLS = [1_000, 10_000, 50_000]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("name", MODELS)
def test_predictions(benchmark, report, name, pool):
    architecture = MODELS[name]
    generator = torch.Generator().manual_seed(0)
    model = architecture.fresh(generator)
    features = torch.rand(pool, *architecture.input_shape, generator=generator)
    [seconds] = interleaved(lambda: predict(model, features))
    report(f"{name}, pool of {pool}: ms", seconds * 1e3)
    report(f"{name}, pool of {pool}: us a sample", seconds / pool * 1e6)
    benchmark.pedantic(lambda: None, rounds=1)


@pytest.mark.parametrize("pool", POOLS)
def test_picking(benchmark, report, pool):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(pool, 10)).astype(np.float32)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    points = rng.normal(size=(pool, 128)).astype(np.float32)
    margin, clusters = interleaved(
        lambda: smallest(top_two_margin(probs), 10),
        lambda: k_means(points, 10, np.random.default_rng(0)),
    )
    report(f"margin, pool of {pool}: ms", margin * 1e3)
    report(f"k-means of 128 features, 10 clusters, pool of {pool}: ms", clusters * 1e3)
    benchmark.pedantic(lambda: None, rounds=1)
