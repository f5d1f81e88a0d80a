import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.data.apportionment import equal_sizes, largest_remainder


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
