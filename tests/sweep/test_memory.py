"""Real worker processes whose plugins eat memory."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from untimed import assert_same_curves

from fal_bench.errors import InvalidSpecError
from fal_bench.isolation import memory
from fal_bench.results.store import Store
from fal_bench.sweep.supervisor import Supervisor

LIMIT = memory.LEAST_MIB

PLUGIN = """
import time
import numpy as np
from fal_bench import LocalModel, LocalTraining, Strategy

EATEN = []

def eat(mib):
    EATEN.append(np.ones(mib * 2**17))

class Eating(Strategy):
    name = "eating"

    def select(self, client, budget):
        while client.cycle == 1:
            eat(32)
            time.sleep(0.02)
        return np.arange(budget)

class Leaking(Strategy):
    name = "leaking"
    # The training takes a second, in which the plugin itself is not at work.
    needs = frozenset({LocalModel(LocalTraining(epochs=10000, stop_at_accuracy=None))})

    def select(self, client, budget):
        eat(400)
        return np.arange(budget)
"""


@pytest.fixture
def plugin(tmp_path):
    file = tmp_path / "hungry.py"
    file.write_text(PLUGIN)
    return file


def test_a_plugin_that_eats_memory_fails_alone_and_by_name(compare, plugin):
    compare = partial(compare, task="a", seeds=1)
    result = compare(
        ["random", "eating", "fal-margin", "leaking"],
        jobs=2, plugins=[plugin], memory_limit=LIMIT,
    )  # fmt: skip
    reasons = {run.strategy: run.reason for run in result.context.missing}
    assert set(reasons) == {"eating", "leaking"}
    for strategy, reason in reasons.items():
        taken = int(re.search(r"(\d+) MiB", reason)[1])
        assert repr(strategy) in reason
        assert LIMIT < taken < LIMIT + 1000
    assert "cycle 1" in reasons["eating"]
    assert set(result.curves.strategy) == {"random", "fal-margin"}
    alone = compare(["random", "fal-margin"], "alone", backend="sequential")
    assert_same_curves(result, alone)


def test_the_default_leaves_a_fifth_and_never_starves_a_worker(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 40 * 2**30)
    assert memory.default_limit(4) == 8192
    assert memory.default_limit(1) == 32768
    assert memory.default_limit(1000) == memory.LEAST_MIB
    monkeypatch.undo()
    assert memory.default_limit(1) <= psutil.virtual_memory().total / 2**20


@pytest.mark.parametrize(
    ("limit", "used", "free"), [("100000", "40000", 60000), ("100", "400", 0), ("max", "7", None)]
)
def test_a_containers_limit_counts(monkeypatch, limit, used, free):
    values = {"memory.max": limit, "memory.current": used}

    def read(path, *arguments, **options):
        if path.name not in values:
            raise FileNotFoundError
        return values[path.name]

    expected = psutil.virtual_memory().available if free is None else free
    monkeypatch.setattr(Path, "read_text", read)
    assert memory.free_bytes() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("limit", [0, 512, memory.LEAST_MIB - 1])
def test_a_limit_that_a_bare_worker_would_break_is_refused(tmp_path, limit):
    with pytest.raises(InvalidSpecError, match=f"{limit} MiB .* 1024"):
        Supervisor(Store(tmp_path / "results"), memory_limit=limit)


def test_this_process_has_no_limit(suite, tmp_path):
    supervisor = Supervisor(Store(tmp_path / "results"), backend="sequential")
    supervisor.run([])
    assert supervisor.memory_limit is None


def test_memory_of_a_process_that_is_gone_is_unknown():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert memory.resident_mib(gone.pid) is None
    before = memory.resident_mib(os.getpid())
    kept = np.ones(100 * 2**17)
    assert 90 < memory.resident_mib(os.getpid()) - before < 200
    del kept
