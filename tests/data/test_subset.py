import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.data.subset import chosen_rows, long_tail
from fal_bench.errors import InvalidSpecError


def rng(seed=0):
    return np.random.default_rng(seed)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.data())
def test_a_subset_is_as_large_as_asked_and_keeps_proportions(sizes, data):
    labels = rng().permutation(np.repeat(np.arange(len(sizes)), sizes))
    count = data.draw(st.integers(len(sizes), len(labels)))
    rows = chosen_rows("toy", "train", labels, count)
    assert len(rows) == count
    assert (np.diff(rows) > 0).all()
    kept = np.bincount(labels[rows], minlength=len(sizes))
    assert (kept >= 1).all()
    # One sample a class is set aside; the rest is shared out in proportion, to the nearest number.
    spare = np.array(sizes) - 1
    quotas = 1 + (count - len(sizes)) * spare / max(spare.sum(), 1)
    assert np.abs(kept - quotas).max() < 1
    assert np.array_equal(rows, chosen_rows("toy", "train", labels, count))
    shuffled = chosen_rows("toy", "train", labels, count, shuffle=True)
    assert sorted(shuffled) == rows.tolist()


def test_all_rows_are_left_as_they_are_or_shuffled():
    labels = np.arange(100) // 50
    assert chosen_rows("toy", "train", labels, None) is None
    rows = chosen_rows("toy", "train", labels, None, shuffle=True)
    assert sorted(rows) == list(range(100))
    assert 10 < labels[rows][:50].sum() < 40


def test_rows_are_fixed_for_good():
    """Another choice would be another data set under the same name."""
    labels = np.arange(12) % 3
    assert chosen_rows("toy", "train", labels, 5).tolist() == [1, 6, 7, 8, 9]
    assert chosen_rows("toy", "train", labels, 5, shuffle=True).tolist() == [6, 1, 9, 8, 7]


@pytest.mark.parametrize("count", [-1, 0, 2, 13])
def test_impossible_sizes_are_refused(count):
    with pytest.raises(InvalidSpecError, match=f"12 test samples, not {count}"):
        chosen_rows("toy", "test", np.arange(12) % 3, count)


@pytest.mark.parametrize(
    ("sizes", "ratio", "expected"),
    [
        # 80 * 16^(-k/4) for k = 0 ... 4.
        ([80] * 5, 16, [80, 40, 20, 10, 5]),
        # 100, 50, 25 asked for; the middle class has only 30.
        ([100, 30, 90], 4, [100, 30, 25]),
        # The ratio is that of the classes that occur.
        ([0, 0, 10, 0, 10], 5, [0, 0, 10, 0, 2]),
        ([7, 3, 9], 1, [7, 3, 9]),
    ],
)
def test_counts_of_a_long_tail_fall_exponentially_to_the_ratio(sizes, ratio, expected):
    labels = rng().permutation(np.repeat(np.arange(len(sizes)), sizes))
    assert np.bincount(labels[long_tail(labels, ratio, rng())]).tolist() == expected


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=200),
    st.floats(1, 1e6),
    st.integers(0, 2**32),
)
def test_kept_ids_are_sorted_distinct_and_cover_every_class(labels, ratio, seed):
    labels = np.array(labels)
    kept = long_tail(labels, ratio, rng(seed))
    assert kept.dtype == np.int64
    assert (np.diff(kept) > 0).all()
    assert kept[0] >= 0
    assert kept[-1] < len(labels)
    assert set(labels[kept]) == set(labels)
    assert np.array_equal(kept, long_tail(labels, ratio, rng(seed)))


def test_samples_of_a_long_tail_are_chosen_by_the_stream():
    labels = np.repeat([0, 1], 50)
    assert not np.array_equal(long_tail(labels, 5, rng(0)), long_tail(labels, 5, rng(1)))
