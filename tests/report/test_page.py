"""The HTML report: the numbers of the CSV file, escaped, and nothing from the network."""

import base64
import functools
import gzip
import itertools
import json
import math
import subprocess
import sys
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pandas as pd
import pytest
from boards import ASKED, CHARGES, GRID, ROWS, board_of, comparison, context, curve, render, runs

from fal_bench.report.budgets import read_runs
from fal_bench.report.context import Environment, MissingRun
from fal_bench.report.leaderboard import build_leaderboard
from fal_bench.report.page import _packed, render_page
from fal_bench.report.panels.curves import mean_curve
from fal_bench.report.styles import line_styles

EVIL = "<script>alert(1)</script>"


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


@functools.cache
def page():
    return Page(render()).root


@functools.cache
def board():
    return build_leaderboard(pd.DataFrame(ROWS), ASKED)


def figure(root, key="curves-0"):
    return json.loads(root.one("script", id=f"data-{key}").text)


def lines(root, key="curves-0"):
    """The traces of strategies by name."""
    return {trace["name"]: trace for trace in figure(root, key)["data"] if "name" in trace}


def numbers(section):
    """The table behind a section's figure: its rows by name, as text by heading."""
    table = next(section.one("details").all("table"))
    headings = [run.text for run in table.one("thead").all("th")]
    return {
        row.children[0].text: dict(
            zip(headings[1:], [run.text for run in row.all("td")], strict=True)
        )
        for row in table.one("tbody").all("tr")
    }


def test_the_board_holds_the_numbers_of_the_csv_file():
    table = page().one("table", id="board")
    rows = [row for body in table.all("tbody") for row in body.all("tr")]
    assert len(rows) == len(board())
    seen = 0
    for element, (_, row) in zip(rows, board().iterrows(), strict=True):
        assert element.one("th", scope="row").text == row["strategy"]
        assert element.one("td", data_key="verdict").text == row["verdict"]
        for run in element.all("td"):
            if "number" not in run.attributes["class"].split():
                continue
            value = row[run.attributes["data-key"]]
            if "data-value" in run.attributes:
                assert float(run.attributes["data-value"]) == value
                seen += 1
            else:
                assert pd.isna(value)
                assert run.text == "-"
    # Seven numbers of both complete strategies; of the incomplete one only the runs reached.
    assert seen == 7 + 7 + 1


def test_the_board_words_what_the_terminal_words():
    row = next(page().one("table", id="board").one("tbody", **{"class": "ranked"}).all("tr"))
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
    assert [p.text for p in sections[0].all("p")] == board_of(ROWS, ASKED).verdict
    facts = {fact.one("dt").text: fact.one("dd").text for fact in sections[0].one("dl").all("div")}
    assert facts["Fewest labels"] == "mine[k=3]"
    assert facts["Saving against random (95 % interval)"].startswith("+")
    assert facts["How sure"] == "better than random beyond chance, p = 0.031"


def test_two_seeds_are_spoken_of_without_intervals():
    rows = runs("random", 22, 26) + runs("mine", 11, 13)
    root = Page(render(rows, context("random", "mine", seeds=2))).root
    facts = {fact.one("dt").text: fact.one("dd").text for fact in root.one("dl").all("div")}
    assert facts["Labels to target"] == "12"
    assert "95 %" not in root.one("table", id="board").one("caption").text
    assert not list(root.one("table", id="board").all("span", **{"class": "interval"}))
    pairs = root.one("section", aria_labelledby="pairwise")
    assert "2 seeds on 1 task are too few; it takes at least 3" in next(pairs.all("p")).text
    assert "95 %" not in pairs.one("caption").text


def test_it_says_what_its_accounting_counts():
    for accounting, words in (("strict", "every label read"), ("paper", "bought from the query")):
        header = Page(render(asked=replace(ASKED, accounting=accounting))).root.one("header")
        assert words in header.one("p", **{"class": "setting"}).text


