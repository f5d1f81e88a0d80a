"""The panels of the page: what they draw, as data."""

import functools
import textwrap
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from boards import (
    ASKED,
    BASE,
    CHARGES,
    ROWS,
    board_of,
    comparison,
    context,
    curve,
    in_costs,
    paid,
    runs,
)

from fal_bench.reporting.budgets import read_runs
from fal_bench.reporting.context import Rung
from fal_bench.reporting.page import render_page
from fal_bench.reporting.panels import all_panels
from fal_bench.reporting.panels.base import Drawing, PageData
from fal_bench.reporting.panels.curves import shared_points
from fal_bench.reporting.panels.plotting import line_styles
from fal_bench.results.model import MissingRun


def draw(key, rows=ROWS, *contexts, **options):
    """What a panel shows on the page of a comparison; the last target leads."""
    result = comparison(rows, *(contexts or [ASKED]), **options)
    (panel,) = (panel for panel in all_panels() if panel.key == key)
    return panel.show(PageData(result, result.boards[-1]))


@functools.cache
def of_two_targets(key):
    return draw(key, ROWS, ASKED, replace(ASKED, target=0.55), charges=CHARGES)


def lines(drawing):
    """The traces of strategies by name."""
    return {trace["name"]: trace for trace in drawing.figures[0].data if "name" in trace}


def texts(table):
    """The rows of a table by name, as text by heading."""
    headings = [heading.text for heading in table.columns[1:]]
    return {
        name.text: dict(zip(headings, [cell.text for cell in cells], strict=True))
        for name, *cells in table.rows
    }


# Learning curves.


def test_curves_draw_mean_and_range_over_the_labels_that_rank():
    figure = draw("curves").figures[0]
    assert [trace.get("name") for trace in figure.data] == [
        None, "half", None, None, "mine[k=3]", None, None, "random", None,
    ]  # fmt: skip
    assert [trace["legendgroup"] for trace in figure.data] == list("000111222")
    band, line, ticks = figure.data[3:6]
    assert ticks["x"] == pytest.approx([18.2, 20, 25])
    assert ticks["y"] == [0.5] * 3
    assert line["x"] == [17, 27, 37, 47, 57]
    points, crossings = (10, 20, 30, 40, 50), (11.2, 13, 18)
    assert line["y"] == pytest.approx([0.5 + (p - sum(crossings) / 3) / 100 for p in points])
    assert band["x"] == line["x"] + line["x"][::-1]
    assert band["y"][:5] == pytest.approx([0.5 + (p - 11.2) / 100 for p in points])
    assert band["y"][5:] == pytest.approx([0.5 + (p - 18) / 100 for p in points[::-1]])
    target, cap = figure.layout["shapes"]
    assert (target["y0"], target["y1"], target["line"]["dash"]) == (0.5, 0.5, "dash")
    assert (cap["x0"], cap["x1"], cap["label"]["text"]) == (40, 40, "cap 40")


def test_targets_close_to_each_other_have_their_names_side_by_side():
    drawn = [
        shape
        for shape in of_two_targets("curves").figures[0].layout["shapes"]
        if shape.get("xref") == "paper"
    ]
    assert [shape["y0"] for shape in drawn] == [0.5, 0.55]
    assert len({shape["label"]["textposition"] for shape in drawn}) == 2


def test_paper_accounting_has_its_own_axis():
    drawing = draw("curves", ROWS, replace(ASKED, accounting="paper"))
    assert lines(drawing)["mine[k=3]"]["x"] == [10, 20, 30, 40, 50]
    assert "paper" in drawing.figures[0].layout["xaxis"]["title"]["text"]


# In costs.


