"""The HTML report: the numbers of the CSV file, escaped, and nothing from the network."""

import functools
import itertools
import json
import math
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from test_leaderboard import GRID, context, curve, runs

from fal_bench.report.answer import Board, Comparison
from fal_bench.report.context import MissingCell
from fal_bench.report.figures import line_styles, mean_curve
from fal_bench.report.leaderboard import build_leaderboard
from fal_bench.report.page import _inline_script, render_page
from fal_bench.report.verdict import verdict_sentences

EVIL = "<script>alert(1)</script>"
NO_CHARGES = pd.DataFrame(columns=["task", "strategy", "seed", "purpose", "cycle", "labels"])


class Element:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent = tag, dict(attributes), parent
        self.children, self.text = [], ""

    def all(self, tag=None, **attributes):
        """Every element below this one with the tag and attributes."""
        for child in self.children:
            if (tag is None or child.tag == tag) and all(
                child.attributes.get(name.replace("_", "-").strip("-")) == value
                for name, value in attributes.items()
            ):
                yield child
            yield from child.all(tag, **attributes)

    def one(self, tag=None, **attributes):
        (found,) = self.all(tag, **attributes)
        return found


class Page(HTMLParser):
    """A tree of elements; ``text`` of an element includes that of its children."""

    VOID = ("meta", "link", "input", "br")

    def __init__(self, html):
        super().__init__()
        self.root = self.open = Element("", [], None)
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        element = Element(tag, attributes, self.open)
        self.open.children.append(element)
        if tag not in self.VOID:
            self.open = element

    def handle_startendtag(self, tag, attributes):
        self.open.children.append(Element(tag, attributes, self.open))

    def handle_endtag(self, tag):
        assert tag == self.open.tag, f"</{tag}> closes <{self.open.tag}>"
        self.open = self.open.parent

    def handle_data(self, data):
        element = self.open
        while element is not None:
            element.text += data
            element = element.parent


ROWS = [
    *runs("random", 22.4, 26, 36, task="a"),
    *runs("random", 25, 31.5, None, task="b"),
    *runs("mine[k=3]", 11.2, 13, 18, task="a", extra=7),
    *runs("mine[k=3]", 15, 16.5, 14, task="b", extra=7),
    *runs("half", 20, 21, task="a"),
    *runs("half", 20, 21, 22, task="b"),
]
MISSING = (MissingCell("a", "half", 2, "ValueError: <b>shapes</b>\ndiffer"),)
ASKED = context(
    "random", "mine[k=3]", "half", seeds=3, tasks=("a", "b"), missing=MISSING, accounting="strict"
)


def render(rows=ROWS, asked=ASKED):
    return render_page(comparison(pd.DataFrame(rows), asked))


def comparison(curves, *contexts, charges=None):
    boards = tuple(Board(build_leaderboard(curves, asked), asked) for asked in contexts)
    return Comparison(boards, curves, NO_CHARGES if charges is None else charges)


@functools.cache
def page():
    return Page(render()).root


@functools.cache
def board():
    return build_leaderboard(pd.DataFrame(ROWS), ASKED)


def figure(root, number=0):
    return json.loads(root.one("script", id=f"figure-{number}").text)


def test_the_board_holds_the_numbers_of_the_csv_file():
    table = page().one("table", id="board")
    rows = [row for body in table.all("tbody") for row in body.all("tr")]
    assert len(rows) == len(board())
    seen = 0
    for element, (_, row) in zip(rows, board().iterrows(), strict=True):
        assert element.one("th", scope="row").text == row["strategy"]
        assert element.one("td", data_key="verdict").text == row["verdict"]
        for cell in element.all("td", **{"class": "number"}):
            value = row[cell.attributes["data-key"]]
            if "data-value" in cell.attributes:
                assert float(cell.attributes["data-value"]) == value
                seen += 1
            else:
                assert pd.isna(value)
                assert cell.text == "-"
    # Seven numbers of both complete strategies; of the incomplete one only the runs reached.
    assert seen == 7 + 7 + 1


def test_the_board_words_what_the_terminal_words():
    row = next(page().one("table", id="board").one("tbody", **{"class": "complete"}).all("tr"))
    best = board().iloc[0]
    assert row.attributes["class"] == "best"
    labels = row.one("td", data_key="labels").text
    assert labels == (f"{best['labels']:.0f} [{best['labels_low']:.0f}, {best['labels_high']:.0f}]")
    assert row.one("td", data_key="saving_vs_random").text.startswith("+")
    incomplete = page().one("table", id="board").one("tbody", **{"class": "incomplete"})
    assert incomplete.one("th", scope="row").text == "half"