def test_targets_of_each_task_are_listed_and_explained():
    own = replace(ASKED, task_targets=(("a", 0.5), ("b", 0.6)), target_name="auto-50")
    page = render_page(comparison(ROWS, own, ASKED))
    section = Page(page).root.one("section", aria_labelledby="leaderboard")
    (text,) = [p.text for p in section.all("p") if p.text.startswith("That is, by task")]
    assert text == (
        "That is, by task: a: 50.0 %, b: 60.0 %. The median run of random is there after this "
        "share of the budget cap."
    )


def test_results_without_a_ledger_say_so():
    section = page().one("section", aria_labelledby="ledger")
    assert not list(section.all("figure"))
    assert "no ledger" in section.one("p").text


def test_results_by_task():
    section = page().one("section", aria_labelledby="curves-part-1")
    table = section.one("table", **{"class": "results sortable"})
    runs = {
        row.one("th", scope="row").text.strip(): list(row.all("td"))
        for row in table.one("tbody").all("tr")
    }
    assert list(runs) == ["half", "mine[k=3]", "random"]
    reached, labels, accuracy = runs["random"]
    assert reached.text == "2/3"
    assert labels.text == ">32"
    assert float(labels.attributes["data-value"]) == pytest.approx((25 + 31.5 + 40) / 3)
    # 0.5 + (40 - 25) / 100, 0.5 + (40 - 31.5) / 100 and 0.4
    assert float(accuracy.attributes["data-value"]) == pytest.approx((0.65 + 0.585 + 0.4) / 3)
    assert float(runs["mine[k=3]"][1].attributes["data-value"]) == pytest.approx(15.1667 + 7, 1e-4)
    first = next(iter(page().one("section", aria_labelledby="curves-part-0").all("tbody")))
    assert next(first.all("td")).text == "2/2 (1 missing)"


def test_figures_draw_mean_and_range_over_the_labels_that_rank():
    traces = figure(page())["data"]
    assert [trace.get("name") for trace in traces] == [
        None, "half", None, None, "mine[k=3]", None, None, "random", None,
    ]  # fmt: skip
    assert [trace["legendgroup"] for trace in traces] == list("000111222")
    band, line, ticks = traces[3:6]
    assert ticks["x"] == pytest.approx([18.2, 20, 25])
    assert ticks["y"] == [0.5] * 3
    assert line["x"] == [17, 27, 37, 47, 57]
    crossings = (11.2, 13, 18)
    mean = [0.5 + (point - sum(crossings) / 3) / 100 for point in (10, 20, 30, 40, 50)]
    assert line["y"] == pytest.approx(mean)
    assert band["x"] == line["x"] + line["x"][::-1]
    assert band["y"][:5] == pytest.approx([0.5 + (p - 11.2) / 100 for p in (10, 20, 30, 40, 50)])
    assert band["y"][5:] == pytest.approx([0.5 + (p - 18) / 100 for p in (50, 40, 30, 20, 10)])
    target, cap = figure(page())["layout"]["shapes"]
    assert (target["y0"], target["y1"], target["line"]["dash"]) == (0.5, 0.5, "dash")
    assert (cap["x0"], cap["x1"], cap["label"]["text"]) == (40, 40, "cap 40")


def test_paper_accounting_has_its_own_axis():
    root = Page(render(asked=replace(ASKED, accounting="paper"))).root
    assert lines(root)["mine[k=3]"]["x"] == [10, 20, 30, 40, 50]
    assert figure(root)["layout"]["xaxis"]["title"]["text"] == "Labels (paper)"


def test_curves_stop_where_the_first_run_stops():
    rows = curve("s", (0.1, 0.2, 0.3, 0.4), labels=(10, 20, 30, 40))
    rows += curve("s", (0.3, 0.4, 0.5), labels=(10, 15, 30), extra=6, seed=1)
    runs_ = read_runs(pd.DataFrame(rows), context("s", seeds=2))
    drawn = mean_curve(list(runs_.values()), "strict")
    assert drawn.labels.tolist() == [13, 23, 33]
    assert drawn.mean.tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert drawn.low.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert drawn.high.tolist() == pytest.approx([0.3, 0.4, 0.5])


def test_a_single_seed_has_no_band():
    root = Page(render(runs("random", 25) + runs("mine", 15), context("random", "mine"))).root
    assert [trace.get("name") for trace in figure(root)["data"]] == ["mine", None, "random", None]


