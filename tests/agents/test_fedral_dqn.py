import subprocess
import sys

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import configure

from fal_bench.environments.agents.adam import EagerAdam
from fal_bench.environments.agents.dqn import FedRALDQN, LinearEpsilon, SpacesOnly
from fal_bench.environments.agents.episodes import store_transition
from fal_bench.environments.agents.persistence import save_state
from fal_bench.environments.agents.policy import GreedyPolicy
from fal_bench.environments.agents.replay import EPSILON
from fal_bench.errors import InvalidSpecError

STATE_0, STATE_1 = np.eye(2, dtype=np.float32)


@pytest.fixture
def global_streams():
    """Let a test seed the global streams, and put them back."""
    numpy_state, torch_state = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    yield
    np.random.set_state(numpy_state)  # noqa: NPY002
    torch.set_rng_state(torch_state)


def two_states(double: bool = True, end=None, returns=None, **options) -> FedRALDQN:
    """An agent whose Q-values are tables: one row a state, one column an action.

    It has stored action 0 in state 0, for a reward of 1, after which it was in state 1. ``end``
    says whether that was the end.
    """
    spaces_only = SpacesOnly(spaces.Box(0, 1, (2,), np.float32), spaces.Discrete(2), returns)
    agent = FedRALDQN(
        "MlpPolicy",
        spaces_only,
        gamma=0.5,
        rng=np.random.default_rng(0),
        double=double,
        policy_kwargs={"net_arch": []},
        **options,
    )
    set_table(agent.q_net, [[0.5, 0.0], [3.0, 1.0]])
    set_table(agent.q_net_target, [[0.0, 0.0], [10.0, 20.0]])
    store_transition(agent, STATE_0, 0, 1.0, STATE_1, **{"terminated": False, **(end or {})})
    return agent


def set_table(network, table) -> None:
    with torch.no_grad():
        network.q_net[0].weight.copy_(torch.tensor(table).T)
        network.q_net[0].bias.zero_()


def td_error(agent: FedRALDQN) -> float:
    """The absolute TD error of the only stored transition, as the replay buffer knows it."""
    agent.train(1, batch_size=1)
    return agent.replay_buffer.inverse_priorities[0] ** (-1 / 3) - EPSILON


# Online, action 0 is best in state 1; the target network values it at 10, though 20 is its maximum.
# Double: y = 1 + 0.5 * 10 = 6; plain: y = 1 + 0.5 * 20 = 11; Q(state 0, action 0) = 0.5.
@pytest.mark.parametrize(
    ("double", "end", "expected"),
    [
        (True, {}, 5.5),
        (False, {}, 10.5),
        (True, {"terminated": True}, 0.5),  # the end stops the bootstrap
        (True, {"truncated": True}, 5.5),  # a cut does not
    ],
)
def test_targets_by_hand(double, end, expected) -> None:
    assert td_error(two_states(double, end)) == pytest.approx(expected)


# Targets of 6 are cut to 2; the value of state 0, 0.5 in the middle of the range, stays as it is.
@pytest.mark.parametrize(("bounded", "expected"), [(True, 1.5), (False, 5.5)])
def test_targets_stay_within_the_returns_that_the_environment_states(bounded, expected) -> None:
    agent = two_states(returns=(-1.0, 2.0), bounded=bounded)
    assert td_error(agent) == pytest.approx(expected)
    assert agent.largest_values == [pytest.approx(0.5)]
    assert not agent.diverged


def test_values_beyond_the_range_are_pulled_back_though_no_target_reaches_them() -> None:
    agents = [two_states(returns=(-1.0, 1.0), bounded=bounded) for bounded in (True, False)]
    for agent in agents:
        set_table(agent.q_net, [[0.5, 3.0], [0.5, 0.5]])  # action 1 was never taken
        agent.train(50, batch_size=1)
    pulled, left = (agent.q_net.q_net[0].weight[1, 0].item() for agent in agents)
    assert left == 3.0
    assert pulled < 2.99
    assert [agent.diverged for agent in agents] == [False, True]


@given(weights=st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4))
@settings(max_examples=20)
def test_bounded_values_never_leave_twice_the_largest_return(weights) -> None:
    for least, largest in ((-1.0, 1.0), (-1.0, 0.0), (0.0, 0.5)):
        agent = two_states(returns=(least, largest))
        set_table(agent.q_net, np.reshape(weights, (2, 2)).astype(np.float32))
        agent.train(3, batch_size=1)
        assert not agent.diverged
        values = agent.q_net(torch.eye(2))
        assert values.abs().max() <= 2 * max(-least, largest)
        raw = np.array([GreedyPolicy.of(agent).values(row) for row in np.eye(2, dtype="float32")])
        assert (np.diff(values.detach().numpy()) * np.diff(raw) >= 0).all()  # the same order


def test_target_moves_a_hundredth_after_every_gradient_step() -> None:
    agent = two_states()
    before = agent.q_net_target.q_net[0].weight.clone()
    agent.train(1, batch_size=1)
    online = agent.q_net.q_net[0].weight
    expected = 0.99 * before + 0.01 * online
    assert torch.allclose(agent.q_net_target.q_net[0].weight, expected)


