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
from html.parser import HTMLParser

import pandas as pd
import pytest
from boards import ASKED, GRID, ROWS, board_of, comparison, context, render, runs

from fal_bench.reporting.context import Entrant, Rung
from fal_bench.reporting.page import packed_plotly, render_page
from fal_bench.reporting.steps import steps_of
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


def classes(element):
    return element.attributes.get("class", "").split()


def boards(root):
    """The board of every step, by its number."""
    (place, *_) = section(root, "leaderboard").all("div", **{"class": "place"})
    return {
        int(number): one
        for one in place.children
        for number in one.attributes["data-steps"].split()
    }


def memory(root):
    return json.loads(root.one("script", id="memory").text)


def names(root, key):
    """Names of the traces of a figure."""
    data = json.loads(root.one("script", id=f"data-{key}").text)["data"]
    return sorted({trace["name"] for trace in data if "name" in trace})


def numbers(root):
    """The numbers of a step's tables, by strategy and column of the CSV file."""
    return {
        (row.one("th", scope="row").attributes["data-text"], cell.attributes["data-key"]): float(
            cell.attributes["data-value"]
        )
        for row in root.all("tr")
        for cell in row.all("td")
        if "data-value" in cell.attributes
    }


def test_every_board_of_the_page_holds_the_numbers_of_its_csv_file():
    rungs = tuple(Rung(value, f"auto-{name}", (("a", value), ("b", value + 0.02)))
                  for value, name in ((0.45, 30), (0.5, 60), (0.52, 90)))  # fmt: skip
    asked = replace(
        ASKED, target=0.5, target_name="auto", task_targets=rungs[1].by_task, ladder=rungs
    )
    root = Page(render_page(comparison(ROWS, asked))).root
    found = boards(root)
    steps = memory(root)["steps"]
    assert len(steps) == len(found) == 2 * 4 + 2  # four targets under both counts, and two tasks
    assert len({tuple(step.values()) for step in steps}) == len(steps)
    seen = 0
    for number, step in enumerate(steps):
        rung = next((one for one in rungs if step["target"] == f"accuracy-{one.name}"), None)
        question = replace(asked.at(rung) if rung else asked, accounting=step["labels"])
        question = question.on(step["task"]) if step["task"] else question
        rows = [row for row in ROWS if step["task"] in ("", row["task"])]
        table = board_of(rows, question).leaderboard.set_index("strategy")
        for (name, key), value in numbers(found[number]).items():
            if key not in ("rank", "verdict"):
                assert value == table[key][name], (step, name, key)
                seen += 1
    assert seen > 60


def test_the_board_is_its_own_figure():
    first = boards(page())[0]
    table = next(table for table in first.all("table") if "board" in classes(table))
    best, baseline = table.one("tbody", **{"class": "ranked"}).all("tr")
    assert "baseline" in classes(baseline)
    row = board().set_index("strategy").loc["mine[k=3]"]
    assert row["verdict"] == "too few seeds"
    assert "best" not in classes(best)  # the first row is bold where that is no chance

    def place(element):
        return float(element.attributes["style"].split()[-1].removesuffix("%"))

    ticks = [(place(i), float(i.text)) for i in table.one("thead").all("i")]
    (low, start), *_, (high, end) = ticks
    drawn = place(best.one("b"))
    assert start + (drawn - low) / (high - low) * (end - start) == pytest.approx(
        100 * row["saving_vs_random"], abs=0.1
    )
    zero = place(table)
    assert baseline.one("b").attributes["style"] == f"left: {zero}%"
    incomplete = table.one("tbody", **{"class": "incomplete"})
    assert incomplete.one("button").text == "half"
    assert not list(incomplete.all("b"))


def test_the_answer_comes_first_and_on_what_it_rests():
    header = page().one("header")
    lead = next(header.all("p", **{"class": "lead"})).text
    assert board_of(ROWS, ASKED).verdict[0] in lead
    facts = replace(ASKED, tasks=tuple(replace(one, dataset="digit-pairs[train=9]", model="mlp")
                                       for one in ASKED.tasks))  # fmt: skip
    setting = Page(render(asked=facts)).root.one("p", **{"class": "setting"}).text
    for known in ("digit-pairs", "mlp", "2 tasks", "3 seeds", "200", "small", "toy"):
        assert known in setting
    assert "[train" not in setting


def test_a_column_that_repeats_itself_becomes_a_sentence():
    rows = [row for n, name in enumerate(("random", "a", "b")) for row in runs(name, 15 + n, 16)]
    root = Page(render(rows, context("random", "a", "b", seeds=2))).root
    section_ = section(root, "leaderboard")
    assert not list(section_.all("td", data_key="reached"))
    assert "reached 2/2" in section_.text
    assert list(section(page(), "leaderboard").all("td", data_key="reached"))


