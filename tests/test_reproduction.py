"""The page on reproduction says what the published results say."""

import importlib.util
import sys
from pathlib import Path

import pytest

from fal_bench.errors import DataError
from fal_bench.publication.curves import read_published_curves
from fal_bench.publication.folder import CURVES, LEADERBOARD, file_states
from fal_bench.publication.installation import cells_here
from fal_bench.publication.ranking import leaderboard_difference
from fal_bench.publication.record import read_record

ROOT = Path(__file__).parent.parent
PUBLISHED = sorted((ROOT / "results" / "published").iterdir())


def writer():
    spec = importlib.util.spec_from_file_location("reproduction", ROOT / "docs" / "reproduction.py")
    module = sys.modules["reproduction"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_published_results():
    """Written anew by ``python docs/reproduction.py``."""
    page = writer().page()
    assert (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8") == page
    assert page.count("<!-- end -->") == len(writer().TABLES)


each_folder = pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)


@each_folder
def test_published_files_are_those_that_were_published(folder):
    states = file_states(folder, read_record(folder))
    assert {file.state for file in states} == {"same"}


@each_folder
def test_published_results_can_be_verified_with_this_code(folder):
    """Raised versions of the arithmetic or of a strategy ask for them to be published anew."""
    record = read_record(folder)
    try:
        assert len(cells_here(record, ())) == record.cells
    except DataError as error:
        pytest.skip(f"its data are not here: {error}")


@each_folder
def test_published_leaderboards_follow_from_the_curves(folder):
    curves = read_published_curves(folder / CURVES)
    assert leaderboard_difference(read_record(folder), curves, folder / LEADERBOARD) == ""
