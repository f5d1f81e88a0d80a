"""Asking published results other questions."""

from dataclasses import replace

import pandas as pd
import pytest

from fal_bench import load, report
from fal_bench.errors import PublicationError, UnknownNameError
from fal_bench.task.target import Target


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"task": "digits-iid"},
        {"seeds": 1},
        {"strategies": "random"},
        {"task": "digits-shards", "strategies": "random,feal", "seeds": 2},
    ],
)
@pytest.mark.parametrize(
    "question", [{"target_acc": 0.5}, {"target_acc": 0.7}, {"target": "loss=1.5"}]
)
def test_the_answer_is_that_of_the_runs(smoke, chosen, question):
    boards = [
        report(folder, **question, **chosen).leaderboard
        for folder in (smoke.parent / "results", smoke)
    ]
    pd.testing.assert_frame_equal(*boards, check_exact=True)


def test_they_open_as_the_runs_do(smoke):
    stored, published = load(smoke.parent / "results"), load(smoke)
    assert published.targets == (Target(0.6),)
    assert set(published.runs["key"]) == set(stored.runs["key"])
    assert stored.conflicts(published) == []
    changed = replace(published, charges=published.charges.assign(labels=1))
    assert len(stored.conflicts(changed)) == len(stored.runs)
    columns = ["key", "strategy", "parameters", "fingerprint", "trainer", "variant", "seed"]
    pd.testing.assert_frame_equal(
        *(one.runs[columns].sort_values("key", ignore_index=True) for one in (stored, published))
    )
    pd.testing.assert_frame_equal(stored.shown_charges(), published.shown_charges())


def test_unknown_names_and_other_suites_are_refused(smoke):
    with pytest.raises(UnknownNameError, match="digits-iid"):
        report(smoke, task="digits-idd")
    with pytest.raises(UnknownNameError, match="random"):
        report(smoke, strategies="randon")
    with pytest.raises(PublicationError, match="--suite"):
        report(smoke, suite="quick")


def test_changed_curves_are_refused(published):
    with (published / "curves.csv").open("a") as curves:
        curves.write("\n")
    with pytest.raises(PublicationError, match=r"curves\.csv"):
        report(published)


def test_the_command_prints_and_writes_nothing(published, falbench):
    before = {path: path.read_bytes() for path in published.iterdir()}
    code, out, _ = falbench("report", str(published), "--task", "digits-iid", "--target-acc", "0.5")
    assert code == 0
    assert "digits-iid, 2 seeds" in out
    assert "Wrote" not in out
    assert {path: path.read_bytes() for path in published.iterdir()} == before
