"""Guessing how long a comparison takes must not take long itself."""

import pytest
import torch
from stored import TINY, spec, store_cell

from fal_bench.data.base import Dataset
from fal_bench.learning import engine
from fal_bench.sweep import estimate
from fal_bench.sweep.estimate import WORKER_START_SECONDS, Estimate, estimate_time
from fal_bench.sweep.groups import updates
from fal_bench.sweep.store import Store
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


@pytest.fixture
def timed(monkeypatch):
    """A cell's training is timed at 100 seconds."""
    monkeypatch.setattr(estimate, "_training_seconds", lambda task, device: 100.0)


def guess(root, missing, jobs=1):
    known = [spec("random", seed) for seed in (0, 1)] + missing
    found = estimate_time(Store(root), known, missing, jobs)
    return found.seconds - WORKER_START_SECONDS, found.training_only


def test_finished_cells_are_the_best_evidence(tmp_path, timed):
    for seed, seconds in ((0, 1.0), (1, 3.0)):
        store_cell(tmp_path, spec("random", seed), seconds=seconds)
    cycles = TINY.fixed_cycles
    mean = cycles * (2.0 + 0.25)  # of two seeds, with the seconds in selection
    assert guess(tmp_path, [spec("random", 2)]) == (mean, False)
    assert guess(tmp_path, [spec("logo", 0)]) == (mean, False)  # the next best
    assert guess(tmp_path, [spec("random", 2), spec("random", 3)], jobs=2) == (mean, False)
    assert guess(tmp_path, [spec("random", 2)], jobs=8) == (mean, False)


def test_without_any_the_training_is_timed_and_said_to_be_that_alone(tmp_path, timed):
    assert guess(tmp_path, [spec("logo", 0), spec("random", 5)], jobs=2) == (100.0, True)
    other = TINY.model_copy(update={"query_size": 7})
    store_cell(tmp_path, spec("random", 0))
    known = TINY.fixed_cycles * 1.25
    assert guess(tmp_path, [spec("random", 1), spec("random", 0, task=other)]) == (
        pytest.approx(known + 100),
        True,
    )


def test_nothing_missing_takes_no_time(tmp_path):
    assert estimate_time(Store(tmp_path), [], [], 2) == Estimate(0.0)
