"""The suites with a page: consistent, documented, and able to run, without their data."""

import functools
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
import torchvision.models

from fal_bench.data import loading
from fal_bench.data.folders import CACHE_VARIABLE, DATA_VARIABLE
from fal_bench.data.loading import load_dataset
from fal_bench.datasets import fashion_mnist
from fal_bench.inputs.selector import Selector
from fal_bench.models import resnet18
from fal_bench.plugins.registry import Registry
from fal_bench.results.record import read_record
from fal_bench.strategies.random import Random
from fal_bench.sweep.plan import DEFAULT_STRATEGIES, Plan
from fal_bench.task import Task
from fal_bench.task.suite import find_suite, load_suite

DOCS = Path(__file__).parent.parent / "docs"


def writer_of_pages():
    spec = importlib.util.spec_from_file_location("suites", DOCS / "suites.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRITER = writer_of_pages()
written = functools.cache(WRITER.pages)
PRESETS = WRITER.paged()
TASKS = [task for name in PRESETS for task in load_suite(name).own_tasks]


def test_the_papers_are_there():
    papers = {"fedral-cifar10", "fedral-cifar100", "logo-cifar10", "kafal-cifar10"}
    assert papers | {"fairfal-fmnist", "low-budget", "low-budget-cifar"} <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_pages_say_what_the_suites_say(name):
    """Written again by ``python docs/suites.py``."""
    pages = written()
    for path in (DOCS / "suites" / "README.md", DOCS / "suites" / f"{name}.md"):
        assert path.read_text(encoding="utf-8") == pages[path]


@pytest.mark.parametrize("name", PRESETS)
def test_every_page_says_what_is_faithful_how_long_it_takes_and_what_was_published(name):
    text = (DOCS / "suites" / f"{name}.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    paper = ["Faithful", "Not faithful", "How long", "Published numbers"]
    own = ["What it asks", "How long", "Published results"]
    optional = ("Is it worth its minutes?", "Measured here")
    headings = [one for one in headings if one not in optional]
    assert headings == ["Protocol", *(own if name in WRITER.OWN else paper)]
    assert f"falbench compare --suite {name}\n" in text


@pytest.mark.parametrize("name", PRESETS)
def test_every_suite_plans_its_own_comparison(name):
    suite = load_suite(name)
    if "watch-people" in suite.shared:
        pytest.importorskip("seglearn")  # its people are counted
    plan = Plan.make(suite=name, device="cpu")
    assert plan.notes == ()
    assert "random" in plan.strategies  # what savings and automatic targets refer to
    strategies = suite.strategies or DEFAULT_STRATEGIES
    assert len(plan.strategies) == len(strategies)
    assert len(plan.runs) == len(suite.tasks) * suite.seeds * len(strategies)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_published_data_hold_what_a_task_asks_for(task):
    """Partition, shares, pools and initial labels, drawn at the true sizes."""
    setting = WRITER.setting(task)
    assert WRITER.setting(task, seed=1).pool == setting.pool  # one number says it for all seeds
    registry = Registry.discover()
    suite = find_suite(task.name).name
    plan = Plan.make(suite=suite, task=task.name, seeds=1, device="cpu")
    for selector in {str(run.strategy): run.strategy for run in plan.runs}.values():
        strategy = registry.make(selector)
        strategy.check_task(task)
        strategy.check_shares(task, setting.smallest_shares)


def test_query_pools_are_those_of_the_published_results():
    published = {}
    for folder in (DOCS.parent / "results" / "published").glob("*/"):
        published |= {task.name: task.pool for task in read_record(folder).tasks}
    drawn = {task.name: WRITER.setting(task).pool for task in TASKS if task.name in published}
    assert {"digit-pairs-long-tail", "fmnist-iid"} <= set(drawn)
    assert drawn == {name: published[name] for name in drawn}


SHAPES = {"cifar10": (32, 32, 3), "cifar100": (32, 32, 3), "fashion-mnist": (28, 28)}


@pytest.fixture
def small_data(tmp_path, monkeypatch):
    """Return a function that writes a few random images of a data set's shape and classes."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))

    def small(selector):
        if selector.name == "frozen":
            inner = small(Selector.parse(selector.params["dataset"]))
            return f"frozen[dataset={inner},weights=none,size=33]"
        if selector.name not in WRITER.CLASSES:
            return str(selector)  # it ships with scikit-learn
        n_classes = WRITER.CLASSES[selector.name][1]
        rng = np.random.default_rng(0)
        content = {}
        for part, count in (("train", 200), ("test", max(20, n_classes))):
            pixels = rng.integers(0, 256, (count, *SHAPES[selector.name]), dtype=np.uint8)
            labels = np.arange(count) % n_classes
            content |= {f"{part}_images": pixels, f"{part}_labels": labels}
        np.savez(tmp_path / "small.npz", **content)
        return "npz[path=small.npz]"

    yield small
    loading._load.cache_clear()


@pytest.fixture
def imagenet(monkeypatch):
    """Weights of the right shapes in the place of ImageNet's."""
    state = torchvision.models.resnet18().state_dict()
    monkeypatch.setattr(resnet18, "_published", lambda: state)


def reduced(task, **changes):
    rounds, clients = min(task.evaluation_rounds, 2), min(task.clients, 3)
    small = {
        "clients": clients,
        "rounds": rounds,
        "evaluation_rounds": rounds,
        "local_epochs": 1,
        "batch_size": 4,
        "initial_labels": 1,
        "query_size": 1,
        "budget_cap": 2 * clients,
    }
    return Task.model_validate({**task.model_dump(), **small, **changes})


# Tasks that differ in what is reduced alone are one.
DIFFERENT = {reduced(task).hash: task for task in TASKS}.values()


@pytest.mark.usefixtures("imagenet")
@pytest.mark.parametrize("task", DIFFERENT, ids=lambda task: task.name)
def test_a_reduced_copy_of_every_task_runs_to_its_end(task, small_data, run):
    small = reduced(task, dataset=small_data(Selector.parse(task.dataset)))
    rows = run(small, Random, load_dataset(small.dataset)).rows
    assert [row.labels for row in rows] == [n * small.clients for n in (1, 2, 3)]
    assert all(np.isfinite(row.metrics["loss"]) for row in rows)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "quick"])  # has its data
def test_without_data_a_dry_run_says_what_is_missing_and_where_to_put_it(
    name, falbench, tmp_path, monkeypatch
):
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "no-such-package")
    nowhere = "http://127.0.0.1:1/"
    for kind in (torchvision.datasets.CIFAR10, torchvision.datasets.CIFAR100):
        monkeypatch.setattr(kind, "url", nowhere + kind.filename)
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [nowhere])
    task = load_suite(name).own_tasks[-1].name
    asked = ["compare", "--suite", name, "--task", task, "--dry-run", "--device", "cpu"]
    code, _, err = falbench(*asked)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert str(tmp_path / "data") in err
    assert "FALBENCH_DATA" in err
    assert not (tmp_path / "results").exists()
