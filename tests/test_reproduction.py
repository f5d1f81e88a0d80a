"""The page on reproduction says what the published results say."""

import importlib.util
import sys
from pathlib import Path

import pytest

from fal_bench.publication.folder import file_states
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


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_files_are_those_that_were_published(folder):
    states = file_states(folder, read_record(folder))
    assert {file.state for file in states} == {"same"}
