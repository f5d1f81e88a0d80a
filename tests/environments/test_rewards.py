import numpy as np
import pytest

from fal_bench.environments.options import EpisodeOptions
from fal_bench.environments.steps import Progress, declines, reward

BEFORE, AFTER = Progress(0.5, 0.1), Progress(0.6, 0.2)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"reward": "delta"}, 0.1),
        ({"reward": "delta_cost", "cost": 2.0}, 0.1 - 2.0 * 0.2),
        ({"reward": "delta_cost", "cost": 0.0}, 0.1),
        ({"reward": "lal"}, -0.2),
    ],
)
def test_rewards_by_hand(options, expected) -> None:
    rng = np.random.default_rng(0)
    assert reward(EpisodeOptions(**options), BEFORE, AFTER, rng) == pytest.approx(expected)
    assert rng.random() == np.random.default_rng(0).random()  # nothing was drawn


def test_the_authors_reward_is_noisy_above_a_ratio() -> None:
    options, rng = EpisodeOptions(reward="authors"), np.random.default_rng(0)
    drawn = np.array([reward(options, BEFORE, AFTER, rng) for _ in range(200)])
    noise = drawn - (0.6 / 0.2 - 0.5 / 0.1)
    assert noise.min() > 0
    assert noise.max() <= 0.01
    assert noise.mean() == pytest.approx(0.005, abs=0.001)


@pytest.mark.parametrize(
    ("rewards", "patience", "expected"),
    [
        ([], 2, False),
        ([3, 2], 2, False),
        ([3, 2, 1], 2, True),
        ([0, 3, 2, 1], 2, True),
        ([3, 2, 1, 1], 2, False),
        ([3, 1, 2], 2, False),
        ([3, 2, 2], 2, False),
        ([1, 0], 1, True),
        ([4, 3, 2, 1], 3, True),
        ([2, 3, 2, 1], 3, False),
    ],
)
def test_consecutive_declines(rewards, patience, expected) -> None:
    assert declines(rewards, patience) == expected
