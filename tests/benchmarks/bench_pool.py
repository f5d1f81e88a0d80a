"""How the cost of a query grows with the pool: predictions of each model."""

from __future__ import annotations

import pytest
import torch
from workload import interleaved

from fal_bench.learning.inference import predict
from fal_bench.learning.model import Architecture
from fal_bench.task import ModelSpec

MODELS = {
    "MLP 64-64-10": Architecture(ModelSpec(kind="mlp", hidden=(64,)), (1, 8, 8), 10),
    "CNN 16-32, 8x8": Architecture(ModelSpec(kind="cnn", channels=(16, 32)), (1, 8, 8), 10),
    "CNN4, 28x28": Architecture(ModelSpec(kind="cnn4"), (1, 28, 28), 10),
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