def test_the_verdict_comes_first_and_in_words():
    sections = list(page().one("main").all("section"))
    assert sections[0].one("h2").text == "Verdict"
    assert [p.text for p in sections[0].all("p")] == verdict_sentences(board(), ASKED)


def test_results_by_task():
    table = next(iter(page().one("section", aria_labelledby="task-1").all("table")))
    cells = {
        row.one("th", scope="row").text.strip(): list(row.all("td"))
        for row in table.one("tbody").all("tr")
    }
    assert list(cells) == ["half", "mine[k=3]", "random"]
    reached, labels, accuracy = cells["random"]
    assert reached.text == "2/3"
    assert labels.text == ">32"
    assert float(labels.attributes["data-value"]) == pytest.approx((25 + 31.5 + 40) / 3)
    # 0.5 + (40 - 25) / 100, 0.5 + (40 - 31.5) / 100 and 0.4
    assert float(accuracy.attributes["data-value"]) == pytest.approx((0.65 + 0.585 + 0.4) / 3)
    assert float(cells["mine[k=3]"][1].attributes["data-value"]) == pytest.approx(15.1667 + 7, 1e-4)
    first = next(iter(page().one("section", aria_labelledby="task-0").all("tbody")))
    assert next(first.all("td")).text == "2/2 (1 missing)"


def test_figures_draw_mean_and_range_over_the_labels_that_rank():
    traces = figure(page())["data"]
    assert [trace.get("name") for trace in traces] == [
        None, "half", None, "mine[k=3]", None, "random",
    ]  # fmt: skip
    assert [trace["legendgroup"] for trace in traces] == list("001122")
    band, line = traces[2:4]
    assert line["x"] == [17, 27, 37, 47, 57]
    crossings = (11.2, 13, 18)
    mean = [0.5 + (point - sum(crossings) / 3) / 100 for point in (10, 20, 30, 40, 50)]
    assert line["y"] == pytest.approx(mean)
    assert band["x"] == line["x"] + line["x"][::-1]
    assert band["y"][:5] == pytest.approx([0.5 + (p - 11.2) / 100 for p in (10, 20, 30, 40, 50)])
    assert band["y"][5:] == pytest.approx([0.5 + (p - 18) / 100 for p in (50, 40, 30, 20, 10)])
    (target,) = figure(page())["layout"]["shapes"]
    assert (target["y0"], target["y1"], target["line"]["dash"]) == (0.5, 0.5, "dash")


def test_paper_accounting_has_its_own_axis():
    root = Page(render(asked=replace(ASKED, accounting="paper"))).root
    assert figure(root)["data"][3]["x"] == [10, 20, 30, 40, 50]
    assert figure(root)["layout"]["xaxis"]["title"]["text"] == "Labels (paper)"


def test_curves_stop_where_the_first_run_stops():
    rows = [pd.DataFrame(curve("s", (0.1, 0.2, 0.3, 0.4), labels=(10, 20, 30, 40)))]
    rows.append(pd.DataFrame(curve("s", (0.3, 0.4, 0.5), labels=(10, 15, 30), extra=6)))
    drawn = mean_curve(rows, ASKED.tasks[0], "strict")
    assert drawn.labels.tolist() == [13, 23, 33]
    assert drawn.mean.tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert drawn.low.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert drawn.high.tolist() == pytest.approx([0.3, 0.4, 0.5])


def test_a_single_seed_has_no_band():
    root = Page(render(runs("random", 25) + runs("mine", 15), context("random", "mine"))).root
    assert [trace["name"] for trace in figure(root)["data"]] == ["mine", "random"]


def test_lines_follow_names_and_do_not_repeat():
    names = [f"s{number:02d}" for number in range(42)]
    styles = line_styles(reversed(names))
    assert styles == line_styles(names)
    assert len({(style.colour, style.dash) for style in styles.values()}) == 42


def test_unfinished_curves_are_not_drawn():
    missing = tuple(MissingCell("a", "half", seed, "interrupted") for seed in range(3))
    root = Page(render(asked=replace(ASKED, missing=missing))).root
    assert "half" not in [trace.get("name") for trace in figure(root)["data"]]
    row = list(root.one("section", aria_labelledby="task-0").all("tr"))[1]
    assert [cell.text for cell in row.all("td")] == ["0/0 (3 missing)", "-", "-"]
    assert not list(row.all("input"))


