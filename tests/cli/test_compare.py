"""The command line end to end, on a tiny suite."""

import errno
import json
import os
import re

import pandas as pd
import pytest

from fal_bench.cli.main import _in_words

LEADERBOARD = (
    "rank strategy target_acc accounting tasks runs reached labels labels_low labels_high "
    "labels_paper labels_strict budget_pct saving_vs_random saving_low saving_high"
).split()
CURVES = (
    "task strategy seed cycle labels labels_strict accuracy loss train_accuracy bytes_up "
    "bytes_down train_seconds select_seconds"
).split()


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_main_job(falbench, suite, tmp_path):
    code, out, err = falbench("compare", "--suite", suite, "--target-acc", 0.3, "-j", 2)
    assert code == 0, err
    results = tmp_path / "results"
    board = pd.read_csv(results / "leaderboard.csv")
    assert set(LEADERBOARD) <= set(board.columns)
    assert set(board.strategy) == {"random", "fal-margin", "logo", "fedral"}
    assert set(board["rank"]) <= {1, 2, 3, 4}
    fedral = board.set_index("strategy").loc["fedral"]
    assert fedral.labels_strict > 2 * fedral.labels_paper
    curves = pd.read_csv(results / "curves.csv")
    assert [name for name in curves.columns if name in CURVES] == CURVES
    fixed = curves[curves.strategy != "fedral"]
    assert len(fixed) == 3 * 2 * 2 * 4
    for strategy in board.strategy:
        assert strategy in out
    assert "[16/16]" in err
    page = (results / "leaderboard.html").read_text()
    assert page.lower().startswith("<!doctype html>")

    runs = tree(results / "runs")
    for more in (["--target-acc", 0.3], ["--target-acc", 0.6], ["--accounting", "paper"]):
        assert falbench("compare", "--suite", suite, *more)[0] == 0
    assert tree(results / "runs") == runs
    assert pd.read_csv(results / "leaderboard.csv").accounting.unique().tolist() == ["paper"]

    code, out, err = falbench(
        "compare", "--suite", suite, "--target-acc", "0.2,auto", "--baseline", "logo",
        "--format", "json",
    )  # fmt: skip
    assert code == 0, err
    boards = json.loads(out)
    assert len(boards) >= 2
    assert [board["question"]["baseline"] for board in boards] == ["logo"] * len(boards)
    written = pd.read_csv(results / "leaderboard.csv")
    assert len(written) == 4 * len(boards)
    assert tree(results / "runs") == runs

    board = (results / "leaderboard.csv").read_bytes()
    code, out, err = falbench(
        "report", "--suite", suite, "--target-acc", "0.2,auto", "--baseline", "logo"
    )
    assert code == 0, err
    assert (results / "leaderboard.csv").read_bytes() == board
    assert tree(results / "runs") == runs
    code, out, err = falbench("merge", "results", "--out", "copy")
    assert (code, err) == (0, "")
    assert "Copied 16 runs" in out
    code, out, _ = falbench("report", "copy", "--target-acc", 0.3, "--format", "csv")
    assert code == 0
    assert out == (tmp_path / "copy" / "leaderboard.csv").read_text()
    code, _, err = falbench("merge", "nowhere", "--out", "copy")
    assert code == 2
    assert "'nowhere'" in err

    code, out, _ = falbench("status", "--suite", suite)
    assert code == 0
    assert re.search(r"random\D+2", out)
    code, out, _ = falbench("compare", "--suite", suite, "--dry-run")
    assert "All 16 runs" in out
    asked = ("compare", "--suite", suite, "--dry-run", "--jobs", 1)
    code, out, _ = falbench(*asked, "-s", "sal-margin")
    assert "sal-margin: 2 of 2" in out
    assert re.search(r"4 of 4 runs .* least .*\d+ s\b", out)
    assert "(sal-margin)" in out
    code, out, _ = falbench(*asked, "--seeds", 3)
    assert re.search(r"8 of 24 runs .*\d+ s\b", out)
    assert "Not counted" not in out
    assert tree(results / "runs") == runs


