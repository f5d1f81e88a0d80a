"""FedRAL on a real (tiny) federation whose clients have all four shares."""

import numpy as np
import pytest
import torch
from untimed import resumed, untimed

from fal_bench.environments.agents.policy import GreedyPolicy, export_policy
from fal_bench.errors import InvalidSpecError
from fal_bench.federation.setting import Setting
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.registry import Registry
from fal_bench.strategies.fal_margin import FalMargin
from fal_bench.strategies.fedral import FedRAL
from fal_bench.strategies.fedral.params import FedRALParams
from fal_bench.strategies.fedral.simulation import check_reward_set
from fal_bench.strategies.fedral_shared import FedRALShared
from fal_bench.strategies.margin_best_fixed_batch import MarginBestFixedBatch
from fal_bench.strategies.margin_fixed_batch import MarginFixedBatch
from fal_bench.strategies.margin_random_batch import MarginRandomBatch
from fal_bench.strategies.random import Random
from fal_bench.sweep.spec import plan_runs
from fal_bench.task import Task

SHORT = {"warm_episodes": 2, "epochs": 2, "episodes": 2, "updates": 3, "max_steps": 4}
SIZES = (1, 2, 3, 4, 6, 8)  # the size grid of pools of up to 160 samples


@pytest.fixture(scope="module")
def task(tiny):
    shares = {"state": 0.1, "warm_start": 0.2, "agent": 0.4, "pool": 0.3}
    return Task.model_validate({**tiny.model_dump(), "shares": shares})


def fedral(**params):
    return lambda: FedRAL({**SHORT, **params})


@pytest.fixture(scope="module")
def simulated(task, blobs, run):
    """The journal of a run with simulation, the default."""
    return run(task, fedral(), blobs)


def policy_for(action, path, quantiles=32, n_actions=6):
    """Write a policy that always prefers one action."""
    bias = torch.zeros(n_actions)
    bias[action] = 1.0
    export_policy(GreedyPolicy((torch.zeros(n_actions, quantiles),), (bias,)), path)
    return str(path)


def purposes(journal):
    return {purpose for _, _, purpose, _ in journal.charges}


@pytest.mark.parametrize("agent", ["ppo", "a2c"])
def test_other_algorithms_train_once_and_act_by_a_stored_policy(task, blobs, run, agent):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    strategy = fedral(agent=agent)
    whole = run(task, strategy, blobs)
    assert purposes(whole) == {"initial", "pool", "warm-start", "agent-training", "reward"}
    assert {cycle for _, _, purpose, cycle in whole.charges if purpose == "agent-training"} == {0}
    policies = [GreedyPolicy.from_arrays(own["policy"]) for own in whole.states[-1].memories[:3]]
    assert {(one.observation_size, one.n_actions) for one in policies} == {(32, len(SIZES))}
    rest = run(task, strategy, blobs, journal=resumed(whole.states[1]))
    assert untimed(rest.rows) == untimed(whole.rows[2:])
    after = np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("params", [{"mode": "per_round"}, {"mode": "online"}, {"refresh": 2}])
def test_other_algorithms_are_trained_before_the_first_query_alone(params):
    with pytest.raises(InvalidSpecError, match="agent=ppo"):
        fedral(agent="ppo", **params)()


def test_every_label_of_the_simulation_is_charged(task, blobs, simulated):
    journal = simulated
    shares = Setting.draw(task, 0, blobs).shares
    assert purposes(journal) == {"initial", "pool", "warm-start", "agent-training", "reward"}
    for client, sample, purpose, cycle in journal.charges:
        own = shares[client]
        assert sample not in own.state
        if purpose == "warm-start":
            assert sample in own.warm_start
        if purpose in ("agent-training", "reward"):
            assert sample in own.agent
            assert cycle == 0
    reward = {(c, s) for c, s, purpose, _ in journal.charges if purpose == "reward"}
    training = {(c, s) for c, s, purpose, _ in journal.charges if purpose == "agent-training"}
    assert len(reward) == 3 * 8  # a tenth of 80 samples a client
    assert not reward & training
    assert journal.rows[0].labels_strict == journal.rows[0].labels == 12
    assert journal.rows[1].labels_strict - journal.rows[1].labels > 24


