"""Samples without labels, and the labels that are read."""

from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fal_bench.datasets.digits
from fal_bench.datasets.digits import load_digits
from fal_bench.environments import CountingLabels, EpisodeData, Samples, hold_out
from fal_bench.environments.episode_data import digits_episode
from fal_bench.errors import InvalidSpecError, LabelAccessError


def samples(ids) -> Samples:
    return Samples(np.array(ids, dtype=np.int64), np.array(ids, dtype=np.float32)[:, None])


@given(st.sets(st.integers(0, 999), min_size=2, max_size=40), st.data())
def test_holding_out_splits_sorts_and_keeps_features_with_ids(ids, draw) -> None:
    count = draw.draw(st.integers(1, len(ids) - 1))
    shuffled = np.random.default_rng(1).permutation(sorted(ids))
    rest, held = hold_out(samples(shuffled), count, np.random.default_rng(0))
    assert len(held) == count
    assert sorted([*rest.ids, *held.ids]) == sorted(ids)
    for part in (rest, held):
        assert (np.diff(part.ids) > 0).all()
        assert (part.features[:, 0] == part.ids).all()


def test_what_is_held_out_is_random() -> None:
    held = {
        tuple(hold_out(samples(range(9)), 3, np.random.default_rng(seed))[1].ids)
        for seed in range(5)
    }
    assert len(held) > 1


@pytest.mark.parametrize("count", [0, 4, 5])
def test_impossible_holdouts_are_refused(count: int) -> None:
    with pytest.raises(InvalidSpecError, match="hold out"):
        hold_out(samples(range(4)), count, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("pool", "state", "reward", "n_classes"),
    [
        ([], [3], [4], 2),
        ([1], [], [4], 2),
        ([1], [3], [], 2),
        ([1, 3], [3], [4], 2),
        ([1, 4], [3], [4], 2),
        ([1], [3, 4], [4], 2),
        ([1], [3], [4], 1),
    ],
)
def test_unusable_episode_data_are_refused(pool, state, reward, n_classes) -> None:
    with pytest.raises(InvalidSpecError):
        EpisodeData(samples(pool), samples(state), samples(reward), n_classes)


def test_samples_need_one_distinct_id_each() -> None:
    with pytest.raises(InvalidSpecError, match="one id each"):
        Samples(np.arange(3), np.zeros((2, 1)))
    with pytest.raises(InvalidSpecError, match="distinct"):
        Samples(np.array([1, 1]), np.zeros((2, 1)))


def test_labels_come_in_the_order_asked() -> None:
    labels = CountingLabels(np.array([5, 9, 2]), np.array([0, 1, 2]))
    assert labels(np.array([2, 5, 2]), "reward").tolist() == [2, 0, 2]


def test_distinct_labels_are_counted_once_a_purpose() -> None:
    labels = CountingLabels(np.arange(10), np.zeros(10, dtype=np.int64))
    labels(np.array([1, 2, 3]), "warm-start")
    labels(np.array([3, 2]), "warm-start")
    labels(np.array([3, 4]), "reward")
    assert labels.counts == {"warm-start": 3, "reward": 2}
    assert labels.strict == 4


def test_a_refused_read_is_not_counted() -> None:
    labels = CountingLabels(np.arange(3), np.arange(3))
    with pytest.raises(LabelAccessError, match="sample 7"):
        labels(np.array([1, 7]), "reward")
    assert labels.counts == {}
    assert labels.strict == 0


class Untouchable:
    """Stands in for test data; any use of it fails."""

    def __getattribute__(self, name: str):
        pytest.fail(f"the test data were used: {name}")


def test_episodes_do_not_touch_test_data(monkeypatch) -> None:
    digits = load_digits()
    seen = ("train_features", "train_labels", "n_classes", "n_train")
    guarded = SimpleNamespace(**{name: getattr(digits, name) for name in seen})
    guarded.test_features = guarded.test_labels = Untouchable()
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
    with pytest.raises(LabelAccessError, match="must not"):
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
