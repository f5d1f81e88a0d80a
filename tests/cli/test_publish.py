"""``falbench publish`` and ``falbench verify``."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from stored import spec, store_run

from fal_bench.data.loading import load_dataset
from fal_bench.federation.setting import Setting
from fal_bench.task.suite import load_suite

MAIN = "from fal_bench.cli import main; main()"


@pytest.fixture
def results(tmp_path, suite):
    """Runs written by hand: no run gives these curves."""
    for task in load_suite(suite).tasks:
        for seed in (0, 1):
            for name in ("random", "fal-margin"):
                store_run(tmp_path / "results", spec(name, seed, task=task), pool=pool_of(task))
    return tmp_path / "results"


def pool_of(task):
    """The size of the query pool that its data give."""
    return Setting.draw(task, 0, load_dataset(task.dataset)).pool


def test_publish_and_verify_what_was_computed(falbench, suite, tmp_path):
    assert falbench("compare", "--suite", suite, "-s", "random", "-s", "logo", "-j", 2)[0] == 0
    code, out, err = falbench("publish", "results", "--to", "p/tiny", "--suite", suite)
    assert (code, err) == (0, "")
    assert re.search(r" 8 runs .*2 tasks.* 2 seeds", out)
    assert out.endswith(" falbench verify p/tiny\n")
    record = json.loads((tmp_path / "p" / "tiny" / "provenance.json").read_text())
    assert (record["format"], record["metrics"]["accuracy"], record["metrics"]["loss"]) == (
        4, True, False,
    )  # fmt: skip
    assert [record["sessions"][name] for name in ("count", "runs", "jobs")] == [1, 8, [2]]
    assert "--seeds 2 --target-acc auto" in record["command"]

    code, out, err = falbench("publish", "p", "--index")
    assert (code, err) == (0, "")
    assert "p/index.html" in out
    assert "tiny/leaderboard.html" in (tmp_path / "p" / "index.html").read_text()

    # Neither the suite's file nor the results are needed.
    (tmp_path / "tiny.toml").unlink()
    (tmp_path / "results").rename(tmp_path / "gone")
    code, out, err = falbench("verify", "p/tiny", "--seed", 5, "--jobs", 2)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("8 runs of tiny ")
    checked = ["leaderboard.csv", "curves.csv", "charges.csv", "leaderboard.html"]
    assert [line.split() for line in lines[1:5]] == [["same", name] for name in checked]
    assert {line.split()[0] for line in lines[5:13]} == {"same"}
    assert re.search(r"4 of 8 runs, .*--seed 5;", out)
    run = re.compile(r"same +[ab]  (logo|random) +seed [01]  4 cycles")
    assert sum(run.fullmatch(line) is not None for line in lines) == 4
    assert "4 of 8 runs" in lines[-2]
    assert "bit for bit" in lines[-2]
    assert "a chance of 0.5 " in lines[-1]
    assert "[4/4]" in err
    assert "elsewhere" not in out


def test_differences_end_in_1_and_are_named(falbench, results, suite):
    assert falbench("publish", results, "--to", "p", "--suite", suite)[0] == 0
    code, out, _ = falbench("verify", "p", "--all", "-j", 2)
    assert code == 1
    assert " all 8 runs;" in out
    assert "(processor Toy 1 there, " in out
    differing = re.findall(
        r"DIFFERS +([ab])  (random|fal-margin) +seed ([01])  labels_strict: .*largest difference",
        out,
    )
    assert len(differing) == 8
    assert "8 of 8 recomputed runs" in out


def test_published_results_are_not_written_over(falbench, results, suite, tmp_path):
    assert falbench("publish", results, "--to", "p", "--suite", suite)[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "p").iterdir()}
    code, _, err = falbench("compare", "--suite", suite, "-s", "random", "--out", "p")
    assert code == 2
    assert "'p' holds published results" in err
    assert {path: path.read_bytes() for path in (tmp_path / "p").iterdir()} == before


def test_a_changed_file_ends_in_1(falbench, results, suite, tmp_path):
    assert falbench("publish", results, "--to", "p", "--suite", suite)[0] == 0
    with (tmp_path / "p" / "leaderboard.csv").open("a") as file:
        file.write(" ")
    code, out, err = falbench("verify", "p")
    assert (code, err) == (1, "")
    assert "changed   leaderboard.csv" in out
    assert "leaderboard.csv is" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["publish", "results", "--to", "p"], "--suite"),
        (["publish", "results", "--to", "results"], "holds other files"),
        (["publish", "nowhere", "--to", "p"], "no runs in 'nowhere'"),
        (["publish", "results"], "--to DIR"),
        (["publish", "results", "--to", "p", "--index"], "--index"),
        (["publish", "results", "--index"], "'results'"),
        (["publish", "nowhere", "--index"], "'nowhere'"),
        (["publish", "partly", "--to", "p", "--suite", "tiny.toml"], "3 of 4 runs"),
        (["verify", "results"], "provenance.json in 'results'"),
        (["verify", "nowhere"], "provenance.json in 'nowhere'"),
        (["verify", "newer"], "newer falbench"),
    ],
)
def test_wrong_input_is_one_sentence_and_ends_in_2(
    falbench, results, suite, tmp_path, arguments, message
):
    first, second = load_suite(suite).tasks
    store_run(tmp_path / "partly", spec("random", 0, task=first))
    store_run(tmp_path / "partly", spec("random", 1, task=second), finished=False)
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "provenance.json").write_text('{"format": 99}')
    before = sorted(tmp_path.rglob("*"))
    code, out, err = falbench(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_ctrl_c_ends_in_130_and_leaves_nothing(falbench, slow_suite, tmp_path):
    for task in load_suite(slow_suite).tasks:
        store_run(tmp_path / "results", spec("random", task=task), pool=pool_of(task))
    assert falbench("publish", "results", "--to", "p", "--suite", slow_suite)[0] == 0
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    run = subprocess.Popen(
        [sys.executable, "-c", MAIN, "verify", "p", "--jobs", "1"],
        env={**os.environ, "TMPDIR": str(temporary)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while not list(temporary.glob("*/runs/*/curve.csv")):
        assert run.poll() is None
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 130
    assert errors.splitlines()[-1].startswith("Stopped; nothing")
    assert "Traceback" not in errors
    deadline = time.monotonic() + 20  # joblib's own files go with its last process
    while list(temporary.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("verb", ["publish", "verify"])
def test_help_is_quick(verb):
    code = (
        "import sys; from fal_bench.cli.main import app\n"
        f"sys.argv = ['falbench', '{verb}', '--help']\n"
        "try: app()\n"
        "except SystemExit: print('loaded', *sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(run.stdout.rpartition("loaded ")[2].split())
    assert "typer" in modules
    assert not {"torch", "sklearn", "pandas", "numpy", "plotly", "rich"} & modules
    assert "Usage" in run.stdout
