"""The page on which strategy to use says what the published results say."""

import importlib.util
import sys
from pathlib import Path

import pytest

from fal_bench.task.suite import load_suite

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def writer():
    spec = importlib.util.spec_from_file_location("choosing", DOCS / "choosing.py")
    module = sys.modules["choosing"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_published_results(writer):
    """Written by ``python docs/choosing.py``."""
    assert writer.page() == (DOCS / "choosing.md").read_text(encoding="utf-8")


def test_the_strategy_to_start_with_is_most_often_among_the_best(writer):
    names = writer.compared()
    chosen = writer.first(names)
    among = {name: sum(name in one.best for one in writer.judged()) for name in names}
    assert among[chosen] == max(among.values())
    assert f"**Start with `{chosen}`.**" in writer.page()
    assert "random" in names
    assert "oracle-greedy" not in names


def test_savings_are_those_of_the_boards(writer):
    one = writer.judged()[0]
    assert one.rows["random"]["saving_vs_random"] == 0
    ends = {name: (one.low[name]["target"], one.high[name]["target"]) for name in one.rows}
    assert len(set(ends.values())) == 1
    low, high = ends["random"]
    assert low < one.rows["random"]["target"] < high


def test_tasks_that_are_held_out_take_no_part_and_are_those_of_their_suite(writer):
    held = [one.task for one in writer.held_out()]
    assert {task.hash for task in held} == {task.hash for task in load_suite("held-out").tasks}
    assert not {task.hash for task in held} & {one.task.hash for one in writer.judged()}


def test_no_choice_saves_more_than_the_best_one_of_each_task(writer):
    savings = {
        said: [
            one.rows[name]["saving_vs_random"]
            for one, name in zip(writer.held_out(), picks, strict=True)
        ]
        for said, picks in writer.choices().items()
    }
    *others, oracle = savings.values()
    assert all(own <= best for picks in others for own, best in zip(picks, oracle, strict=True))
    assert sum(savings["`random`"]) == 0
