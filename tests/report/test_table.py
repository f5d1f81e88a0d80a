"""The terminal table and its footer: the leaderboard's numbers, at every width."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from fal_bench.report.context import MissingRun, ReportContext, TaskFacts
from fal_bench.report.leaderboard import COLUMNS
from fal_bench.report.notes import findings, parted, reading_notes
from fal_bench.report.table import leaderboard_table

TASKS = tuple(
    TaskFacts(name, tuple(range(100, 551, 50)), 50, pool=2000, description="")
    for name in ("iid", "dirichlet")
)
CONTEXT = ReportContext(
    suite="quick",
    target=0.5,
    accounting="strict",
    baseline="random",
    strategies=("random", "fal-margin", "fedral[mode=online]", "never", "half"),
    seeds=(0, 1, 2, 3, 4),
    tasks=TASKS,
    missing=(),
    command="falbench compare",
    version="0",
)


def row(strategy, rank, **values):
    blank = dict.fromkeys(COLUMNS, math.nan)
    counts = {"tasks": 2, "runs": 10, "reached": 10, "target_acc": 0.5, "accounting": "strict"}
    return {**blank, **counts, "strategy": strategy, "rank": rank, **values}


def budgets(labels, low=math.nan, high=math.nan, *, step, paper=None):
    paper = labels if paper is None else paper
    return {
        "labels": labels,
        "labels_low": low,
        "labels_high": high,
        "labels_step": step,
        "labels_strict": labels,
        "labels_paper": paper,
    }


def footer(board, context):
    """All notes of a single board, in their order."""
    return parted([reading_notes(board, context)], [findings(board, context)])[0][0]


def saving(value, low=math.nan, high=math.nan):
    return {"saving_vs_random": value, "saving_low": low, "saving_high": high}


ROWS = (
    row(
        "fal-margin",
        1,
        **budgets(311.7, 290.2, 333.5, step=335.0),
        **saving(0.118, 0.042, 0.193),
        p_holm=0.01,
        verdict="better",
    ),
    row(
        "random",
        2,
        **budgets(354.1, 340.0, 368.4, step=380.0),
        **saving(0.0),
        verdict="baseline",
    ),
    row(
        "fedral[mode=online]",
        3,
        **budgets(431.9, 401.5, 462.2, step=455.0, paper=281.9),
        **saving(-0.221, -0.3, -0.149),
        p_holm=0.01,
        verdict="worse",
        reached=9,
    ),
    row("never", 4, **budgets(550.0, step=550.0), reached=0, verdict="not comparable"),
    row("half", pd.NA, tasks=1, runs=7, reached=6, verdict="incomplete"),
)


def frame(*rows):
    whole = [name for name in COLUMNS if name.startswith(("rank", "pairs_"))]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(whole, "Int64"))


def lines(board, width, context=CONTEXT, **options):
    console = Console(width=width, record=True, file=open("/dev/null", "w"), **options)  # noqa: SIM115
    with console.file:
        console.print(leaderboard_table(board, context, width=width))
        return console.export_text(styles=bool(options)).splitlines()


def runs(line):
    """Split a line at runs of two or more spaces."""
    return [run.strip() for run in line.split("  ") if run.strip()]


def test_wide_table_shows_every_number():
    text = lines(frame(*ROWS), 120)
    assert text[0].rstrip() == (
        "Labels until the federation reaches 50 % accuracy, suite quick, 5 seeds, strict accounting"
    )
    assert runs(text[1]) == [
        "#",
        "strategy",
        "reached",
        "strict labels",
        "step",
        "strict",
        "paper",
        "saving",
        "verdict",
    ]
    assert [runs(line) for line in text[3:7]] == [
        [
            "1",
            "fal-margin",
            "10/10",
            "312 [290, 334]",
            "335",
            "312",
            "312",
            "+12 % [4, 19]",
            "better",
        ],
        ["2", "random", "10/10", "354 [340, 368]", "380", "354", "354", "0 %", "baseline"],
        [
            "3",
            "fedral[mode=online]",
            "9/10",
            ">432 [402, 462]",
            ">455",
            ">432",
            ">282",
            "-22 % [-30, -15]",
            "worse",
        ],
        ["4", "never", "0/10", ">550", ">550", ">550", ">550", "-", "not comparable"],
    ]


def test_incomplete_strategies_follow_a_rule():
    text = lines(frame(*ROWS), 120)
    assert set(text[2].strip()) == set(text[7].strip()) == {"\u2500"}
    assert runs(text[8]) == ["-", "half", "6/7", "-", "-", "-", "-", "-", "incomplete"]
    assert len(text) == 9


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
    assert text[0].rstrip() == "Labels until the federation reaches 50 % accuracy,"
    assert text[1].rstrip() == "suite quick, 5 seeds, strict accounting"
    assert runs(text[2]) == [
        "#",
        "strategy",
        "reached",
        "strict labels",
        "paper",
        "saving",
        "verdict",
    ]
    joined = "\n".join(text)
    for number in ("312 [290, 334]", ">432 [402, 462]", ">282", "-22 % [-30, -15]", ">550"):
        assert number in joined


def test_under_paper_accounting_the_narrow_table_keeps_strict_labels():
    text = lines(frame(*ROWS), 80, replace(CONTEXT, accounting="paper"))
    assert runs(text[2])[3:5] == ["paper labels", "strict"]


def test_step_goes_before_an_accounting():
    text = lines(frame(*ROWS), 98)
    assert runs(text[1])[3:6] == ["strict labels", "strict", "paper"]


@pytest.mark.parametrize("width", [20, 40, 60])
def test_very_narrow_terminals_lose_no_digit(width):
    text = lines(frame(*ROWS), width)
    assert all(len(line.rstrip()) <= width for line in text)
    assert digits(text) == digits(lines(frame(*ROWS), 80))


def digits(text):
    return sorted(character for line in text for character in line if character.isdigit())


def test_names_that_wrap_do_so_before_their_brackets():
    row = {**ROWS[0], "strategy": "typiclust[size=10]"}
    text = lines(frame(row, *ROWS[1:]), 80)
    [at] = [number for number, line in enumerate(text) if "typiclust" in line]
    assert text[at].split()[1] == "typiclust"
    assert text[at + 1].strip() == "[size=10]"


def test_names_without_brackets_wrap_after_a_hyphen():
    row = {**ROWS[0], "strategy": "fed-long-typiclust"}
    text = lines(frame(row, *ROWS[1:]), 70)
    [at] = [number for number, line in enumerate(text) if "fed-" in line]
    assert text[at].split()[1] == "fed-long-"
    assert text[at + 1].split()[0] == "typiclust"


def test_rank_intervals_show_where_there_is_room():
    ranked = [
        {**ROWS[0], "rank_low": 1, "rank_high": 2},
        {**ROWS[1], "rank_low": 1, "rank_high": 3},
    ]
    wide = lines(frame(*ranked, *ROWS[2:]), 120)
    assert [runs(line)[0] for line in wide[3:6]] == ["1 [1-2]", "2 [1-3]", "3"]
    narrow = lines(frame(*ranked, *ROWS[2:]), 80)
    assert runs(narrow[4])[:2] == ["1", "fal-margin"]
    notes = " ".join(footer(frame(*ranked), CONTEXT))
    assert "in 95 % of boards with tasks and seeds drawn again" in notes
    assert "boards with seeds drawn again" in " ".join(
        footer(frame(*ranked), replace(CONTEXT, tasks=TASKS[:1]))
    )


def test_brackets_of_few_seeds_come_with_a_caveat():
    ranked = frame({**ROWS[0], "rank_low": 1, "rank_high": 1})

    def caveat(seeds):
        return " ".join(footer(ranked, replace(CONTEXT, seeds=tuple(range(seeds)))))

    narrow = "brackets of ranks are too narrow; go by the verdicts."
    assert f". 4 seeds are few: intervals are wide and {narrow}" in caveat(4)
    assert f". 5 seeds are few: {narrow}" in caveat(5)
    assert "are few" not in caveat(10)
    assert "Brackets: 95 % intervals over 10 seeds on 2 tasks; after a rank" in caveat(10)


def test_no_evidence_beside_an_interval_without_zero_is_explained():
    row = {**ROWS[0], "verdict": "no evidence", "p_holm": 0.06}
    notes = " ".join(footer(frame(row, ROWS[1]), CONTEXT))
    assert "the interval is of that row alone, the verdict is corrected for 1 comparison" in notes
    touching = {**row, **saving(0.118, -0.01, 0.2)}
    assert "that row alone" not in " ".join(footer(frame(touching, ROWS[1]), CONTEXT))
    assert "that row alone" not in " ".join(footer(frame(*ROWS[:2]), CONTEXT))


def test_ranks_and_counts_that_the_cap_seems_to_forbid_are_explained():
    hungry = {**ROWS[2], **budgets(3702.0, step=3730.0, paper=349.0), "reached": 10}
    notes = " ".join(footer(frame(*ROWS[:2], hungry, ROWS[3]), CONTEXT))
    assert "The cap limits paper labels" in notes
    assert "Whoever never reached the target stands last" in notes
    assert notes.count("how many it would take.") == 1
    plain = " ".join(footer(frame(*ROWS[:2], ROWS[3]), CONTEXT))
    assert "The cap limits" not in plain
    assert "stands last" not in plain


def test_censored_pairs_are_marked_and_counted():
    counts = {
        "pairs_strategy_censored": 1, "pairs_baseline_censored": 2, "pairs_both_censored": 0,
    }  # fmt: skip
    board = frame({**ROWS[0], **counts}, ROWS[1])
    assert "+12 %\u2020 [4, 19]" in "\n".join(lines(board, 120))
    meaning, note = [note for note in footer(board, CONTEXT) if note.startswith("\u2020")]
    assert "up where only random did, down where only the strategy did" in meaning
    assert note == (
        "\u2020 Of 10 pairs, only random / only the strategy reached the target in: fal-margin 1/2."
    )
    assert not any("\u2020" in note for note in footer(frame(*ROWS[:2]), CONTEXT))


def test_daggers_of_many_strategies_take_one_sentence():
    names = ("pairs_strategy_censored", "pairs_baseline_censored", "pairs_both_censored")
    rows = [
        {**ROWS[0], "strategy": name, **dict(zip(names, counts, strict=True))}
        for name, counts in (("a", (3, 0, 2)), ("b", (0, 0, 10)), ("c", (0, 0, 0)))
    ]
    notes = [note for note in findings(frame(*rows), CONTEXT) if note.startswith("\u2020")]
    assert notes == [
        "\u2020 Of 10 pairs, only random / neither reached the target in: a 3/2, b 0/10."
    ]


def test_boards_share_what_their_marks_mean_but_not_what_was_found():
    own, shared = parted([["r", "x"], ["r", "y"]], [["one", "all"], ["two", "all"]])
    assert own == [["one"], ["two"]]
    assert shared == ["r", "x", "y", "all"]
    assert parted([["r"]], [["f"]]) == ([["r", "f"]], [])


def test_a_target_that_the_baseline_misses_is_called_too_hard():
    few = {**ROWS[1], "reached": 4}
    assert "reached it in 4 of 10 runs; --target-acc auto" in footer(frame(few), CONTEXT)[-1]
    assert not any("too hard" in note for note in footer(frame({**few, "reached": 5}), CONTEXT))


def test_only_a_winner_that_reached_is_bold():
    board = lines(frame(*ROWS), 120, color_system="standard", force_terminal=True)
    bold = [line for line in board[3:] if "\x1b[1m" in line]
    assert len(bold) == 1
    assert "fal-margin" in bold[0]
    assert "\x1b[2m" in board[8]
    nobody = frame({**ROWS[3], "rank": 1})
    board = lines(nobody, 120, color_system="standard", force_terminal=True)
    assert not any("\x1b[1m" in line for line in board[3:])


def test_names_are_neither_markup_nor_escape_codes():
    board = frame({**ROWS[1], "strategy": "[red]x[/red]\x1b[31m\nboo"})
    text = lines(board, 120)
    assert "[red]x[/red] [31m boo" in text[4]
    assert not any("\x1b" in line for line in text)


@settings(max_examples=25, deadline=None)
@given(name=st.text(min_size=1, max_size=40), width=st.integers(60, 130))
def test_any_name_fits(name, width):
    board = frame({**ROWS[0], "strategy": name}, ROWS[1])
    console = Console(width=width)
    table = leaderboard_table(board, CONTEXT, width=width)
    assert all(
        sum(segment.cell_length for segment in line) <= width
        for line in console.render_lines(table, console.options)
    )


def test_footer_says_resolution_censoring_and_sample():
    resolution, censoring, sample, test = footer(frame(*ROWS[:2]), CONTEXT)
    assert "every 50 labels;" in resolution
    assert "cap of 550 labels" in censoring
    assert '">" marks' in censoring
    assert sample.startswith("Brackets: 95 % intervals over 5 seeds on 2 tasks")
    assert "with random;" in test
    few = footer(frame(*ROWS[:2], {**ROWS[2], "reached": 4}), CONTEXT)
    assert few[2] == sample  # so that boards of several targets share it
    assert few[3].startswith("A budget has no bracket if fewer than half of the runs, or")


def test_footer_gives_the_range_where_tasks_differ():
    facts = replace(TASKS[1], query_labels=100, grid=(100, 200, 300))
    notes = footer(frame(*ROWS[:2]), replace(CONTEXT, tasks=(TASKS[0], facts)))
    assert "every 50 to 100 labels (by task);" in notes[0]
    assert "cap of 300 to 550 labels (by task) counts" in notes[1]


@pytest.mark.parametrize(
    ("seeds", "tasks", "who"),
    [((3,), TASKS[:1], "1 seed on 1 task is"), ((3, 4), TASKS, "2 seeds on 2 tasks are")],
)
def test_footer_with_few_seeds_says_why_there_are_no_intervals(seeds, tasks, who):
    context = replace(CONTEXT, seeds=seeds, tasks=tasks)
    assert footer(frame(*ROWS[:2]), context)[2] == (
        f"No intervals: {who} too few; it takes at least 3 seeds."
    )


def test_footer_groups_missing_runs_by_reason():
    missing = (
        MissingRun("iid", "half", 4, "ValueError: shapes\n\tdo not match"),
        MissingRun("iid", "half", 0, "ValueError: shapes\n\tdo not match"),
        MissingRun("dirichlet", "half", 2, "not run yet"),
        MissingRun("iid", "half", 1, ""),
    )
    assert footer(frame(*ROWS), replace(CONTEXT, missing=missing))[-3:] == [
        "Missing: half on dirichlet, seed 2: not run yet.",
        "Missing: half on iid, seed 1: no reason known.",
        "Missing: half on iid, seeds 0 and 4: ValueError: shapes do not match.",
    ]


def test_footer_says_how_many_runs_a_verdict_takes():
    rows = [{**ROWS[1]}]
    rows += [{**ROWS[0], "strategy": name, "verdict": "n too small"} for name in "abc"]
    # 2^(1 - N) * 3 <= 0.05 first holds for N = 7, which is 4 seeds on 2 tasks.
    context = replace(CONTEXT, seeds=(0, 1))
    assert footer(frame(*rows), context)[-1] == (
        "n too small: 4 pairs of runs are too few for 3 comparisons; "
        "it takes at least 7, that is 4 seeds."
    )


@pytest.mark.parametrize(
    ("rows", "strategies", "reason"),
    [
        ((ROWS[1], ROWS[3]), ("random", "never"), "neither run reached"),
        ((ROWS[3], {**ROWS[4], "strategy": "random"}), ("random", "never"), "lacks finished runs"),
        ((ROWS[3],), ("never",), "is not among the strategies"),
    ],
)
def test_footer_says_why_nothing_can_be_compared(rows, strategies, reason):
    notes = footer(frame(*rows), replace(CONTEXT, strategies=strategies))
    assert notes[-1].startswith("not comparable: ")
    assert reason in notes[-1]
    assert not any("after Holm" in note for note in notes)