@pytest.mark.parametrize("price", [0.1, 10])
@pytest.mark.parametrize("key", ["curves", "ecdf", "costs"])
def test_a_board_of_costs_has_axes_of_costs(key, price):
    # On an axis of shares of the cap a price has no part.
    scale = 1 if key == "ecdf" else price
    labels = draw(key, ROWS, ASKED)
    costs = draw(key, paid(ROWS, price), in_costs(ASKED))
    for one, other in zip(labels.figures, costs.figures, strict=True):
        for trace, same in zip(one.data, other.data, strict=True):
            assert same["x"] == pytest.approx([scale * x for x in trace["x"]], rel=1e-4)
            assert same["y"] == trace["y"]
        if key != "costs":
            ends = {**one.layout["meta"], "squeezed": 2.5 / scale}
            assert other.layout["meta"] == pytest.approx({k: scale * v for k, v in ends.items()})
            reach = [trace.get("meta", {}).get("reach") for trace in one.data]
            found = [trace.get("meta", {}).get("reach") for trace in other.data]
            assert found == [x if x is None else pytest.approx(scale * x) for x in reach]
        title = other.layout["xaxis"]["title"]["text"].lower()
        assert "cost" in title
        assert "(cost" not in title
    # The cap is a number of labels, and has no place among costs.
    assert any(
        "x0" in shape and shape["x0"] == 40 for shape in draw("curves").figures[0].layout["shapes"]
    )
    assert all(shape["x0"] == 0 for one in costs.figures for shape in one.layout.get("shapes", []))


@pytest.mark.parametrize("price", [0.1, 1, 10])
@pytest.mark.parametrize("read", [0, 40])
def test_a_line_of_costs_has_the_gaps_of_the_line_of_labels(price, read):
    # Forty labels, four queries, are read between the second model and the third, or none.
    rows = curve("s", (0.1, 0.2, 0.3, 0.4, 0.45))
    rows = [{**row, "labels_strict": row["labels"] + read * (row["cycle"] > 1)} for row in rows]
    asked = context("s", accounting="strict")
    (facts,) = asked.tasks
    drawn = []
    for question, curves in ((asked, rows), (in_costs(asked), paid(rows, price))):
        found = read_runs(pd.DataFrame(curves), question)
        labels, _ = shared_points(facts, list(found.values()), question.accounting)
        drawn.append(labels)
    assert np.isnan(drawn[0]).sum() == (read > 0)
    assert drawn[1].tolist() == pytest.approx((price * drawn[0]).tolist(), nan_ok=True)


def test_cheap_initial_labels_are_on_the_axis():
    rows = paid(runs("random", 22, 26, 24), 10)
    rows = [{**row, "labels_cost": 1.0} if row["cycle"] == 0 else row for row in rows]
    figure = draw("curves", rows, in_costs(context("random", seeds=3))).figures[0]
    assert lines(Drawing(figures=(figure,)))["random"]["x"][0] == 1
    assert figure.layout["meta"]["start"] < 1
    assert 0 < figure.layout["meta"]["log_start"] < 1


def test_dearer_runs_go_beyond_the_cost_of_the_cap():
    # Five runs pay 1 a label, three pay 4; what the cap of 40 costs is 40 in the median.
    rows = paid(runs("random", 20, 20, 20, 20), 1)
    rows += paid(runs("dear", 20, 20, 20, 20), 4)
    rows = [{**row, "labels_cost": row["labels"]} if row["seed"] == 0 else row for row in rows]
    drawing = draw("ecdf", rows, in_costs(context("random", "dear", seeds=4)))
    drawn = lines(drawing)
    assert drawn["random"]["x"] == pytest.approx([0, 0.5, 2])
    assert drawn["dear"]["x"] == pytest.approx([0, 0.5, 2, 2])
    assert "paper labels" not in drawing.text
    assert "median" in drawing.text


@pytest.mark.parametrize("key", ["by-task", "curves", "costs", "pairwise", "ranks", "ecdf"])
def test_panels_say_cost_where_it_is_cost(key):
    rows = paid(ROWS, 2)
    drawing = draw(key, rows, in_costs(ASKED))
    said = [drawing.text, *(one.label for one in drawing.figures)]
    said += [one.layout["xaxis"]["title"]["text"] for one in drawing.figures]
    said += [trace.get("hovertemplate", "") for one in drawing.figures for trace in one.data]
    wrong = (
        "labels saved",
        "of labels that",
        "log labels",
        "few labels",
        "x:,.0f} labels",
        "Labels",
    )
    assert not [text for text in said for word in wrong if word in text]
    assert "cost" in " ".join(said)


