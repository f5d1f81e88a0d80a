"""Curves to compare bit for bit: without the times, which no two runs share."""

import pandas as pd

from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.state import RunState

TIMES = ["train_seconds", "select_seconds"]


def untimed(curves):
    """The curves of a comparison or a frame, or the rows of a journal, without their times."""
    curves = getattr(curves, "curves", curves)
    if isinstance(curves, pd.DataFrame):
        return curves.drop(columns=TIMES)
    rows = getattr(curves, "rows", curves)
    return [{k: v for k, v in vars(row).items() if k not in TIMES} for row in rows]


def assert_same_curves(ours, theirs):
    """Assert that two comparisons, or frames, have the same curves bit for bit."""
    pd.testing.assert_frame_equal(untimed(ours), untimed(theirs), check_exact=True)


def resumed(state):
    """A journal of a run that was interrupted behind a state."""
    journal = MemoryJournal()
    journal.resume = lambda: RunState.from_arrays(state.to_arrays())
    return journal