def test_target_waits_for_the_environment_on_request() -> None:
    agent = two_states(target_update="env")
    before = agent.q_net_target.q_net[0].weight.clone()
    agent.train(3, batch_size=1)
    assert torch.equal(agent.q_net_target.q_net[0].weight, before)


@pytest.mark.parametrize(("loss", "expected"), [("huber", 5.5 - 0.5), ("mse", 5.5**2)])
def test_losses_by_hand(loss: str, expected: float) -> None:
    agent = two_states(loss=loss)
    agent.train(1, batch_size=1)
    assert agent.logger.name_to_value["train/loss"] == pytest.approx(expected)


def test_importance_weights_scale_the_loss() -> None:
    options = {"loss": "mse", "replay_buffer_kwargs": {"exponent": 1, "beta": 1.0}}
    agent = two_states(end={"terminated": True}, **options)
    # Squared errors 0.5 ** 2 and 1.0 ** 2.
    store_transition(agent, STATE_0, 1, 1.0, STATE_1, terminated=True)
    agent.replay_buffer.update_priorities(np.arange(2), np.array([1.0, 4.0]))
    agent.train(1, batch_size=2)  # weights 1 and 1/4
    expected = (0.25 * 1 + 1.0 * 0.25) / 2
    assert agent.logger.name_to_value["train/loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.usefixtures("global_streams")
def test_with_every_extension_off_train_equals_stable_baselines3(corridor) -> None:
    shared = {"learning_rate": 1e-3, "gamma": 0.99, "buffer_size": 200, "tau": 1.0}
    plain = DQN("MlpPolicy", corridor, device="cpu", **shared)
    plain.set_logger(configure(None, []))
    ours = FedRALDQN(
        "MlpPolicy",
        corridor,
        **shared,
        double=False,
        loss="huber",
        target_update="env",
        replay_buffer_class=ReplayBuffer,
        bounded=False,
    )
    ours.policy.load_state_dict(plain.policy.state_dict())
    rng = np.random.default_rng(1)
    for _ in range(150):
        before, after = rng.random((2, 1, 3), dtype=np.float32)
        action, reward, done = rng.integers(2, size=1), rng.normal(size=1), rng.random(1) < 0.1
        for agent in (plain, ours):
            agent.replay_buffer.add(before, after, action, reward, done, [{}])
    initial = [parameter.clone() for parameter in plain.q_net.parameters()]
    for agent in (plain, ours):
        np.random.seed(5)  # noqa: NPY002
        agent.train(gradient_steps=60, batch_size=32)
    pairs = zip(plain.policy.state_dict().values(), ours.policy.state_dict().values(), strict=True)
    assert all(torch.equal(expected, found) for expected, found in pairs)
    assert plain.logger.name_to_value["train/loss"] == ours.logger.name_to_value["train/loss"]
    assert not torch.equal(initial[0], next(iter(plain.q_net.parameters())))


@pytest.mark.usefixtures("untouched_streams")
def test_building_training_and_acting_leave_the_global_streams_alone(make_agent, corridor) -> None:
    agent = make_agent()
    observation, _ = corridor.reset(seed=0)
    for _ in range(20):
        action = agent.act(observation)
        after, reward, terminated, truncated, _ = corridor.step(action)
        store_transition(
            agent, observation, action, reward, after, terminated=terminated, truncated=truncated
        )
    agent.train(5)
    agent.act(observation, greedy=True)


@pytest.mark.usefixtures("untouched_streams")
def test_learn_of_stable_baselines3_works_on_the_agents_own_streams(make_agent) -> None:
    runs = []
    for _ in range(2):
        agent = make_agent(stream=4, learning_starts=10, epsilon=LinearEpsilon(1, 0.2, 5))
        agent.env.seed(0)
        agent.learn(60)
        runs.append(torch.cat([p.detach().flatten() for p in agent.q_net.parameters()]))
        assert agent.episode > 5
        assert agent.exploration_rate == pytest.approx(0.2)
    assert torch.equal(*runs)


def test_same_stream_same_agent(make_agent) -> None:
    first, second, other = make_agent(1), make_agent(1), make_agent(2)
    weights = [next(agent.q_net.parameters()) for agent in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_epsilon_falls_with_finished_episodes(make_agent) -> None:
    agent = make_agent(epsilon=LinearEpsilon(1.0, 0.0, 2))
    observation = np.zeros(3, dtype=np.float32)
    greedy = agent.act(observation, greedy=True)
    assert {agent.act(observation) for _ in range(30)} == {0, 1}
    agent.finish_episode()
    assert {agent.act(observation) for _ in range(30)} == {greedy}


def test_greedy_actions_draw_nothing(make_agent) -> None:
    agent = make_agent()
    before = agent.exploration_rng.bit_generator.state["state"]["counter"].copy()
    agent.act(np.zeros(3, dtype=np.float32), greedy=True)
    assert (agent.exploration_rng.bit_generator.state["state"]["counter"] == before).all()


@pytest.mark.parametrize(("episode", "expected"), [(0, 1.0), (1, 0.775), (4, 0.1), (100, 0.1)])
def test_linear_epsilon(episode: int, expected: float) -> None:
    assert LinearEpsilon(1.0, 0.1, 5)(episode) == pytest.approx(expected)


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": 0.0},
        {"tau": 0.0},
        {"gamma": 1.5},
        {"loss": "l3"},
        {"target_update": "never"},
        {"seed": 1},
        {"replay_buffer_kwargs": {"exponent": -1}},
    ],
)
def test_bad_parameters_are_refused(make_agent, options) -> None:
    with pytest.raises(InvalidSpecError):
        make_agent(**options)