def test_lines_follow_names_and_do_not_repeat():
    names = [f"s{number:02d}" for number in range(42)]
    styles = line_styles(reversed(names))
    assert styles == line_styles(names)
    assert len({(style.colour, style.dash) for style in styles.values()}) == 42
    assert len({(style.colour, style.marker) for style in styles.values()}) == 42


def test_unfinished_curves_are_not_drawn():
    missing = tuple(MissingRun("a", "half", seed, "interrupted") for seed in range(3))
    root = Page(render(asked=replace(ASKED, missing=missing))).root
    assert "half" not in [trace.get("name") for trace in figure(root)["data"]]
    row = list(root.one("section", aria_labelledby="curves-part-0").all("tr"))[1]
    assert [run.text for run in row.all("td")] == ["0/0 (3 missing)", "-", "-"]


def test_no_curve_at_all():
    empty = pd.DataFrame(ROWS).iloc[:0]
    root = Page(render_page(comparison(empty, ASKED))).root
    assert not list(root.all("figure"))
    assert "Nothing is ranked" in root.one("section", aria_labelledby="verdict").text


def test_missing_runs_and_provenance():
    coverage = page().one("section", aria_labelledby="coverage")
    counts, missing = coverage.all("table")
    assert {
        row.one("th").text: [run.text for run in row.all("td")]
        for row in counts.one("tbody").all("tr")
    } == {"half": ["2/3", "3/3"], "mine[k=3]": ["3/3", "3/3"], "random": ["3/3", "3/3"]}
    (row,) = missing.one("tbody").all("tr")
    assert [run.text for run in row.children] == [
        "half", "a", "2", "ValueError: <b>shapes</b>\ndiffer",
    ]  # fmt: skip
    provenance = page().one("section", aria_labelledby="provenance")
    assert provenance.one("code").text == "falbench compare"
    row = next(provenance.one("table", id="tasks").one("tbody").all("tr"))
    assert [run.text for run in row.all("td")] == ["", str(GRID[0]), "10", str(GRID[-1]), "200"]
    complete = Page(render(runs("random", 25), context("random"))).root
    assert len(list(complete.one("section", aria_labelledby="coverage").all("table"))) == 1


def test_everything_from_outside_is_escaped():
    rows = runs(EVIL, 15, task=EVIL) + runs("<b>&amp;", 25, task=EVIL)
    asked = context(
        EVIL,
        "<b>&amp;",
        tasks=(EVIL,),
        missing=[MissingRun(EVIL, "</script>", 0, "<!--<script>")],
        suite=EVIL,
        baseline="<b>&amp;",
        command=EVIL,
        version='"><img src=x>',
    )
    facts = replace(asked.tasks[0], description=EVIL)
    charges = [
        {"task": EVIL, "strategy": name, "seed": 0, "purpose": EVIL, "cycle": 0, "labels": 5}
        for name in (EVIL, "<b>&amp;")
    ]
    asked = replace(
        asked, tasks=(facts,), environments=(Environment(2, ((EVIL, EVIL), ("torch", EVIL))),)
    )
    html = render_page(comparison(rows, asked, charges=pd.DataFrame(charges)))
    clean = render_page(
        comparison(
            pd.DataFrame(runs("random", 25) + runs("mine", 15)),
            context("random", "mine"),
            charges=pd.DataFrame([{**row, "task": "a", "strategy": "random"} for row in charges]),
        )
    )
    assert html.count("<script") == clean.count("<script")
    assert "alert(1)<" not in html
    root = Page(html).root
    assert not list(root.all("img"))
    assert root.one("code").text == EVIL
    assert root.one("h3", id="curves-part-0").text == EVIL
    # plotly reads HTML in names, so there they are escaped once more.
    for key in ("curves-0", "ecdf-plot", "ranks-plot"):
        assert sorted(lines(root, key)) == [
            "&lt;b&gt;&amp;amp;",
            "&lt;script&gt;alert(1)&lt;/script&gt;",
        ]
    for key in ("ledger-plot", "costs-0", "pairwise-plot"):
        assert set(figure(root, key)["data"][0]["y"]) == set(lines(root))
    assert lines(root, "ledger-plot").keys() == {"&lt;script&gt;alert(1)&lt;/script&gt;"}


