import numpy as np
import pytest
import torch
from torch import nn

from fal_bench.environments.finetune import Finetune
from fal_bench.errors import InvalidSpecError


@pytest.fixture
def model(toy) -> nn.Module:
    network = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, toy.n_classes))
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return network


@pytest.fixture
def predicted(toy):
    """A function that fits on the pool and predicts the reward samples."""

    def after(fit):
        classifier = fit(toy.features(toy.pool), toy.true_labels(toy.pool), toy.n_classes)
        return classifier(toy.features(toy.reward))

    return after


def test_it_learns_from_the_same_start_every_time(model, toy, predicted) -> None:
    start = [parameter.clone() for parameter in model.parameters()]
    fit = Finetune(model)
    first, again = predicted(fit), predicted(fit)
    assert (first == again).all()
    assert (first.argmax(axis=1) == toy.true_labels(toy.reward)).mean() > 0.75
    assert np.allclose(first.sum(axis=1), 1, atol=1e-5)
    assert all(map(torch.equal, start, model.parameters()))


def test_the_seed_decides_the_batch_order(model, predicted) -> None:
    fits = [Finetune(model, seed=seed) for seed in (0, 1)]
    first, second = (predicted(fit) for fit in fits)
    assert (first != second).any()


def test_the_global_stream_is_left_alone(model, predicted) -> None:
    before = torch.get_rng_state()
    predicted(Finetune(model, epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("values", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}])
def test_bad_parameters_are_refused(model, values) -> None:
    with pytest.raises(InvalidSpecError):
        Finetune(model, **values)


def test_it_runs_inside_episodes(model, make_env) -> None:
    env = make_env(fit=Finetune(model, epochs=5))
    env.reset(seed=0)
    *_, info = env.step(2)
    assert info["labels"] == 13
