"""The page over several comparisons: who wins where, and what is left to win."""

import re
from dataclasses import replace

import pytest
from boards import BASE, comparison, context, runs

from fal_bench.reporting.overview import headline, render_overview

NAMES = ("random", "mine", "close", "oracle-greedy")


def suite(*names, **changes):
    """Mine needs 80 % of random's labels, the oracle 60 %."""
    shares = {"random": 1, "mine": 0.8, "close": 0.81, "oracle-greedy": 0.6}
    rows = [
        row for name in names for row in runs(name, *[shares[name] * n + n % 3 / 5 for n in BASE])
    ]
    asked = context(*names, seeds=7, references=frozenset(["oracle-greedy"]), **changes)
    return comparison(rows, asked)


def test_a_headline_says_who_wins_by_how_much_and_what_is_left():
    found = headline("one", suite(*NAMES))
    assert (found.winners, found.row["verdict"]) == (("mine",), "better")
    assert found.saving.startswith("+20 %")
    savings = {row["strategy"]: row["saving_vs_random"] for row in found.board.rows}
    left = 1 - (1 - savings["oracle-greedy"]) / (1 - savings["mine"])
    assert found.headroom == pytest.approx(left)
    assert 0.2 < left < 0.3
    assert headline("two", suite("random", "mine")).headroom is None
    never = comparison(runs("random", *[None] * 7), context("random", seeds=7))
    nothing = headline("three", never)
    assert (nothing.winners, nothing.row, nothing.saving) == ((), None, "")


def test_with_too_few_seeds_it_is_not_known_who_may_be_just_as_good():
    rows = [row for name, share in (("random", 1), ("mine", 0.8)) for row in runs(name, *[
        share * n for n in BASE[:3]
    ])]  # fmt: skip
    few = comparison(rows, context("random", "mine", seeds=3))
    assert not headline("few", few).apart
    assert headline("enough", suite("random", "mine")).apart
    assert "not known" in render_overview({"few": few})


def test_the_page_links_every_comparison_and_shows_who_wins_where():
    evil = "<b>a&b"
    page = render_overview({"two": suite("random", "mine"), evil: suite(*NAMES)})
    assert re.findall('href="([^"]+leaderboard.html)"', page) == [
        "%3Cb%3Ea%26b/leaderboard.html", "two/leaderboard.html",
    ]  # fmt: skip
    assert evil not in page
    heat = page[page.index('id="heat"') :]
    rows = re.findall(r'<th scope="row" data-text="([^"]+)">.*?</th>(.*?)</tr>', heat, re.DOTALL)
    assert [name for name, _ in rows] == ["mine", "close", "random", "oracle-greedy"]
    for name, cells in rows:
        for place, one in enumerate((suite(*NAMES), suite("random", "mine"))):
            cell = re.findall(r"<td.*?</td>", cells)[place]
            table = one.boards[0].leaderboard.set_index("strategy")["saving_vs_random"]
            value = re.search('data-value="([^"]+)"', cell)
            assert (value is None) == (name not in table)
            assert value is None or float(value[1]) == pytest.approx(table[name], abs=6e-5)
    assert "http" not in page.replace("http-equiv", "")


def test_equal_inputs_give_equal_pages():
    one, two = suite(*NAMES), suite("random", "mine")
    assert render_overview({"a": one, "b": two}) == render_overview({"b": two, "a": one})
    later = replace(one.boards[0].context, target=0.45)
    assert headline("a", replace(one, boards=(*one.boards, replace(one.boards[0], context=later))))
