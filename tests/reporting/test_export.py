"""The leaderboard for other programs."""

import csv
import html
import io
import json
import re

import pandas as pd
import pytest
from boards import comparison, context, runs
from rich.console import Console

from fal_bench.errors import InvalidSpecError
from fal_bench.reporting.export import to_csv
from fal_bench.reporting.terminal import MOST_LINES, Terminal
from fal_bench.results.model import MissingRun

ROWS = [
    *runs("random", 22, 26, 36),
    *runs("my|strategy_<b>", 11, 13, 18),
    *runs("never", *[None] * 3),
]
ASKED = context("random", "my|strategy_<b>", "never", "absent", seeds=3)


@pytest.fixture
def result():
    later = context(*ASKED.strategies, seeds=3, target=0.55)
    return comparison(ROWS, ASKED, later)


def test_csv_has_one_block_a_target(result):
    rows = list(csv.DictReader(io.StringIO(result.text("csv"))))
    assert [row["target_acc"] for row in rows] == ["0.5"] * 4 + ["0.55"] * 4
    assert [row["rank"] for row in rows] == ["1", "2", "3", "", "1", "2", "3", ""]
    assert float(rows[0]["labels"]) == result.leaderboard["labels"][0]
    assert rows[2]["ert"] == "inf"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t=", "\r=", "\u202e=", "\ud800="])
def test_no_text_cell_begins_as_a_formula_and_numbers_stay_numbers(first):
    frame = pd.DataFrame({"name": [f"{first}1+1", "x"], "gain": [-0.5, 1.0], "n": [-1, None]})
    frame = frame.astype({"n": "Int64"}).rename(columns={"n": f"{first}n"})
    heading, row, other = csv.reader(io.StringIO(to_csv(frame), newline=""))
    assert heading == ["name", "gain", f"'{first[-1]}n"]
    assert row == [f"'{first[-1]}1+1", "-0.5", "-1"]
    assert other == ["x", "1.0", ""]


def test_json_is_strict_json_with_the_same_numbers(result):
    def refuse(name):
        raise AssertionError(name)

    first, later = json.loads(result.text("json"), parse_constant=refuse)
    assert (first["question"]["target_acc"], later["question"]["target_acc"]) == (0.5, 0.55)
    assert first["question"]["seeds"] == [0, 1, 2]
    best = first["rows"][0]
    assert best["strategy"] == "my|strategy_<b>"
    assert best["labels"] == result.leaderboard["labels"][0]
    assert (best["rank"], best["median_reached"]) == (1, True)
    assert first["rows"][2]["ert"] is None
    assert first["rows"][3]["rank"] is None


def test_markdown_escapes_names(result):
    text = result.text("md")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 * (2 + 4)
    assert lines[2].startswith(r"| 1 | my\|strategy\_\<b\> | 3/3 | ")
    assert text.startswith("**Labels until")
    bars = [line.replace(r"\|", "").count("|") for line in lines]
    assert set(bars) == {8}  # the accountings agree here


def printed(result, width=120, **options):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(Terminal(result.boards, **options))
    return capture.get()


def test_it_shows_itself_as_short_boards_with_their_verdicts(result):
    shown, page = str(result), result._repr_html_()
    for board in result.boards:
        first = board.verdict[0]
        assert " ".join(first.split()) in " ".join(shown.split())
        assert html.escape(first) in page
    assert "Resolution:" not in shown
    assert "my|strategy_&lt;b&gt;" in page
    assert "<svg" in page


@pytest.mark.parametrize("width", [60, 80, 120, 10_000])
def test_few_lines_stand_below_a_board_and_they_say_what_failed(width):
    missing = [MissingRun("a", "absent", seed, "ValueError: no shapes") for seed in range(3)]
    asked = context(*ASKED.strategies, seeds=3, missing=missing)
    text = printed(comparison(ROWS, asked), width, hint=True)
    below = text[text.index("absent") :].splitlines()[1:]
    assert len(below) <= MOST_LINES
    assert "no shapes" in " ".join(text.split())
    assert "--explain" in below[-1]
    assert "Resolution:" in printed(comparison(ROWS, asked), width, explain=True)


def test_a_latex_table_escapes_names_and_leaves_no_bare_minus():
    curves = [*runs("random", 22, 26, 36), *runs("my|_%&#$^~{x}\\-é中", 31, 33, 38)]
    text = comparison(curves, context("random", "my|_%&#$^~{x}\\-é中", seeds=3)).text("latex")
    assert r"my\textbar{}\_\%\&\#\$\textasciicircum{}\textasciitilde{}\{x\}" in text
    assert r"\textbackslash{}{-}é[U+4E2D]" in text
    assert "$-$" in text
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")].splitlines()
    spec = re.search(r"begin\{tabular\}\{(\w+)\}", text)[1]
    rows = [line for line in body if line.endswith(r"\\")]
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {len(spec) - 1}
    with pytest.raises(InvalidSpecError, match="tex"):
        comparison(curves, ASKED).text("tex")


@pytest.mark.parametrize("form", ["table", "md"])
def test_several_boards_share_their_notes(result, form):
    text = printed(result, explain=True) if form == "table" else result.text(form)
    assert text.count("Resolution:") == 1
    assert text.index("55 %") < text.index("Resolution:")
    assert ("\n- Resolution:" in text) == (form == "md")
    assert printed(comparison(ROWS, ASKED), explain=True).count("Resolution:") == 1
