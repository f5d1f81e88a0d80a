"""The distribution of budgets over tasks, seeds and targets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.stats import Budget, budget_ecdf


def test_by_hand():
    pooled = [
        (Budget(50, True), 100.0),
        (Budget(100, True), 400.0),
        (Budget(200, True), 400.0),
        (Budget(100, False), 100.0),
    ]
    found = budget_ecdf(pooled)
    assert found.shares.tolist() == [0.25, 0.5]
    assert found.reached.tolist() == [0.25, 0.75]
    assert found.runs == 4
    assert found.at([0, 0.25, 0.3, 0.5, 1]).tolist() == [0, 0.25, 0.25, 0.75, 0.75]


def test_no_run_reached():
    found = budget_ecdf([(Budget(100, False), 100.0)])
    assert found.shares.size == 0
    assert found.at([0, 1]).tolist() == [0, 0]


@given(st.lists(st.integers(1, 140), min_size=1, max_size=20))
def test_the_area_above_it_is_the_restricted_mean(times):
    found = budget_ecdf([(Budget(min(t, 100), t <= 100), 100.0) for t in times])
    edges = np.concatenate([[0.0], found.shares, [1.0]])
    area = np.sum(np.diff(edges) * (1 - found.at(edges[:-1])))
    assert area == pytest.approx(np.minimum(times, 100).mean() / 100)


@pytest.mark.parametrize("budgets", [[], [(Budget(1, True), 0.0)]])
def test_nothing_to_pool_is_refused(budgets):
    with pytest.raises(ValueError, match="needs a run"):
        budget_ecdf(budgets)