def test_a_failing_strategy_does_not_hide_the_others_but_ends_in_1(falbench, suite, bad_plugins):
    code, out, _ = falbench(
        "compare", "--suite", suite, "--task", "a", "--seeds", 1, "--backend", "sequential",
        "--plugin", bad_plugins / "raising.py", "-s", "random", "-s", "raising",
    )  # fmt: skip
    assert code == 1
    assert "RuntimeError: no idea" in out
    code, out, _ = falbench(
        "status", "--suite", suite, "--task", "a", "--seeds", 1,
        "--plugin", bad_plugins / "raising.py", "-s", "random", "-s", "raising",
    )  # fmt: skip
    assert "Strategy 'raising' failed" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-s", "fal-margn"], "'fal-margn'; did you mean 'fal-margin'"),
        (["-s", "logo[n_init=zero]"], "parameter 'n_init' cannot be 'zero'"),
        (["-s", "logo["], r"Cannot read 'logo\['"),
        (["-s", "random,all[n_init=99]", "--dry-run"], r"'all\[n_init=99\]'.*'all' alone"),
        (["--task", "digit-pairs-idd"], "did you mean 'digit-pairs-iid'"),
        (["--suite", "quick", "--task", "digits-iid"], "in suite 'smoke'"),
        (["--suite", "quik"], "'quik'; did you mean 'quick'"),
        (["--suite", "none.toml"], "suite 'none.toml'"),
        (["--suite", "bad.toml"], "'tasks.x.clientz'"),
        (["--suite", "big.toml"], "query_size 5000"),
        (["--target-acc", "0"], "target_acc .*, not 0"),
        (["--target-acc", "50"], "write 0.5 for 50 %"),
        (["--target-acc", "half"], "target_acc cannot be 'half'"),
        (["--baseline", "fal-entropy"], "baseline 'fal-entropy'"),
        (["--target-acc", "nan"], "target_acc .*above 0"),
        (["--seeds", "0"], "seeds .* at least 1"),
        (["--plugin", "none.py"], "plugin .*'none.py'"),
        (["--out", "file"], "'file' is a file"),
        (["--suite", "smoke", "--out", "file/results"], "Cannot write"),
        (["--out", "newer"], "newer falbench"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(falbench, tmp_path, arguments, message):
    (tmp_path / "bad.toml").write_text("[tasks.x]\nclientz = 3\n")
    (tmp_path / "big.toml").write_text(
        "[tasks.x]\nquery_size = 5000\nbudget_cap = 25050\n"
        "shares = {state = 0.1, warm_start = 0.1, agent = 0.3, pool = 0.5}\n"
    )
    (tmp_path / "file").write_text("")
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "store.json").write_text(json.dumps({"schema": 99}))
    before = sorted(tmp_path.rglob("*"))
    code, out, err = falbench("compare", *arguments)
    assert code == 2
    assert out == ""
    assert re.search(message, err), err
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_default_strategy_that_does_not_suit_the_task_is_left_out_with_a_note(falbench, tmp_path):
    (tmp_path / "plain.toml").write_text("[tasks.x]\n")
    dry = ("--dry-run", "--backend", "sequential")
    code, out, err = falbench("compare", "--suite", "plain.toml", *dry)
    assert code == 0
    assert "Note: fedral " in err
    assert "15 of 15 runs" in out
    code, _, err = falbench("compare", "--suite", "plain.toml", "-s", "fedral")
    assert code == 2
    assert all(share in err for share in ("warm_start", "agent", "state"))


@pytest.mark.parametrize(
    ("task", "strategy", "message"),
    [
        ('model = {kind = "cnn", channels = [4, 4, 4, 4]}', "random", "images of 8x8"),
        ("", "fedral[reward_labels=1000]", "reward set of 1000"),
        ("", "fedral[priority_exponent=30]", "'priority_exponent' cannot be 30"),
        (
            "clients = 100\ninitial_labels = 1\nquery_size = 1",
            "fedral",
            "warm-start episodes on 1 ",
        ),
    ],
)
def test_what_the_data_cannot_give_is_refused_before_anything_runs(
    falbench, tmp_path, task, strategy, message
):
    (tmp_path / "s.toml").write_text(
        "[tasks.x]\nshares = {state = 0.1, warm_start = 0.1, agent = 0.4, pool = 0.4}\n" + task
    )
    code, _, err = falbench("compare", "--suite", "s.toml", "-s", strategy)
    assert code == 2
    assert message in err
    assert not (tmp_path / "results").exists()


def test_a_broken_plugin_file_is_mentioned(falbench, suite, tmp_path):
    (tmp_path / "my_broken.py").write_text("def oops(:\n")
    command = ("compare", "--suite", suite, "--plugin", "my_broken.py", "--dry-run")
    code, _, err = falbench(*command, "-s", "my-broken")
    assert code == 2
    assert "SyntaxError" in err
    code, _, err = falbench(*command, "-s", "random", "--backend", "sequential")
    assert code == 0
    assert "my_broken.py " in err
    assert "SyntaxError" in err


