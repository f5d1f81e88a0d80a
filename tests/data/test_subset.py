import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.data.subset import chosen_rows
from fal_bench.errors import InvalidSpecError

sizes = st.lists(st.integers(1, 30), min_size=2, max_size=6)


def labels_of(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(0).permutation(labels)


@given(sizes, st.data(), st.booleans())
def test_a_subset_is_as_large_as_asked_and_keeps_proportions(sizes, data, shuffle):
    labels = labels_of(sizes)
    count = data.draw(st.integers(len(sizes), len(labels)))
    rows = chosen_rows("toy", "train", labels, count, shuffle)
    assert len(rows) == len(set(rows.tolist())) == count
    kept = np.bincount(labels[rows], minlength=len(sizes))
    assert (kept >= 1).all()
    # One sample a class is set aside; the rest is shared out in proportion, to the nearest number.
    spare = np.array(sizes) - 1
    quotas = 1 + (count - len(sizes)) * spare / max(spare.sum(), 1)
    assert np.abs(kept - quotas).max() < 1
    if not shuffle:
        assert (np.diff(rows) > 0).all()


@given(sizes, st.data())
def test_the_order_does_not_change_which_rows_are_used(sizes, data):
    labels = labels_of(sizes)
    count = data.draw(st.integers(len(sizes), len(labels)))
    plain = chosen_rows("toy", "train", labels, count)
    assert set(chosen_rows("toy", "train", labels, count, shuffle=True)) == set(plain)
    assert np.array_equal(plain, chosen_rows("toy", "train", labels, count))


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
    with pytest.raises(InvalidSpecError, match=r"3 \(one a class\) to 12 test samples, not"):
        chosen_rows("toy", "test", np.arange(12) % 3, count)
