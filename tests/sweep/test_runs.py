"""The record of what runs cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from fal_bench.comparison import Plan, compare
from fal_bench.errors import StoreError
from fal_bench.sweep.runs import FILE, read_runs, recorded_run
from fal_bench.sweep.store import Store


def _compare(out: Path, seeds: int) -> None:
    compare("random", task="digits-iid", seeds=seeds, out=out, backend="sequential", progress=False)


def test_each_run_that_computes_adds_a_line(tmp_path: Path) -> None:
    assert read_runs(tmp_path) == []
    _compare(tmp_path, seeds=1)
    _compare(tmp_path, seeds=1)
    _compare(tmp_path, seeds=3)
    runs = read_runs(tmp_path)
    assert [run.finished for run in runs] == [1, 2]
    assert all(run.seconds > 0 and run.backend == "sequential" for run in runs)
    assert runs[0].started <= runs[1].started


def test_an_interrupted_run_is_recorded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    cells = Plan.make("random", task="digits-iid", seeds=1).cells
    with pytest.raises(KeyboardInterrupt), recorded_run(store, cells, jobs=2, backend="loky"):
        raise KeyboardInterrupt
    (run,) = read_runs(tmp_path)
    assert (run.finished, run.jobs) == (0, 2)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"started": "2026-01-01"}\n')
    with pytest.raises(StoreError, match=FILE):
        read_runs(tmp_path)


def test_a_line_that_was_cut_off_costs_no_other(tmp_path: Path) -> None:
    _compare(tmp_path, seeds=1)
    with (tmp_path / FILE).open("a") as lines:
        lines.write('{"started": "2026')
    _compare(tmp_path, seeds=2)
    assert [run.finished for run in read_runs(tmp_path)] == [1, 1]
