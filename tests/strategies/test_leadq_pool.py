"""LeaDQ on a real (tiny) federation, and its client's part on toy pools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from untimed import resumed, untimed

from fal_bench.errors import InvalidSpecError
from fal_bench.federation.setting import Setting
from fal_bench.strategies.leadq_pool import LeaDQPool
from fal_bench.strategies.leadq_pool.arrivals import Arrivals, default_reward_labels
from fal_bench.strategies.random import Random
from fal_bench.task import Task

SHORT = {"arrivals": 4, "batch_size": 3, "updates": 5, "hidden": 8, "mixer_hidden": 4}


def leadq(**params):
    return lambda: LeaDQPool({**SHORT, **params})


@pytest.fixture(scope="session")
def client_of(table_client):
    def make(logits, reward=(), seed=0):
        client = table_client({"global": logits}, seed=seed)
        client.memory["leadq"] = {"reward": np.array(reward, dtype=np.int64)}
        return client

    return make


class TestClient:
    def test_loss_and_hits_on_the_reward_set(self, table_client):
        logits = np.random.default_rng(0).normal(size=(9, 3))
        truth = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
        client, bought = table_client({"global": logits}), []

        def buy(ids, purpose):
            bought.append((ids.tolist(), purpose))
            return truth[ids]

        client.buy = buy
        report = Arrivals(client, 4).measure(5)
        [(ids, purpose)] = bought
        assert purpose == "reward"
        assert len(ids) == 5 == len(set(ids))
        own = np.array(ids)
        losses = -log_softmax(logits[own], axis=1)[np.arange(5), truth[own]]
        np.testing.assert_allclose(report[0], losses, rtol=1e-5)
        np.testing.assert_array_equal(report[1], logits[own].argmax(axis=1) == truth[own])
        Arrivals(client, 4).measure(5)
        assert bought[1] == bought[0]  # the set stays

    def test_one_sample_is_always_left_for_the_query(self, table_client):
        client = table_client({"global": np.zeros((3, 2))})
        client.buy = lambda ids, purpose: np.zeros(len(ids), dtype=np.int64)
        assert Arrivals(client, 4).measure(50).shape == (2, 2)

    def test_a_client_with_nothing_left_sends_empty_messages(self, table_client):
        client = table_client({"global": np.zeros((0, 3))})
        client.buy = lambda ids, purpose: np.zeros(len(ids), dtype=np.int64)
        arrivals = Arrivals(client, 4)
        assert arrivals.measure(5).shape == (2, 0)
        assert arrivals.observe().shape == (0, 4, 3)
        assert arrivals.report().shape == (0,)

    def test_observations_are_the_softmax_outputs_and_zero_for_empty_places(self, client_of):
        client = client_of(np.random.default_rng(1).normal(size=(5, 3)))
        arrivals = Arrivals(client, 4)
        subpools = arrivals.draw(2)  # five samples: three and two
        assert (subpools >= 0).sum(axis=1).tolist() == [3, 2]
        seen = arrivals.observe()
        probs = client.probs(client.global_model)
        for row, positions in zip(seen, subpools, strict=True):
            for outputs, position in zip(row, positions, strict=True):
                expected = np.zeros(3) if position < 0 else probs[position]
                np.testing.assert_array_equal(outputs, expected)

    def test_least_confidence_chooses_until_there_are_values(self, client_of):
        logits = [[2.0, 0], [0.1, 0], [1.0, 0], [3.0, 0], [0.5, 0], [0.2, 0]]
        arrivals = Arrivals(client_of(logits), 3)
        subpools = arrivals.draw(2)
        expected = [min(row, key=lambda i: logits[i][0]) for row in subpools]
        assert arrivals.choose(None, 0.0).tolist() == expected
        values = np.array([[0.0, 5, 1], [7, -1, 2]])
        assert arrivals.choose(values, 0.0).tolist() == [subpools[0, 1], subpools[1, 0]]
        assert arrivals.report().tolist() == [1, 0]

    def test_epsilon_tries_every_sample(self, client_of):
        counts = np.zeros(4)
        for seed in range(600):
            arrivals = Arrivals(client_of(np.zeros((4, 2)), seed=seed), 4)
            arrivals.draw(1)
            arrivals.choose(np.array([[9.0, 0, 0, 0]]), 0.5)
            counts[arrivals.report()] += 1
        # A half and an eighth of 600 for the best, an eighth each for the rest; five deviations.
        np.testing.assert_allclose(counts, [375, 75, 75, 75], atol=5 * 12)

    @given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 30), st.data())
    def test_sub_pools_hold_distinct_samples_and_the_reward_set_last(
        self, client_of, n, size, held, data
    ):
        budget = data.draw(st.integers(1, n))
        held = min(held, n - 1)
        reward = np.array(data.draw(st.permutations(range(n)))[:held], dtype=np.int64)
        arrivals = Arrivals(client_of(np.zeros((n, 2)), reward=np.sort(reward)), size)
        subpools = arrivals.draw(budget)
        drawn = subpools[subpools >= 0]
        assert len(np.unique(drawn)) == len(drawn)
        assert (subpools >= 0).any(axis=1).all()
        from_reward = np.isin(drawn, reward).sum()
        assert from_reward == max(budget - (n - held), 0)
        chosen = arrivals.choose(None, 0.0)
        assert len(np.unique(chosen)) == budget
        assert set(chosen) <= set(drawn)


def test_the_reward_set_is_shared_and_bounded():
    assert default_reward_labels(clients=10, unlabelled=5000) == 100
    assert default_reward_labels(clients=10, unlabelled=500) == 50
    assert default_reward_labels(clients=3000, unlabelled=500) == 1
    assert default_reward_labels(clients=3, unlabelled=4) == 1


def test_the_reward_set_is_charged_and_not_queried(tiny, blobs, run):
    journal = run(tiny, leadq(reward_labels=7), blobs)
    reward = {(c, s) for c, s, purpose, _ in journal.charges if purpose == "reward"}
    queried = {(c, s) for c, s, purpose, _ in journal.charges if purpose == "pool"}
    assert {purpose for _, _, purpose, _ in journal.charges} == {"initial", "pool", "reward"}
    assert len(reward) == 3 * 7
    assert not reward & queried
    for row in journal.rows[1:]:
        assert row.labels_strict == row.labels + 21
    assert [row.labels for row in journal.rows] == [12, 18, 24, 30]


def test_every_message_is_counted(tiny, blobs, run):
    ours = run(tiny, leadq(reward_labels=7), blobs).rows
    plain = run(tiny, Random, blobs).rows
    # Up, per client: losses and hits of 7 samples, 2 sub-pools of 4 samples with 4 float32
    # probabilities, and 2 int64 choices.
    assert ours[1].bytes_up - plain[1].bytes_up == 3 * (2 * 7 * 4 + 2 * 4 * 4 * 4 + 2 * 8)
    # Down: nothing before the network is warm (two transitions a cycle, three are needed), then
    # the float32 weights of layers of 16 to 8, 8 to 8 and 8 to 4.
    down = [row.bytes_down - other.bytes_down for row, other in zip(ours, plain, strict=True)]
    weights = 4 * (16 * 8 + 8 + 8 * 8 + 8 + 8 * 4 + 4)
    assert down == [0, 0, 0, 3 * weights]


def test_the_network_takes_over_when_it_is_warm_and_learns_on(tiny, blobs, run):
    long = Task.model_validate({**tiny.model_dump(), "budget_cap": 60})
    states = run(long, leadq(), blobs).states
    updates = [state.memories[-1]["learner"]["values"]["updates"] for state in states]
    assert updates == [0, 0, 5, 10, 15, 20, 25, 30, 35]
    stored = [len(s.memories[-1]["learner"]["arrays"]["replay/actions"]) for s in states]
    assert stored == [0, 2, 4, 6, 8, 10, 12, 14, 16]


def test_the_reward_is_the_change_of_accuracy_shared_by_the_queries(tiny, blobs, run):
    states = run(tiny, leadq(), blobs).states
    percent = [state.memories[-1]["waiting"]["percent"] for state in states]
    rewards = states[-1].memories[-1]["learner"]["arrays"]["replay/rewards"].ravel()
    np.testing.assert_allclose(rewards, np.repeat(np.diff(percent), 2) / 2, atol=1e-4)
    assert all(0 <= value <= 100 for value in percent)


@pytest.mark.parametrize("mixer", ["trained", "frozen", "sum"])
def test_a_resumed_run_equals_an_uninterrupted_one(tiny, blobs, run, mixer):
    long = Task.model_validate({**tiny.model_dump(), "budget_cap": 48})

    strategy = leadq(mixer=mixer, epsilon=0.3)
    whole = run(long, strategy, blobs)
    rest = run(long, strategy, blobs, journal=resumed(whole.states[3]))
    assert untimed(rest.rows) == untimed(whole.rows[4:])
    assert rest.charges == whole.charges
    ours, theirs = (one.states[-1].memories[-1]["learner"]["arrays"] for one in (rest, whole))
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_only_the_trained_mixer_changes(tiny, blobs, run):
    long = Task.model_validate({**tiny.model_dump(), "budget_cap": 60})

    def mixers(kind):
        states = run(long, leadq(mixer=kind), blobs).states
        first, last = (s.memories[-1]["learner"]["arrays"] for s in (states[0], states[-1]))
        same = [np.array_equal(first[n], last[n]) for n in first if n.startswith("networks/mixer")]
        others = [np.array_equal(first[n], last[n]) for n in first if n.startswith("networks/q")]
        assert not any(others)
        return same

    assert not any(mixers("trained"))
    assert all(mixers("frozen"))
    assert mixers("sum") == []


@pytest.mark.usefixtures("untouched_streams")
def test_the_global_random_streams_are_left_alone(tiny, blobs, run):
    run(tiny, leadq(), blobs)


def test_a_pool_can_be_bought_to_the_last_sample(tiny, blobs, run):
    """80 samples a client: all of them, the reward set in the end too."""
    whole = Task.model_validate(
        {**tiny.model_dump(), "initial_labels": 5, "query_size": 15, "budget_cap": 195}
    )
    journal = run(whole, leadq(reward_labels=20), blobs)
    assert [row.labels for row in journal.rows] == [15, 60, 105, 150, 195, 240]
    assert journal.rows[-1].labels_strict == 240


def test_a_reward_set_that_takes_the_pool_is_refused(tiny, blobs):
    assert Setting.draw(tiny, 0, blobs).smallest_shares["pool"] == 80
    strategy = LeaDQPool({"reward_labels": 76})
    with pytest.raises(InvalidSpecError, match=r"76 labels.* 76"):
        strategy.check_shares(tiny, {"pool": 80})
    LeaDQPool({"reward_labels": 75}).check_shares(tiny, {"pool": 80})
    LeaDQPool().check_shares(tiny, {"pool": 6})


@pytest.mark.parametrize(("params", "message"), [
    ({"arrivals": 1}, "'arrivals' cannot be 1"),
    ({"mixer": "qmix"}, "'mixer' cannot be 'qmix'"),
    ({"gamma": 1.5}, "'gamma' cannot be 1.5"),
    ({"updates": 0}, "'updates' cannot be 0"),
])  # fmt: skip
def test_bad_parameters_are_refused(params, message):
    with pytest.raises(InvalidSpecError, match=message):
        LeaDQPool(params)
