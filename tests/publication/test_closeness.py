"""How close a curve of another processor or version must be."""

import re

import numpy as np
import pandas as pd
import pytest
from stored import TINY, flat, row, spec

from fal_bench.publication.closeness import (
    PublishedRun,
    accuracy_spread,
    allowed_deviations,
    judge_closeness,
)

RUN = PublishedRun(spec("random"), "random")
CYCLES = len(TINY.label_grid)
SLOPE = np.linspace(0.2, 0.8, CYCLES)
STEPS = (-0.01, 0.01, -0.03, 0.01)


def curve(seed, accuracy, strategy="random"):
    rows = [
        {
            **flat(row(TINY, cycle, float(value))), "task": TINY.name, "strategy": strategy,
            "seed": seed, "task_hash": TINY.hash, "reference": False,
        }
        for cycle, value in enumerate(accuracy)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def published():
    return pd.concat([curve(seed, SLOPE + step) for seed, step in enumerate(STEPS)])


def judged(computed, published, deviations=3.0):
    return judge_closeness(RUN, computed, published, deviations)


def test_the_spread_is_that_between_seeds(published):
    step = np.std(STEPS, ddof=1)
    assert accuracy_spread(TINY, published) == pytest.approx(step)
    steady = pd.concat([curve(seed, SLOPE, "steady") for seed in range(4)])
    both = pd.concat([published, steady])
    assert accuracy_spread(TINY, both) == pytest.approx(step / np.sqrt(2))
    assert np.isnan(accuracy_spread(TINY, curve(0, SLOPE)))


def test_a_curve_may_be_another_run_but_not_any_other(published):
    spread = accuracy_spread(TINY, published)
    for step, state in ((0.0, "close"), (2.9 * spread, "close"), (3.1 * spread, "differs")):
        moved = SLOPE + STEPS[0]
        moved[2] += step
        outcome = judged(curve(0, moved), published)
        assert outcome.state == state
        assert outcome.accuracy_gap == pytest.approx(step)
    assert outcome.note.startswith(f"{TINY.label_grid[2]} labels: accuracy 0.0")
    assert f"allowed {3 * spread:.2g}" in outcome.note


def test_it_says_up_to_where_nothing_has_parted(published):
    moved = SLOPE + STEPS[0]
    moved[2:] += 0.02
    assert judged(curve(0, moved), published).note.endswith(f" up to {TINY.label_grid[1]} labels")
    assert "up to" not in judged(curve(0, SLOPE + STEPS[0]), published).note


@pytest.mark.parametrize(
    ("column", "value"),
    [("accuracy", 0.22), ("precision", 0.3), ("loss", 1.1), ("labels", 12), ("task_hash", "0")],
)
def test_the_first_cycle_has_no_excuse(published, column, value):
    computed = curve(0, SLOPE + STEPS[0])
    computed.loc[0, column] = value
    outcome = judged(computed, published, deviations=100.0)
    assert outcome.state == "differs"
    assert outcome.note.startswith("cycle 0")
    assert column in outcome.note


def test_labels_must_be_as_many_where_all_seeds_have_the_same_number(published):
    computed = curve(0, SLOPE + STEPS[0])
    computed.loc[CYCLES - 1, "labels_strict"] += 1
    outcome = judged(computed, published)
    assert outcome.state == "differs"
    assert re.search(r"labels_strict 43 .*44 .*allowed 0", outcome.note)
    adaptive = published.copy()
    last = (adaptive["cycle"] == CYCLES - 1).to_numpy()
    adaptive.loc[last, "labels_strict"] += np.array([0, 1, 2, 3])
    assert judged(computed, adaptive).state == "close"


def test_a_single_seed_says_nothing_of_spread():
    outcome = judged(curve(0, SLOPE + 0.001), curve(0, SLOPE))
    assert outcome.state == "differs"
    assert "single seed" in outcome.note


def test_more_runs_allow_for_a_larger_largest_difference():
    allowed = [allowed_deviations(runs) for runs in (1, 4, 100, 1000)]
    assert allowed == sorted(allowed)
    assert allowed[1] == pytest.approx(3.02, abs=0.01)
