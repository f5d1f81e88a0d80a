"""The page on users' own data: its tasks run as written, and the table of kinds is complete."""

import csv
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from fal_bench.data.loading import load_dataset
from fal_bench.plugins.registry import Registry, use_registry
from fal_bench.strategies.random import Random
from fal_bench.task import Task
from fal_bench.task.suite import load_suite

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "bring-your-data.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```(?:toml|python)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
ROWS = 160


@pytest.fixture
def data(folders):
    """The files that the page speaks of."""
    rng = np.random.default_rng(0)
    sites = [f"site {row % 4}" for row in range(ROWS)]
    labels = rng.integers(2, size=ROWS)
    ages, incomes = rng.integers(20, 70, ROWS), labels + rng.normal(size=ROWS)
    jobs = rng.choice(["clerk", "nurse"], ROWS)
    columns = {
        "bank.csv": {"age": ages, "income": incomes, "job": jobs, "branch": sites},
        "reviews.csv": {"review": np.where(labels, "good food", "bad food"), "site": sites},
    }
    for name, content in columns.items():
        label = "default" if name == "bank.csv" else "stars"
        with (folders.data / name).open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow([*content, label])
            rows.writerows(zip(*content.values(), labels, strict=True))
    arrays = {}
    for part in ("train", "test"):
        arrays[f"{part}_images"] = rng.normal(size=(ROWS, 2, 1, 16))
        arrays[f"{part}_labels"] = labels
    np.savez(folders.data / "gestures.npz", **arrays)
    return folders.data


def tasks(folder, name):
    (folder / name).write_text(FILES[name])
    return load_suite(str(folder / name)).tasks


@pytest.mark.parametrize(
    ("name", "kind"),
    [("bank.toml", "vector"), ("reviews.toml", "vector"), ("gestures.toml", "series")],
)
def test_the_tasks_of_the_page_run_to_their_end(data, run, name, kind):
    [task] = tasks(data, name)
    dataset = load_dataset(task.dataset)
    assert dataset.kind == kind
    rows = run(task, Random, dataset).rows
    assert rows[-1].labels >= task.budget_cap


def test_the_model_of_the_page_is_trained_on_the_table(data, run):
    (data / "nets.py").write_text(FILES["nets.py"])
    [task] = tasks(data, "bank.toml")
    [written] = re.findall(r"`model = (\{ kind = \"tabular\".*?\})`", PAGE)
    fields = dict(re.findall(r'(\w+) = "?(\w+)"?', written))
    model = {"kind": fields["kind"], "width": int(fields["width"])}
    with use_registry(Registry.discover([data / "nets.py"])):
        own = Task.model_validate({**task.model_dump(), "model": model, "budget_cap": 60})
        assert len(run(own, Random, load_dataset(task.dataset)).rows) == 3


def kinds():
    spec = importlib.util.spec_from_file_location("kinds", DOCS / "kinds.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_kinds_has_every_strategy_and_kind():
    """Written again by ``python docs/kinds.py``, which runs all of them."""
    module, registry = kinds(), Registry.discover()
    written = (DOCS / "kinds.md").read_text(encoding="utf-8")
    assert written.startswith(module.HEAD)
    rows = re.findall(r"^\| `(.+?)` \| (.+) \|$", written, re.MULTILINE)
    assert [name for name, _ in rows] == module.names_of(registry)
    assert {cells.count("|") + 1 for _, cells in rows} == {len(module.KINDS)}


@pytest.mark.parametrize("kind", ["images", "series", "table", "text"])
def test_the_table_is_made_by_running(folders, kind):
    """A strategy whose trainer mixes samples, and one that finetunes."""
    module, registry = kinds(), Registry.discover()
    module.write_files(folders.data)
    for name in ("ksas", "ft-entropy"):
        assert module.outcome(registry, name, kind) == "yes"
