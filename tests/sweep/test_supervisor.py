"""Real worker processes: some of them die, hang or are killed."""

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd
import psutil
import pytest
from untimed import assert_same_curves, untimed

import fal_bench
from fal_bench.results.sessions import read_sessions
from fal_bench.results.store import Store


def test_workers_order_and_company_do_not_change_a_bit(compare):
    two = compare(["random", "fal-margin", "logo"], "two", jobs=2)
    one = compare(["logo", "random"], "one", jobs=1)
    inline = compare(["fal-margin", "random"], "inline", backend="sequential")
    assert not two.context.missing
    assert len(two.curves) == 2 * 2 * 3 * 4
    for other in (one, inline):
        theirs = untimed(other)
        ours = untimed(two)
        ours = ours[ours.strategy.isin(set(theirs.strategy))]
        pd.testing.assert_frame_equal(
            ours.reset_index(drop=True), theirs.reset_index(drop=True), check_exact=True
        )


def test_workers_follow_a_change_of_the_working_directory(suite, tmp_path, monkeypatch):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        result = fal_bench.compare(["random"], suite=suite, jobs=2, progress=False)
        assert not result.context.missing
        assert len(curve_files(tmp_path / name / "results")) == 4


def test_all_strategies_of_a_seed_start_from_the_same_model(compare):
    curves = compare(["random", "fal-margin", "logo"], jobs=2).curves
    first = curves[curves.cycle == 0].groupby(["task", "seed"])
    assert (first.accuracy.nunique() == 1).all()
    assert (first.loss.nunique() == 1).all()
    assert first.loss.first().nunique() == 4


def test_a_plugin_that_kills_hangs_or_raises_fails_alone(compare, bad_plugins):
    result = compare(
        ["random", "exiting", "hanging", "raising", "leaving"],
        jobs=2,
        plugins=[bad_plugins],
        call_timeout=2,
        task="a",
        seeds=1,
    )
    facts = {
        "leaving": r"'leaving'.*client 0, cycle 0.*SystemExit: 0",
        "exiting": r"'exiting'.*cycle 1.*exit code 7",
        "hanging": r"'hanging'.*cycle 0.*within 2 s.*call_timeout",
        "raising": r"'raising'.*client 0, cycle 0.*RuntimeError: no idea",
    }
    assert sorted(run.strategy for run in result.context.missing) == sorted(facts)
    for run in result.context.missing:
        assert re.search(facts[run.strategy], run.reason), run.reason
    assert set(result.curves.strategy) == {"random"}
    assert len(result.curves) == 4
    alone = compare(["random"], "alone", jobs=2, task="a", seeds=1)
    assert_same_curves(result, alone)
    board = result.leaderboard.set_index("strategy")
    assert board.loc["random", "rank"] == 1
    assert (board.drop("random").verdict == "incomplete").all()


def command(suite, out, *more):
    code = "import sys; sys.argv[0] = 'falbench'; from fal_bench.cli import main; main()"
    arguments = ["compare", "--suite", suite, "--out", str(out), *more]
    return [sys.executable, "-c", code, *arguments]


def wait_for_rows(run, out):
    """Wait until a run of the comparison has finished two cycles."""
    while not any(len(path.read_text().splitlines()) > 2 for path in curve_files(out)):
        assert run.poll() is None
        time.sleep(0.02)


def workers_of(pid):
    """The processes that a comparison has started."""
    return psutil.Process(pid).children(recursive=True)


def test_kill_9_then_the_same_command_equals_an_uninterrupted_run(compare, slow_suite, tmp_path):
    """The workers of a killed supervisor end; more kills are in ``tests/campaign/kills.py``."""
    strategies = ["logo"]
    whole = compare(strategies, "whole", suite=slow_suite, backend="sequential")
    arguments = command(slow_suite, tmp_path / "killed", "-s", ",".join(strategies), "--jobs", "2")
    run = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    wait_for_rows(run, tmp_path / "killed")
    workers = workers_of(run.pid)
    assert len(workers) == 2
    run.kill()
    run.wait()
    assert not psutil.wait_procs(workers, timeout=5)[1]
    resumed = compare(strategies, "killed", suite=slow_suite, backend="sequential")
    assert_same_curves(resumed, whole)
    pd.testing.assert_frame_equal(resumed.leaderboard, whole.leaderboard)
    assert not (tmp_path / "killed" / "set-aside").exists()


