import numpy as np
import pytest
import torch
from torch import nn
from toy_episodes import N_CLASSES, POOL, REWARD, features, true_labels

from fal_bench.environments.finetune import Finetune
from fal_bench.errors import InvalidSpecError


@pytest.fixture
def model() -> nn.Module:
    network = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, N_CLASSES))
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return network


def test_it_learns_from_the_same_start_every_time(model) -> None:
    start = [parameter.clone() for parameter in model.parameters()]
    fit = Finetune(model)
    first = fit(features(POOL), true_labels(POOL), N_CLASSES)(features(REWARD))
    again = fit(features(POOL), true_labels(POOL), N_CLASSES)(features(REWARD))
    assert (first == again).all()
    assert (first.argmax(axis=1) == true_labels(REWARD)).mean() > 0.75
    assert np.allclose(first.sum(axis=1), 1, atol=1e-5)
    assert all(map(torch.equal, start, model.parameters()))


def test_the_seed_decides_the_batch_order(model) -> None:
    fits = [Finetune(model, seed=seed) for seed in (0, 1)]
    first, second = (
        fit(features(POOL), true_labels(POOL), N_CLASSES)(features(REWARD)) for fit in fits
    )
    assert (first != second).any()


def test_the_global_stream_is_left_alone(model) -> None:
    before = torch.get_rng_state()
    Finetune(model, epochs=1)(features(POOL), true_labels(POOL), N_CLASSES)
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
