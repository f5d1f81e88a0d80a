import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy as scipy_entropy

from fal_bench.acquisition.scores import confidence, entropy, largest, smallest, top_two_margin

PROBS = np.array([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.1, 0.3, 0.6], [1.0, 0.0, 0.0]])


def test_margins_by_hand():
    np.testing.assert_allclose(top_two_margin(PROBS), [0.5, 0.0, 0.3, 1.0])


def test_confidences_by_hand():
    np.testing.assert_allclose(confidence(PROBS), [0.7, 0.4, 0.6, 1.0])


def test_entropy_agrees_with_scipy_and_takes_zeros():
    np.testing.assert_allclose(entropy(PROBS), scipy_entropy(PROBS, axis=1))


def test_ties_go_to_the_earlier_position():
    scores = np.array([1.0, 0.0, 1.0, 0.0])
    assert smallest(scores, 3).tolist() == [1, 3, 0]
    assert largest(scores, 3).tolist() == [0, 2, 1]
    assert smallest(scores, 9).tolist() == [1, 3, 0, 2]


@given(arrays(float, st.integers(1, 20), elements=st.floats(-5, 5)), st.integers(0, 20))
def test_the_chosen_are_no_larger_than_the_rest(scores, count):
    chosen = smallest(scores, count)
    rest = np.setdiff1d(np.arange(len(scores)), chosen)
    assert len(chosen) == min(count, len(scores)) == len(set(chosen.tolist()))
    if len(chosen) and len(rest):
        assert scores[chosen].max() <= scores[rest].min()


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        smallest(np.array([0.0, np.nan]), 1)