def curve_files(out: Path):
    return list(out.glob("*/*/curve.csv"))


def test_a_corrupted_run_is_named_set_aside_and_run_again(compare, falbench, suite, tmp_path):
    before = compare(["random"], jobs=2)
    curve = curve_files(tmp_path / "results")[0]
    curve.write_text(curve.read_text() + "9,9\n")
    code, _, errors = falbench("compare", "--suite", suite, "-s", "random")
    assert code == 0
    assert f"run {curve.parent.name[:12]}" in errors
    assert "corrupted" in errors
    assert "random, seed" in errors
    assert list((tmp_path / "results" / "set-aside").iterdir())
    assert_same_curves(compare(["random"]), before)


@pytest.mark.parametrize("ask", [signal.SIGINT, signal.SIGTERM])
def test_being_stopped_ends_the_workers_and_says_how_to_go_on(slow_suite, tmp_path, ask):
    out = tmp_path / "results"
    run = subprocess.Popen(
        command(slow_suite, out, "-s", "logo", "--jobs", "1"),
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Ctrl-C is ignored, and that is inherited.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    wait_for_rows(run, out)
    workers = workers_of(run.pid)
    os.killpg(run.pid, ask)  # as a terminal does after Ctrl-C, and a batch system before it kills
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 130
    assert "Stopped; the same" in errors
    assert "Traceback" not in errors
    assert [session.finished for session in read_sessions(Store(out))] == [0]
    assert not psutil.wait_procs(workers, timeout=5)[1]


def test_an_edited_plugin_runs_again_in_the_same_session(compare, tmp_path, write_plugin):
    def curves(order):
        deed = f"return np.arange(len(client.unlabelled))[{order}][:budget]"
        plugins = [write_plugin(tmp_path / "mine.py", {"mine": deed})]
        return untimed(compare(["mine"], task="a", seeds=1, plugins=plugins, jobs=2))

    first = curves("::1")
    assert not first.equals(curves("::-1"))
    pd.testing.assert_frame_equal(curves("::1"), first, check_exact=True)


@pytest.mark.parametrize("backend", ["processes", "sequential"])
def test_an_edited_module_of_a_plugin_runs_again_in_the_same_session(
    compare, tmp_path, backend, write_plugin
):
    deed = (
        "from order_of_mine import order; return np.arange(len(client.unlabelled))[order][:budget]"
    )
    head = f"sys.path.append({str(tmp_path)!r})"
    plugin = write_plugin(tmp_path / "mine.py", {"mine": deed}, head=head)
    options = {"task": "a", "seeds": 1, "plugins": [plugin], "backend": backend}

    def curves(step, unrelated=""):
        (tmp_path / "order_of_mine.py").write_text(f"order = slice(None, None, {step})\n")
        (tmp_path / "unrelated.py").write_text(unrelated)
        result = compare(["mine"], **options)
        assert not result.context.missing
        return result.curves

    first, same, second = curves(1), curves(1, "x = 1"), curves(-1)
    pd.testing.assert_frame_equal(same, first, check_exact=True)  # times too: nothing was run
    assert not untimed(second).equals(untimed(first))
    pd.testing.assert_frame_equal(curves(1), first, check_exact=True)
    fresh = compare(["mine"], "fresh", **{**options, "backend": "sequential"})
    assert_same_curves(fresh, first)


def test_fedral_is_the_same_in_any_number_of_workers(compare):
    one = compare(["fedral"], "one", task="a", seeds=1, jobs=1)
    inline = compare(["fedral"], "inline", task="a", seeds=1, backend="sequential")
    assert_same_curves(one, inline)
