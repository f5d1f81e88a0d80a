"""How long a comparison takes: from what is stored, else measured in workers, and honest."""

from dataclasses import replace

import pytest
import torch

from fal_bench.data.base import Dataset
from fal_bench.data.folders import current_folders
from fal_bench.isolation.child import NO_CHANNEL
from fal_bench.learning import engine
from fal_bench.results.store import Store
from fal_bench.sweep import estimate as estimating
from fal_bench.sweep import pilot
from fal_bench.sweep.estimate import estimate
from fal_bench.sweep.groups import updates
from fal_bench.sweep.pilot import Pilot
from fal_bench.sweep.plan import Plan
from fal_bench.sweep.supervisor import Supervisor
from fal_bench.task import Task

START = 3.0
TRAINING = 10.0


@pytest.fixture
def timed(monkeypatch):
    """The tasks that are timed; workers start in three seconds, a run trains for ten."""
    found = []

    def time_tasks(tasks, device, jobs, plugins, inline):
        found.append([task.name for task in tasks])
        return Pilot(START, {task.hash: TRAINING for task in tasks})

    monkeypatch.setattr(estimating, "time_tasks", time_tasks)
    return found


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "results")
    store.prepare()
    return store


def planned(suite, strategies, task="a", seeds=2):
    return list(Plan.make(strategies, suite=suite, task=task, seeds=seeds).runs)


def set_seconds(store, runs, train, select):
    """Finish runs, and let their curves say how long they took."""
    Supervisor(store, backend="sequential").run(runs)
    for run in runs:
        folder = store.folder(run)
        rows = folder.rows()
        folder.resume()
        for row in rows:
            spent = {"train_seconds": train / len(rows), "select_seconds": select / len(rows)}
            folder.append(replace(row, **spent))
        folder.finish([], [])


def test_what_is_not_known_of_strategies_makes_it_a_lower_bound(timed, store, suite):
    runs = planned(suite, "random,logo", task=None)
    found = estimate(store, runs, runs, 2)
    assert found.seconds == START + 4 * TRAINING  # four runs in each of two workers
    assert found.unknown == ("random", "logo")
    assert timed == [["a", "b"]]
    assert estimate(store, runs, [], 2).seconds == 0
    assert estimate(store, runs, runs, 2, inline=True).seconds == START + 8 * TRAINING


def test_finished_runs_say_what_a_strategy_costs(timed, store, suite):
    runs = planned(suite, "random,logo")
    set_seconds(store, [runs[0]], train=6.0, select=2.0)
    assert runs[0].label == "random"
    found = estimate(store, runs, [runs[2]], 1)
    assert (found.seconds, found.unknown) == (pytest.approx(START + 8.0), ())
    found = estimate(store, runs, [runs[1]], 1)  # logo: trains as random did
    assert (found.seconds, found.unknown) == (pytest.approx(START + 6.0), ("logo",))
    assert timed == [[], []]


def test_finished_runs_that_took_no_time_are_known(timed, store, suite):
    """Clients that drop out of every round train nothing."""
    runs = planned(suite, "random,logo")
    set_seconds(store, [runs[0]], train=0.0, select=0.0)
    found = estimate(store, runs, runs[1:], 1)
    assert (found.seconds, found.unknown) == (START, ("logo",))
    assert timed == [[]]


def test_one_long_group_is_as_long_as_it_is(timed, store, suite):
    [run] = planned(suite, "random", seeds=1)
    assert estimate(store, [run], [run], 8).seconds == START + TRAINING
    assert timed == [["a"]]


def test_a_trial_in_workers_is_as_long_as_what_it_stands_for(store, suite):
    """A tenth or ten times: other jobs on the machine may do much, and a wrong unit does more."""
    runs = planned(suite, "random", seeds=1)
    found = pilot.time_tasks([runs[0].task], "cpu", 2)
    assert 0 <= found.start < 120  # next to nothing where workers are there from before
    Supervisor(store, backend="sequential").run(runs)
    trained = sum(row.train_seconds for row in store.folder(runs[0]).rows())
    assert trained / 10 < found.runs[runs[0].task.hash] < trained * 10
    assert not list(store.root.rglob("in-plugin.json"))


def test_a_task_whose_clients_all_drop_out_takes_no_time():
    task = Task(
        clients=1, rounds=1, initial_labels=5, query_size=10, budget_cap=15, dropouts=0.999999
    )
    assert pilot.time_tasks([task], "cpu", 1, inline=True).runs == {task.hash: 0.0}


@pytest.mark.parametrize("kind", ["cnn4", "resnet18"])
def test_large_networks_are_timed_on_a_few_steps(monkeypatch, kind):
    clock, samples = [0.0], []

    def train(requests):  # takes a second a sample
        [request] = requests
        samples.append(sum(len(lane.labels) for lane in request.lanes) * request.training.epochs)
        clock[0] += samples[-1]

    monkeypatch.setattr(engine, "train", train)
    monkeypatch.setattr(pilot.time, "perf_counter", lambda: clock[0])
    labels = torch.arange(100) % 4
    features = torch.zeros(100, 1, 16, 16)
    dataset = Dataset("flat", features, labels, features, labels, 4)
    monkeypatch.setattr("fal_bench.data.loading.load_dataset", lambda _: dataset)
    task = Task(
        model={"kind": kind}, clients=2, initial_labels=4, query_size=2, budget_cap=16,
        batch_size=16,
    )  # fmt: skip
    runs, _ = pilot._trial(NO_CHANNEL, [task], "cpu", current_folders(), ())
    assert runs == {task.hash: pytest.approx(16 * updates(task))}  # 16 samples a step
    assert 0 < sum(samples) <= 200
