"""Submitted results ask the question of the published ones, and are what ``publish`` writes."""

import tomllib
from pathlib import Path

import pytest

import fal_bench
from fal_bench.publication.consistency import Published, contradictions
from fal_bench.results.published import file_states
from fal_bench.results.record import read_record

RESULTS = Path(__file__).parent.parent / "results"
SUBMISSIONS = sorted((RESULTS / "submissions").glob("*/"))
PAGE = (RESULTS.parent / "docs" / "submissions.md").read_text(encoding="utf-8")

each = pytest.mark.parametrize("folder", SUBMISSIONS, ids=lambda folder: folder.name)


@each
def test_a_submission_describes_itself(folder):
    described = tomllib.loads((folder / "submission.toml").read_text(encoding="utf-8"))
    assert described.keys() == {"strategy", "by", "source", "plugin"}
    assert (folder / described["plugin"]).exists()
    assert described["strategy"] in fal_bench.load(folder / "published").strategies


@each
def test_its_files_agree_with_each_other(folder):
    published = folder / "published"
    record = read_record(published)
    assert {file.state for file in file_states(published, record)} == {"same"}
    checks = contradictions(Published(published, record, fal_bench.load(published)))
    assert [check.note for check in checks if check.state == "differs"] == []


@each
def test_it_asks_the_question_of_the_published_results(folder):
    """Tasks, seeds and the runs of the baseline are the same."""
    mine = fal_bench.load(folder / "published")
    ours = fal_bench.load(RESULTS / "published" / mine.suite.name)
    assert set(mine.tasks["hash"]) == set(ours.tasks["hash"])
    assert mine.seeds == ours.seeds
    baseline = read_record(folder / "published").baseline
    keys = [set(one.narrow(strategies=baseline).runs["key"]) for one in (mine, ours)]
    assert keys[0] <= keys[1]


@each
def test_the_page_shows_it(folder):
    described = tomllib.loads((folder / "submission.toml").read_text(encoding="utf-8"))
    board = fal_bench.report(folder / "published").boards[0]
    row = next(row for row in board.rows if row["strategy"] == described["strategy"])
    [line] = [line for line in PAGE.splitlines() if line.startswith(f"| `{described['strategy']}`")]
    assert f"{round(100 * row['saving_vs_random']):+d} %" in line
    assert described["by"] in line
