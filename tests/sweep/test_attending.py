"""Processes that wait for more work."""

import time

import pytest

from fal_bench.isolation.child import Ended
from fal_bench.sweep import attending
from fal_bench.sweep.attending import OURS, Children

THEIRS = frozenset({"mine.py"})


@pytest.fixture
def children():
    children = Children()
    yield children
    children.end()


def used(children, company):
    with children.one(company) as child:
        return child


def test_a_process_works_for_one_company_alone(children):
    first, other = used(children, OURS), used(children, THEIRS)
    assert first is not other
    assert used(children, OURS) is first
    assert used(children, THEIRS) is other
    children.end(but=OURS)
    assert children.companies() == [OURS]
    assert used(children, OURS) is first
    assert used(children, THEIRS) is not other


def test_one_that_died_is_not_used_again(children):
    with pytest.raises(Ended), children.one(OURS) as child:
        raise Ended("died", None, "exit code 1")
    assert children.companies() == []
    assert used(children, OURS) is not child


def test_those_that_wait_for_long_are_ended(children, monkeypatch):
    monkeypatch.setattr(attending, "SECONDS_IDLE", 0.2)
    child = used(children, OURS)
    deadline = time.monotonic() + 10
    while children.companies() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert children.companies() == []
    assert child.end() == "signal SIGKILL"


def test_processes_that_are_getting_ready_are_waited_for_and_not_started_twice(monkeypatch):
    begun = []

    class Slow:
        def __init__(self):
            begun.append(self)

        def run(self, function):
            time.sleep(0.1)

        def end(self, patience=0.0):
            pass

    monkeypatch.setattr(attending, "Child", Slow)
    children = Children()
    children.start(2)
    children.start(2)
    with children.one(OURS) as first, children.one(OURS) as second:
        assert {first, second} == set(begun)
    assert len(begun) == 2
    children.end()


def test_one_that_cannot_get_ready_leaves_the_way_free(monkeypatch):
    ended = []

    class Broken:
        def run(self, function):
            raise Ended("died", None)

        def end(self, patience=0.0):
            ended.append(self)

    monkeypatch.setattr(attending, "Child", Broken)
    children = Children()
    children.start(1)
    with children.one(OURS) as child:
        assert child not in ended
    assert len(ended) == 1
    children.end()
