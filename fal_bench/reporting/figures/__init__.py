"""Figures for papers and notebooks, drawn by matplotlib from the facts of a board.

Each kind of figure is a function ``draw`` in a module of its name. The command line reads its words
here, so everything heavy is imported when a figure is drawn; matplotlib is optional.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from fal_bench.errors import InvalidSpecError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fal_bench.reporting.answer import Board

FigureKind = Literal["savings", "curves", "ladder"]
"""The figures, each a module here: savings with their intervals, learning curves, savings at every
target of the ladder."""
FigureWidth = Literal["column", "page"]
"""How wide a figure is: a column of a page with two, or the whole page."""

SUFFIXES = (".pdf", ".svg", ".png")


def draw(board: Board, kind: FigureKind, width: FigureWidth) -> Figure:
    """Draw a figure of a board.

    Args:
        board: the board.
        kind: what it shows.
        width: how wide it is.

    Raises:
        InvalidSpecError: there is no such kind or width, or nothing to draw.
        FalbenchError: matplotlib is not installed.
    """
    from fal_bench.inputs.arguments import check_choice
    from fal_bench.reporting.figures.paper import check_matplotlib, styled

    check_choice("figure", kind, get_args(FigureKind))
    check_choice("width", width, get_args(FigureWidth))
    check_matplotlib()
    with styled():
        figure: Figure = import_module(f"{__name__}.{kind}").draw(board, width)
    return figure


def check_suffix(path: str | Path) -> Path:
    """Return the path of a figure.

    Raises:
        InvalidSpecError: its suffix is none that figures have.
    """
    from fal_bench.inputs.arguments import as_path

    path = as_path("A figure", path)
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidSpecError(
            f"A figure cannot be written to {str(path)!r}; choose a name that ends in "
            f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}."
        )
    return path


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure; the suffix says as what. Equal figures give equal bytes.

    Raises:
        InvalidSpecError: the suffix is none that figures have.
        OSError: the file cannot be written.
    """
    from fal_bench.reporting.figures.paper import styled
    from fal_bench.results.files import write_atomically

    path = check_suffix(path)
    form = path.suffix.lower()[1:]
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": None}[form]
    with styled():
        write_atomically(
            path, lambda file: figure.savefig(file, format=form, dpi=300, metadata=undated)
        )
    return path
