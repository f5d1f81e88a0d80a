"""CHASe's query: flips by hand, and which samples sleep and wake."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from untimed import resumed

from fal_bench.errors import InvalidSpecError
from fal_bench.strategies.chase_ev import CHASeEV, epistemic_variation
from fal_bench.task import Task


class Client:
    """Predictions that alternate as often as given; samples are 100, 101, ..."""

    def __init__(self, flips, cycle=0, memory=None, seed=0, without=()):
        ids = np.arange(len(flips)) + 100
        kept = ~np.isin(ids, without)
        epochs = max(flips) + 1
        predictions = [[min(epoch, own) % 2 for own in flips] for epoch in range(epochs)]
        self.unlabelled = ids[kept]
        self.epoch_predictions = np.array(predictions)[:, kept]
        self.cycle, self.memory = cycle, {} if memory is None else memory
        self.rng = np.random.default_rng(seed)


def test_flips_by_hand():
    predictions = np.array([[1, 0, 2], [1, 1, 2], [1, 0, 3], [1, 1, 3]])
    assert epistemic_variation(predictions).tolist() == [0, 3, 1]
    assert epistemic_variation(predictions[:1]).tolist() == [0, 0, 0]


def test_the_most_variable_are_queried_and_the_constant_frozen():
    client = Client([0, 3, 1, 0, 2, 0, 1, 1, 1, 1, 1])
    assert CHASeEV().select(client, 2).tolist() == [1, 4]
    # 100, 103 and 105 never changed. Six are active, as few as three queries hold, so one of the
    # three (40 %, rounded down) wakes.
    assert len(client.memory["dormant"]) == 2
    assert set(client.memory["dormant"]) < {100, 103, 105}


def test_no_client_wakes_while_more_than_three_queries_are_active():
    client = Client([0, 0, 0, 2, 1, 1, 1, 1])
    assert CHASeEV().select(client, 1).tolist() == [3]
    assert client.memory["dormant"].tolist() == [100, 101, 102]


def test_the_dormant_are_not_queried_whatever_they_do():
    memory = {"dormant": np.array([101, 104])}
    client = Client([1, 9, 2, 1, 9, 1, 1, 1, 1], cycle=3, memory=memory)
    assert CHASeEV().select(client, 1).tolist() == [2]
    # What was queried meanwhile is forgotten.
    client = Client([1, 9, 2, 1, 9, 1, 1, 1, 1], cycle=4, memory=memory, without=[102, 104])
    CHASeEV().select(client, 1)
    assert client.memory["dormant"].tolist() == [101]


def test_a_queried_constant_sample_is_not_frozen():
    client = Client([0] * 10)
    chosen = CHASeEV().select(client, 1)
    assert not set(client.unlabelled[chosen]) & set(client.memory["dormant"])
    assert len(client.memory["dormant"]) == 9 - 3


def test_ties_go_by_chance():
    counts = np.zeros(5)
    for seed in range(1000):
        counts[CHASeEV().select(Client([1, 1, 1, 1, 0], seed=seed), 1)] += 1
    assert counts[4] == 0
    assert np.abs(counts[:4] - 250).max() < 5 * 14


def test_a_subset_is_looked_at_after_the_first_query():
    flips = list(range(30))
    strategy = CHASeEV({"subset": 4})
    assert strategy.select(Client(flips), 3).tolist() == [29, 28, 27]
    chosen = strategy.select(Client(flips, cycle=1), 3)
    assert chosen.tolist() == sorted(chosen, reverse=True)
    assert chosen.tolist() != [29, 28, 27]
    assert len(strategy.select(Client(flips, cycle=1), 9)) == 9


def test_too_few_active_samples_wake_others_at_once():
    memory = {"dormant": np.arange(102, 110)}
    client = Client([1] * 10, cycle=2, memory=memory)
    chosen = CHASeEV().select(client, 6)
    # Two were active; 3 of 8 (40 %) and then 2 of 5 were woken.
    assert len(set(chosen.tolist())) == 6
    assert {0, 1} & set(chosen.tolist())


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(0, 9), st.data())
def test_always_the_exact_count(flips, cycle, data):
    n = len(flips)
    asleep = data.draw(st.sets(st.integers(100, 99 + n)))
    budget = data.draw(st.integers(1, n))
    memory = {"dormant": np.array(sorted(asleep), dtype=np.int64)} if asleep else {}
    client = Client(flips, cycle, memory)
    chosen = CHASeEV().select(client, budget)
    assert len(set(chosen.tolist())) == budget == len(chosen)
    assert not set(client.unlabelled[chosen]) & set(client.memory["dormant"])
    assert set(client.memory["dormant"]) <= set(client.unlabelled)


def test_one_local_epoch_is_refused(tiny):
    with pytest.raises(InvalidSpecError, match="local_epochs to 2"):
        CHASeEV().check_task(tiny)


def test_in_a_federation_also_after_an_interruption(tiny, blobs, run):
    task = Task.model_validate({**tiny.model_dump(), "local_epochs": 3, "budget_cap": 48})
    whole = run(task, CHASeEV, blobs)
    assert [row.labels for row in whole.rows] == list(range(12, 60, 6))
    assert any(len(memory["dormant"]) for memory in whole.states[0].memories[:-1])

    rest = run(task, CHASeEV, blobs, journal=resumed(whole.states[2]))
    assert rest.charges == whole.charges
