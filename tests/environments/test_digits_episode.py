import dataclasses

import gymnasium
import numpy as np
import pytest
import torch

import fal_bench.datasets.digits
from fal_bench.datasets.digits import load_digits
from fal_bench.environments.episode_data import digits_episode
from fal_bench.errors import LabelAccessError


class Untouchable:
    """Stands in for test data; any use of it fails."""

    def __getattribute__(self, name: str):
        pytest.fail(f"the test data were used: {name}")


@dataclasses.dataclass
class TrainOnly:
    """The digits as the environment may see them."""

    train_features: torch.Tensor
    train_labels: torch.Tensor
    n_classes: int
    n_train: int
    test_features: object
    test_labels: object


def test_episodes_do_not_touch_test_data(monkeypatch) -> None:
    digits = load_digits()
    guarded = TrainOnly(
        digits.train_features,
        digits.train_labels,
        digits.n_classes,
        digits.n_train,
        Untouchable(),
        Untouchable(),
    )
    monkeypatch.setattr(fal_bench.datasets.digits, "load_digits", lambda: guarded)
    env = gymnasium.make("falbench/FedRALBatch-v0")
    for seed in range(3):
        env.reset(seed=seed)
        over = False
        while not over:
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            over = terminated or truncated


def test_state_labels_cannot_be_read() -> None:
    data, labels = digits_episode()
    with pytest.raises(LabelAccessError, match="must not be read"):
        labels(data.state.ids[:1], "agent-training")
    with pytest.raises(LabelAccessError):
        labels(np.concatenate([data.pool.ids[:3], data.state.ids[-1:]]), "reward")
    assert labels.counts == {}
    assert len(labels(data.pool.ids, "agent-training")) == len(data.pool)
    assert len(labels(data.reward.ids, "reward")) == len(data.reward)


def test_parts_have_the_shares_of_the_paper() -> None:
    data, _ = digits_episode()
    total = load_digits().n_train
    assert len(data.state) == pytest.approx(0.1 * total, abs=1)
    assert len(data.pool) + len(data.reward) == pytest.approx(0.6 * total, abs=1)
    assert len(data.reward) == pytest.approx(0.1 * total, abs=1)
    for part in (data.pool, data.state, data.reward):
        assert (np.diff(part.ids) > 0).all()


def test_features_and_labels_belong_to_the_ids() -> None:
    data, labels = digits_episode()
    digits = load_digits()
    for part in (data.pool, data.state, data.reward):
        expected = digits.train_features.flatten(1)[torch.from_numpy(part.ids)]
        assert (part.features == expected.numpy()).all()
    bought = labels(data.pool.ids, "agent-training")
    assert (bought == digits.train_labels.numpy()[data.pool.ids]).all()
