"""Clients that come with the data are counted when a comparison is planned."""

from pathlib import Path

import numpy as np
import pytest

import fal_bench
from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.selector import Selector
from fal_bench.isolation.child import NO_CHANNEL
from fal_bench.plugins.registry import Registry
from fal_bench.results.store import Store
from fal_bench.sweep.plan import Plan, check_tasks, see_clients
from fal_bench.sweep.spec import plan_runs
from fal_bench.sweep.worker import Job, run_job
from fal_bench.task import Task

SUITE = """
[tasks.sites]
dataset = "{dataset}"
partition = {{ kind = "given" }}
model = {{ kind = "mlp", hidden = [4] }}
rounds = 1
local_epochs = 1
initial_labels = 3
query_size = 2
budget_cap = 23
{more}
"""


WARDS = """
import numpy as np
import torch
from fal_bench import Dataset, GivenClients, dataset


@dataset
def wards() -> Dataset:
    \"\"\"Samples of three wards.\"\"\"
    features, labels = torch.zeros(60, 2, 1, 1), torch.arange(60) % 2
    owners = GivenClients.named(np.array(["a", "b", "c"])[np.arange(60) % 3])
    return Dataset("wards", features, labels, features, labels, 2, clients=owners)
"""


@pytest.fixture
def suite(tmp_path):
    def write(dataset="npz[path=mine.npz]", more=""):
        (tmp_path / "sites.toml").write_text(SUITE.format(dataset=dataset, more=more))
        return str(tmp_path / "sites.toml")

    return write


@pytest.fixture
def save(folders):
    """Write samples of some clients; the last one has a single sample."""

    def write(clients):
        rng = np.random.default_rng(0)
        content = {"train_clients": np.append(np.arange(59) % (clients - 1), clients - 1)}
        for part, count in (("train", 60), ("test", 20)):
            content[f"{part}_images"] = rng.normal(size=(count, 3)).astype(np.float32)
            content[f"{part}_labels"] = np.arange(count) % 2
        np.savez(folders.data / "mine.npz", **content)

    return write


def check(suite):
    plan = Plan.make("random", suite=suite, seeds=1)
    plan.check(plan.runs, here=True)


def test_the_task_of_a_plan_has_the_clients_of_its_data(suite, save):
    planned = {}
    for clients in (4, 5, 6):
        save(clients)
        [run] = Plan.make("random", suite=suite(), seeds=1).runs
        assert run.task.clients == clients
        assert run.task.label_grid_start == 3 * clients
        planned[clients] = run
    assert len({run.key for run in planned.values()}) == 3
    assert len({run.task.hash for run in planned.values()}) == 1
    save(5)
    [stated] = Plan.make("random", suite=suite(more="clients = 5"), seeds=1).runs
    assert stated.key == planned[5].key


@pytest.mark.parametrize(
    ("clients", "dataset", "more", "message"),
    [
        (4, "npz[path=mine.npz]", "clients = 5", "clients is 5, .* has 4"),
        (8, "npz[path=mine.npz]", "", "budget_cap 23 .* 24 initial labels of 8 clients"),
        (4, "digits", "", "'digits' comes with no clients"),
    ],
)
def test_a_task_that_does_not_suit_its_data_is_refused(
    suite, save, clients, dataset, more, message
):
    save(clients)
    with pytest.raises(InvalidSpecError, match=message):
        check(suite(dataset, more))


def test_results_are_found_by_the_suite_without_the_data(suite, save, tmp_path, folders):
    save(5)
    plan = Plan.make("random", suite=suite(), seeds=1)
    with Store(tmp_path / "out").lock():
        run_job(NO_CHANNEL, Job(tmp_path / "out", plan.runs))
    (folders.data / "mine.npz").unlink()
    results = fal_bench.load(tmp_path / "out", suite=suite())
    assert results.tasks["name"].tolist() == ["sites"]
    [spec] = results.tasks["spec"]
    assert spec.clients == 5
    assert results.curves["labels"].tolist() == list(spec.looks) == [15, 23, 33]
    assert results.curves["labels_by_client"].iloc[0].split()[-1] == "1"


def test_a_data_set_of_a_plugin_file_may_have_clients(tmp_path, folders):
    (tmp_path / "wards.py").write_text(WARDS)
    task = Task(dataset="wards", partition={"kind": "given"})
    assert see_clients(NO_CHANNEL, task, [tmp_path / "wards.py"], folders).clients == 3


NORMALISED = """
from collections import OrderedDict
from torch import nn
from fal_bench import model


@model
def normalised(input_shape, n_classes):
    \"\"\"Batch normalisation of vectors.\"\"\"
    body = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(input_shape[0]))
    return nn.Sequential(OrderedDict(body=body, head=nn.Linear(input_shape[0], n_classes)))
"""


@pytest.mark.parametrize(
    ("clients", "changes", "culprit"),
    [
        (4, {}, "one sample"),
        (3, {"initial_labels": 1}, "one sample"),
        (3, {"initial_labels": 1, "partition": {"kind": "iid"}, "clients": 3}, "initial_labels"),
        (3, {"batch_size": 2, "partition": {"kind": "iid"}, "clients": 3}, "batch_size"),
        (3, {"batch_size": 3, "partition": {"kind": "iid"}, "clients": 3}, None),
    ],
)
def test_a_model_that_cannot_train_on_one_sample_never_gets_one(
    save, tmp_path, folders, clients, changes, culprit
):
    save(clients)
    (tmp_path / "nets.py").write_text(NORMALISED)
    fields = {"initial_labels": 3, "query_size": 2, "budget_cap": 23, **changes}
    task = Task.model_validate(
        {
            "dataset": "npz[path=mine.npz]",
            "partition": {"kind": "given"},
            "model": {"kind": "normalised"},
            **fields,
        }
    )
    registry = Registry.discover([tmp_path / "nets.py"])
    [run] = plan_runs([see(task, folders)], [Selector("random")], range(1), registry, "cpu")
    if culprit is None:
        assert check_tasks(NO_CHANNEL, [run], folders)[run.task.hash].pool.sum() == 60
        return
    with pytest.raises(InvalidSpecError, match=f"'normalised'.*{culprit}"):
        check_tasks(NO_CHANNEL, [run], folders)


def see(task, folders):
    return task if task.clients else see_clients(NO_CHANNEL, task, [], folders)


def test_clients_of_a_suite_are_a_frame(suite, save):
    save(4)
    frame = fal_bench.clients(suite())
    assert frame["task"].tolist() == ["sites"] * 4
    assert frame["client"].tolist() == ["0", "1", "2", "3"]
    assert frame["pool"].sum() == 60
    drawn = suite().replace("sites.toml", "drawn.toml")
    Path(drawn).write_text(Path(suite()).read_text().replace('partition = { kind = "given" }', ""))
    with pytest.raises(InvalidSpecError, match="4 clients of its own"):
        fal_bench.clients(drawn)
