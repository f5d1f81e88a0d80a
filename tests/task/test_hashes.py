"""Identities of tasks never change: stored and published results are found by them."""

import json
from pathlib import Path

import pytest

from fal_bench.task import Task
from fal_bench.task.suite import load_suite, suite_names

PINNED = json.loads((Path(__file__).parent / "hashes.json").read_text())
PUBLISHED = Path(__file__).parents[2] / "results" / "published"


def test_the_hashes_of_all_tasks_of_all_shipped_suites():
    tasks = {f"{name}/{one.name}": one for name in suite_names() for one in load_suite(name).tasks}
    assert {name: task.hash for name, task in tasks.items() if name in PINNED} == PINNED


@pytest.mark.parametrize("folder", sorted(PUBLISHED.glob("*/")), ids=lambda folder: folder.name)
def test_the_hashes_of_published_tasks(folder):
    published = json.loads((folder / "provenance.json").read_text())["tasks"]
    for one in published:
        assert Task.model_validate(one["canonical"]).hash == one["hash"]


def test_a_task_whose_model_is_not_installed_is_read_and_keeps_its_hash():
    canonical = {"model": {"kind": "not-here", "widths": [3, 4], "dropout": 0.5}}
    task = Task.model_validate(canonical)
    assert task.canonical == canonical
    assert task.model.params == {"widths": [3, 4], "dropout": 0.5}
    assert Task.model_validate(task.canonical).hash == task.hash
    assert "not-here" in task.summary
