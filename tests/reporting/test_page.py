"""The HTML report: the numbers of the CSV file, escaped, and nothing from the network."""

import base64
import functools
import gzip
import itertools
import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pandas as pd
from boards import ASKED, BASE, GRID, ROWS, board_of, comparison, context, render, runs

from fal_bench.reporting.context import Rung
from fal_bench.reporting.page import packed_plotly, render_page
from fal_bench.results.model import Environment, MissingRun

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
    return board_of(ROWS, ASKED).leaderboard


def section(root, key):
    return root.one("section", aria_labelledby=key)


def key_facts(root):
    return {fact.one("dt").text: fact.one("dd").text for fact in root.one("dl").all("div")}


def names(root, key):
    """Names of the traces of a figure."""
    data = json.loads(root.one("script", id=f"data-{key}").text)["data"]
    return sorted({trace["name"] for trace in data if "name" in trace})


def test_the_board_holds_the_numbers_of_the_csv_file():
    table = page().one("table", id="board")
    rows = [row for body in table.all("tbody") for row in body.all("tr")]
    seen = 0
    for element, (_, row) in zip(rows, board().iterrows(), strict=True):
        assert element.one("th", scope="row").text == row["strategy"]
        assert element.one("td", data_key="verdict").text == row["verdict"]
        for cell in element.all("td"):
            if "number" not in cell.attributes["class"].split():
                continue
            value = row[cell.attributes["data-key"]]
            if "data-value" in cell.attributes:
                assert float(cell.attributes["data-value"]) == value
                seen += 1
            else:
                assert pd.isna(value)
                assert cell.text == "-"
    # Seven numbers of both complete strategies; of the incomplete one only the runs reached.
    assert seen == 7 + 7 + 1
    best = next(table.one("tbody", **{"class": "ranked"}).all("tr"))
    assert best.attributes["class"] == "best"
    low, high = (f"{board().iloc[0][f'labels_{end}']:.0f}" for end in ("low", "high"))
    assert best.one("td", data_key="labels").text.endswith(f" [{low}, {high}]")
    incomplete = table.one("tbody", **{"class": "incomplete"})
    assert incomplete.one("th", scope="row").text == "half"


def test_the_verdict_comes_first():
    first = next(page().one("main").all("section"))
    assert [p.text for p in first.all("p")] == board_of(ROWS, ASKED).verdict
    (name, strategy), (_, labels), (saving, share), (_, sure) = key_facts(page()).items()
    assert (name, strategy) == ("Fewest labels", "mine[k=3]")
    assert labels.endswith("]")
    assert (saving, share) == ("Saving against random", "+27 %\u2020")
    assert "too few seeds" in sure
    rows = runs("random", *BASE) + runs("mine", *[0.8 * n + n % 3 / 10 for n in BASE])
    many = Page(render(rows, context("random", "mine", seeds=7))).root
    *_, (saving, share), (_, sure) = key_facts(many).items()
    assert saving.endswith("(95 % interval)")
    assert share.startswith("+20 % [1")
    assert sure == "better than random beyond chance"
    rows = runs("random", 22, 26) + runs("mine", 11, 13)
    few = Page(render(rows, context("random", "mine", seeds=2))).root
    assert key_facts(few)["Labels to target"] == "12"
    table = few.one("table", id="board")
    assert "95 %" not in table.one("caption").text
    assert not list(table.all("span", **{"class": "interval"}))


def test_the_header_says_what_is_counted_when_and_by_what():
    asked = replace(ASKED, computed=(date(2025, 11, 24), date(2025, 11, 25)))
    strict = Page(render(asked=asked)).root
    header = strict.one("header")
    assert "2025-11-24 to 2025-11-25" in header.text
    assert [a.attributes["href"] for a in header.one("p", **{"class": "hint"}).all("a")] == [
        "leaderboard.csv", "curves.csv",
    ]  # fmt: skip
    assert "Strict accounting" in header.text
    paper = Page(render(asked=replace(asked, accounting="paper"))).root
    assert "Paper accounting" in paper.one("header").text


def test_several_targets_have_a_board_each_and_one_leads():
    middle = Rung(0.55, "auto-60", (("a", 0.5), ("b", 0.6)))
    lower = Rung(0.45, "auto-50", (("a", 0.4), ("b", 0.5)))
    own = replace(
        ASKED, target=0.55, task_targets=middle.by_task, target_name="auto", ladder=(lower, middle)
    )
    root = Page(render_page(comparison(ROWS, own, replace(ASKED, target=0.55)))).root
    assert [t.attributes["id"] for t in root.all("table") if "id" in t.attributes] == [
        "board", "board-1", "tasks",
    ]  # fmt: skip
    first, leads = (h.text for h in section(root, "leaderboard").all("h3"))
    assert first.startswith("Target 1 of 2: ")
    assert leads.startswith("Target 2 of 2: 55 %")
    assert section(root, "leaderboard").text.count("Resolution: ") == 1
    assert "50.0 % on a, 60.0 % on b." in section(root, "leaderboard").text
    assert next(h.text for h in section(root, "verdict").all("h3")) == "Target 2 of 2: 55 %"
    assert len(list(section(root, "verdict").all("li"))) == 1
    assert "Target shown: 55 %" in section(root, "pairwise").text
    assert "Target shown" not in section(root, "ecdf").text


def test_no_curve_at_all():
    root = Page(render_page(comparison(pd.DataFrame(ROWS).iloc[:0], ASKED))).root
    assert not list(root.all("figure"))
    assert not list(root.all("dl"))


