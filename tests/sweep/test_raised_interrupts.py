"""Plugins that raise what Python raises after Ctrl-C fail alone, and Ctrl-C still works."""

import os
import re
import signal
import subprocess
import sys
from functools import partial

import pytest
from untimed import assert_same_curves

from fal_bench.errors import PluginError

IN_WORKER = "if not HERE: "
STRATEGIES = {
    "interrupting": "raise KeyboardInterrupt('me')",
    "closing": "raise GeneratorExit",
    "odd": "raise type('Own', (BaseException,), {})('mine')",
    "unmade.__init__": "raise KeyboardInterrupt('made')",
    "late.__init__": IN_WORKER + "raise KeyboardInterrupt('made')",
    "stopping": "os.kill(os.getpid(), signal.SIGINT); time.sleep(60)",
}
TRAINERS = {
    "losing": "raise KeyboardInterrupt('loss')",
    "late-trainer.__init__": STRATEGIES["late.__init__"],
}
# By label: what is raised.
RAISED = {
    "interrupting": "KeyboardInterrupt: me",
    "closing": "GeneratorExit",
    "odd": "Own: mine",
    "random[trainer=losing]": "KeyboardInterrupt: loss",
}
LATE = dict.fromkeys(("late", "random[trainer=late-trainer]"), "KeyboardInterrupt: made.")


@pytest.fixture
def plugin(tmp_path, write_plugin):
    return write_plugin(tmp_path / "raising.py", STRATEGIES, TRAINERS)


@pytest.fixture
def compare(compare, plugin):
    return partial(compare, task="a", seeds=1, jobs=2, plugins=[plugin])


def reasons(result):
    """What every failed run raised; its reason names the plugin first, and the line last."""
    found = {}
    for run in result.context.missing:
        name = run.strategy.partition("=")[2].rstrip("]") or run.strategy
        assert repr(name) in run.reason
        said = re.sub(r" \(raising\.py, line \d+\)", "", run.reason)
        found[run.strategy] = said.split(": ", 1)[-1]
    return found


def test_runs_fail_alone_and_by_name_in_workers_and_in_this_process(compare):
    result = compare(["random", *RAISED, *LATE])
    assert reasons(result) == {**RAISED, **LATE}
    tracebacks = {run.strategy: run.traceback for run in result.context.missing}
    assert all("raising.py" in text for text in tracebacks.values()), tracebacks
    inline = compare(["random", *RAISED], "inline", backend="sequential")
    assert reasons(inline) == RAISED
    assert set(inline.curves.strategy) == {"random"}
    assert_same_curves(result, inline)


def test_a_constructor_that_raises_it_is_named_before_anything_runs(compare):
    with pytest.raises(PluginError, match=r"'unmade'.*KeyboardInterrupt: made"):
        compare(["unmade"])


def test_a_file_that_raises_it_is_left_out(falbench, suite, tmp_path):
    (tmp_path / "bad.py").write_text("raise KeyboardInterrupt('import')\n")
    code, _, errors = falbench(
        "compare", "--plugin", "bad.py", "--suite", suite, "-s", "random", "--dry-run",
        "--backend", "sequential",
    )  # fmt: skip
    assert code == 0
    assert "KeyboardInterrupt: import, " in errors
    assert "bad.py" in errors


@pytest.fixture
def arguments(suite, tmp_path, plugin):
    return [
        "compare", "--suite", suite, "--task", "a", "--seeds", "1", "-s", "stopping,random",
        "--plugin", plugin, "--call-timeout", "3", "--out", tmp_path / "out",
    ]  # fmt: skip


def test_workers_ignore_a_signal(falbench, arguments):
    code, _, errors = falbench(*arguments, "--jobs", 1)
    assert code == 1
    assert "Traceback" not in errors
    assert "'stopping'" in errors
    assert "within 3 s" in errors
    assert "random, seed 0: " in errors


def test_a_plugin_that_sends_a_signal_to_this_process_is_taken_for_a_user(arguments):
    arguments += ["--backend", "sequential"]
    run = subprocess.run(
        [sys.executable, "-c", "from fal_bench.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert "Traceback" not in run.stderr
    assert run.returncode == 130
    assert run.stderr.splitlines()[-1].startswith("Stopped;")


def test_ctrl_c_while_it_plans_is_one_sentence(falbench, suite, tmp_path, write_plugin):
    write_plugin(tmp_path / "slow.py", {"slow.__init__": STRATEGIES["stopping"]})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code, _, errors = falbench("compare", "--plugin", "slow.py", "--suite", suite, "-s", "slow")
    assert code == 130
    assert errors.startswith("Stopped;")
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "results").exists()
