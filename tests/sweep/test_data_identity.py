"""A run is one of the data that it was computed on, wherever these lie."""

import shutil
from functools import partial

import numpy as np
import pytest
from PIL import Image

import fal_bench
from fal_bench.data.folders import CACHE_VARIABLE, DATA_VARIABLE, use_data_folder
from fal_bench.isolation.child import NO_CHANNEL
from fal_bench.results.store import Store
from fal_bench.sweep.plan import Plan
from fal_bench.sweep.worker import Job, run_job

SUITE = """
seeds = 1

[tasks.photos]
dataset = "imagefolder[path=photos]"
clients = 2
model = { kind = "mlp", hidden = [4] }
rounds = 1
local_epochs = 1
initial_labels = 3
query_size = 2
budget_cap = 14
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data folder with three classes of small images, and a cache of its own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("test", 5)):
        for label, name in enumerate("abc"):
            path = tmp_path / "home" / "photos" / part / name
            path.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(80 * label, 80 * label + 90, (4, 4, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path / f"{number}.png")
    return tmp_path / "home"


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "photos.toml").write_text(SUITE)
    return str(tmp_path / "photos.toml")


def keys(suite, folder):
    with use_data_folder(folder):
        return [run.key for run in Plan.make("random", suite=suite, seeds=2).runs]


def change(folder):
    path = folder / "photos" / "train" / "a" / "0.png"
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(path)


def test_published_data_are_identified_by_their_name():
    [run] = Plan.make("random", suite="quick", seeds=1).runs[:1]
    assert "data" not in run.description


def test_the_key_follows_the_content_not_the_place(home, suite, tmp_path):
    before = keys(suite, home)
    shutil.copytree(home, tmp_path / "moved")
    shutil.rmtree(home)
    assert keys(suite, tmp_path / "moved") == before
    change(tmp_path / "moved")
    assert not set(keys(suite, tmp_path / "moved")) & set(before)


def test_workers_find_the_data_and_results_outlive_their_place(home, compare, tmp_path):
    compare = partial(compare, ["random", "fal-margin"], target_acc=0.4)
    first = compare(data_dir=home, jobs=2)
    assert not first.context.missing
    shutil.copytree(home, tmp_path / "moved")
    shutil.rmtree(home)
    started = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("curve.csv")}
    assert len(started) == 2
    again = compare(data_dir=tmp_path / "moved", backend="sequential")
    assert again.curves.equals(first.curves)
    assert started == {
        path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("curve.csv")
    }

    change(tmp_path / "moved")
    changed = compare(data_dir=tmp_path / "moved", backend="sequential")
    assert not changed.context.missing
    assert len(list((tmp_path / "results").rglob("curve.csv"))) == 4
    runs = fal_bench.load(tmp_path / "results").runs
    assert runs[runs["strategy"] == "random"]["data"].nunique() == 2


def test_data_that_change_after_planning_stop_the_run(home, suite, tmp_path):
    store = Store(tmp_path / "results")
    store.prepare()
    with use_data_folder(home):
        [run] = Plan.make("random", suite=suite).runs
        change(home)
        run_job(NO_CHANNEL, Job(store.root, (run,)))
    status = store.folder(run).status()
    assert status["phase"] == "failed"
    assert "planned with" in status["reason"]
