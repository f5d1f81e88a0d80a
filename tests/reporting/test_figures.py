"""Figures: what is drawn is what the board says, and files are what their suffix says."""

import importlib.util
import math

import pytest
from boards import ROWS, comparison, context, crossing_at, curve, in_costs, paid, runs

from fal_bench.errors import FalbenchError, InvalidSpecError
from fal_bench.reporting.context import Rung
from fal_bench.reporting.figures import curves, save, savings

SEEDS = 6
RUNGS = (Rung(0.45), Rung(0.5), Rung(0.55))
STRATEGIES = ("random", "good[k=3]", "bad", "$same$")
LABELS = {"random": 25, "good[k=3]": 14, "bad": 34, "$same$": 25}


def board(strategies=STRATEGIES, tasks=("a", "b")):
    rows = [
        row
        for task in tasks
        for name in strategies
        for seed in range(SEEDS)
        for row in curve(
            name, crossing_at(LABELS.get(name, 20) + 0.3 * (seed % 3)), task=task, seed=seed
        )
    ]
    return comparison(rows, context(*strategies, seeds=SEEDS, tasks=tasks, wider=RUNGS))


@pytest.fixture(scope="module")
def result():
    return board()


def test_savings_are_those_of_the_board_in_its_order(result):
    axes = result.figure("savings").axes[0]
    table = result.leaderboard.set_index("strategy")
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == list(table.index)
    points = {
        names[round(line.get_ydata()[0])]: line.get_xdata()[0]
        for line in axes.lines
        if len(line.get_xdata()) == 1
    }
    assert points.keys() == set(STRATEGIES) - {"random"}
    for name, value in points.items():
        assert value == pytest.approx(table.saving_vs_random[name])


def test_a_loss_that_would_squeeze_the_others_is_written(result):
    rows = [
        row
        for seed in range(SEEDS)
        for name, extra in (("random", 0), ("greedy", 900))
        for row in curve(name, crossing_at(25 + seed % 2), seed=seed, extra=extra)
    ]
    asked = context("random", "greedy", seeds=SEEDS, accounting="strict")
    axes = comparison(rows, asked).figure("savings").axes[0]
    assert axes.get_xlim()[0] > -1
    assert any("%" in text.get_text() and "-3" in text.get_text() for text in axes.texts)


def test_curves_have_a_panel_a_task_and_the_means_of_the_runs(result):
    figure = result.figure("curves", width="column")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b"]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(STRATEGIES) <= lines.keys()
    mine = [run for key, run in result.boards[0].runs.items() if key[:2] == ("a", "bad")]
    ends = [run.at([run.span[1]])[0] for run in mine]
    drawn = dict(zip(lines["bad"].get_xdata(), lines["bad"].get_ydata(), strict=True))
    assert drawn[mine[0].span[1]] == pytest.approx(sum(ends) / len(ends))


@pytest.mark.parametrize("price", [0.1, 10])
def test_figures_of_costs_have_axes_of_costs(price):
    rows = [
        row
        for seed in range(SEEDS)
        for name in ("random", "bad")
        for row in curve(name, crossing_at(LABELS[name] + seed), seed=seed)
    ]
    asked = context("random", "bad", seeds=SEEDS, wider=RUNGS, accounting="strict")
    labels, costs = comparison(rows, asked), comparison(paid(rows, price), in_costs(asked))
    plain, figure = (one.figure("curves") for one in (labels, costs))
    one, other = (found.axes[0] for found in (plain, figure))
    assert other.get_xlim() == pytest.approx([price * x for x in one.get_xlim()])
    assert other.get_xlabel() == "cost of labels"
    drawn = [
        {line.get_label(): list(line.get_xdata()) for line in axes.lines} for axes in (one, other)
    ]
    for name in ("random", "bad"):
        assert drawn[1][name] == pytest.approx([price * x for x in drawn[0][name]])
    # The cap is a number of labels, and has no place among costs.
    assert [40, 40] in [list(line.get_xdata()) for line in one.lines]
    assert len(other.lines) == len(one.lines) - 1
    entries = [
        [text.get_text() for text in found.legends[0].get_texts()] for found in (plain, figure)
    ]
    assert entries[0] == [*entries[1], "budget cap"]
    assert "cost saved" in costs.figure("savings").axes[0].get_xlabel()
    assert costs.figure("savings").axes[0].get_title(loc="left").startswith("Cost saved")
    assert "cost saved" in costs.figure("ladder").axes[0].get_ylabel()


def test_the_ladder_has_a_point_a_target(result):
    axes = result.figure("ladder").axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    found = lines["good[k=3]"].get_ydata()
    assert len(found) == len(RUNGS)
    # The middle one is the target of the board.
    table = result.leaderboard.set_index("strategy")
    assert found[1] == pytest.approx(table.saving_vs_random["good[k=3]"])


@pytest.mark.parametrize(
    ("suffix", "start"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("PNG", b"\x89PNG")]
)
def test_files_are_what_their_suffix_says_and_equal(result, tmp_path, suffix, start):
    paths = [save(result.figure(), tmp_path / f"{place}.{suffix}") for place in "ab"]
    assert paths[0].read_bytes().startswith(start)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("width", ["column", "page"])
def test_a_notebook_shows_a_figure_of_the_width_of_a_paper(result, width):
    figure = result.figure("savings", width=width)
    assert figure._repr_svg_().startswith("<svg")
    assert figure.get_figwidth() == {"column": 3.5, "page": 7.16}[width]


def test_what_cannot_be_drawn_is_refused_by_name(result, tmp_path):
    for asked, name in (({"kind": "pie"}, "pie"), ({"kind": "curves", "width": "wide"}, "wide")):
        with pytest.raises(InvalidSpecError, match=name):
            result.figure(**asked)
    with pytest.raises(InvalidSpecError, match=r"fig\.jpg"):
        save(result.figure(), tmp_path / "fig.jpg")
    alone = comparison(runs("random", 22, 26), context("random", seeds=2))
    for kind in ("savings", "ladder"):
        with pytest.raises(InvalidSpecError, match="random"):
            alone.figure(kind)
    nothing = comparison(ROWS, context("half", seeds=3, tasks=("a", "b")))
    with pytest.raises(InvalidSpecError, match="curve"):
        nothing.figure("curves")


def test_more_than_fits_is_left_out_or_refused(monkeypatch):
    monkeypatch.setattr(savings, "MOST_ROWS", 2)
    axes = board().figure("savings").axes[0]
    assert len(axes.get_yticklabels()) == 2
    assert math.isfinite(axes.get_xlim()[0])
    monkeypatch.setattr(curves, "MOST_TASKS", 1)
    with pytest.raises(InvalidSpecError, match="--task"):
        board().figure("curves")


def test_without_matplotlib_one_sentence_says_what_to_install(result, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "fal_bench.reporting.figures.paper.find_spec",
        lambda name: None if name == "matplotlib" else find(name),
    )
    with pytest.raises(FalbenchError, match="pip install"):
        result.figure()
    assert "<table" in result._repr_html_()
    assert "<svg" not in result._repr_html_()
