"""Federations as they are: clients that come with the data, their sizes, and their budgets."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from fal_bench.data.clients import GivenClients
from fal_bench.errors import InvalidSpecError, PluginError
from fal_bench.federation.setting import Setting
from fal_bench.plugins.strategy import Strategy
from fal_bench.strategies.random import Random
from fal_bench.task import Task

NAMES = ("one", "few", "poor", "large")
SIZES = (1, 5, 34, 200)


class First(Strategy):
    name = "first"

    def select(self, client, budget):
        assert budget <= len(client.unlabelled)
        return np.arange(budget)


class HalfOfIt(First):
    name = "half"
    adaptive = True

    def select(self, client, budget):
        return np.arange(budget)[::2]


@pytest.fixture(scope="module")
def hospitals(blobs):
    """One client with one sample, one with five, one with two classes only, and a large one."""
    labels = blobs.train_labels.numpy()
    poor = np.flatnonzero(labels < 2)[:34]
    rest = np.setdiff1d(np.arange(240), poor)
    owners = np.full(240, 3)
    owners[poor] = 2
    owners[rest[:1]] = 0
    owners[rest[1:6]] = 1
    return replace(blobs, clients=GivenClients(NAMES, owners))


def of(tiny, **fields):
    usual = {"partition": {"kind": "given"}, "initial_labels": 3, "budget_cap": 29}
    return Task.model_validate({**tiny.model_dump(exclude={"clients"}), **usual, **fields})


@pytest.fixture
def task(tiny):
    return of(tiny)


def by_client(journal):
    return np.array([row.labels_by_client.split() for row in journal.rows]).astype(int)


def test_each_client_holds_its_own_samples(task, hospitals):
    setting = Setting.draw(task, 0, hospitals)
    assert setting.task.clients == 4
    for client, own in enumerate(setting.shares):
        np.testing.assert_array_equal(own.pool, np.flatnonzero(hospitals.clients.train == client))


@pytest.mark.parametrize(
    ("budget", "initial"), [("equal", [1, 4, 4, 3]), ("proportional", [1, 1, 1, 9])]
)
def test_what_a_small_client_cannot_label_goes_to_the_others(run, task, hospitals, budget, initial):
    task = Task.model_validate({**task.model_dump(), "budget": budget})
    journal = run(task, First, hospitals)
    assert [row.labels for row in journal.rows] == [12, 20, 28, 29, 37]
    labels = by_client(journal)
    assert labels[0].tolist() == initial
    assert (np.diff(labels, axis=0) >= 0).all()
    if budget == "equal":
        assert labels[-1].tolist() == [1, 5, 16, 15]
    else:
        expected = np.array(SIZES) / sum(SIZES) * 37
        assert np.abs(labels[-1] - expected).max() < 1


def test_equal_cost_spends_as_much_at_every_client(run, tiny, blobs):
    prices = [3.0, 0.5, 1.0]
    costs = {str(client): price for client, price in enumerate(prices)}
    task = tiny.model_copy(update={"budget_cap": 52, "initial_labels": 4})
    task = Task.model_validate(task.model_dump() | {"budget": "equal-cost", "label_cost": costs})
    journal = run(task, First, blobs)
    labels = by_client(journal)
    money = task.budget_cap / sum(1 / price for price in prices)
    assert task.budget_cap in labels.sum(axis=1)
    for bought in labels:
        # A client is granted whole labels, in turn, so it is off by less than one.
        assert np.abs(bought - bought.sum() / task.budget_cap * money / prices).max() < 1
    with pytest.raises(ValueError, match="label_cost"):
        Task.model_validate(tiny.model_dump() | {"budget": "equal-cost"})


def test_what_an_adaptive_strategy_leaves_stays_its_clients(run, task, hospitals):
    setting = Setting.draw(task, 0, hospitals)
    labels = by_client(run(task, HalfOfIt, hospitals))
    bought = labels - labels[0]
    assert len(bought) > len(task.with_clients(4).looks)
    for cycle, (before, after) in enumerate(itertools.pairwise(bought)):
        left = setting.grants.granted(cycle) - before
        assert (after - before).tolist() == (-(-left // 2)).tolist()


@pytest.mark.parametrize("budget", ["equal", "proportional"])
def test_all_pools_can_be_used_up(run, tiny, hospitals, budget):
    task = of(tiny, initial_labels=1, query_size=40, budget_cap=80, budget=budget)
    journal = run(task, First, hospitals)
    assert [row.labels for row in journal.rows] == [4, 80, 240]
    assert by_client(journal)[-1].tolist() == list(SIZES)


def test_equal_budgets_are_as_they_were(blobs, tiny):
    setting = Setting.draw(tiny, 0, blobs)
    assert [len(own) for own in setting.initial] == [4, 4, 4]
    for cycle in range(tiny.fixed_cycles + 2):
        count = 2 * min(cycle + 1, tiny.fixed_cycles - 1)
        assert setting.grants.granted(cycle).tolist() == [count] * 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"budget_cap": 233}, "233 .* hold 240; lower budget_cap to 232"),
        ({"clients": 5}, "clients is 5, but data set 'digits' has 4"),
        ({"budget_cap": 12}, "budget_cap 12"),
        ({"long_tail": 2000}, "long_tail 2000 .* client 'one'"),
    ],
)
def test_tasks_that_do_not_suit_the_clients_are_refused(tiny, hospitals, fields, message):
    with pytest.raises(InvalidSpecError, match=message):
        Setting.draw(of(tiny, **fields), 0, hospitals)


def test_data_without_clients_are_refused(task, blobs):
    with pytest.raises(InvalidSpecError, match="'digits' comes with no clients"):
        Setting.draw(task, 0, blobs)


def test_a_tiny_client_keeps_its_sample_for_the_pool(tiny, hospitals):
    shares = {"state": 0.1, "warm_start": 0.2, "agent": 0.4, "pool": 0.3}
    setting = Setting.draw(of(tiny, shares=shares), 0, hospitals)
    assert [len(own.pool) for own in setting.shares] == [1, 1, 10, 60]
    assert [own.samples for own in setting.shares] == list(SIZES)


# The server divides the labels of a query.


class AllToOne(Strategy):
    """Buys everything at one client, as far as the limits allow."""

    name = "all-to-one"
    client = 3

    def select_all(self, federation):
        limits = np.array(federation.limits)
        budgets = np.zeros_like(limits)
        budgets[self.client] = min(limits[self.client], federation.total_budget)
        left = federation.total_budget - budgets.sum()
        for client in range(federation.clients):
            more = min(left, limits[client] - budgets[client])
            budgets[client] += more
            left -= more
        return federation.each(lambda view, budget: np.arange(budget), budgets)


def test_a_server_allots_where_the_task_lets_it(run, tiny, hospitals):
    free = of(tiny, query_size=3, allotment={"kind": "server"})
    labels = by_client(run(free, AllToOne, hospitals))
    assert np.diff(labels[:, 3]).tolist() == [12, 5, 12]
    assert (labels[:, :3] == labels[0, :3]).all()
    limited = of(tiny, query_size=3, allotment={"kind": "server", "at_most": 4})
    journal = run(limited, AllToOne, hospitals)
    labels = by_client(journal)
    assert np.diff(labels[:, 3]).tolist()[:2] == [4, 4]
    assert np.diff(labels, axis=0).max() == 4
    fixed = by_client(run(of(tiny, query_size=3), AllToOne, hospitals))
    np.testing.assert_array_equal(fixed, by_client(run(of(tiny, query_size=3), First, hospitals)))


def test_a_plain_strategy_buys_the_usual_parts_of_each_query(run, tiny, hospitals):
    task = of(tiny, query_size=3, allotment={"kind": "server"})
    journal = run(task, First, hospitals)
    assert [row.labels for row in journal.rows] == [12, 24, 29, 41]
    assert np.diff(by_client(journal), axis=0)[0].tolist() == [0, 1, 6, 5]


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ([0, 0, 0, 13], "13"),
        ([0, 0, -1, 5], "client 2 is -1"),
        ([1, 0, 0, 11], "client 0 is 1"),
        ([0, 0, 0, 11], "12 .* not 11"),
        ([0, 0, 12], r"\(3,\)"),
        ([0, 0, 0.0, 12.0], "float"),
    ],
)
def test_a_server_that_breaks_the_rules_is_refused(run, tiny, hospitals, budgets, message):
    class Greedy(Strategy):
        name = "greedy"

        def select_all(self, federation):
            return federation.each(lambda view, budget: np.arange(budget), budgets)

    task = of(tiny, query_size=3, allotment={"kind": "server"})
    with pytest.raises(PluginError, match=message):
        run(task, Greedy, hospitals)


def test_an_allotment_is_sent_to_the_clients(run, tiny, hospitals):
    task = of(tiny, query_size=3, allotment={"kind": "server"})
    rows, usual = (run(task, kind, hospitals).rows for kind in (AllToOne, First))
    assert rows[1].bytes_down - usual[1].bytes_down == 4 * 8


def test_clients_are_measured_where_their_test_samples_are_known(run, task, tiny, hospitals, blobs):
    tested = np.arange(len(blobs.test_labels)) % len(NAMES)
    hospitals = replace(hospitals, clients=replace(hospitals.clients, test=tested))
    names = {"worst_client_accuracy", "mean_client_accuracy", "client_accuracy_spread"}
    for row in run(task, Random, hospitals).rows:
        assert names <= row.metrics.keys()
        assert row.metrics["worst_client_accuracy"] <= row.metrics["mean_client_accuracy"]
    assert not names & run(tiny, Random, blobs).rows[0].metrics.keys()


@pytest.mark.parametrize(
    ("one", "other"),
    [("North ", "north"), ("a b", "A  b"), ("K\u00f6ln", "Ko\u0308ln")],
    ids=["case", "blanks", "encoding"],
)
@pytest.mark.parametrize("place", ["train", "test"])
def test_names_that_differ_in_case_or_blanks_alone_are_refused(one, other, place):
    owners = {"train": ([one, other], None), "test": ([one, "x"], [other, "x"])}[place]
    with pytest.raises(ValueError, match="clients") as caught:
        GivenClients.named(*owners)
    assert repr(one) in str(caught.value)
    assert repr(other) in str(caught.value)
    GivenClients.named([one, f"{other} 2"])