def test_curves_stop_where_the_first_run_stops():
    rows = curve("s", (0.1, 0.2, 0.3, 0.4), labels=(10, 20, 30, 40))
    rows += curve("s", (0.3, 0.4, 0.5), labels=(10, 15, 30), extra=6, seed=1)
    asked = context("s", seeds=2)
    found = read_runs(pd.DataFrame(rows), asked)
    labels, values = shared_points(asked.tasks[0], list(found.values()), "strict")
    assert labels.tolist() == [13, 23, 33]
    # The second run is read at 20 labels on the line from its model of 15 to that of 30.
    assert values.tolist() == [
        pytest.approx([0.1, 0.2, 0.3]), pytest.approx([0.3, 0.4 + 0.1 * 5 / 15, 0.5]),
    ]  # fmt: skip


def test_a_single_seed_has_no_band():
    rows = runs("random", 25) + runs("mine", 15)
    (figure,) = draw("curves", rows, context("random", "mine")).figures
    assert [trace.get("name") for trace in figure.data] == ["mine", None, "random", None]


@pytest.mark.parametrize(
    ("extra", "labels"),
    [((0, 0, 0, 0, 0), (10, 20, 60, 70, 80)), ((0, 0, 40, 40, 40), (10, 20, 30, 40, 50))],
)
def test_no_line_is_drawn_where_nothing_was_measured(extra, labels):
    # Forty labels, four queries, lie between the second model and the third.
    rows = curve("s", (0.1, 0.2, 0.3, 0.4, 0.45), labels=labels)
    rows = [{**row, "labels_strict": row["labels"] + n} for row, n in zip(rows, extra, strict=True)]
    rows += [{**row, "seed": 1} for row in rows]
    asked = context("s", seeds=2, accounting="strict")
    asked = replace(asked, tasks=(replace(asked.tasks[0], grid=(10, 20, 30, 40, 50, 60, 70)),))
    band, line, _ = draw("curves", rows, asked).figures[0].data
    x = [None if value is None else value - 40 for value in line["x"]]
    after = x[next(at for at, value in enumerate(x) if value is None) :]
    assert x[:2] == [-30, -20]
    assert next(value for value in after if value is not None) >= 20
    assert None in band["x"]


def test_unfinished_curves_are_not_drawn():
    missing = tuple(MissingRun("a", "half", seed, "interrupted") for seed in range(3))
    assert "half" not in lines(draw("curves", ROWS, replace(ASKED, missing=missing)))


def test_one_table_holds_the_savings_of_all_tasks():
    rows = []
    for task, factor in (("a", 0.8), ("b", 1.3)):
        rows += runs("random", *BASE, task=task)
        rows += runs("mine", *[factor * n + n % 3 / 10 for n in BASE], task=task)
    asked = context("random", "mine", seeds=7, tasks=("a", "b"))
    (table,) = draw("by-task", rows, asked).tables
    cells = {row[0].text: row[1:] for row in table.rows}
    assert [cell.text for cell in cells["random"]] == ["0 %", "0 %"]
    first, second = cells["mine"]
    for cell, task in ((first, "a"), (second, "b")):
        alone = [row for row in rows if row["task"] == task]
        found = board_of(alone, asked.on(task)).leaderboard.set_index("strategy")
        assert cell.number == pytest.approx(found["saving_vs_random"]["mine"])
        assert cell.sure
    assert first.tone > 0 > second.tone
    assert draw("by-task", alone, asked.on("b")).tables == ()