def test_the_drawing_library_is_packed_whole():
    from plotly.offline import get_plotlyjs

    packed = page().one("script", id="plotly").text
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()
    assert packed == _packed(get_plotlyjs())


def test_nothing_is_loaded_from_anywhere():
    for element in page().all():
        assert "src" not in element.attributes
        # Links lead to places of the page, and to the tables that are written beside it.
        link = element.attributes.get("href", "data:,")
        assert link.startswith(("data:", "#")) or link in ("leaderboard.csv", "curves.csv")
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
    assert [e.text for e in root.all("h2")] == [
        "Verdict", "Leaderboard", "Learning curves", "Budgets over all runs",
        "Rank against target", "Pairwise savings", "Labels read, by purpose", "Costs", "Coverage",
        "How to read this", "Provenance",
    ]  # fmt: skip
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [e.attributes["id"] for e in root.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert {e.attributes["aria-labelledby"] for e in root.all("section")} <= set(ids)
    plots = {e.attributes["id"] for e in root.all("div", **{"class": "plot"})}
    assert {e.attributes.get("data-plot") for e in root.all("button")} - {None} == plots
    for table in root.all("table"):
        assert table.one("caption").text
        assert all("scope" in run.attributes for run in table.all("th"))
        assert table.parent.attributes["tabindex"] == "0"


def test_equal_inputs_give_equal_pages():
    shuffled = pd.DataFrame(ROWS).sample(frac=1, random_state=1).to_dict("records")
    turned = replace(
        ASKED, strategies=ASKED.strategies[::-1], tasks=ASKED.tasks[::-1], seeds=(2, 0, 1)
    )
    assert render() == render(shuffled, turned)


def test_numbers_in_data_values_read_back_exactly():
    values = [
        float(run.attributes["data-value"])
        for run in page().one("table", id="board").all("td", data_key="labels")
        if "data-value" in run.attributes
    ]
    assert values == [value for value in board()["labels"] if not math.isnan(value)]


def test_plotly_is_not_imported_before_a_page_is_rendered():
    code = "import fal_bench.report.page, sys; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@functools.cache
def panels():
    later = replace(ASKED, target=0.55)
    return Page(render_page(comparison(ROWS, ASKED, later, charges=CHARGES))).root


def test_the_ecdf_pools_tasks_seeds_and_targets():
    line = lines(panels(), "ecdf-plot")["random"]
    # Twelve budgets as shares of the cap of 40; the one run of task b that never crossed 0.5
    # and the two whose accuracy stays below 0.55 up to the cap end the line below 1.
    crossings = [22.4, 26, 36, 25, 31.5, 27.4, 31, 30, 36.5]
    assert line["x"] == pytest.approx([0, *sorted(c / 40 for c in crossings), 1])
    assert line["y"][-1] == pytest.approx(9 / 12)
    rows = numbers(panels().one("section", aria_labelledby="ecdf"))
    assert list(rows) == ["mine[k=3]", "random"]
    assert rows["random"]["By 100 % of the cap"] == "75 %"
    assert rows["random"]["Runs"] == "12"


def test_ranks_follow_the_target():
    section = panels().one("section", aria_labelledby="ranks")
    rows = numbers(section)
    drawn = lines(panels(), "ranks-plot")
    for row, first, second in zip(
        rows.items(), drawn["mine[k=3]"]["y"], drawn["random"]["y"], strict=True
    ):
        target, places = row
        assert places == {"mine[k=3]": f"{first:.0f}", "random": f"{second:.0f}"}
        asked = replace(ASKED, target=float(target.removesuffix(" %")) / 100)
        found = build_leaderboard(pd.DataFrame(ROWS), asked).set_index("strategy")["rank"]
        assert found["mine[k=3]"] == first
    # Easy targets cost mine the labels of its own that it reads before the first query.
    assert set(drawn["mine[k=3]"]["y"]) == {1, 2}
    targets = [shape["x0"] for shape in figure(panels(), "ranks-plot")["layout"]["shapes"]]
    assert targets == [0.5, 0.55]


def test_pairwise_savings_mirror_each_other_and_agree_with_the_board():
    rows = numbers(page().one("section", aria_labelledby="pairwise"))
    best = board().iloc[0]
    saving, low, high = (
        round(100 * best[name]) for name in ("saving_vs_random", "saving_low", "saving_high")
    )
    assert rows["mine[k=3]"]["random"] == f"+{saving} % [{low}, {high}]"
    saving, low, high = (
        round(100 * (1 - 1 / (1 - best[name])))
        for name in ("saving_vs_random", "saving_high", "saving_low")
    )
    assert rows["random"]["mine[k=3]"] == f"{saving} % [{low}, {high}]"
    assert rows["random"]["random"] == ""


def test_labels_are_stacked_by_purpose_up_to_the_target():
    rows = numbers(panels().one("section", aria_labelledby="ledger"))
    # At 0.55 mine is confirmed at 20, 20, 30 and 20, 30, 20; ten of these are the initial labels.
    assert rows["mine[k=3]"] == {"initial": "10.0", "pool": "13.3", "reward": "7.0", "all": "30.3"}
    assert rows["random"]["reward"] == "0.0"
    confirmed = (30 + 40 + 40 + 30 + 40 + 40) / 6
    assert float(rows["random"]["all"]) == pytest.approx(confirmed, abs=0.05)
    bars = figure(panels(), "ledger-plot")["data"]
    assert [bar["name"] for bar in bars] == ["initial", "pool", "reward"]
    assert bars[1]["x"][0] == pytest.approx(40 / 3, rel=1e-4)


def test_costs_are_counted_up_to_the_target():
    rows = [{**row, "select_seconds": 1.0, "bytes_up": 500_000} for row in ROWS]
    root = Page(render(rows)).root
    costs = numbers(root.one("section", aria_labelledby="costs"))
    # Confirmed at 20, 20, 20 and 20, 20, 20: cycles 0 and 1.
    assert costs["mine[k=3]"] == {
        "Strict labels": "27", "Rounds": "2", "MB sent and received": "1.0",
        "Seconds in selection": "2.00", "Seconds in training": "0.0",
    }  # fmt: skip
    assert figure(root, "costs-0")["data"][0]["x"][0] == 27


def test_several_targets_have_a_board_each_and_one_leads():
    root = panels()
    assert [t.attributes["id"] for t in root.all("table") if "id" in t.attributes] == [
        "board", "board-1", "tasks",
    ]  # fmt: skip
    verdict = root.one("section", aria_labelledby="verdict")
    assert root.one("h1").text == "Labels until the federation reaches 50 and 55 % accuracy"
    assert [h.text for h in verdict.all("h3")] == ["Target 2 of 2: 55 %", "The other targets"]
    leaderboard = root.one("section", aria_labelledby="leaderboard")
    assert [h.text for h in leaderboard.all("h3")] == [
        "Target 1 of 2: 50 %", "Target 2 of 2: 55 % (that of the verdict)",
    ]  # fmt: skip
    assert leaderboard.text.count("Resolution: ") == 1
    assert verdict.one("li").text.startswith("50 %: mine[k=3]")
    drawn = [shape for shape in figure(root)["layout"]["shapes"] if shape.get("xref") == "paper"]
    assert [shape["y0"] for shape in drawn] == [0.5, 0.55]
    # They are close to each other, so that their names stand side by side.
    assert len({shape["label"]["textposition"] for shape in drawn}) == 2


def test_environments_are_shown_and_mixed_ones_pointed_out():
    places = (
        Environment(3, (("pillow", "11"), ("processor", "A"), ("torch", "2"))),
        Environment(1, (("processor", "B"), ("torch", "2"))),
    )
    for found, named in ((places[:1], []), (places, ["(processor)", "(pillow)"])):
        section = Page(render(asked=replace(ASKED, environments=found))).root.one(
            "section", aria_labelledby="provenance"
        )
        warnings = [warning.text for warning in section.all("strong")]
        assert len(warnings) == len(named)
        assert all(name in text for name, text in zip(named, warnings, strict=True))
        assert [d.one("summary").text.split()[:2] for d in section.all("details")] == [
            ["3", "runs"], ["1", "run"],
        ][: len(found)]  # fmt: skip
        assert "processor" in section.text


def test_of_many_strategies_figures_show_the_best_and_the_baseline_at_first():
    names = [f"s{number:02d}" for number in range(12)]
    rows = runs("random", 30) + [row for n, name in enumerate(names) for row in runs(name, 15 + n)]
    root = Page(render(rows, context("random", *names))).root
    boxes = {
        label.text.strip(): "checked" in label.one("input").attributes
        for label in root.one("fieldset", id="switches").all("label")
    }
    shown = [name for name, checked in boxes.items() if checked]
    assert shown == ["random", "s00", "s01", "s02", "s03", "s04"]
    assert "at first 6 of 13" in root.one("fieldset", id="switches").text
    few = Page(render(rows, context("random", *names[:9]))).root
    assert all("checked" in box.attributes for box in few.one("fieldset").all("input"))


def test_the_baseline_has_a_line_of_its_own():
    styles = line_styles(["a", "random", "z"], "random")
    assert styles["random"].colour == "var(--text)"
    assert styles["random"].dash
    assert [styles[name] for name in "az"] == [
        replace(style, place=styles[name].place) for name, style in line_styles(["a", "z"]).items()
    ]


def test_pairs_that_cannot_be_compared_are_told_from_the_diagonal():
    rows = runs("random", 25, 26) + runs("never", None, None) + runs("nobody", None, None)
    asked = context("random", "never", "nobody", seeds=2)
    root = Page(render(rows, asked)).root
    savings, fields, crosses = figure(root, "pairwise-plot")["data"]
    pairs = [("never", "nobody"), ("nobody", "never")]
    assert sorted(zip(crosses["y"], crosses["x"], strict=True)) == pairs
    assert sorted(zip(fields["y"], fields["x"], strict=True)) == pairs
    assert all(savings["z"][place][place] is None for place in range(3))
    assert len(figure(page(), "pairwise-plot")["data"]) == 1


def test_one_strategy_does_not_take_the_colours_of_the_others():
    rows = runs("random", 25) + runs("mine", 20) + runs("hungry", 15, extra=900)
    asked = context("random", "mine", "hungry", accounting="strict")
    savings = figure(Page(render(rows, asked)).root, "pairwise-plot")["data"][0]
    assert (savings["zmin"], savings["zmax"]) == (-0.5, 0.5)
    assert savings["colorbar"]["ticktext"] == ["-50 % or less", "0 %", "+50 % or more"]


def test_the_first_rank_is_on_the_axis():
    names = ["random", *(f"s{number:02d}" for number in range(16))]
    rows = [row for n, name in enumerate(names) for row in runs(name, 15 + n)]
    root = Page(render(rows, context(*names))).root
    assert figure(root, "ranks-plot")["layout"]["yaxis"]["tickvals"] == [1, 5, 10, 15]


def test_a_dashed_line_is_only_spoken_of_where_there_is_one():
    own = replace(ASKED, task_targets=(("a", 0.5), ("b", 0.6)), target_name="auto-50")
    for asked, dashed in ((ASKED, True), (own, False)):
        root = Page(render(asked=asked)).root
        assert bool(figure(root, "ranks-plot")["layout"]["shapes"]) == dashed
        assert ("Dashed" in root.one("section", aria_labelledby="ranks").text) == dashed


def test_the_page_says_when_and_by_what_it_was_made():
    asked = replace(ASKED, computed=(date(2025, 11, 24), date(2025, 11, 25)))
    root = Page(render(asked=asked)).root
    header = root.one("header")
    assert "Made by falbench 0 from runs of 2025-11-24 to 2025-11-25." in header.text
    assert [a.attributes["href"] for a in header.one("p", **{"class": "hint"}).all("a")] == [
        "leaderboard.csv", "curves.csv",
    ]  # fmt: skip
    ids = {e.attributes["id"] for e in root.all() if "id" in e.attributes}
    links = [a.attributes["href"] for a in root.all("a") if a.attributes["href"].startswith("#")]
    assert {link.removeprefix("#") for link in links} <= ids
    contents = [a.text for a in root.one("nav").all("a")]
    assert contents == [heading.text for heading in root.all("h2")]
