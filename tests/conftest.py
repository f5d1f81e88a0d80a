"""Small real things that many tests share: a data set, tasks, and a way to run a run."""

from __future__ import annotations

import os
import random
import sys

import numpy as np
import pytest
import torch
from hypothesis import settings

import fal_bench
from fal_bench.cli.main import run as run_falbench
from fal_bench.data.base import Dataset
from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.loop import simulate
from fal_bench.federation.setting import Setting
from fal_bench.learning.engine import train
from fal_bench.task import Task

if not torch.cuda.is_available():
    # Triton reads it when it is first imported: it interprets the kernels of a GPU.
    os.environ["TRITON_INTERPRET"] = "1"
pytest_plugins = ["data_folders", "warm_children"]
# On a busy machine a case may take any time.
settings.register_profile("falbench", deadline=None)
settings.load_profile("falbench")


@pytest.fixture(autouse=True)
def one_thread():
    """Bits are promised on one thread only."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    """Prepared data sets of tests stay out of the user's cache."""
    monkeypatch.setenv("FALBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def own_path(monkeypatch):
    """What one test can import, because a plugin file lay beside it, the next one cannot."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(autouse=True)
def short_trials(monkeypatch):
    """Dry runs time a moment of training; tests of how exact that is do it in workers."""
    monkeypatch.setattr("fal_bench.sweep.pilot.TRIAL_SECONDS", 0.01)


@pytest.fixture
def untouched_streams():
    """Fail the test if the global random streams have moved."""

    def state():
        kind, keys, *more = np.random.get_state()  # noqa: NPY002
        return kind, keys.tolist(), more, torch.get_rng_state().tolist(), random.getstate()

    before = state()
    yield
    assert state() == before


@pytest.fixture(scope="session")
def blobs() -> Dataset:
    """Four well-separated classes of 2x2 images: learned in a blink."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 4))

    def part(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = rng.permutation(np.arange(count) % 4)
        features = centres[labels] + 0.3 * rng.normal(size=(count, 4))
        shaped = torch.from_numpy(features.reshape(-1, 1, 2, 2).astype(np.float32))
        return shaped, torch.from_numpy(labels)

    return Dataset("blobs", *part(240), *part(80), n_classes=4)


@pytest.fixture(scope="session")
def tiny() -> Task:
    """A task on ``blobs`` whose run runs in a fraction of a second."""
    return Task(
        name="tiny",
        clients=3,
        model={"kind": "mlp", "hidden": [8]},
        rounds=2,
        local_epochs=1,
        initial_labels=4,
        query_size=2,
        budget_cap=24,
    )


@pytest.fixture(scope="session")
def run():
    """Return a function that runs one run to its end and returns its journal."""

    def run_to_end(task, strategy, dataset, seed=0, journal=None, **options):
        setting = Setting.draw(task, seed, dataset)
        journal = journal or MemoryJournal()
        run = simulate(setting, strategy, journal, **options)
        drive(run)
        return journal

    return run_to_end


def drive(run) -> None:
    """Answer a run's requests until it ends."""
    try:
        request = next(run)
        while True:
            request = run.send(train([request])[0])
    except StopIteration:
        return


@pytest.fixture
def falbench(monkeypatch, capfd, tmp_path):
    """Run the command in an empty folder; return its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")

    def run_command(*arguments):
        monkeypatch.setattr(sys, "argv", ["falbench", *map(str, arguments)])
        try:
            run_falbench()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        output = capfd.readouterr()
        return code, output.out, output.err

    return run_command


class Passed:
    """What a pytest inside of this one notes: the number of tests that passed."""

    def __init__(self):
        self.number = 0

    def pytest_runtest_logreport(self, report):
        self.number += report.when == "call" and report.passed


@pytest.fixture
def run_tests(capfd):
    """Return a function that runs the tests of a user's folder here; all must pass. It counts them.

    Another process would spend most of its time on the import of PyTorch.
    """

    def run_in_this_process(folder):
        passed = Passed()
        code = pytest.main(["-q", "-p", "no:cacheprovider", str(folder)], [passed])
        for file in folder.glob("*.py"):  # another test may write files of these names
            sys.modules.pop(file.stem, None)
        assert code == 0, capfd.readouterr().out
        return passed.number

    return run_in_this_process


SUITE = """
seeds = 2

[defaults]
dataset = "digits"
clients = 2
model = { kind = "mlp", hidden = [8] }
rounds = 2
local_epochs = 1
initial_labels = 5
query_size = 5
budget_cap = 30
shares = { state = 0.1, warm_start = 0.1, agent = 0.6, pool = 0.2 }

[tasks.a]
[tasks.b]
partition = { kind = "dirichlet", alpha = 0.5 }
"""

# By method: its arguments, and what it ends with.
METHODS = {
    "__init__": ("params=None", "super().__init__(params)"),
    "select": ("client, budget", "return np.arange(budget)"),
    "losses": ("logits, batch", "return super().losses(logits, batch)"),
    "probs": ("logits", "return super().probs(logits)"),
}
IMPORTS = """import os, pathlib, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from fal_bench import Strategy
"""


def plugin_class(base: str, name: str, method: str, deed: str) -> str:
    """Source of a plugin whose method does something before what it should."""
    deeds = {"select": "pass", method: deed} if base == "Strategy" else {method: deed}
    lines = [f"class {name.title().replace('-', '')}({base}):", f"    name = {name!r}"]
    for own, line in deeds.items():
        arguments, end = METHODS[own]
        lines += [f"    def {own}(self, {arguments}):", f"        {line}", f"        {end}"]
    return "\n".join([*lines, ""])


@pytest.fixture
def write_plugin():
    """Return a function that writes a file of strategies and trainers that misbehave.

    A deed is a line of Python that runs in ``select`` or ``losses``; ``name.method`` says another
    method. ``HERE`` is whether it runs in the process of the test. ``head`` and ``tail`` stand
    before and behind the classes.
    """

    def write(path, strategies=None, trainers=None, head="", tail=""):
        parts = [IMPORTS, f"HERE = os.getpid() == {os.getpid()}", head]
        if trainers:
            parts.append("import torch\nfrom fal_bench.trainers.cross_entropy import CrossEntropy")
        for base, usual, deeds in (
            ("Strategy", "select", strategies),
            ("CrossEntropy", "losses", trainers),
        ):
            for key, deed in (deeds or {}).items():
                name, _, method = key.partition(".")
                parts.append(plugin_class(base, name, method or usual, deed))
        path.write_text("\n".join([*parts, tail]))
        return path

    return write


PLUGINS = {
    "exiting": "os._exit(7) if client.cycle == 1 else None",
    "hanging": "time.sleep(3600)",
    "raising": "raise RuntimeError('no idea')",
    "leaving": "sys.exit(0)",
}


@pytest.fixture
def suite(tmp_path):
    """The path of a tiny suite of two tasks and two seeds."""
    file = tmp_path / "tiny.toml"
    file.write_text(SUITE)
    return str(file)


@pytest.fixture
def compare(suite, tmp_path):
    """Return a function that compares strategies on ``suite``; results go to a folder ``out``."""

    def run(strategies=None, out="results", suite=suite, **options):
        out = tmp_path / out
        return fal_bench.compare(strategies, suite=suite, out=out, progress=False, **options)

    return run


@pytest.fixture
def slow_suite(tmp_path):
    """The path of the same suite with cycles long enough to be interrupted in the middle."""
    file = tmp_path / "slow.toml"
    slow = SUITE.replace("rounds = 2", "rounds = 20").replace("seeds = 2", "seeds = 1")
    slow = slow.replace("local_epochs = 1", "local_epochs = 5")
    file.write_text(slow)
    return str(file)


@pytest.fixture
def bad_plugins(tmp_path, write_plugin):
    """A folder with one misbehaving strategy a file."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    for name, deed in PLUGINS.items():
        write_plugin(folder / f"{name}.py", {name: deed})
    return folder
