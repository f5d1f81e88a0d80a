"""The terminal's table: the leaderboard's numbers, at every width."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from boards import context
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from fal_bench.reporting.columns import KEYS as COLUMNS
from fal_bench.reporting.columns import columns_shown, rows_of, telling
from fal_bench.reporting.context import TaskFacts
from fal_bench.reporting.table import leaderboard_table

TASKS = tuple(
    TaskFacts(name, tuple(range(100, 551, 50)), 50, pool=2000, description="")
    for name in ("iid", "dirichlet")
)
CONTEXT = replace(
    context("random", "fal-margin", "fedral[mode=online]", "never", "half", seeds=5),
    suite="quick", accounting="strict", tasks=TASKS,
)  # fmt: skip


def row(strategy, rank, labels=None, low=math.nan, high=math.nan, *, paper=None, **values):
    blank = dict.fromkeys(COLUMNS, math.nan)
    counts = {"tasks": 2, "runs": 10, "reached": 10, "target_acc": 0.5, "accounting": "strict"}
    if labels is not None:
        counts |= {"labels": labels, "labels_low": low, "labels_high": high}
        counts |= {"labels_strict": labels, "labels_paper": paper or labels}
    return {**blank, **counts, "strategy": strategy, "rank": rank, **values}


def saving(value, low=math.nan, high=math.nan):
    return {"saving_vs_random": value, "saving_low": low, "saving_high": high}


ROWS = (
    row(
        "fal-margin", 1, 311.7, 290.2, 333.5, labels_step=335.0, verdict="better",
        **saving(0.118, 0.042, 0.193),
    ),
    row(
        "random", 2, 354.1, 340.0, 368.4, labels_step=380.0, verdict="baseline", **saving(0.0),
    ),
    row(
        "fedral[mode=online]", 3, 431.9, 401.5, 462.2, labels_step=455.0, paper=281.9, reached=9,
        verdict="worse", **saving(-0.221, -0.3, -0.149),
    ),
    row("never", 4, 550.0, labels_step=550.0, reached=0, verdict="not comparable"),
    row("half", pd.NA, tasks=1, runs=7, reached=6, verdict="incomplete"),
)  # fmt: skip
SHOWN = """
# | strategy | reached | strict labels | step | paper | saving | verdict
1 | fal-margin | 10/10 | 312 [290, 334] | 335 | 312 | +12 % [4, 19] | better
2 | random | 10/10 | 354 [340, 368] | 380 | 354 | 0 % | baseline
3 | fedral[mode=online] | 9/10 | >432 [402, 462] | >455 | >282 | -22 % [-30, -15] | worse
4 | never | 0/10 | >550 | >550 | >550 | - | not comparable
- | half | 6/7 | - | - | - | - | incomplete
"""


def frame(*rows):
    whole = [name for name in COLUMNS if name.startswith(("rank", "pairs_"))]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(whole, "Int64"))


def lines(board, width, asked=CONTEXT, **options):
    console = Console(width=width, record=True, file=open("/dev/null", "w"), **options)  # noqa: SIM115
    with console.file:
        console.print(leaderboard_table(board, asked, width=width))
        return console.export_text(styles=bool(options)).splitlines()


def runs(line):
    """Split a line at runs of two or more spaces."""
    return [run.strip() for run in line.split("  ") if run.strip()]


def test_wide_table_shows_every_number_and_incomplete_strategies_after_a_rule():
    text = lines(frame(*ROWS), 120)
    assert "50 % accuracy, suite quick," in text[0]
    assert set(text[2].strip()) == set(text[7].strip()) == {"\u2500"}
    shown = [runs(line) for line in (text[1], *text[3:7], *text[8:])]
    assert shown == [line.split(" | ") for line in SHOWN.strip().splitlines()]


def test_a_board_of_incomplete_strategies_has_no_rule_but_the_heading():
    text = lines(frame(ROWS[-1]), 120)
    assert sum("\u2500" in line for line in text) == 1


def test_numbers_end_in_one_column():
    text = lines(frame(*ROWS), 120)
    heading = text[1]
    for name, ends in (
        ("strict labels", ["334]", "368]", "462]", ">550"]),
        ("saving", ["19]", "0 %", "-15]", " -"]),
    ):
        end = heading.index(name) + len(name)
        assert [line[:end].endswith(tail) for line, tail in zip(text[3:7], ends, strict=True)] == [
            True
        ] * 4


def test_narrow_table_keeps_both_accountings_and_whole_numbers():
    text = lines(frame(*ROWS), 80)
    assert all(len(line.rstrip()) <= 80 for line in text)
    assert text[0].rstrip().endswith("50 % accuracy,")
    assert text[1].startswith("suite quick,")
    assert runs(text[2])[3:] == ["strict labels", "paper", "saving", "verdict"]
    joined = "\n".join(text)
    for number in ("312 [290, 334]", ">432 [402, 462]", ">282", "-22 % [-30, -15]", ">550"):
        assert number in joined
    by_paper = [{**one, "labels": one["labels_paper"]} for one in ROWS]
    paper = lines(frame(*by_paper), 80, replace(CONTEXT, accounting="paper"))
    assert runs(paper[2])[3:5] == ["paper labels", "strict"]


def test_columns_that_say_nothing_are_left_out_and_named():
    same = [{**row, "reached": 10, "labels_paper": row["labels"]} for row in ROWS[:3]]
    columns = columns_shown("board", CONTEXT)
    left, alike = telling(columns, rows_of(frame(*same)), "strict")
    assert {one.key for one in columns} - {one.key for one in left} == {
        "reached", "labels_paper", "labels_strict",
    }  # fmt: skip
    assert alike == (("reached", "10/10"), ("paper", ""))
    # One row has nothing to be compared with; what differs in one row is shown.
    assert "reached" in {one.key for one in telling(columns, rows_of(frame(ROWS[0])), "strict")[0]}
    assert {"reached", "labels_paper"} <= {
        one.key for one in telling(columns, rows_of(frame(*ROWS[:3])), "strict")[0]
    }


@pytest.mark.parametrize("width", [20, 40, 60])
def test_very_narrow_terminals_lose_no_digit(width):
    text = lines(frame(*ROWS), width)
    assert all(len(line.rstrip()) <= width for line in text)
    assert digits(text) == digits(lines(frame(*ROWS), 80))


def digits(text):
    return sorted(character for line in text for character in line if character.isdigit())


@pytest.mark.parametrize(
    ("name", "width", "first", "second"),
    [
        ("typiclust[size=10]", 80, "typiclust", "[size=10]"),
        ("fed-long-typiclust", 70, "fed-long-", "typiclust"),
    ],
)
def test_names_wrap_before_their_brackets_or_after_a_hyphen(name, width, first, second):
    text = lines(frame({**ROWS[0], "strategy": name}, *ROWS[1:]), width)
    (at,) = (number for number, line in enumerate(text) if first in line)
    assert text[at].split()[1] == first
    assert text[at + 1].split()[0] == second


def test_ranks_that_may_be_tied_are_ranges():
    ranked = [
        {**ROWS[0], "rank_low": 1, "rank_high": 2},
        {**ROWS[1], "rank_low": 1, "rank_high": 3},
    ]
    wide = lines(frame(*ranked, *ROWS[2:]), 120)
    assert [runs(line)[0] for line in wide[3:6]] == ["1-2", "1-3", "3"]
    narrow = lines(frame(*ranked, *ROWS[2:]), 80)
    assert runs(narrow[4])[:2] == ["1-2", "fal-margin"]


def test_censored_pairs_are_marked():
    counts = {
        "pairs_strategy_censored": 1, "pairs_baseline_censored": 2, "pairs_both_censored": 0,
    }  # fmt: skip
    board = frame({**ROWS[0], **counts}, ROWS[1])
    assert "+12 %\u2020 [4, 19]" in "\n".join(lines(board, 120))


def test_only_a_winner_that_reached_is_bold():
    board = lines(frame(*ROWS), 120, color_system="standard", force_terminal=True)
    bold = [line for line in board[3:] if "\x1b[1m" in line]
    assert len(bold) == 1
    assert "fal-margin" in bold[0]
    assert "\x1b[2m" in board[8]
    unreached = frame({**ROWS[3], "rank": 1})
    board = lines(unreached, 120, color_system="standard", force_terminal=True)
    assert not any("\x1b[1m" in line for line in board[3:])


def test_names_are_neither_markup_nor_escape_codes():
    board = frame({**ROWS[1], "strategy": "[red]x[/red]\x1b[31m\n\u202eboo"})
    text = lines(board, 120)
    assert "[red]x[/red] boo" in text[4]
    assert not any("\x1b" in line for line in text)


@settings(max_examples=25)
@given(name=st.text(min_size=1, max_size=40), width=st.integers(60, 130))
def test_any_name_fits(name, width):
    board = frame({**ROWS[0], "strategy": name}, ROWS[1])
    console = Console(width=width)
    table = leaderboard_table(board, CONTEXT, width=width)
    assert all(
        sum(segment.cell_length for segment in line) <= width
        for line in console.render_lines(table, console.options)
    )
