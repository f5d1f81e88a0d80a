"""Confirmed crossings and the budgets read from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.stats import Budget, Crossing, find_crossing

NAN = np.nan


@pytest.mark.parametrize(
    ("values", "index", "fraction"),
    [
        ([0.1, 0.3, 0.6, 0.7, 0.8], 2, 2 / 3),  # (0.5 - 0.3) / (0.6 - 0.3)
        ([0.1, 0.5, 0.5, 0.1, 0.1], 1, 1.0),  # exactly the target counts
        ([0.1, 0.6, 0.4, 0.5, 0.9], 3, 1.0),  # a single hit is not confirmed
        ([0.6, 0.6, 0.1, 0.1, 0.1], 0, 1.0),  # at the first point
        ([NAN, 0.6, 0.7, 0.7, 0.7], 1, 1.0),  # nothing to interpolate from
        ([0.1, 0.2, 0.3, 0.4, 0.6], None, 1.0),  # only beyond the cap
        ([0.1, 0.2, 0.3, 0.9, 0.4], None, 1.0),  # the cap is not confirmed
        ([0.1, 0.2, 0.4, 0.6, 0.5], 3, 0.5),  # the cap is confirmed
        ([0.1, 0.2, 0.6, NAN, 0.6], None, 1.0),  # a missing value never confirms
        ([NAN] * 5, None, 1.0),
    ],
)
def test_hand_made_curves(values, index, fraction):
    crossing = find_crossing(values, 0.5, within=4)
    assert crossing.index == index
    assert crossing.fraction == pytest.approx(fraction)


def test_confirm_sets_how_many_points_must_hold():
    values = [0.6, 0.1, 0.6, 0.6, 0.1, 0.6, 0.6, 0.6]
    found = [find_crossing(values, 0.5, within=7, confirm=r).index for r in (1, 2, 3, 4)]
    assert found == [0, 2, 5, None]


def test_one_crossing_is_read_on_any_axis():
    crossing = find_crossing([0.1, 0.3, 0.7, 0.8], 0.4, within=3)
    paper, strict = [10, 20, 30, 40], [10, 120, 140, 150]
    assert crossing.step(paper, 30) == Budget(30.0, reached=True)
    assert crossing.step(strict, 150) == Budget(140.0, reached=True)
    assert crossing.interpolated(paper, 30).labels == pytest.approx(22.5)
    assert crossing.interpolated(strict, 150).labels == pytest.approx(125.0)


def test_a_censored_budget_is_the_cap():
    crossing = Crossing(None, 1.0)
    assert crossing.step([10, 20, 30], 25.0) == Budget(25.0, reached=False)
    assert crossing.interpolated([10, 25, 30], 25.0) == Budget(25.0, reached=False)


def test_no_model_within_the_cap_is_no_crossing():
    assert find_crossing([0.9, 0.9], 0.5, within=0).index is None
    assert find_crossing([], 0.5, within=0).index is None


@pytest.mark.parametrize(("within", "confirm"), [(4, 2), (-1, 2), (1, 0)])
def test_impossible_arguments_are_refused(within, confirm):
    with pytest.raises(ValueError, match=r"within|confirm"):
        find_crossing([0.1, 0.2, 0.3], 0.5, within=within, confirm=confirm)


accuracies = st.one_of(st.just(NAN), st.floats(0, 1))


@given(
    values=st.lists(accuracies, min_size=1, max_size=12),
    target=st.floats(0.01, 1),
    confirm=st.integers(1, 4),
    data=st.data(),
)
def test_properties(values, target, confirm, data):
    within = data.draw(st.integers(0, len(values)))
    crossing = find_crossing(values, target, within=within, confirm=confirm)
    holds = [
        j
        for j in range(within)
        if j + confirm <= len(values) and all(v >= target for v in values[j : j + confirm])
    ]
    assert crossing.index == (holds[0] if holds else None)
    assert 0 < crossing.fraction <= 1

    axis, cap = 50.0 + 10.0 * np.arange(len(values)), 45.0 + 10.0 * within
    step, line = crossing.step(axis, cap), crossing.interpolated(axis, cap)
    assert step.reached == line.reached == bool(holds)
    assert line.labels <= step.labels <= cap
    if not holds:
        assert line.labels == cap
    else:
        first = next(j for j, value in enumerate(values) if value >= target)
        assert step.labels >= axis[first]
        assert line.labels >= step.labels - 10
