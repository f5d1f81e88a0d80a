import io
import json

import numpy as np
import pytest
import torch
from stable_baselines3.common.buffers import ReplayBuffer

from fal_bench.environments.agents.episodes import TrainingPlan, train, warm_start
from fal_bench.environments.agents.persistence import load_state, save_state
from fal_bench.environments.agents.streams import stream_from_json, stream_to_json
from fal_bench.errors import InvalidSpecError


def through_files(state):
    """Send a state through JSON and an npz archive that refuses pickles."""
    values, arrays = state
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        return json.loads(json.dumps(values)), {name: loaded[name] for name in loaded.files}


def same(first, second) -> bool:
    """Whether two agents have equal states, bit for bit."""
    (values, arrays), (other_values, other_arrays) = save_state(first), save_state(second)
    if json.dumps(values) != json.dumps(other_values) or arrays.keys() != other_arrays.keys():
        return False
    return all(arrays[k].tobytes() == other_arrays[k].tobytes() for k in arrays)


@pytest.mark.parametrize("buffer_size", [1000, 40])
def test_a_resumed_agent_continues_bit_for_bit(make_agent, corridor, buffer_size) -> None:
    plan = TrainingPlan(2, 3, 7)
    whole = make_agent(stream=1, buffer_size=buffer_size)
    warm_start(whole, corridor, 4)
    train(whole, corridor, plan)
    saved = through_files(save_state(whole))
    expected = train(whole, corridor, plan)

    resumed = make_agent(stream=99, buffer_size=buffer_size)
    load_state(resumed, *saved)
    assert train(resumed, corridor, plan) == expected
    assert same(resumed, whole)
    assert not same(make_agent(stream=1, buffer_size=buffer_size), whole)


def test_a_state_does_not_follow_its_agent(make_agent, corridor) -> None:
    agent = make_agent()
    warm_start(agent, corridor, 2)
    agent.train(3)
    _, arrays = save_state(agent)
    before = {name: array.copy() for name, array in arrays.items()}
    train(agent, corridor, TrainingPlan(1, 2, 5))
    assert all((arrays[name] == before[name]).all() for name in arrays)


def test_an_untrained_agent_can_be_saved(make_agent) -> None:
    agent, other = make_agent(1), make_agent(2)
    load_state(other, *through_files(save_state(agent)))
    assert same(agent, other)


def test_loading_leaves_the_next_updates_alone_too(make_agent, corridor) -> None:
    agent, other = make_agent(1), make_agent(2)
    warm_start(agent, corridor, 4)
    agent.train(4)
    load_state(other, *save_state(agent))
    agent.train(4)
    other.train(4)
    assert torch.equal(agent.q_net.q_net[0].weight, other.q_net.q_net[0].weight)


@pytest.mark.parametrize(
    "options",
    [
        {"policy_kwargs": {"net_arch": [8]}},
        {"policy_kwargs": {"net_arch": [16, 16]}},
        {"buffer_size": 2},
        {"replay_buffer_class": ReplayBuffer},
    ],
)
def test_a_state_of_another_agent_is_refused(make_agent, corridor, options) -> None:
    agent = make_agent()
    warm_start(agent, corridor, 2)
    other = make_agent(**options)
    weights = other.q_net.q_net[0].weight.clone()
    with pytest.raises(InvalidSpecError):
        load_state(other, *save_state(agent))
    assert torch.equal(other.q_net.q_net[0].weight, weights)


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.Philox])
def test_streams_continue_where_they_stopped(kind) -> None:
    rng = np.random.Generator(kind(5))
    rng.integers(10, size=7, dtype=np.uint8)
    copy = stream_from_json(json.loads(json.dumps(stream_to_json(rng))))
    assert (copy.integers(1000, size=50) == rng.integers(1000, size=50)).all()
    assert (copy.normal(size=50) == rng.normal(size=50)).all()


@pytest.mark.parametrize("state", [{}, {"bit_generator": "MT19937"}, {"bit_generator": "Philox"}])
def test_an_unreadable_stream_is_an_error(state) -> None:
    with pytest.raises(InvalidSpecError, match="random stream"):
        stream_from_json(state)
