import json
import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from fal_bench.environments.agents.policy import FORMAT, GreedyPolicy, export_policy, import_policy
from fal_bench.errors import InvalidSpecError


def observations(count: int = 50):
    return 3 * np.random.default_rng(0).standard_normal((count, 3), dtype=np.float32)


def test_a_policy_acts_like_its_agent_after_a_round_trip(make_agent, tmp_path) -> None:
    agent = make_agent(policy_kwargs={"net_arch": [16, 8]})
    values = np.array([GreedyPolicy.of(agent).values(seen) for seen in observations()])
    with torch.no_grad():  # let both actions win about half of the time
        agent.q_net.q_net[-1].bias[1] += float(np.median(values[:, 0] - values[:, 1]))
    export_policy(GreedyPolicy.of(agent, {"dataset": "digits"}), tmp_path / "deep" / "policy.npz")
    policy = import_policy(tmp_path / "deep" / "policy.npz")
    acted = [policy.act(observation) for observation in observations()]
    assert acted == [agent.act(observation, greedy=True) for observation in observations()]
    assert set(acted) == {0, 1}
    assert (policy.observation_size, policy.n_actions) == (3, 2)
    assert policy.metadata == {"dataset": "digits"}


def test_a_policy_is_frozen(make_agent, corridor) -> None:
    agent = make_agent()
    policy = GreedyPolicy.of(agent)
    before = policy.values(observations()[0]).copy()
    for parameter in agent.q_net.parameters():
        parameter.data.add_(1.0)
    assert (policy.values(observations()[0]) == before).all()


def test_export_replaces_the_file_and_leaves_no_others(make_agent, tmp_path) -> None:
    for seed in (1, 2):
        export_policy(GreedyPolicy.of(make_agent(seed)), tmp_path / "policy.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["policy.npz"]


@pytest.mark.usefixtures("untouched_streams")
def test_import_draws_no_random_numbers(make_agent, tmp_path) -> None:
    export_policy(GreedyPolicy.of(make_agent()), tmp_path / "policy.npz")
    import_policy(tmp_path / "policy.npz").act(observations()[0])


def test_a_policy_of_another_size_is_refused(make_agent) -> None:
    policy = GreedyPolicy.of(make_agent())
    policy.require(3, 2)
    with pytest.raises(InvalidSpecError, match=r"3 observations .* 32 and 2"):
        policy.require(32, 2)
    with pytest.raises(InvalidSpecError, match=r"2 actions.* 3 and 8"):
        policy.require(3, 8)


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("code from the file was run",))


def test_pickles_are_never_loaded(tmp_path) -> None:
    path = tmp_path / "policy.npz"
    np.savez(path, header=np.array(Bomb(), dtype=object), weight0=np.ones((1, 1)))
    with pytest.raises(InvalidSpecError, match="not a policy"):
        import_policy(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InvalidSpecError, match="not a policy"):
        import_policy(path)


def header(**changes):
    return np.array(json.dumps({"format": FORMAT, "metadata": {}, **changes}))


GOOD = {"weight0": np.ones((2, 3), np.float32), "bias0": np.ones(2, np.float32)}
MISFIT = {"weight1": np.ones((2, 5), np.float32), "bias1": np.ones(2, np.float32)}


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"header": header()},
        {"header": header(format="other"), **GOOD},
        {"header": np.array("{"), **GOOD},
        {"header": np.array("[1]"), **GOOD},
        {"header": header(metadata=3), **GOOD},
        {"header": header(), "weight0": GOOD["weight0"]},
        {"header": header(), **GOOD, "bias0": np.ones(3, np.float32)},
        {"header": header(), **GOOD, "bias0": np.array([1, np.nan], np.float32)},
        {"header": header(), **GOOD, "weight0": np.ones((2, 3))},
        {"header": header(), **GOOD, **MISFIT},
    ],
)
def test_damaged_files_are_refused(tmp_path, arrays) -> None:
    np.savez(tmp_path / "policy.npz", **arrays)
    with pytest.raises(InvalidSpecError, match="not a policy"):
        import_policy(tmp_path / "policy.npz")


@pytest.mark.parametrize("write", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_at_once(tmp_path, write) -> None:
    write(tmp_path / "policy.npz")
    with pytest.raises(InvalidSpecError, match="not a policy"):
        import_policy(tmp_path / "policy.npz")


def test_a_deep_header_is_refused(tmp_path) -> None:
    deep = np.array("[" * 100_000 + "]" * 100_000)
    np.savez(tmp_path / "policy.npz", header=deep, **GOOD)
    with pytest.raises(InvalidSpecError, match="not a policy"):
        import_policy(tmp_path / "policy.npz")


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(InvalidSpecError, match=r"nowhere\.npz"):
        import_policy(tmp_path / "nowhere.npz")


def test_only_relu_networks_are_exported(make_agent) -> None:
    agent = make_agent(policy_kwargs={"net_arch": [4], "activation_fn": nn.Tanh})
    with pytest.raises(InvalidSpecError, match="ReLU"):
        GreedyPolicy.of(agent)
