"""Who holds what, before anything runs."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fal_bench.data.clients import GivenClients
from fal_bench.errors import InvalidSpecError
from fal_bench.federation.holdings import Holdings
from fal_bench.federation.setting import Setting
from fal_bench.inspection.clients import ClientTable
from fal_bench.task import Task

NAMES = ("one", "few", "poor", "large")


@pytest.fixture
def sites(blobs):
    """One sample; five; two classes out of all; and the others."""
    labels = blobs.train_labels.numpy()
    owners = np.full(len(labels), 3)
    poor = np.flatnonzero(labels == 0)[:30]
    owners[poor] = 2
    rest = np.setdiff1d(np.arange(len(labels)), poor)
    owners[rest[0]] = 0
    owners[rest[1:6]] = 1
    return replace(blobs, clients=GivenClients(NAMES, owners))


def held(tiny, data, **fields):
    usual = {"partition": {"kind": "given"}, "initial_labels": 3, "budget_cap": 29}
    task = Task.model_validate({**tiny.model_dump(exclude={"clients"}), **usual, **fields})
    return Holdings.of(Setting.draw(task, 0, data), data)


def shown(holdings):
    console = Console(file=io.StringIO(), width=100)
    console.print(ClientTable(holdings))
    return console.file.getvalue()


@pytest.mark.parametrize("budget", ["equal", "proportional"])
def test_a_row_says_what_a_client_holds_and_buys(tiny, sites, budget):
    found = held(tiny, sites, budget=budget)
    frame = found.frame().set_index("client")
    assert frame.index.tolist() == list(NAMES)
    assert frame["pool"].tolist()[:3] == [1, 5, 30]
    assert frame.loc["poor", "classes"] == frame.loc["one", "classes"] == 1
    assert frame.loc["large", "classes"] == sites.n_classes
    assert frame["initial"].sum() == found.task.label_grid_start
    assert frame["query"].sum() == found.task.query_labels
    assert frame["at_cap"].sum() == found.task.budget_cap
    assert (frame["at_cap"] <= frame["pool"]).all()
    assert "test" not in frame
    assert "state" not in frame


def test_test_samples_and_other_shares_are_columns_where_there_are_some(tiny, sites):
    owners = np.arange(len(sites.test_labels)) % 4
    tested = replace(sites, clients=replace(sites.clients, test=owners))
    frame = held(tiny, tested, shares={"state": 0.5, "pool": 0.5}).frame()
    assert frame["test"].tolist() == np.bincount(owners).tolist()
    assert (frame["state"] + frame["pool"]).tolist()[:3] == [1, 5, 30]
    assert "agent" not in frame


def test_what_a_user_would_stumble_over_is_said(tiny, sites):
    single, short, untested = ClientTable(held(tiny, sites)).remarks
    assert "2 of 4 (one, poor)" in single
    assert "one" in short
    assert "large" not in short
    assert "test samples" in untested
    drawn = held(tiny, sites, partition={"kind": "iid"}, clients=2)
    assert ClientTable(drawn).remarks == []
    allotted = held(tiny, sites, allotment={"kind": "server", "at_most": 17})
    assert any("17" in remark for remark in ClientTable(allotted).remarks)


def made_up(sizes):
    clients = len(sizes)
    pool = np.array(sizes)
    task = Task(partition={"kind": "given"})
    names = tuple(f"site {number}" for number in range(clients))
    ones = np.ones(clients, dtype=np.int64)
    return Holdings(task, 2, names, pool, ones, None, ones, ones, ones, {}, {})


@given(st.lists(st.integers(1, 99), min_size=1, max_size=60))
def test_few_rows_stand_for_many_clients(sizes):
    rows = ClientTable(made_up(sizes)).rows
    assert len(rows) == min(len(sizes), 8)
    assert rows == sorted(set(rows))
    assert {min(sizes), max(sizes)} <= {sizes[row] for row in rows}


def test_a_thousand_clients_take_few_lines():
    text = shown(made_up([*range(500, 900), *range(1, 601)]))
    assert text.count("\n") < 20
    assert "and 992 others" in text
    assert "site 400 " in text  # the smallest
    assert "site 399 " in text  # the largest


def test_clients_of_the_data_are_never_passed_over_unnoticed(tiny, sites):
    task = Task(**{**tiny.model_dump(exclude={"partition"}), "clients": 4})
    unsaid = Holdings.of(Setting.draw(task, 0, sites), sites)
    with pytest.raises(InvalidSpecError, match=r'"given".*"iid"'):
        unsaid.check_chosen()
    said = Task(**{**tiny.model_dump(), "partition": {"kind": "iid"}, "clients": 4})
    assert said.hash == task.hash
    Holdings.of(Setting.draw(said, 0, sites), sites).check_chosen()
    plain = replace(sites, clients=None)
    Holdings.of(Setting.draw(task, 0, plain), plain).check_chosen()