@pytest.mark.parametrize("mode", ["online", "transfer"])
def test_without_simulation_strict_labels_are_paper_labels(task, blobs, run, tmp_path, mode):
    extra = {"policy": policy_for(2, tmp_path / "p.npz")} if mode == "transfer" else {}
    journal = run(task, fedral(mode=mode, **extra), blobs)
    assert purposes(journal) == {"initial", "pool"}
    assert [row.labels for row in journal.rows] == [row.labels_strict for row in journal.rows]


def test_online_can_have_a_reward_set_that_is_charged(task, blobs, run):
    journal = run(task, fedral(mode="online", reward_labels=5), blobs)
    assert purposes(journal) == {"initial", "pool", "reward"}
    assert journal.rows[-1].labels_strict - journal.rows[-1].labels == 15


@pytest.mark.usefixtures("untouched_streams")
@pytest.mark.parametrize("mode", ["pretrain", "per_round", "online"])
def test_a_resumed_run_equals_an_uninterrupted_one_and_leaves_global_streams_alone(
    task, blobs, run, mode
):
    strategy = fedral(mode=mode, refresh=2 if mode == "pretrain" else 0)
    whole = run(task, strategy, blobs)
    rest = run(task, strategy, blobs, journal=resumed(whole.states[1]))
    assert untimed(rest.rows) == untimed(whole.rows[2:])
    assert rest.charges == whole.charges
    for ours, theirs in zip(rest.kept, whole.kept, strict=True):
        for layer, other in zip(ours["policy"], theirs["policy"], strict=True):
            np.testing.assert_array_equal(layer[0], other[0])


def test_agents_learn_and_stay_at_their_client(task, blobs, run, simulated):
    weights = [memory["policy"][0][0] for memory in simulated.kept]
    assert not np.array_equal(weights[0], weights[1])
    untrained = run(task, fedral(epochs=0, updates=0), blobs).kept[0]["policy"][0][0]
    assert not np.array_equal(weights[0], untrained)
    plain = run(task, Random, blobs)
    assert {row.bytes_up for row in simulated.rows} == {row.bytes_up for row in plain.rows}


def test_shared_agents_end_with_one_policy_and_exchange_nothing_but_networks(task, blobs, run):
    own = {**SHORT, "largest_batch": 8}
    journal = run(task, lambda: FedRALShared(own), blobs)
    first, *others = [memory["policy"] for memory in journal.kept]
    assert len(others) == 2
    for policy in others:
        for layer, other in zip(policy, first, strict=True):
            np.testing.assert_array_equal(layer[0], other[0])
    apart = run(task, fedral(largest_batch=8), blobs).rows
    network = sum(array.size for layer in first for array in layer)
    exchanged = 3 * (1 + SHORT["epochs"]) * 2 * network * 4  # clients, rounds, networks, bytes
    for direction in ("bytes_up", "bytes_down"):
        beyond = [getattr(a, direction) - getattr(b, direction) for a, b in zip(
            journal.rows[:3], apart[:3], strict=True
        )]  # fmt: skip
        assert sum(beyond) == exchanged
    whole, rest = journal, run(
        task, lambda: FedRALShared(own), blobs, journal=resumed(journal.states[1])
    )  # fmt: skip
    assert untimed(rest.rows) == untimed(whole.rows[2:])


@pytest.mark.parametrize("params", [{"mode": "online"}, {"agent": "ppo"}, {"refresh": 2}])
def test_a_shared_policy_is_trained_before_the_first_query_alone(params):
    with pytest.raises(InvalidSpecError, match="mode=pretrain"):
        FedRALShared(params)


@pytest.mark.parametrize("action", range(len(SIZES)))
def test_a_stored_policy_decides_how_many_and_the_margins_which(task, blobs, run, tmp_path, action):
    path = policy_for(action, tmp_path / "p.npz")
    journal = run(task, fedral(mode="transfer", policy=path), blobs)
    bought = np.diff([row.labels for row in journal.rows]) / 3
    # Two labels a cycle come into a remaining budget of at most six.
    assert bought[0] == min(SIZES[action], 2)
    assert len(journal.rows) <= task.cycle_limit
    if SIZES[action] >= 2:
        margin = run(task, FalMargin, blobs)
        assert untimed(journal.rows) == untimed(margin.rows)


