"""Which runs are drawn."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.inputs.selector import Selector
from fal_bench.publication.closeness import PublishedRun
from fal_bench.publication.verification import draw_runs
from fal_bench.sweep.spec import RunSpec
from fal_bench.task import Task


def grid(n_tasks, n_rows, n_seeds):
    return [
        PublishedRun(RunSpec(Task(name=f"t{t}"), Selector(f"s{r}"), "version 1", seed), f"s{r}")
        for t in range(n_tasks)
        for r in range(n_rows)
        for seed in range(n_seeds)
    ]


sizes = st.integers(1, 5)


@given(sizes, sizes, sizes, st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_sample_is_spread_and_repeatable(n_tasks, n_rows, n_seeds, count, seed):
    runs = grid(n_tasks, n_rows, n_seeds)
    drawn = draw_runs(runs, count, np.random.default_rng(seed))
    assert drawn == draw_runs(runs, count, np.random.default_rng(seed))
    assert len(drawn) == min(count, len(runs))
    assert len({run.identity for run in drawn}) == len(drawn)
    assert drawn == [run for run in runs if run in drawn]
    by_row = Counter(run.label for run in drawn)
    assert len(by_row) == min(n_rows, len(drawn))
    assert max(by_row.values()) - min(by_row.values()) <= (len(by_row) == n_rows)
    if len(drawn) <= min(n_rows, n_tasks):
        assert len({run.spec.task.name for run in drawn}) == len(drawn)


def test_four_of_a_suite_of_two_tasks_take_two_of_each():
    for seed in range(10):
        drawn = draw_runs(grid(2, 29, 5), 4, np.random.default_rng(seed))
        assert Counter(run.spec.task.name for run in drawn) == {"t0": 2, "t1": 2}
        assert len({run.spec.seed for run in drawn}) == 4


def test_four_of_two_strategies_on_two_tasks_take_every_pair():
    for seed in range(10):
        drawn = draw_runs(grid(2, 2, 2), 4, np.random.default_rng(seed))
        assert len({run.identity[:2] for run in drawn}) == 4


def test_another_seed_draws_others():
    draws = {
        tuple(run.identity for run in draw_runs(grid(2, 4, 3), 4, np.random.default_rng(seed)))
        for seed in range(20)
    }
    assert len(draws) > 15


def test_every_run_can_be_drawn():
    runs = grid(2, 3, 2)
    seen = {
        run.identity
        for seed in range(200)
        for run in draw_runs(runs, 1, np.random.default_rng(seed))
    }
    assert seen == {run.identity for run in runs}


@pytest.mark.parametrize("count", [12, 13, 1000])
def test_no_more_than_all_are_drawn(count):
    runs = grid(2, 3, 2)
    assert draw_runs(runs, count, np.random.default_rng(0)) == runs
