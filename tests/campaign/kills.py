"""A campaign of kills: commands that are ended at random, and repeated until they get through.

    python -m pytest -s tests/campaign/kills.py

Chains of commands compare, report, import, merge and publish. Each is ended some time after it has
begun, in one of seven ways, and given again. A kill counts if the command was still at work.
Afterwards results, ledgers, memories and tables must be those of an undisturbed run.
``FALBENCH_KILLS`` says how many kills (100), ``FALBENCH_KILLS_SEED`` which ones.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from untimed import assert_same_curves

from fal_bench.results.store import Store

KILLS = int(os.environ.get("FALBENCH_KILLS", "100"))
SEED = int(os.environ.get("FALBENCH_KILLS_SEED", "0"))
CODE = "import sys; sys.argv[0] = 'falbench'; from fal_bench.cli import main; main()"
STRATEGIES = ("-s", "random,logo,keeping", "--jobs", "2")

# Keeps something of its memory, which has to survive.
KEEPING = """
import numpy as np
from fal_bench import Strategy

class Keeping(Strategy):
    name = "keeping"
    keeps = frozenset({"seen"})

    def select(self, client, budget):
        seen = client.memory.setdefault("seen", [])
        seen.append(float(client.rng.random()))
        return client.rng.permutation(len(client.unlabelled))[:budget]
"""
CURVES = "task,strategy,seed,labels,accuracy\n" + "".join(
    f"a,theirs,{seed},{labels},{0.2 + labels / 100}\n"
    for seed in (0, 1)
    for labels in range(10, 50, 10)
)


def kill_group(run):
    for process in [run, *run.children(recursive=True)]:
        process.kill()


def kill_worker(run):
    """Workers that die are replaced; the command itself goes on."""
    for worker in run.children(recursive=True)[:1]:
        worker.kill()


def stop_then_kill(run):
    run.suspend()
    time.sleep(0.2)
    run.kill()


def interrupt_twice(run):
    run.send_signal(signal.SIGINT)
    time.sleep(0.05)
    run.send_signal(signal.SIGINT)


WAYS = {
    "group": kill_group,
    "supervisor": lambda run: run.kill(),
    "worker": kill_worker,
    "STOP": stop_then_kill,
    "TERM": lambda run: run.terminate(),
    "INT": lambda run: run.send_signal(signal.SIGINT),
    "INT twice": interrupt_twice,
}


class Chain:
    """Commands in one folder, which are ended again and again.

    Args:
        folder: where they run.
        suite: the suite's file.
        rng: says when, and how.
        kills: how many there have to be; none leaves the commands alone.
    """

    def __init__(self, folder, suite, rng, kills):
        self.folder, self.rng, self.left = folder, rng, kills
        folder.mkdir()
        (folder / "keeping.py").write_text(KEEPING)
        (folder / "theirs.csv").write_text(CURVES)
        (folder / "tiny.toml").write_text(Path(suite).read_text())
        self.hits = Counter()

    def give(self, verb, *arguments, longest):
        """Give a command until it is through; end it while kills are left, for a while.

        Args:
            verb: the command.
            arguments: what follows.
            longest: seconds within which it is ended.
        """
        command = [sys.executable, "-c", CODE, verb, *arguments]
        for attempt in range(200):
            run = psutil.Popen(
                command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
            way = ""
            if self.left > 0 and attempt < 12:
                way = self.end(run, verb, longest)
            errors = run.communicate(timeout=300)[1].decode()
            if run.returncode == 0:
                return
            ends = {130, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM}
            if way == "worker" and "process that looks at the data was ended" in errors:
                ends.add(2)  # no run had begun, which would be given to another worker
            assert run.returncode in ends, errors
            assert "Traceback" not in errors, errors
        raise AssertionError(f"{verb} does not get through")

    def end(self, run, verb, longest):
        """End a command that is still at work some time later, and return how."""
        way = str(self.rng.choice(list(WAYS)))
        time.sleep(self.rng.uniform(0.3, longest))
        if run.poll() is None:
            WAYS[way](run)
            self.hits[verb, way] += 1
            self.left -= 1
        return way

    def all(self):
        """Give all commands."""
        compare = ("--suite", "tiny.toml", "--plugin", "keeping.py", *STRATEGIES)
        self.give("compare", *compare, "--out", "results", longest=8)
        self.give("import", "theirs.csv", "--suite", "tiny.toml", "--out", "results", longest=1.5)
        self.give("report", "results", "--suite", "tiny.toml", longest=2)
        self.give("merge", "results", "--out", "merged", longest=1.5)
        self.give("report", "merged", "--suite", "tiny.toml", longest=2)
        self.give("publish", "results", "--suite", "tiny.toml", "--to", "published", longest=2)


@pytest.fixture
def rng():
    return np.random.default_rng(SEED)


def files_of(folder, pattern):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.glob(pattern))}


def assert_same(ours, theirs):
    for folder in ("results", "merged", "published"):
        curves = [pd.read_csv(one / folder / "curves.csv") for one in (ours, theirs)]
        assert_same_curves(*curves)
    for pattern in ("*/runs/*/ledger.csv", "*/runs/*/memory.npz", "*/leaderboard.csv"):
        mine, other = files_of(ours, pattern), files_of(theirs, pattern)
        assert mine
        assert mine == other
    assert not list(ours.rglob("set-aside"))
    assert not list(Store(ours / "results").runs.glob("*/checkpoint.npz"))


def test_killed_commands_come_to_the_same_results(slow_suite, tmp_path, rng):
    whole = Chain(tmp_path / "whole", slow_suite, rng, kills=0)
    whole.all()
    hits, number = Counter(), 0
    while sum(hits.values()) < KILLS:
        chain = Chain(tmp_path / f"killed-{number}", slow_suite, rng, KILLS - sum(hits.values()))
        chain.all()
        assert_same(chain.folder, whole.folder)
        hits += chain.hits
        number += 1
        print(number, "chains,", sum(hits.values()), "kills", flush=True)
    for (verb, way), count in sorted(hits.items()):
        print(f"{verb:10} {way:12} {count}")
    assert {verb for verb, _ in hits} >= {"compare", "report", "import", "merge", "publish"}
