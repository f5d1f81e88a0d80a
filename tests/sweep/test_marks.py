"""Marks and clocks: what the supervisor reads of a worker that hangs or is gone."""

import time

import pytest

from fal_bench.sweep.clock import ENGINE_SECONDS
from fal_bench.sweep.marks import Marks


@pytest.fixture
def marks(tmp_path):
    (tmp_path / "cell").mkdir()
    return Marks(tmp_path / "cell")


def age(marks):
    return time.time() - marks.marker()["since"]


def test_the_limit_counts_a_trainers_own_time(marks):
    clock = marks.clock
    with clock.running(), marks.plugin_call(3, "mine", clock="cell"):
        assert marks.marker()["trainer"] == "mine"
        assert age(marks) == pytest.approx(-ENGINE_SECONDS, abs=1)
        with clock.call():
            time.sleep(0.2)
            assert 0.2 <= age(marks) < 1
            with clock.call():
                assert age(marks) < 0.2
        assert age(marks) == pytest.approx(-ENGINE_SECONDS, abs=1)
    assert marks.marker() is None
    assert clock.read() is None


def test_a_mark_without_its_clock_is_young(marks):
    with marks.plugin_call(3, "mine", clock="cell"):
        assert age(marks) < 1
        assert marks.note_hang(0.5, time.time()) is None


def test_a_strategys_time_goes_on_while_it_calls_the_trainer(marks):
    with marks.plugin_call(1):
        time.sleep(0.2)
        with marks.plugin_call(1, "mine"):
            assert marks.marker()["trainer"] == "mine"
            assert age(marks) < 0.2
        assert not marks.marker()["trainer"]
        assert age(marks) >= 0.2
        marks.beat(1)
        assert age(marks) < 0.2


def test_a_hang_is_noted_once_its_time_is_over(marks):
    with marks.plugin_call(1):
        assert marks.note_hang(10, time.time()) is None
        assert "hung" not in marks.marker()
        time.sleep(0.02)
        assert marks.note_hang(0.01, time.time())
        assert marks.marker()["hung"]
    assert marks.note_hang(0, time.time()) is None


def test_cells_trained_together_hang_together(tmp_path):
    """A look takes time: one cell must not be found within the limit and the next one over it."""
    names = ["first", "second"]
    for name in names:
        (tmp_path / name).mkdir()
    first, second = (Marks(tmp_path / name) for name in names)
    clock = first.clock
    opened = [marks.plugin_call(1, "mine", clock="first") for marks in (first, second)]
    with clock.running(), opened[0], opened[1], clock.call():
        at_the_limit = clock.read() + 0.009
        assert first.note_hang(0.01, at_the_limit) is None
        time.sleep(0.02)
        assert second.note_hang(0.01, at_the_limit) is None
        over = at_the_limit + 0.002
        assert first.note_hang(0.01, over) == second.note_hang(0.01, over) is not None
