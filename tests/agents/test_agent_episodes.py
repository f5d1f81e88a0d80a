import numpy as np
import pytest
import torch

from fal_bench.environments.agents.dqn import LinearEpsilon
from fal_bench.environments.agents.episodes import TrainingPlan, greedy_episode, train, warm_start
from fal_bench.errors import InvalidSpecError


def test_warm_start_stores_random_episodes_and_learns_nothing(make_agent, corridor) -> None:
    agent = make_agent(epsilon=LinearEpsilon(0, 0, 1))
    weights = [parameter.clone() for parameter in agent.q_net.parameters()]
    episodes = warm_start(agent, corridor, 8)
    actions = [action for episode in episodes for action in episode.actions]
    assert agent.replay_buffer.size() == len(actions)
    assert set(actions) == {0, 1}
    assert agent.episode == 0
    assert all(map(torch.equal, weights, agent.q_net.parameters()))


def test_training_counts_episodes_and_updates(make_agent, corridor) -> None:
    for updates_per, expected in (("episode", 2 * 3 * 4), ("epoch", 2 * 4)):
        agent = make_agent()
        plan = TrainingPlan(2, 3, 4, updates_per)
        episodes = train(agent, corridor, plan)
        assert len(episodes) == agent.episode == 6
        assert agent._n_updates == plan.total_updates == expected
        assert agent.replay_buffer.size() == sum(len(one.actions) for one in episodes)


def test_the_papers_plan_has_12500_updates() -> None:
    assert TrainingPlan().total_updates == 12_500


def test_an_episode_records_what_happened(make_agent, corridor) -> None:
    episode = greedy_episode(make_agent(), corridor)
    places = [info["place"] for info in episode.infos]
    assert places == np.concatenate([[0], np.cumsum(episode.actions)]).tolist()
    assert episode.terminated == (places[-1] == 4)
    assert episode.total_reward == float(episode.terminated)


def test_greedy_episodes_store_nothing(make_agent, corridor) -> None:
    agent = make_agent()
    greedy_episode(agent, corridor)
    assert agent.replay_buffer.size() == 0


def test_cut_episodes_are_marked_and_ended_ones_are_not(make_agent, corridor) -> None:
    agent = make_agent()
    episodes = warm_start(agent, corridor, 30)
    ends = np.cumsum([len(one.actions) for one in episodes]) - 1
    assert {one.terminated for one in episodes} == {True, False}
    for end, episode in zip(ends, episodes, strict=True):
        assert agent.replay_buffer.dones[end, 0] == 1
        assert agent.replay_buffer.timeouts[end, 0] == (not episode.terminated)
    assert agent.replay_buffer.dones.sum() == len(episodes)


def test_training_finds_the_way_out(make_agent, corridor) -> None:
    agent = make_agent(learning_rate=5e-3, gamma=0.9, epsilon=LinearEpsilon(1.0, 0.1, 30))
    warm_start(agent, corridor, 5)
    train(agent, corridor, TrainingPlan(epochs=6, episodes=5, updates=20))
    assert greedy_episode(agent, corridor).actions == (1, 1, 1, 1)


@pytest.mark.usefixtures("untouched_streams")
def test_the_loop_leaves_the_global_streams_alone(make_agent, corridor) -> None:
    agent = make_agent()
    warm_start(agent, corridor, 2)
    train(agent, corridor, TrainingPlan(1, 2, 3))


@pytest.mark.parametrize(
    "values", [{"epochs": -1}, {"updates": -1}, {"episodes": 0}, {"updates_per": "step"}]
)
def test_bad_plans_are_refused(values) -> None:
    with pytest.raises(InvalidSpecError):
        TrainingPlan(**values)