def test_a_policy_that_keeps_choosing_tiny_batches_ends(task, blobs, run, tmp_path):
    long = Task.model_validate({**task.model_dump(), "query_size": 4, "budget_cap": 36})
    path = policy_for(0, tmp_path / "p.npz")
    rows = run(long, fedral(mode="transfer", policy=path), blobs).rows
    assert [row.labels for row in rows] == [12 + 3 * cycle for cycle in range(long.cycle_limit)]


def test_a_kept_policy_can_be_exported_and_used(task, blobs, run, tmp_path, simulated):
    [first, *_] = simulated.kept
    export_policy(GreedyPolicy.from_arrays(first["policy"]), tmp_path / "p.npz")
    journal = run(task, fedral(mode="transfer", policy=str(tmp_path / "p.npz")), blobs)
    assert journal.rows[-1].labels > 12


@pytest.mark.parametrize("mode", ["pretrain", "online"])
@pytest.mark.parametrize(("stop", "buys"), [(0.01, False), (1.0, True)])
def test_a_client_stops_for_good_at_its_precision(task, blobs, run, mode, stop, buys):
    journal = run(task, fedral(mode=mode, stop=stop, reward_labels=5), blobs)
    assert (journal.rows[-1].labels > 12) == buys
    assert [memory.get("stopped", False) for memory in journal.states[-1].memories[:3]] == (
        [not buys] * 3
    )
    assert {purpose for _, _, purpose, _ in journal.charges} >= {"reward"}


def test_a_warm_start_sets_where_clients_stop(task, blobs, run):
    low = run(task, fedral(stop="warm-start", tau=0.01), blobs)
    assert low.rows[-1].labels == 12


@pytest.mark.parametrize("options", [
    {"classifier": "ridge"},
    {"classifier": "finetune", "warm_episodes": 1, "epochs": 1, "episodes": 1},
    {"action": "quantile"},
    {"action": "size_x_quantile"},
    {"reward": "delta_cost", "cost": 0.1},
    {"reward": "cost"},
    {"reward": "authors"},
    {"state_source": "pool"},
    {"rank": "random"},
    {"rank": "entropy"},
    {"double": False, "priority_exponent": 0, "beta": 0.4},
    {"updates_per": "epoch", "target_stat": "median", "tau": 0.9},
    {"largest_batch": 3},
])  # fmt: skip
def test_every_option_runs_and_changes_the_agent(task, blobs, run, simulated, options):
    journal = run(task, fedral(**options), blobs)
    assert journal.rows[-1].labels > 12
    ours, theirs = (one.kept[0]["policy"] for one in (journal, simulated))
    same = [np.array_equal(a[0], b[0]) for a, b in zip(ours, theirs, strict=True)]
    assert not all(same) or journal.charges != simulated.charges


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"updates": -1}, "'updates' cannot be -1"),
        ({"mode": "offline"}, "'mode' cannot be 'offline'"),
        ({"preset": "long"}, "'preset' cannot be 'long'"),
        ({"mode": "transfer"}, "mode=transfer and policy=PATH belong together"),
        ({"mode": "online", "stop": 0.5}, "reward_labels"),
        ({"mode": "online", "stop": "warm-start", "reward_labels": 5}, "warm start"),
        ({"stop": 1.5}, "stop"),
        ({"policy": "x.npz"}, "mode=transfer and policy=PATH belong together"),
        ({"mode": "transfer", "policy": "none.npz"}, "no policy file 'none.npz'"),
        ({"quantile": 3}, "no parameter 'quantile'; did you mean 'quantiles'"),
    ],
)
def test_bad_parameters_are_refused(params, message):
    with pytest.raises(InvalidSpecError, match=message):
        FedRAL(params)


def test_a_policy_of_another_observation_is_refused(tmp_path):
    path = policy_for(0, tmp_path / "p.npz", quantiles=16)
    with pytest.raises(InvalidSpecError, match="16 observations"):
        FedRAL({"mode": "transfer", "policy": path})
    assert FedRAL({"mode": "transfer", "policy": path, "quantiles": 16}).identity["policy"]


def test_another_policy_in_the_same_file_is_another_run(task, tmp_path):
    def key(action):
        path = policy_for(action, tmp_path / "p.npz")
        selector = Selector("fedral", {"mode": "transfer", "policy": path})
        [run] = plan_runs([task], [selector], [0], Registry.discover())
        return run.key

    assert key(0) == key(0)
    assert key(0) != key(1)


