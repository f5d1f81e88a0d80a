import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.environments.steps import margin_quantiles


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


def test_the_length_does_not_depend_on_the_samples() -> None:
    assert len(margin_quantiles(with_margins([0.3]), 32)) == 32


def test_nothing_left_is_nothing_uncertain() -> None:
    assert margin_quantiles(np.empty((0, 3)), 4).tolist() == [1, 1, 1, 1]
