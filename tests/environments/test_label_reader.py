import numpy as np
import pytest

from fal_bench.environments import CountingLabels
from fal_bench.errors import LabelAccessError


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
