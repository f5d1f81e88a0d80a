"""Plugins that raise what Python raises after Ctrl-C fail alone, and Ctrl-C still works."""

import os
import signal
import subprocess
import sys
from functools import partial

import pandas as pd
import pytest

import fal_bench
from fal_bench.errors import PluginError

PLUGIN = """
import multiprocessing, os, signal, threading, time
import numpy as np
from fal_bench import Strategy
from fal_bench.trainers.cross_entropy import CrossEntropy

class Own(BaseException):
    pass

class Interrupting(Strategy):
    name = "interrupting"

    def select(self, client, budget):
        raise KeyboardInterrupt("me")

class Closing(Strategy):
    name = "closing"

    def select(self, client, budget):
        raise GeneratorExit

class Odd(Strategy):
    name = "odd"

    def select(self, client, budget):
        raise Own("mine")

class Unmade(Strategy):
    name = "unmade"

    def __init__(self, params=None):
        raise KeyboardInterrupt("made")

class Late(Strategy):
    name = "late"

    def __init__(self, params=None):
        super().__init__(params)
        if multiprocessing.current_process().name != "MainProcess":
            raise KeyboardInterrupt("made")

class Dozing(Strategy):
    name = "dozing"

    def __init__(self, params=None):
        super().__init__(params)
        if multiprocessing.current_process().name != "MainProcess":
            time.sleep(3600)

class Stopping(Strategy):
    name = "stopping"

    def select(self, client, budget):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

class Losing(CrossEntropy):
    name = "losing"

    def losses(self, logits, batch):
        raise KeyboardInterrupt("loss")

class LateTrainer(CrossEntropy):
    name = "late-trainer"

    def __init__(self, params=None):
        super().__init__(params)
        if multiprocessing.current_process().name != "MainProcess":
            raise KeyboardInterrupt("made")
"""

RAISED = {
    "interrupting": "Strategy 'interrupting' failed (client 0, cycle 0): KeyboardInterrupt: me",
    "closing": "Strategy 'closing' failed (client 0, cycle 0): GeneratorExit",
    "odd": "Strategy 'odd' failed (client 0, cycle 0): Own: mine",
    "random[trainer=losing]": "Trainer 'losing' failed: KeyboardInterrupt: loss",
}

LATE = {
    "late": "Plugin 'late' cannot be set up: KeyboardInterrupt: made.",
    "random[trainer=late-trainer]": "Plugin 'late-trainer' cannot be set up: KeyboardInterrupt: "
    "made.",
}


@pytest.fixture
def plugin(tmp_path):
    file = tmp_path / "raising.py"
    file.write_text(PLUGIN)
    return file


@pytest.fixture
def compare(suite, tmp_path, plugin):
    def run(strategies, out="results", **options):
        return fal_bench.compare(
            strategies, suite=suite, task="a", seeds=1, out=tmp_path / out, progress=False,
            plugins=[plugin], **{"jobs": 2, **options},
        )  # fmt: skip

    return run


def untimed(result):
    return result.curves.drop(columns=["train_seconds", "select_seconds"])


def reasons(result):
    return {run.strategy: run.reason for run in result.context.missing}


def test_runs_fail_alone_and_by_name_in_workers_and_in_this_process(compare):
    result = compare(["random", *RAISED, *LATE])
    assert reasons(result) == {**RAISED, **LATE}
    tracebacks = {run.strategy: run.traceback for run in result.context.missing}
    assert all("raising.py" in text for text in tracebacks.values()), tracebacks
    inline = compare(["random", *RAISED], "inline", backend="sequential")
    assert reasons(inline) == RAISED
    assert set(inline.curves.strategy) == {"random"}
    pd.testing.assert_frame_equal(untimed(result), untimed(inline), check_exact=True)


def test_a_constructor_that_hangs_in_a_worker_is_ended(compare):
    result = compare(["random", "dozing"], call_timeout=2)
    [(label, reason)] = reasons(result).items()
    assert label == "dozing"
    assert "within 2 s" in reason


def test_a_constructor_that_raises_it_is_named_before_anything_runs(compare):
    with pytest.raises(PluginError, match=r"'unmade'.*KeyboardInterrupt: made"):
        compare(["unmade"])


def test_a_file_that_raises_it_is_left_out(falbench, suite, tmp_path):
    (tmp_path / "bad.py").write_text("raise KeyboardInterrupt('import')\n")
    code, _, errors = falbench(
        "compare", "--plugin", "bad.py", "--suite", suite, "-s", "random", "--dry-run"
    )
    assert code == 0
    assert "KeyboardInterrupt: import, at bad.py" in errors


@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_a_signal_is_no_fault_of_a_plugin(suite, tmp_path, plugin, backend):
    """In this process a plugin that sends it is not told from a user; workers ignore it."""
    arguments = [
        "compare", "--suite", suite, "--task", "a", "--seeds", "1", "-s", "stopping,random",
        "--plugin", plugin, "--backend", backend, "--call-timeout", "3", "--out", tmp_path / "out",
    ]  # fmt: skip
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
    if backend == "sequential":
        assert run.returncode == 130
        assert run.stderr.splitlines()[-1].startswith("Stopped;")
    else:
        assert run.returncode == 1
        assert "'stopping' did not return" in run.stderr
        assert "within 3 s" in run.stderr
        assert "random, seed 0: " in run.stderr


def test_ctrl_c_while_it_plans_is_one_sentence(falbench, suite, tmp_path):
    (tmp_path / "slow.py").write_text(
        "import os, signal, time\n"
        "from fal_bench import Strategy\n"
        "class Slow(Strategy):\n"
        "    name = 'slow'\n"
        "    def __init__(self, params=None):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(60)\n"
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code, _, errors = falbench("compare", "--plugin", "slow.py", "--suite", suite, "-s", "slow")
    assert code == 130
    assert errors.startswith("Stopped;")
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "results").exists()
