"""Guessing how long a comparison takes must not take long itself."""

import pytest
import torch

from fal_bench.data.base import Dataset
from fal_bench.learning import engine
from fal_bench.sweep import estimate
from fal_bench.sweep.groups import updates
from fal_bench.task import Task


@pytest.fixture
def trained(monkeypatch):
    """The samples of every call of the engine, which takes a second a sample."""
    clock, calls = [0.0], []

    def train(requests):
        [request] = requests
        samples = sum(len(lane.labels) for lane in request.lanes) * request.training.epochs
        calls.append(samples)
        clock[0] += samples

    monkeypatch.setattr(engine, "train", train)
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: clock[0])
    return calls


@pytest.mark.parametrize(
    ("model", "most"),
    [({"kind": "mlp"}, 20_000), ({"kind": "cnn4"}, 100), ({"kind": "resnet18"}, 100)],
)
def test_large_networks_are_timed_on_a_few_steps(trained, monkeypatch, model, most):
    labels = torch.arange(100) % 4
    features = torch.zeros(100, 1, 16, 16)
    dataset = Dataset("flat", features, labels, features, labels, 4)
    monkeypatch.setattr("fal_bench.data.loading.load_dataset", lambda _: dataset)
    task = Task(
        model=model, clients=2, initial_labels=4, query_size=2, budget_cap=16, batch_size=16
    )
    seconds = estimate._training_seconds(task, "cpu")
    assert seconds == pytest.approx(16 * updates(task))  # a second a sample, 16 samples a step
    assert 0 < sum(trained) <= most * 2
