import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.data.apportionment import equal_sizes, largest_remainder, turns


@pytest.mark.parametrize(
    ("weights", "total", "expected"),
    [
        # Quotas 4.7, 1.6, 0.7: wholes 4, 1, 0; the two left go to the remainders .7 and .7.
        ([47, 16, 7], 7, [5, 1, 1]),
        # Quotas 0.5, 1.0, 3.5: a tie, which the first part wins.
        ([0.1, 0.2, 0.7], 5, [1, 1, 3]),
        ([0.29, 0.71], 100, [29, 71]),
        ([0.0, 3.0], 4, [0, 4]),
        ([1.0, 1.0], 0, [0, 0]),
    ],
)
def test_hand_computed_apportionments(weights, total, expected):
    assert largest_remainder(weights, total).tolist() == expected


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=50).filter(lambda w: sum(w) > 1e-3),
    st.integers(0, 10**6),
)
def test_total_is_kept_and_every_part_is_within_one_of_its_quota(weights, total):
    sizes = largest_remainder(weights, total)
    assert sizes.sum() == total
    assert np.abs(sizes - total * np.array(weights) / sum(weights)).max() < 1 + 1e-6


def test_equal_sizes_put_the_larger_parts_first():
    assert equal_sizes(11, 4).tolist() == [3, 3, 3, 2]


@given(
    st.lists(
        st.tuples(st.integers(1, 50), st.integers(0, 5), st.integers(0, 12)), min_size=1, max_size=8
    )
)
def test_turns_reach_all_limits_and_keep_to_the_weights(parts):
    weights, held, limits = (np.array(column) for column in zip(*parts, strict=True))
    order = turns(weights.astype(float), held, limits)
    assert (
        np.bincount(order, minlength=len(parts)).tolist() == np.maximum(limits - held, 0).tolist()
    )
    count = held.copy()
    for part in order:
        waits = np.where(count < limits, (count + 0.5) / weights, np.inf)
        assert waits[part] == waits.min()
        count[part] += 1


def test_equal_turns_go_round():
    order = turns(np.ones(3), np.ones(3, int), np.array([4, 2, 4]))
    assert order.tolist() == [0, 1, 2, 0, 2, 0, 2]
