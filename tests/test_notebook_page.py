"""The page on notebooks, run as the notebook that it describes, in a real kernel."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.skipif("FALBENCH_SITE" not in os.environ, reason="run tox -e site")

PAGE = Path(__file__).parent.parent / "docs" / "notebook.md"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    cells = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    folder = tmp_path_factory.mktemp("notebook")
    NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    return book, folder


def shown(cell, kind="text/html"):
    return [output.data[kind] for output in cell.outputs if kind in output.get("data", {})]


@pytest.mark.filterwarnings("ignore")  # of Jupyter's own
def test_a_class_of_a_cell_is_compared_and_the_result_shows_board_and_figure(notebook):
    book, _ = notebook
    _, compared, _, _, again = book.cells
    progress, result = shown(compared)
    assert "<progress" in progress
    assert "4 of 4 runs" in progress
    assert result.count("<table") == 1
    assert "my-idea" in result
    assert "<svg" in result
    assert "70 %" in shown(again)[0]


@pytest.mark.filterwarnings("ignore")
def test_a_figure_is_shown_and_written(notebook):
    book, folder = notebook
    assert shown(book.cells[3], "image/svg+xml")
    assert (folder / "curves.pdf").read_bytes().startswith(b"%PDF")
