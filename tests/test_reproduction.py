"""The page on reproduction says what the published results say."""

import importlib.util
import io
import sys
from pathlib import Path

import pandas as pd
import pytest

from fal_bench.errors import DataError, PublicationError
from fal_bench.learning.numerics import NUMERICS_VERSIONS
from fal_bench.plugins.registry import Registry
from fal_bench.publication.consistency import Published, contradictions
from fal_bench.publication.index import publish_index
from fal_bench.publication.verification import runs_here
from fal_bench.results.published import file_states
from fal_bench.results.record import read_record

ROOT = Path(__file__).parent.parent
PUBLISHED = sorted((ROOT / "results" / "published").glob("*/"))


def writer_of_the_page():
    spec = importlib.util.spec_from_file_location("reproduction", ROOT / "docs" / "reproduction.py")
    module = sys.modules["reproduction"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRITER = writer_of_the_page()
PAGE = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")
SAVING = "saving_vs_random"


def test_the_tables_are_those_of_the_published_results():
    """Written by ``python docs/reproduction.py``."""
    assert WRITER.page() == PAGE
    assert PAGE.count("\n**") == 3 + sum(len(one.claims) for one in WRITER.SECTIONS)


each_folder = pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)


@each_folder
def test_published_files_are_those_that_were_published(folder):
    states = file_states(folder, read_record(folder))
    assert {file.state for file in states} == {"same"}


@each_folder
def test_published_results_of_this_numerics_version_can_be_verified(folder):
    """A raised version of a strategy asks for them to be published again."""
    record, results = read_record(folder), WRITER.opened(folder.name)
    if record.numerics != NUMERICS_VERSIONS[record.device]:
        with pytest.raises(PublicationError, match=f"numerics version {record.numerics},"):
            runs_here(record, results, Registry.discover())
        return
    try:
        assert len(runs_here(record, results, Registry.discover())) == record.n_runs
    except DataError as error:
        pytest.skip(f"its data are not here: {error}")
    except PublicationError as error:
        if record.device == "cpu" or "no such device" not in str(error):
            raise
        pytest.skip(str(error))


@each_folder
def test_all_that_is_shown_follows_from_the_curves(folder):
    """A page that this falbench would draw otherwise is unchecked, and no contradiction."""
    checks = contradictions(Published(folder, read_record(folder), WRITER.opened(folder.name)))
    assert len(checks) == 8
    assert [check.note for check in checks if check.state == "differs"] == []


@pytest.mark.parametrize(
    ("section", "claim"), [(0, 0), (5, 0), (8, 0)], ids=["iid", "logo", "paper labels"]
)
def test_a_line_is_what_the_command_prints(section, claim, falbench):
    """Strategies named by ``-s`` one by one are those alone, whatever trainers there are."""
    asked = WRITER.SECTIONS[section].claims[claim]
    line = WRITER.lines(asked)[0]
    code, out, _ = falbench(
        "report", ROOT / "results" / "published" / line.folder, "--task", line.task,
        "-s", line.strategy, "-s", line.baseline, "--baseline", line.baseline,
        "--accounting", asked.bill, "--target-acc", "auto", "--format", "csv",
    )  # fmt: skip
    assert code == 0
    printed = pd.read_csv(io.StringIO(out)).query("strategy == @line.strategy")
    assert list(printed["verdict"]) == [line.verdict]
    assert list(printed[SAVING]) == pytest.approx([line.row[SAVING]], nan_ok=True)


def test_every_task_with_both_strategies_counts():
    claim = WRITER.Claim("random beats margin", "a test", (("random", "fal-margin"),))
    found = [(line.folder, line.task) for line in WRITER.lines(claim)]
    there = {
        (folder, row.name): row.hash
        for folder in WRITER.folders()
        for row in WRITER.opened(folder).tasks[["name", "hash"]].itertuples(index=False)
        if {"random", "fal-margin"} <= set(WRITER.opened(folder).strategies)
    }
    hashes = [there[line] for line in found]
    assert set(hashes) == set(there.values())
    assert len(hashes) == len(set(hashes))  # suites share tasks, which count once


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        (["better", "no evidence", "equal"], "holds"),
        (["better", "better", "worse"], "mixed"),
        (["worse", "no evidence"], "does not hold"),
        (["equal", "no evidence"], "does not hold"),
        (["no evidence", "too few seeds", "not comparable"], "cannot be said"),
        ([], "cannot be said"),
    ],
)
def test_one_rule_says_what_all_lines_say(verdicts, says):
    lines = [WRITER.Line("f", "t", "a", "b", {"verdict": one}) for one in verdicts]
    assert WRITER.says(lines) == says


def test_the_page_over_all_results_is_what_they_say_now(tmp_path):
    for folder in PUBLISHED:
        (tmp_path / folder.name).symlink_to(folder)
    again = publish_index(tmp_path).read_text(encoding="utf-8")
    assert (ROOT / "results" / "published" / "index.html").read_text(encoding="utf-8") == again