@pytest.mark.parametrize(
    ("params", "shares", "message"),
    [
        ({}, {"pool": 1.0}, "the shares warm_start, agent, state of"),
        ({}, {"state": 0.1, "agent": 0.6, "pool": 0.3}, "the shares warm_start of task 'tiny'"),
        ({"mode": "online"}, {"pool": 1.0}, "the shares state"),
        ({"mode": "online", "reward_labels": 3, "state_source": "pool"}, {"pool": 1.0}, "agent"),
        ({"mode": "online", "state_source": "pool"}, {"pool": 1.0}, None),
    ],
)
def test_tasks_without_the_shares_are_refused_before_anything_runs(tiny, params, shares, message):
    task = Task.model_validate({**tiny.model_dump(), "shares": shares})
    if message is None:
        assert plan_runs([task], [Selector("fedral", params)], [0], Registry.discover())
        return
    with pytest.raises(InvalidSpecError, match=message):
        plan_runs([task], [Selector("fedral", params)], [0], Registry.discover())


class TestControls:
    def test_a_fixed_batch(self, task, blobs, run):
        rows = run(task, lambda: MarginFixedBatch({"size": 1}), blobs).rows
        assert [row.labels for row in rows[:5]] == [12, 15, 18, 21, 24]
        whole = run(task, lambda: MarginFixedBatch({"size": 9}), blobs)
        assert untimed(whole.rows) == untimed(run(task, FalMargin, blobs).rows)

    def test_random_batches_come_from_the_grid(self, task, blobs, run):
        sizes = set()
        for seed in range(4):
            rows = run(task, lambda: MarginRandomBatch({"largest_batch": 4}), blobs, seed=seed).rows
            per_client = [list(map(int, row.labels_by_client.split())) for row in rows]
            sizes |= set(np.diff(per_client, axis=0).ravel().tolist())
        assert sizes <= {0, 1, 2, 3, 4}
        assert {1, 2} <= sizes

    def test_the_best_fixed_batch_is_chosen_on_charged_labels_and_kept(self, task, blobs, run):
        journal = run(task, MarginBestFixedBatch, blobs)
        assert purposes(journal) == {"initial", "pool", "agent-training", "reward"}
        chosen = {state.memories[0]["size"] for state in journal.states}
        assert len(chosen) == 1
        assert chosen <= set(SIZES)

    def test_it_needs_the_shares(self, tiny):
        with pytest.raises(InvalidSpecError, match="agent and state"):
            MarginBestFixedBatch().check_task(tiny)


SIZED = {"state": 10, "warm_start": 10, "agent": 43, "pool": 10, "classes": 10, "embedding": 512}


def test_what_is_drawn_for_rewards_follows_from_samples_alone():
    check_reward_set("fedral", FedRALParams(), SIZED)


@pytest.mark.parametrize(("wanted", "fits"), [(41, True), (42, False), (43, False)])
def test_two_samples_are_left_for_an_episode(wanted, fits):
    params = FedRALParams(reward_labels=wanted)
    if fits:
        check_reward_set("fedral", params, SIZED)
        return
    with pytest.raises(InvalidSpecError, match="fewer than 2 samples of an agent share of 43"):
        check_reward_set("fedral", params, SIZED)


def test_a_client_may_have_no_sample_left_to_buy(compare, tmp_path):
    """In the first query already, where all its pool was labelled."""
    suite = tmp_path / "suite.toml"
    suite.write_text(
        """
        [tasks.t]
        dataset = "digits"
        clients = 2
        model = { kind = "mlp", hidden = [4] }
        rounds = 1
        initial_labels = 1
        query_size = 3
        budget_cap = 8
        shares = { state = 0.1, warm_start = 0.4, agent = 0.4, pool = 0.1 }
        partition = { kind = "iid", sizes = { kind = "shares", shares = [10, 1427] } }
        """
    )
    short = ",".join(f"{name}={value}" for name, value in SHORT.items())
    name = f"fedral-shared[state_source=pool,reward_labels=1,{short}]"
    assert compare([name], baseline=name, suite=str(suite), seeds=1).missing == ()
