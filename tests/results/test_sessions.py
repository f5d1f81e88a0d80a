"""The record of what sessions cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from fal_bench.api import compare
from fal_bench.errors import StoreError
from fal_bench.results.sessions import read_sessions, recorded_session
from fal_bench.results.store import SESSIONS, Store
from fal_bench.sweep.plan import Plan


def _compare(out: Path, seeds: int) -> None:
    compare("random", task="digits-iid", seeds=seeds, out=out, backend="sequential", progress=False)


def test_each_run_that_computes_adds_a_line(tmp_path: Path) -> None:
    assert read_sessions(Store(tmp_path)) == []
    _compare(tmp_path, seeds=1)
    _compare(tmp_path, seeds=1)
    _compare(tmp_path, seeds=3)
    sessions = read_sessions(Store(tmp_path))
    assert [session.finished for session in sessions] == [1, 2]
    assert all(session.seconds > 0 and session.backend == "sequential" for session in sessions)
    assert sessions[0].started <= sessions[1].started


def test_an_interrupted_run_is_recorded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    runs = Plan.make("random", task="digits-iid", seeds=1).runs
    with pytest.raises(KeyboardInterrupt), recorded_session(store, runs, jobs=2, backend="loky"):
        raise KeyboardInterrupt
    (session,) = read_sessions(Store(tmp_path))
    assert (session.finished, session.jobs) == (0, 2)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / SESSIONS).write_text('{"started": "2026-01-01"}\n')
    with pytest.raises(StoreError, match=SESSIONS):
        read_sessions(Store(tmp_path))


def test_a_line_that_was_cut_off_costs_no_other(tmp_path: Path) -> None:
    _compare(tmp_path, seeds=1)
    with (tmp_path / SESSIONS).open("a") as lines:
        lines.write('{"started": "2026')
    _compare(tmp_path, seeds=2)
    assert [session.finished for session in read_sessions(Store(tmp_path))] == [1, 1]