def test_a_saving_that_the_cap_hides_is_not_bold():
    # Never reaching costs 40 labels and more, reaching about 85: on task b it is the same for all.
    ten = [20 + place for place in range(10)]
    rows = runs("random", *ten, task="a", extra=60) + runs("never", *[None] * 10, task="a")
    rows += runs("random", *ten, task="b", extra=60)
    rows += runs("never", *[n * 0.7 + n % 3 / 10 for n in ten], task="b")
    asked = context("random", "never", seeds=10, tasks=("a", "b"), accounting="strict")
    for baseline, other, side in (("random", "never", 1), ("never", "random", -1)):
        (table,) = draw("by-task", rows, replace(asked, baseline=baseline)).tables
        cells = {row[0].text: row[1:] for row in table.rows}[other]
        assert [cell.sure for cell in cells] == [False, True]
        assert all(side * cell.number > 0 for cell in cells)
        found = board_of(rows, replace(asked, baseline=baseline)).leaderboard
        won, lost = found.set_index("strategy").loc[other, ["tasks_won", "tasks_lost"]]
        assert (won, lost) == ((1, 0) if side > 0 else (0, 1))


def test_chosen_lines_do_not_repeat_and_the_others_are_grey():
    names = [f"s{number:02d}" for number in range(36)]
    styles = line_styles(reversed(names), names)
    assert styles == line_styles(names, names)
    assert len({(style.colour, style.dash) for style in styles.values()}) == 36
    assert len({(style.colour, style.marker) for style in styles.values()}) == 36
    own = line_styles(["a", "random", "z"], ["z"], "random")
    assert own["random"].colour == "var(--text)"
    assert own["random"].dash
    assert own["a"].colour == "var(--others)"
    assert own["z"].colour == styles["s00"].colour


# Figures over all tasks.


def test_the_ecdf_pools_tasks_seeds_and_targets():
    drawing = of_two_targets("ecdf")
    line = lines(drawing)["random"]
    # Twelve budgets as shares of the cap of 40; the one run of task b that never crossed 0.5
    # and the two whose accuracy stays below 0.55 up to the cap end the line below 1.
    crossings = [22.4, 26, 36, 25, 31.5, 27.4, 31, 30, 36.5]
    assert line["x"] == pytest.approx([0, *sorted(c / 40 for c in crossings), 1])
    assert line["y"][-1] == pytest.approx(9 / 12)
    rows = texts(drawing.numbers[0])
    assert list(rows) == ["mine[k=3]", "random"]
    assert [*rows["random"].values()][-1] == "75 %"
    assert rows["random"]["Runs"] == "12"


def test_ranks_follow_the_target():
    drawing = of_two_targets("ranks")
    drawn = lines(drawing)
    for (target, *cells), first, second in zip(
        drawing.numbers[0].rows, drawn["mine[k=3]"]["y"], drawn["random"]["y"], strict=True
    ):
        assert [cell.number for cell in cells] == [first, second]
        found = board_of(ROWS, replace(ASKED, target=target.number)).leaderboard
        assert found.set_index("strategy")["rank"]["mine[k=3]"] == first
    # Easy targets cost mine the labels of its own that it reads before the first query.
    assert set(drawn["mine[k=3]"]["y"]) == {1, 2}
    assert [shape["x0"] for shape in drawing.figures[0].layout["shapes"]] == [0.5, 0.55]


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1e-3, 0), (1e-6, 0), (1, -2), (1e-3, -0.5)])
@pytest.mark.parametrize("falls", [False, True])
def test_targets_from_easy_to_hard_are_told_apart_at_any_scale(scale, shift, falls):
    sign = -1 if falls else 1
    rows = [{**row, "mse": shift + sign * scale * row["accuracy"]} for row in ROWS]
    asked = replace(
        ASKED, metric="mse", higher_is_better=not falls, target=shift + sign * scale / 2
    )
    table = draw("ranks", rows, asked).numbers[0]
    targets = [row[0].number for row in table.rows]
    assert targets == sorted(set(targets))
    assert len(targets) == 20
    # Easy targets cost mine the labels of its own that it reads before the first query.
    ranks = [[cell.number for cell in row[1:]] for row in table.rows][:: -1 if falls else 1]
    assert (ranks[0], ranks[-1]) == ([2, 1], [1, 2])


