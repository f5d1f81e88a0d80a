"""The leaderboard as a LaTeX table, with the columns of the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from fal_bench.errors import one_line
from fal_bench.reporting import wording
from fal_bench.reporting.answer import Board
from fal_bench.reporting.columns import GROUPS, Column, Row, group, is_best
from fal_bench.reporting.short import short_board

_ESCAPED: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",  # \textquotedbl is not in every encoding of fonts
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": r"{-}",  # two in a row would become a dash
    "\u2020": r"\textsuperscript{\textdagger}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_LAST_LATIN = "\u017f"
"""The last letter that LaTeX has in its usual fonts."""


def to_latex(boards: Sequence[Board]) -> str:
    """Return boards as LaTeX tables, one a target; they take the package booktabs."""
    return "\n\n".join(_table(board, place) for place, board in enumerate(boards))


def _table(board: Board, place: int) -> str:
    shown, rows, alike = short_board(board)
    columns = [column for column in shown if column.spare != "any"]
    said = f"{wording.question(board.context)}, {wording.setting(board.context)}."
    caption = " ".join([escaped(said), *map(escaped, alike), _reading(board)]).strip()
    parts = [[row for row in rows if group(row) == name] for name in GROUPS]
    body = "\n\\midrule\n".join(
        "\n".join(_row(row, columns) for row in part) for part in parts if part
    )
    kinds = "".join("r" if column.numeric else "l" for column in columns)
    heading = " & ".join(escaped(column.short) for column in columns)
    return "\n".join(
        [
            "% Takes \\usepackage{booktabs} in the preamble.",
            "\\begin{table}[t]",
            "\\centering",
            f"\\caption{{{caption}}}",
            f"\\label{{tab:falbench{'' if not place else f'-{place + 1}'}}}",
            "\\footnotesize",
            "\\setlength{\\tabcolsep}{3pt}",
            f"\\begin{{tabular}}{{{kinds}}}",
            "\\toprule",
            f"{heading} \\\\",
            "\\midrule",
            body,
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
        ]
    )


def _reading(board: Board) -> str:
    """Say in the caption what the brackets of savings are, if there are some."""
    if board.leaderboard["saving_low"].isna().all():
        return ""
    return "Brackets of savings: 95\\,\\% intervals that hold for all strategies at once."


def _row(row: Row, columns: Sequence[Column]) -> str:
    cells = []
    for column in columns:
        text = one_line(column.text(row))
        cell = (_number(text) if column.numeric else escaped(text)) or "--"
        cells.append(f"\\textbf{{{cell}}}" if is_best(row) and text else cell)
    return f"{' & '.join(cells)} \\\\"


def _number(text: str) -> str:
    """Write numbers as LaTeX sets them: a minus is none of the letters, a range has a dash."""
    cell = escaped(text)
    cell = re.sub(r"(?<=\d)\{-\}(?=\d)", "--", cell)
    return cell.replace("{-}", "$-$").replace(" \\%", "\\,\\%")


def escaped(text: str) -> str:
    """Return any text so that LaTeX prints it; letters that its fonts lack, by their number."""
    return "".join(_escape(character) for character in one_line(text))


def _escape(character: str) -> str:
    if character in _ESCAPED:
        return _ESCAPED[character]
    known = character.isascii() or (character.isalpha() and character <= _LAST_LATIN)
    return character if known else f"[U+{ord(character):04X}]"
