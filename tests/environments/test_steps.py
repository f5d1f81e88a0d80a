"""Observations, batches and rewards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.environments.options import EpisodeOptions
from fal_bench.environments.steps import (
    BatchActions,
    Progress,
    declines,
    default_sizes,
    margin_quantiles,
    rank_samples,
    reward,
    size_grid,
    take_window,
)
from fal_bench.errors import InvalidSpecError


def with_margins(margins):
    margins = np.asarray(margins)
    return np.column_stack([(1 + margins) / 2, (1 - margins) / 2])


def test_quantiles_by_hand() -> None:
    observed = margin_quantiles(with_margins([0.8, 0.0, 0.4]), 5)
    assert observed == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert observed.dtype == np.float32


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(2, 40))
def test_quantiles_agree_with_numpy(margins, count) -> None:
    expected = np.quantile(margins, np.linspace(0, 1, count))
    assert margin_quantiles(with_margins(margins), count) == pytest.approx(expected, abs=1e-6)


def test_nothing_left_is_nothing_uncertain() -> None:
    assert margin_quantiles(np.empty((0, 3)), 4).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(1, (1,)), (8, (1, 2, 3, 4, 6, 8)), (36, (1, 2, 3, 5, 8, 13, 22, 36))],
)
def test_size_grids_by_hand(largest, expected) -> None:
    assert size_grid(largest) == expected


@given(st.integers(1, 5000), st.integers(1, 20))
def test_size_grids_ascend_from_one_to_the_largest(largest: int, count: int) -> None:
    grid = size_grid(largest, count)
    assert grid[0] == 1
    assert grid[-1] == (largest if count > 1 else 1)
    assert (np.diff(grid) > 0).all()
    assert len(grid) <= count


def test_the_default_grid_ends_at_a_twentieth_or_eight() -> None:
    assert default_sizes(50)[-1] == 8
    assert default_sizes(701)[-1] == 36


def test_impossible_grids_are_refused() -> None:
    with pytest.raises(InvalidSpecError):
        size_grid(0)


def test_decoding_size_and_window() -> None:
    actions = BatchActions((2, 5), windows=3)
    decoded = [(actions.size(action), actions.window(action)) for action in range(len(actions))]
    assert decoded == [(2, 0), (2, 0.5), (2, 1), (5, 0), (5, 0.5), (5, 1)]


def test_the_quantile_reading_has_one_size() -> None:
    actions = BatchActions.of(EpisodeOptions(action="quantile", windows=4), 701)
    assert (actions.sizes, len(actions)) == ((8,), 4)


PROBS = np.array([[0.6, 0.4, 0.0], [0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [0.6, 0.4, 0.0]])


def test_ranks_by_hand() -> None:
    # Margins 0.2, 0.2, 0.8, 0.2 (up to rounding); entropies 0.67, 1.03, 0.33, 0.67.
    assert rank_samples(np.round(PROBS, 1) * 10, "margin").tolist() == [0, 1, 3, 2]
    assert rank_samples(PROBS, "entropy").tolist() == [1, 0, 3, 2]


@given(st.integers(1, 50), st.data(), st.floats(0, 1))
def test_windows_lie_inside_the_ranking(n: int, draw, window: float) -> None:
    size = draw.draw(st.integers(1, n))
    taken = take_window(np.arange(n), size, window)
    assert len(taken) == size
    assert (np.diff(taken) == 1).all()
    assert take_window(np.arange(n), size, 0)[0] == 0
    assert take_window(np.arange(n), size, 1)[-1] == n - 1


BEFORE, AFTER = Progress(0.5, 0.1), Progress(0.6, 0.2)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"reward": "delta"}, 0.1),
        ({"reward": "delta_cost", "cost": 2.0}, 0.1 - 2.0 * 0.2),
        ({"reward": "delta_cost", "cost": 0.0}, 0.1),
        ({"reward": "cost"}, -0.2),
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