def test_a_dashed_line_is_only_spoken_of_where_there_is_one():
    own = replace(ASKED, ladder=(Rung(0.4), Rung(0.5)))
    for asked, dashed in ((ASKED, True), (own, False)):
        drawing = draw("ranks", ROWS, asked)
        assert bool(drawing.figures[0].layout["shapes"]) == dashed
        assert ("Dashed" in drawing.text) == dashed


def test_the_first_rank_is_on_the_axis():
    names = ["random", *(f"s{number:02d}" for number in range(16))]
    rows = [row for n, name in enumerate(names) for row in runs(name, 15 + n)]
    axis = draw("ranks", rows, context(*names)).figures[0].layout["yaxis"]
    assert axis["tickvals"] == [1, 5, 10, 15]


def test_pairwise_savings_mirror_each_other_and_agree_with_the_board():
    rows = runs("random", *BASE) + runs("mine[k=3]", *[0.8 * n + n % 3 for n in BASE])
    asked = context("random", "mine[k=3]", seeds=7)
    (numbers,) = draw("pairwise", rows, asked).numbers
    cells = texts(numbers)
    best = board_of(rows, asked).leaderboard.iloc[0]
    there = [best[name] for name in ("saving_vs_random", "saving_low", "saving_high")]
    back = [1 - 1 / (1 - there[place]) for place in (0, 2, 1)]
    for row, column, values in (
        ("mine[k=3]", "random", there), ("random", "mine[k=3]", back),
    ):  # fmt: skip
        saving, low, high = (round(100 * value) for value in values)
        assert cells[row][column] == f"{saving:+d} % [{low}, {high}]"
    assert cells["random"]["random"] == ""
    assert "95 %" in numbers.caption


def test_an_open_end_is_open_seen_from_either_side():
    # Two of seven pairs hide how much mine saves.
    rows = runs("random", *BASE[:5], None, None) + runs("mine", *[n / 2 + n % 3 for n in BASE])
    cells = texts(draw("pairwise", rows, context("random", "mine", seeds=7)).numbers[0])
    assert cells["mine"]["random"].endswith(" or more]")
    assert cells["random"]["mine"].endswith(" or less]")


def test_few_seeds_are_spoken_of_without_intervals():
    rows = runs("random", 22, 26) + runs("mine", 11, 13)
    few = draw("pairwise", rows, context("random", "mine", seeds=2))
    assert "5 seeds" in few.text
    assert "95 %" not in few.text + few.numbers[0].caption


def test_pairs_that_cannot_be_compared_are_told_from_the_diagonal():
    rows = runs("random", 25, 26) + runs("never", None, None) + runs("poor", None, None)
    drawing = draw("pairwise", rows, context("random", "never", "poor", seeds=2))
    savings, fields, crosses = drawing.figures[0].data
    pairs = [("never", "poor"), ("poor", "never")]
    assert sorted(zip(crosses["y"], crosses["x"], strict=True)) == pairs
    there = [
        (row, column)
        for row, line in zip(fields["y"], fields["z"], strict=True)
        for column, value in zip(fields["x"], line, strict=True)
        if value is not None
    ]
    assert sorted(there) == pairs
    assert {fields["hoverinfo"], crosses["hoverinfo"]} == {"skip"}
    assert all(savings["z"][place][place] is None for place in range(3))
    assert len(draw("pairwise").figures[0].data) == 1


def test_one_strategy_does_not_take_the_colours_of_the_others():
    rows = runs("random", 25) + runs("mine", 20) + runs("hungry", 15, extra=900)
    asked = context("random", "mine", "hungry", accounting="strict")
    savings = draw("pairwise", rows, asked).figures[0].data[0]
    assert (savings["zmin"], savings["zmax"]) == (-0.5, 0.5)
    low, _, high = savings["colorbar"]["ticktext"]
    assert (low, high) == ("-50 % or less", "+50 % or more")


