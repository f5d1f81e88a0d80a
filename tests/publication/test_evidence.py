"""Asking published results other questions."""

import pandas as pd
import pytest

from fal_bench.errors import PublicationError, UnknownNameError
from fal_bench.publication.evidence import published_evidence
from fal_bench.report.answer import answer
from fal_bench.report.stored import Filter, stored_evidence
from fal_bench.report.targets import Question
from fal_bench.results.store import Store


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(),
        Filter(task="digits-iid"),
        Filter(seeds=1),
        Filter(strategies=("random",)),
        Filter(task="digits-shards", strategies=("random,feal",), seeds=2),
    ],
)
@pytest.mark.parametrize("target", [0.5, 0.7])
def test_the_answer_is_that_of_the_runs(smoke, chosen, target):
    stored, _ = stored_evidence(Store(smoke.parent / "results"), chosen)
    published = published_evidence(smoke, chosen)
    boards = [
        answer(Question.make(target, "strict", None, one.strategies), one).leaderboard
        for one in (stored, published)
    ]
    pd.testing.assert_frame_equal(*boards, check_exact=True)


def test_the_targets_are_those_that_were_published(smoke):
    assert published_evidence(smoke, Filter()).targets == (0.6,)


def test_unknown_names_and_other_suites_are_refused(smoke):
    with pytest.raises(UnknownNameError, match="digits-iid"):
        published_evidence(smoke, Filter(task="digits-idd"))
    with pytest.raises(UnknownNameError, match="random"):
        published_evidence(smoke, Filter(strategies=("randon",)))
    with pytest.raises(PublicationError, match="leave --suite out"):
        published_evidence(smoke, Filter(suite="quick"))


def test_changed_curves_are_refused(published):
    with (published / "curves.csv").open("a") as curves:
        curves.write("\n")
    with pytest.raises(PublicationError, match=r"curves\.csv .* restore it"):
        published_evidence(published, Filter())


def test_the_command_prints_and_writes_nothing(published, falbench):
    before = {path: path.read_bytes() for path in published.iterdir()}
    code, out, _ = falbench("report", str(published), "--task", "digits-iid", "--target-acc", "0.5")
    assert code == 0
    assert "suite digits-iid, 2 seeds" in out
    assert "Wrote" not in out
    assert {path: path.read_bytes() for path in published.iterdir()} == before