def test_no_curve_at_all():
    empty = pd.DataFrame(ROWS).iloc[:0]
    root = Page(render_page(comparison(empty, ASKED))).root
    assert not list(root.all("figure"))
    assert "nothing is ranked" in root.one("section", aria_labelledby="verdict").text


def test_missing_cells_and_provenance():
    missing = page().one("section", aria_labelledby="missing")
    (row,) = missing.one("tbody").all("tr")
    assert [cell.text for cell in row.children] == [
        "a", "half", "2", "ValueError: <b>shapes</b>\ndiffer",
    ]  # fmt: skip
    provenance = page().one("section", aria_labelledby="provenance")
    assert provenance.one("code").text == "falbench compare"
    row = next(provenance.one("tbody").all("tr"))
    assert [cell.text for cell in row.all("td")] == ["", str(GRID[0]), "10", str(GRID[-1]), "200"]
    complete = Page(render(runs("random", 25), context("random"))).root
    assert complete.one("section", aria_labelledby="missing").one("p").text.startswith("None")


def test_everything_from_outside_is_escaped():
    rows = runs(EVIL, 15, task=EVIL) + runs("<b>&amp;", 25, task=EVIL)
    asked = context(
        EVIL,
        "<b>&amp;",
        tasks=(EVIL,),
        missing=[MissingCell(EVIL, "</script>", 0, "<!--<script>")],
        suite=EVIL,
        baseline="<b>&amp;",
        command=EVIL,
        version='"><img src=x>',
    )
    facts = replace(asked.tasks[0], description=EVIL)
    html = render(rows, replace(asked, tasks=(facts,)))
    clean = render(runs("random", 25), context("random"))
    assert html.count("<script") == clean.count("<script")
    assert "alert(1)<" not in html
    root = Page(html).root
    assert not list(root.all("img"))
    assert root.one("code").text == EVIL
    assert root.one("h3").text == EVIL
    # plotly reads HTML in names, so there they are escaped once more.
    assert sorted(trace["name"] for trace in figure(root)["data"]) == [
        "&lt;b&gt;&amp;amp;",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
    ]


def test_scripts_cannot_end_their_element():
    source = "a = '</SCRIPT>' + '</script >' + '<!--';"
    assert _inline_script(source) == r"a = '<\/SCRIPT>' + '<\/script >' + '<\!--';"


def test_nothing_is_loaded_from_anywhere():
    for element in page().all():
        assert "src" not in element.attributes
        assert element.attributes.get("href", "data:,").startswith("data:")
        assert element.tag not in ("iframe", "object", "embed", "base", "form")
    policy = page().one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.startswith("default-src 'none';")
    css = page().one("style").text
    assert "url(" not in css
    assert "@import" not in css


def test_the_page_is_well_structured():
    root = page()
    assert root.one("html").attributes["lang"] == "en"
    levels = [int(e.tag[1]) for e in root.all() if e.tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [e.attributes["id"] for e in root.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert {e.attributes["aria-labelledby"] for e in root.all("section")} <= set(ids)
    for table in root.all("table"):
        assert table.one("caption").text
        assert all("scope" in cell.attributes for cell in table.all("th"))
        assert table.parent.attributes["tabindex"] == "0"


def test_equal_inputs_give_equal_pages():
    shuffled = pd.DataFrame(ROWS).sample(frac=1, random_state=1).to_dict("records")
    turned = replace(
        ASKED, strategies=ASKED.strategies[::-1], tasks=ASKED.tasks[::-1], seeds=(2, 0, 1)
    )
    assert render() == render(shuffled, turned)


def test_the_page_is_below_six_megabytes():
    tasks = tuple(f"task-{number}" for number in range(10))
    rows = [
        row
        for task in tasks
        for number in range(8)
        for row in runs(f"strategy-{number}", 20 + number, 25.123456789, task=task)
    ]
    names = [f"strategy-{number}" for number in range(8)]
    html = render(rows, context(*names, seeds=2, tasks=tasks, baseline=names[0]))
    assert len(html.encode()) < 6_000_000


def test_numbers_in_data_values_read_back_exactly():
    values = [
        float(cell.attributes["data-value"])
        for cell in page().one("table", id="board").all("td", data_key="labels")
        if "data-value" in cell.attributes
    ]
    assert values == [value for value in board()["labels"] if not math.isnan(value)]


def test_plotly_is_not_imported_before_a_page_is_rendered():
    code = "import fal_bench.report.page, sys; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
