"""The live display: what it reads from the store, and what it says of it."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console
from stored import TINY, spec, store_run

from fal_bench.reporting.progress import Clock, Progress, show_progress, trained_share
from fal_bench.results.store import Store

RUNS = [spec(seed=seed) for seed in range(4)]


def shown(progress):
    console = Console(file=io.StringIO(), width=100)
    console.print(progress.render())
    return console.file.getvalue()


def test_runs_that_end_are_reported_once_and_earlier_ones_are_not(tmp_path):
    store = Store(tmp_path)
    store_run(tmp_path, RUNS[0])
    store_run(tmp_path, RUNS[1], finished=False)
    progress = Progress(store, RUNS)
    assert progress.news() == []
    store.folder(RUNS[1]).fail("ValueError: shapes")
    assert progress.news() == [f"[2/4] {RUNS[1]}: failed: ValueError: shapes"]
    store_run(tmp_path, RUNS[2])
    store_run(tmp_path, RUNS[3], finished=False, accuracies=[0.1, 0.2])
    (line,) = progress.news()
    assert line.startswith(f"[3/4] {RUNS[2]}: ")
    assert progress.news() == []
    text = shown(progress)
    assert "3 of 4 runs" in text
    assert "1 failed" in text
    assert f"20/{TINY.budget_cap}" in text  # the run at work, with its labels


def test_without_a_terminal_lines_are_printed(tmp_path):
    store, output = Store(tmp_path), io.StringIO()
    with show_progress(store, RUNS[:1], Console(file=output, width=40)):
        assert "1 run" in output.getvalue()  # at once
        store_run(tmp_path, RUNS[0])
    assert output.getvalue().splitlines()[1].startswith(f"[1/1] {RUNS[0]}: ")


def test_a_run_beyond_its_cap_is_shown_at_its_cap(tmp_path):
    cap, looks = TINY.budget_cap, len(TINY.looks)
    store_run(tmp_path, RUNS[0], accuracies=[0.1] * (looks - 2) + [0.2, 0.3])
    store_run(tmp_path, RUNS[1], finished=False, accuracies=[0.1] * (looks - 2) + [0.2, 0.3])
    assert f"{cap}/{cap}" in shown(Progress(Store(tmp_path), RUNS))
    progress = Progress(Store(tmp_path / "other"), RUNS)
    store_run(tmp_path / "other", RUNS[0], accuracies=[0.1] * (looks - 2) + [0.2, 0.3])
    (line,) = progress.news()
    assert line.endswith(f"accuracy 20.0 % at {cap} labels")


def test_the_metric_of_the_target_is_shown(tmp_path):
    store_run(tmp_path, RUNS[1], finished=False)
    text = shown(Progress(Store(tmp_path), RUNS, "macro_f1"))
    assert "macro_f1" in text
    assert "accuracy" not in text


@pytest.mark.parametrize("start", [0.0, 300.0])
@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_the_time_left_is_right_within_a_factor_of_two_after_a_tenth(start, speed):
    """Workers start for ``start`` seconds; then rows of all runs come in turn, and cost as much
    as their labels, times a factor of their strategy's."""
    runs = [spec(seed=seed, strategy=name) for name in ("random", "logo") for seed in range(3)]
    cost = {"random": 1.0, "logo": 4.0}
    rows, ended, now = {}, {}, [0.0]
    clock = Clock(runs, rows, ended, now=lambda: now[0])
    now[0] = start
    steps = [(run, count, 0.1 * count * cost[run.label]) for count in TINY.looks for run in runs]
    total, done = sum(one[2] for one in steps), 0.0
    for run, count, seconds in steps:
        now[0] += seconds / speed
        done += seconds
        rows[run.key] = [*rows.get(run.key, ()), row(count, seconds)]
        if trained_share(run, rows[run.key]) == 1:
            ended[run.key] = "done"
        left = clock.seconds_left()
        if 0.1 < done / total < 0.95:
            truth = (total - done) / speed
            assert truth / 2 <= left <= 2 * truth
    assert clock.seconds_left() == 0


def row(labels, seconds):
    return SimpleNamespace(labels=labels, train_seconds=seconds, select_seconds=0.0)