def test_provenance_says_how_to_reproduce_it_and_where_it_was_computed():
    places = (
        Environment(3, (("pillow", "11"), ("processor", "A"), ("torch", "2"))),
        Environment(1, (("processor", "B"), ("torch", "2"))),
    )
    for found, named in ((places[:1], []), (places, ["(processor)", "(pillow)"])):
        root = Page(render(asked=replace(ASKED, environments=found))).root
        provenance = section(root, "provenance")
        assert provenance.one("code").text == "falbench compare"
        row = next(provenance.one("table", id="tasks").one("tbody").all("tr"))
        assert [c.text for c in row.all("td")] == ["", str(GRID[0]), "10", str(GRID[-1]), "200"]
        warnings = [warning.text for warning in provenance.all("strong")]
        assert all(name in text for name, text in zip(named, warnings, strict=True))
        assert [d.one("summary").text.split()[:2] for d in provenance.all("details")] == [
            ["3", "runs"], ["1", "run"],
        ][: len(found)]  # fmt: skip


def test_of_many_strategies_figures_show_the_best_and_the_baseline_at_first():
    labels = [f"s{number:02d}" for number in range(12)]
    rows = runs("random", 30) + [row for n, one in enumerate(labels) for row in runs(one, 15 + n)]
    root = Page(render(rows, context("random", *labels))).root
    boxes = {
        label.text.strip(): "checked" in label.one("input").attributes
        for label in root.one("fieldset", id="switches").all("label")
    }
    shown = [name for name, checked in boxes.items() if checked]
    assert shown == ["random", "s00", "s01", "s02", "s03", "s04"]
    assert "6 of 13" in root.one("fieldset", id="switches").text
    few = Page(render(rows, context("random", *labels[:9]))).root
    assert all("checked" in box.attributes for box in few.one("fieldset").all("input"))


def test_everything_from_outside_is_escaped():
    rows = runs(EVIL, 15, task=EVIL) + runs("<b>&amp;", 25, task=EVIL)
    missing = [MissingRun(EVIL, "</script>", 0, "<!--<script>")]
    asked = context(
        EVIL, "<b>&amp;", tasks=(EVIL,), missing=missing, suite=EVIL, baseline="<b>&amp;",
        command=EVIL, version='"><img src=x>',
        environments=(Environment(2, ((EVIL, EVIL), ("torch", EVIL))),),
    )  # fmt: skip
    asked = replace(asked, tasks=(replace(asked.tasks[0], description=EVIL),))
    charges = [
        {"task": EVIL, "strategy": name, "seed": 0, "purpose": EVIL, "cycle": 0, "labels": 5}
        for name in (EVIL, "<b>&amp;")
    ]
    html = render_page(comparison(rows, asked, charges=pd.DataFrame(charges)))
    plain = pd.DataFrame([{**row, "task": "a", "strategy": "random"} for row in charges])
    two = runs("random", 25) + runs("mine", 15)
    clean = render_page(comparison(two, context("random", "mine"), charges=plain))
    assert html.count("<script") == clean.count("<script")
    assert "alert(1)<" not in html
    root = Page(html).root
    assert not list(root.all("img"))
    assert root.one("code").text == EVIL
    assert root.one("h3", id="curves-part-0").text == EVIL
    # plotly reads HTML in names, so there they are escaped once more.
    escaped = ["&lt;b&gt;&amp;amp;", "&lt;script&gt;alert(1)&lt;/script&gt;"]
    for key in ("curves-0", "ecdf-plot", "ranks-plot"):
        assert names(root, key) == escaped
    for key in ("ledger-plot", "costs-0", "pairwise-plot"):
        data = json.loads(root.one("script", id=f"data-{key}").text)["data"]
        assert sorted(data[0]["y"]) == escaped
    assert names(root, "ledger-plot") == escaped[1:]


def test_characters_that_cannot_be_seen_are_in_no_part_of_the_page():
    evil = "a\u202eb\u2066c\u200bd\x1be\ud800f\ufeff"
    rows = runs(evil, 15, task=evil) + runs("mine", 25, task=evil)
    asked = context(evil, "mine", tasks=(evil,), suite=evil, baseline=evil, command=evil)
    html = render_page(comparison(rows, asked))
    html.encode()
    assert not re.search("[\u202e\u2066\u200b\x1b\ud800\ufeff]", html)
    assert not re.search(r"\\u(202e|2066|200b|001b|d800|feff)", html)
    assert "a b c d e f" in html


def test_the_drawing_library_is_packed_whole_and_not_imported_before():
    from plotly.offline import get_plotlyjs

    packed = page().one("script", id="plotly").text
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()
    assert packed == packed_plotly.__wrapped__()
    code = "import fal_bench.reporting.page, sys; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    headings = list(root.all("h2"))
    shown = [h.attributes["id"] for h in headings]
    assert shown[:3] == ["verdict", "leaderboard", "curves"]
    assert shown[-2:] == ["reading", "provenance"]
    assert {"ecdf", "ranks", "pairwise", "ledger", "costs", "coverage"} <= set(shown)
    assert [a.text for a in root.one("nav").all("a")] == [h.text for h in headings]
    ids = [e.attributes["id"] for e in root.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [a.attributes["href"] for a in root.all("a") if a.attributes["href"].startswith("#")]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert {e.attributes["aria-labelledby"] for e in root.all("section")} <= set(ids)
    plots = {e.attributes["id"] for e in root.all("div", **{"class": "plot"})}
    assert {e.attributes.get("data-plot") for e in root.all("button")} - {None} == plots
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
