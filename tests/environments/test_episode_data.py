import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.environments import EpisodeData, Samples, hold_out
from fal_bench.errors import InvalidSpecError


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
