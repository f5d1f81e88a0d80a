"""What the figures share: sizes, colours, and matplotlib's settings."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final, Literal

from fal_bench.errors import FalbenchError, one_line
from fal_bench.reporting import wording
from fal_bench.reporting.answer import Board
from fal_bench.reporting.columns import group, is_ranked, rows_of
from fal_bench.reporting.context import ReportContext

Width = Literal["column", "page"]

INCHES: Final[dict[str, float]] = {"column": 3.5, "page": 7.16}
"""Width of a column and of a page in papers with two columns."""

TEXT: Final = "#222222"
QUIET: Final = "#8c8c8c"
FAINT: Final = "#d4d4d4"
# Okabe and Ito (2008): safe for colour-blind readers. Black is the baseline's.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES: Final[tuple[Any, ...]] = ("-", (0, (6, 1.5)), (0, (4, 1, 1, 1)))
MARKERS: Final = "osD^vP"

_SETTINGS: Final = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "text.color": TEXT,
    "text.parse_math": False,  # a name may hold dollars
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,  # publishers take no fonts of type 3
    "svg.hashsalt": "falbench",  # equal figures give equal files
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


class NoMatplotlibError(FalbenchError):
    """Figures need matplotlib, which is not installed."""


def check_matplotlib() -> None:
    """Raise an error with the way out if matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise NoMatplotlibError(
            "Figures are drawn by matplotlib, which is not installed; install it with: "
            "pip install matplotlib"
        )


@contextmanager
def styled() -> Iterator[None]:
    """Draw with the settings of a paper while the context is open; those of the user come back."""
    import matplotlib as mpl

    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a name; it shows as a box
        yield


def blank(width: Width, height: float) -> Any:
    """Return an empty figure.

    It belongs to no window and to no global list, and shows itself in a notebook.

    Args:
        width: how wide it is.
        height: its height in inches.
    """
    from matplotlib.figure import Figure

    class Shown(Figure):
        """A figure that a notebook shows, whatever backend is on."""

        def _repr_svg_(self) -> str:
            return to_svg(self)

    return Shown(figsize=(INCHES[width], height), layout="constrained")


def to_svg(figure: Any) -> str:
    """Return a figure as SVG text."""
    file = io.StringIO()
    with styled():
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]  # what stands before it is for files, not for pages


def shown_strategies(board: Board) -> tuple[list[str], list[str]]:
    """Return the strategies that get a colour, and the others, which are drawn in grey.

    The baseline is first, then the best ones; with as many strategies as there are colours, all.
    """
    rows = [row for row in rows_of(board.leaderboard) if group(row) != "incomplete"]
    baseline = board.context.baseline
    ranked = [row["strategy"] for row in rows if is_ranked(row) and row["strategy"] != baseline]
    others = [row["strategy"] for row in rows if not is_ranked(row)]
    count = len(COLOURS) if len(ranked) + len(others) <= len(COLOURS) else len(COLOURS) - 1
    names = [*ranked, *others]
    first = [baseline] if any(row["strategy"] == baseline for row in rows) else []
    return [*first, *names[:count]], names[count:]


def line_of(place: int, name: str, context: ReportContext) -> dict[str, Any]:
    """Return how matplotlib draws a strategy.

    Args:
        place: its place among the coloured strategies other than the baseline, from 0.
        name: the strategy.
        context: the question, which knows the baseline.
    """
    if name == context.baseline:
        return {"color": "black", "linestyle": (0, (4, 2)), "marker": "", "linewidth": 1.5}
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": DASHES[place % len(DASHES)],
        "marker": MARKERS[place % len(MARKERS)],
        "linewidth": 1.2,
    }


def styles(names: Sequence[str], context: ReportContext) -> dict[str, dict[str, Any]]:
    """Return how matplotlib draws each of the coloured strategies."""
    others = [name for name in names if name != context.baseline]
    return {
        name: line_of(others.index(name) if name in others else 0, name, context) for name in names
    }


def label(name: str) -> str:
    """Return a strategy's name as figures show it; matplotlib hides names with a first "_"."""
    plain = one_line(name)
    return f" {plain}" if plain.startswith("_") else plain


def setting(context: ReportContext) -> str:
    """Say on what a figure rests: suite, tasks, seeds and accounting."""
    tasks = wording.counted(len(context.tasks), "task")
    seeds = wording.counted(len(context.seeds), "seed")
    return f"{one_line(context.suite)}: {tasks}, {seeds}, {context.accounting} accounting"


def legend_below(figure: Any, handles: Sequence[Any], width: Width, most: int = 4) -> None:
    """Put the legend of a whole figure below it, with so many columns at most."""
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 2 if width == "column" else most),
        frameon=False,
        handlelength=2.6,
        columnspacing=1.2,
    )