@pytest.mark.parametrize("values", [(1.2, 0.1, 5), (1.0, -0.1, 5), (1.0, 0.1, 0)])
def test_bad_exploration_is_refused(values) -> None:
    with pytest.raises(InvalidSpecError):
        LinearEpsilon(*values)


@pytest.mark.parametrize("loss", ["huber", "mse"])
@pytest.mark.parametrize("beta", [0.0, 0.4])
@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("returns", [None, (-0.5, 0.25)])  # small, so that values leave it
def test_steps_by_hand_have_the_bits_of_autograd(loss, beta, double, returns) -> None:
    env = SpacesOnly(spaces.Box(0, 1, (3,), np.float32), spaces.Discrete(2), returns)
    options = {"loss": loss, "double": double, "learning_rate": 0.05}
    options |= {"replay_buffer_kwargs": {"beta": beta}}
    agents = [
        FedRALDQN("MlpPolicy", env, rng=np.random.default_rng(0), **options) for _ in range(2)
    ]
    by_hand, by_autograd = agents
    by_autograd._online = by_autograd._target = None
    for agent in agents:
        rng = np.random.default_rng(1)
        for _ in range(50):
            before, after = rng.random((2, 3), dtype=np.float32)
            reward, ends = float(rng.normal()), bool(rng.random() < 0.1)
            store_transition(agent, before, int(rng.integers(2)), reward, after, terminated=ends)
        agent.train(40)
    states = [save_state(agent) for agent in agents]
    assert states[0][0] == states[1][0]
    for name, array in states[1][1].items():
        np.testing.assert_array_equal(states[0][1][name], array, err_msg=name)
    assert by_hand.largest_values == by_autograd.largest_values
    assert by_hand.largest_values[0] > 0.5
    assert by_hand._online is not None
    assert by_hand.logger.name_to_value["train/loss"] == pytest.approx(
        by_autograd.logger.name_to_value["train/loss"]
    )


def test_other_networks_are_left_to_autograd(make_agent) -> None:
    agent = make_agent(policy_kwargs={"activation_fn": torch.nn.Tanh})
    assert agent._online is None
    before = [one.clone() for one in agent.q_net.parameters()]
    store_transition(
        agent, np.zeros(3, np.float32), 1, 1.0, np.ones(3, np.float32), terminated=True
    )
    agent.train(1)
    assert not all(map(torch.equal, before, agent.q_net.parameters()))


def test_eager_adam_has_the_bits_and_the_state_of_torchs_adam() -> None:
    runs = []
    for kind in (torch.optim.Adam, EagerAdam):
        generator = torch.Generator().manual_seed(0)
        weights = [torch.randn(shape, generator=generator) for shape in ((5, 3), (5,))]
        parameters = [torch.nn.Parameter(one) for one in weights]
        optimiser = kind(parameters, lr=0.1)
        for _ in range(20):
            optimiser.zero_grad()
            for one in parameters:
                one.grad = torch.randn(one.shape, generator=generator)
            optimiser.step()
            optimiser.load_state_dict(optimiser.state_dict())
        runs.append((parameters, optimiser.state_dict()))
    (theirs, known), (ours, kept) = runs
    assert all(map(torch.equal, theirs, ours))
    assert known["param_groups"] == kept["param_groups"]
    for number, state in known["state"].items():
        assert all(torch.equal(one, kept["state"][number][name]) for name, one in state.items())


def test_agents_do_not_import_the_compiler() -> None:
    program = (
        "import sys; import numpy as np; from gymnasium import spaces\n"
        "from fal_bench.environments.agents.dqn import FedRALDQN, SpacesOnly\n"
        "from fal_bench.environments.agents.episodes import store_transition\n"
        "from fal_bench.environments.agents.persistence import load_state, save_state\n"
        "box = spaces.Box(0.0, 1.0, (3,), np.float32)\n"
        "agent = FedRALDQN('MlpPolicy', SpacesOnly(box, spaces.Discrete(2)))\n"
        "seen = np.zeros(3, np.float32)\n"
        "store_transition(agent, seen, 1, 1.0, seen, terminated=True)\n"
        "agent.train(2); load_state(agent, *save_state(agent))\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