def test_labels_are_stacked_by_purpose_up_to_the_target():
    drawing = of_two_targets("ledger")
    rows = texts(drawing.numbers[0])
    # At 0.55 mine is confirmed at 20, 20, 30 and 20, 30, 20; ten of these are the initial labels.
    assert rows["mine[k=3]"] == {"initial": "10.0", "pool": "13.3", "reward": "7.0", "all": "30.3"}
    assert rows["random"]["reward"] == "0.0"
    confirmed = (30 + 40 + 40 + 30 + 40 + 40) / 6
    assert float(rows["random"]["all"]) == pytest.approx(confirmed, abs=0.05)
    bars = drawing.figures[0].data
    assert [bar["name"] for bar in bars] == ["initial", "pool", "reward"]
    assert bars[1]["x"][0] == pytest.approx(40 / 3, rel=1e-4)
    plain = draw("ledger", charges=CHARGES[CHARGES["purpose"] != "reward"])
    assert plain.figures == ()


def test_costs_are_counted_up_to_the_target():
    rows = [{**row, "select_seconds": 1.0, "bytes_up": 500_000} for row in ROWS]
    drawing = draw("costs", rows)
    # Confirmed at 20, 20, 20 and 20, 20, 20: cycles 0 and 1.
    assert [*texts(drawing.numbers[0])["mine[k=3]"].values()] == ["2", "1.0", "2.00", "0.0"]
    labels = board_of(ROWS, ASKED).leaderboard.set_index("strategy")["labels"]
    seconds, megabytes = (lines(Drawing(figures=(figure,))) for figure in drawing.figures)
    assert seconds["mine[k=3]"]["x"] == [pytest.approx(labels["mine[k=3]"], 1e-5)]
    assert (seconds["mine[k=3]"]["y"], megabytes["mine[k=3]"]["y"]) == ([2], [1])


def test_coverage_counts_finished_runs_and_lists_the_missing_ones():
    drawing = draw("coverage")
    assert {name: [*cells.values()] for name, cells in texts(drawing.tables[0]).items()} == {
        "half": ["2/3", "3/3"], "mine[k=3]": ["3/3", "3/3"], "random": ["3/3", "3/3"],
    }  # fmt: skip
    (row,) = drawing.tables[1].rows
    assert [cell.text for cell in row] == ["half", "a", "2", ASKED.missing[0].reason]
    complete = draw("coverage", runs("random", 25), context("random"))
    assert complete.tables == ()
    assert "1 strategy" in complete.text


# All panels.


@pytest.mark.parametrize(
    ("key", "rows", "lack"),
    [
        ("ledger", ROWS, "ledger"),  # no charges
        ("ecdf", ROWS[:0], "No strategy"),
        ("costs", ROWS[:0], "No strategy"),
        ("ranks", runs("random", 25), "2 strategies"),
        ("pairwise", runs("random", 25), "2 strategies"),
    ],
)
def test_a_panel_says_what_it_lacks(key, rows, lack):
    asked = context("random") if len(rows) < len(ROWS) else ASKED
    drawing = draw(key, pd.DataFrame(rows, columns=ROWS[0].keys()), asked)
    assert (drawing.figures, drawing.numbers) == ((), ())
    assert lack in drawing.text


def test_a_new_panel_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "extra.py").write_text(
        textwrap.dedent("""
        from fal_bench.reporting.panels.base import Cell, Drawing, Panel, Table

        class Extra(Panel):
            key, title, order = "extra", "One more", 45

            def draw(self, data):
                table = Table("Names", ("Strategy",), [[Cell(name)] for name in data.ranked])
                return Drawing("Seen.", tables=(table,))
        """)
    )
    from fal_bench.reporting import panels

    monkeypatch.setattr(panels, "__path__", [*panels.__path__, str(tmp_path)])
    all_panels.cache_clear()
    try:
        keys = [panel.key for panel in all_panels()]
        assert keys.index("pairwise") < keys.index("extra") < keys.index("ledger")
        html = render_page(comparison(ROWS, ASKED))
    finally:
        all_panels.cache_clear()
    assert '<h2 id="extra">' in html
    assert '<a href="#extra">' in html
