"""Marks and clocks: what the supervisor reads of a worker that hangs or is gone."""

from types import SimpleNamespace

import pytest

from fal_bench.results import marks as marks_module
from fal_bench.results.marks import ENGINE_SECONDS, Marks


class Time:
    """The time of day, which goes on when it is told to."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(marks_module, "time", SimpleNamespace(time=lambda: time.now))
    return time


@pytest.fixture
def marks(tmp_path):
    (tmp_path / "run").mkdir()
    return Marks(tmp_path / "run")


@pytest.fixture
def age(marks, time):
    return lambda: time.now - marks.marker()["since"]


def test_the_limit_counts_a_trainers_own_time(marks, time, age):
    clock = marks.clock
    with clock.running(), marks.plugin_call(3, "mine", clock="run"):
        assert marks.marker()["trainer"] == "mine"
        assert age() == -ENGINE_SECONDS
        with clock.call():
            time.sleep(2)
            assert age() == 2
            with clock.call():
                assert age() == 0
        assert age() == -ENGINE_SECONDS
    assert marks.marker() is None
    assert clock.read() is None


def test_a_mark_without_its_clock_is_young(marks, time, age):
    with marks.plugin_call(3, "mine", clock="run"):
        time.sleep(100)
        assert age() == 0
        assert marks.note_hang(0.5, time.now) is None


def test_a_strategys_time_goes_on_while_it_calls_the_trainer(marks, time, age):
    with marks.plugin_call(1):
        time.sleep(2)
        with marks.plugin_call(1, "mine"):
            assert marks.marker()["trainer"] == "mine"
            assert age() == 0
            time.sleep(1)
        assert not marks.marker()["trainer"]
        assert age() == 3
        marks.beat(1)
        assert age() == 0


def test_a_hang_is_noted_once_its_time_is_over(marks, time):
    with marks.plugin_call(1):
        time.sleep(10)
        assert marks.note_hang(10, time.now) is None
        assert "hung" not in marks.marker()
        time.sleep(1)
        assert marks.note_hang(10, time.now)
        assert marks.marker()["hung"]
    assert marks.note_hang(0, time.now) is None


def test_runs_trained_together_hang_together(tmp_path, time):
    """A look takes time: one run must not be found within the limit and the next one over it."""
    names = ["first", "second"]
    for name in names:
        (tmp_path / name).mkdir()
    first, second = (Marks(tmp_path / name) for name in names)
    clock = first.clock
    opened = [marks.plugin_call(1, "mine", clock="first") for marks in (first, second)]
    with clock.running(), opened[0], opened[1], clock.call():
        time.sleep(10)
        look = time.now
        assert first.note_hang(10, look) is None
        time.sleep(1)
        assert second.note_hang(10, look) is None
        look = time.now
        assert first.note_hang(10, look) == second.note_hang(10, look) is not None