def test_debug_shows_the_traceback(falbench):
    from fal_bench.errors import UnknownNameError

    with pytest.raises(UnknownNameError):
        falbench("--debug", "compare", "-s", "randm")
    with pytest.raises(UnknownNameError):
        falbench("compare", "-s", "randm", "--debug")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("strategies", ["fal-entropy", "fal-margin", "logo", "random", "sal-margin"]),
        ("tasks", ["digit-pairs-iid", "digits-shards"]),
        ("suites", ["quick", "smoke"]),
        ("datasets", ["digits", "digit-pairs"]),
        ("trainers", ["cross-entropy", "evidential", "kcfu"]),
    ],
)
def test_listing(falbench, kind, expected):
    code, out, _ = falbench("list", kind)
    assert code == 0
    names = {line.split()[0] for line in out.splitlines()}
    assert set(expected) <= names


def test_listing_says_what_is_unavailable_and_why(falbench, tmp_path):
    (tmp_path / "broken.py").write_text("import not_there")
    code, out, _ = falbench("list", "strategies", "--verbose", "--plugin", tmp_path / "broken.py")
    assert code == 0
    assert "'not_there'" in out
    assert "Uniform sampling" in out


def test_help_shows_how_to_pass_parameters(falbench):
    _, out, _ = falbench("compare", "--help")
    assert "logo[n_init=4]" in out
    assert "[default: quick]" in out


def test_version_and_help(falbench):
    assert falbench("--version")[1].startswith("falbench 0.")
    code, out, _ = falbench("--help")
    assert code == 0
    for verb in ("compare", "list", "status", "report", "merge"):
        assert verb in out
        help_text = falbench(verb, "--help")[1]
        assert "[default" in help_text or verb == "list"


@pytest.mark.parametrize("verb", ["compare", "status"])
def test_debug_shows_the_tracebacks_of_failed_runs(falbench, suite, bad_plugins, verb):
    arguments = ["--suite", suite, "--task", "a", "--seeds", 1, "--plugin", bad_plugins]
    arguments += ["-s", "random", "-s", "raising"]
    here = ["--backend", "sequential"]
    code, _, err = falbench("compare", *arguments, *here)
    assert code == 1
    assert "Traceback" not in err
    _, out, err = falbench("--debug", verb, *arguments, *here * (verb == "compare"))
    assert "no idea" in out
    assert "a, raising, seed 0 failed:\n" in err
    assert "\nTraceback" in err
    assert "raising.py" in err


PRINTING = """
import os
import numpy as np
from fal_bench import Strategy

class Printing(Strategy):
    name = "printing"

    def select(self, client, budget):
        print("hello from plugin")
        os.write(1, b"hello from below")
        return np.arange(len(client.unlabelled))[:budget]
"""


def test_what_plugins_print_does_not_disturb_output_for_programs(falbench, suite, tmp_path):
    (tmp_path / "printing.py").write_text(PRINTING)
    code, out, err = falbench(
        "compare", "--suite", suite, "--task", "a", "-s", "printing", "--plugin", "printing.py",
        "--seeds", 1, "--jobs", 1, "--format", "json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)
    assert err.count("hello from plugin") > 1
    assert "hello from below" in err


def test_a_plugin_that_leaves_or_waits_at_import_neither_ends_a_comparison_nor_stops_it(
    falbench, suite, tmp_path
):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "leaving.py").write_text("import os; os._exit(0)")
    (folder / "mine.py").write_text(
        "import numpy as np\nfrom fal_bench import Strategy\nclass Mine(Strategy):\n"
        "    name = 'mine'\n    def select(self, client, budget):\n"
        "        return np.arange(budget)\n"
    )
    options = ("--suite", suite, "--task", "a", "--seeds", 1, "--plugin", folder)
    code, _, err = falbench("compare", "-s", "mine,random", "--backend", "sequential", *options)
    assert code == 0
    assert "leaving.py" in err
    assert "exit code 0" in err
    code, _, err = falbench("compare", "-s", "leaving", *options)
    assert (code, err.count("leaving.py")) == (2, 1)


def test_empty_names_and_paths_are_refused(falbench, tmp_path):
    for option in ("--suite", "--task", "--out", "--plugin", "--data-dir"):
        code, _, err = falbench("compare", option, "", "--seeds", 1)
        assert (code, err[:7], err.count("\n")) == (2, "Error: ", 1)
        assert "''" in err
    assert falbench("report", "")[0] == 2
    assert falbench("report", "--suite", "")[0] == 2
    assert not list(tmp_path.iterdir())


def test_a_full_disk_under_the_output_is_named_in_words(falbench, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fal_bench.cli.list._suites", full)
    code, _, err = falbench("list", "suites")
    assert (code, err[:7], err.count("\n")) == (2, "Error: ", 1)
    assert os.strerror(errno.ENOSPC) in err


def test_a_file_without_permission_is_named_with_what_to_check():
    words = _in_words(PermissionError(13, "Permission denied", "results/runs"))
    assert "'results/runs' (Permission denied)" in words
