import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.data.subset import long_tail
from fal_bench.errors import InvalidSpecError


def rng(seed=0):
    return np.random.default_rng(seed)


def test_counts_fall_exponentially_to_the_ratio():
    # 80 * 16^(-k/4) for k = 0 ... 4.
    labels = rng().permutation(np.repeat(np.arange(5), 80))
    kept = long_tail(labels, 16, rng())
    assert np.bincount(labels[kept]).tolist() == [80, 40, 20, 10, 5]


def test_a_class_keeps_what_it_has_if_the_profile_asks_for_more():
    # 100, 50, 25 asked for; the middle class has only 30.
    labels = np.repeat([0, 1, 2], [100, 30, 90])
    assert np.bincount(labels[long_tail(labels, 4, rng())]).tolist() == [100, 30, 25]


def test_the_ratio_refers_to_classes_that_occur():
    labels = np.repeat([2, 7], [10, 10])
    assert np.bincount(labels[long_tail(labels, 5, rng())])[[2, 7]].tolist() == [10, 2]


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


@given(st.lists(st.integers(0, 6), min_size=1, max_size=100))
def test_ratio_one_keeps_everything(labels):
    assert long_tail(np.array(labels), 1, rng()).tolist() == list(range(len(labels)))


def test_samples_are_chosen_by_the_stream():
    labels = np.repeat([0, 1], 50)
    assert not np.array_equal(long_tail(labels, 5, rng(0)), long_tail(labels, 5, rng(1)))


@pytest.mark.parametrize("ratio", [0.5, 0.0, float("nan")])
def test_a_ratio_below_one_is_refused(ratio):
    with pytest.raises(InvalidSpecError, match="must be at least 1"):
        long_tail(np.array([0, 1]), ratio, rng())