def test_strategies_that_are_not_built_in_are_marked_and_others_described():
    entrants = (
        Entrant("random", "random", (), "version 1"),
        Entrant("mine[k=3]", "mine", (("k", "3"),), "abcdef0123"),
        Entrant("half", "badge", (), "version 0"),
    )
    root = Page(render(asked=replace(ASKED, entrants=entrants))).root
    marked = {
        row.one("th").attributes["data-text"] for row in root.all("tr") if "own" in classes(row)
    }
    assert marked == {"mine[k=3]"}
    cards = {card.one("h2").text: card.text for card in root.all("div", role="dialog")}
    assert "k = 3" in cards["mine[k=3]"]
    assert "control" in cards["random"]
    # Runs of another version may be of another idea.
    assert "badge" not in cards["half"].lower()
    ids = [
        row.one("button").attributes["popovertarget"]
        for row in root.all("tr")
        if "data-place" in row.attributes
    ]
    assert set(ids) == {card.attributes["id"] for card in root.all("div", role="dialog")}


def test_targets_that_were_asked_for_have_a_figure_each():
    root = Page(render_page(comparison(ROWS, ASKED, replace(ASKED, target=0.55)))).root
    steps = memory(root)["steps"]
    assert [step["target"] for step in steps[:2]] == ["accuracy-0.55", "accuracy-0.5"]
    places = next(section(root, "pairwise").all("div", **{"class": "place"})).children
    for place, target in zip(places, ("accuracy-0.55", "accuracy-0.5"), strict=True):
        numbers = map(int, place.attributes["data-steps"].split())
        assert {steps[number]["target"] for number in numbers} == {target}


def test_several_targets_can_be_compared_with_the_steps_of_the_ladder():
    wider = (Rung(0.45), Rung(0.5))
    asked = [replace(ASKED, target=rung.value, wider=wider) for rung in wider]
    found = steps_of(comparison(ROWS, *asked), 1)
    targets = list(dict.fromkeys(step.target for step in found))
    assert targets[:2] == ["accuracy-0.5", "accuracy-0.45"]
    assert [one.partition("auto-")[2] for one in targets[2:]] == [
        "30", "40", "50", "60", "70", "80", "90",
    ]  # fmt: skip
    assert {step.task for step in found} == {"", "a", "b"}


def test_a_page_of_very_many_strategies_holds_fewer_boards():
    names = [f"s{number:03d}" for number in range(1200)]
    few = names[:2]
    rows = [row for name in few for task in "ab" for row in runs(name, 20, task=task, extra=3)]
    for shown, count in ((few, 2 * 2 + 2 * 2), (names, 2)):
        asked = context(*shown, accounting="strict", tasks=("a", "b"))
        both = comparison(rows, asked, replace(asked, target=0.55))
        found = steps_of(both, 1)
        assert len(found) == count
        assert {step.target for step in found} == {"accuracy-0.5", "accuracy-0.55"}


def test_no_curve_at_all():
    root = Page(render_page(comparison(pd.DataFrame(ROWS).iloc[:0], ASKED))).root
    assert not list(root.all("figure"))
    assert not list(root.all("td", **{"class": "forest"}))


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
        summaries = [d.one("summary").text.split()[:2] for d in provenance.all("details")]
        assert summaries[:-1] == [["3", "runs"], ["1", "run"]][: len(found)]


def test_of_many_strategies_the_best_the_baseline_and_own_ones_have_colours_at_first():
    labels = [f"s{number:02d}" for number in range(12)]
    rows = runs("random", 30) + [row for n, one in enumerate(labels) for row in runs(one, 15 + n)]
    asked = context("random", *labels, entrants=(Entrant("s09", "s09", (), "abc"),))
    root = Page(render(rows, asked)).root
    boxes = {
        label.text.strip(): "checked" in label.one("input").attributes
        for label in root.one("fieldset", id="switches").all("label")
    }
    shown = [name for name, checked in boxes.items() if checked]
    assert shown == ["random", "s00", "s01", "s02", "s03", "s09"]
    few = Page(render(rows, context("random", *labels[:5]))).root
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
    assert root.one("pre", id="command").text == EVIL
    # plotly reads HTML in names, so there they are escaped once more.
    escaped = ["&lt;b&gt;&amp;amp;", "&lt;script&gt;alert(1)&lt;/script&gt;"]
    for key in ("curves-0", "ecdf-plot", "ranks-plot", "costs-select"):
        assert names(root, key) == escaped
    for key in ("ledger-plot", "pairwise-plot"):
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
    shown = [h.attributes["id"] for h in headings if not h.attributes["id"].startswith("strategy-")]
    assert shown[:3] == ["leaderboard", "by-task", "curves"]
    assert shown[-3:] == ["reading", "provenance", "next"]
    assert {"ecdf", "ranks", "pairwise", "ledger", "costs", "coverage"} <= set(shown)
    titles = {h.attributes["id"]: h.text for h in headings}
    links = {a.attributes["href"][1:]: a.text for a in root.one("nav").all("a")}
    assert links == {key: titles[key] for key in shown[1:]}
    ids = [e.attributes["id"] for e in root.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [a.attributes["href"] for a in root.all("a") if a.attributes["href"].startswith("#")]
    opened = {
        b.attributes["popovertarget"] for b in root.all("button") if "popovertarget" in b.attributes
    }
    assert opened <= set(ids)
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
