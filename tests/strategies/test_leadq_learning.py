"""LeaDQ's networks and training, against NumPy, enumeration and a problem with a known answer."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from fal_bench.strategies.leadq_pool.learner import (
    JointLearner,
    Layout,
    MonotonicMixer,
    q_network,
    q_values,
)
from fal_bench.strategies.leadq_pool.params import LeaDQParams


def params(**changes):
    return LeaDQParams(**{"hidden": 6, "mixer_hidden": 5, "arrivals": 3, **changes})


def random_joint(layout, rng, missing=()):
    subpools = rng.dirichlet(np.ones(layout.n_classes), (layout.clients, layout.arrivals))
    for place in missing:
        subpools[place] = 0
    return layout.join(subpools, rng.random(layout.state))


def test_the_q_network_by_matrix_products():
    rng = np.random.default_rng(0)
    sizes = [(12, 6), (6, 6), (6, 3)]
    layers = [(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in sizes]
    vector = np.concatenate([part.ravel() for layer in layers for part in layer])
    seen = rng.random((5, 3, 4)).astype(np.float32)
    hidden = seen.reshape(5, 12).astype(np.float64)
    for weight, bias in layers[:-1]:
        hidden = np.maximum(hidden @ weight.T + bias, 0)
    weight, bias = layers[-1]
    message = vector.astype(np.float32)
    message.setflags(write=False)
    values = q_values(message, seen, hidden=6)
    np.testing.assert_allclose(values, hidden @ weight.T + bias, rtol=1e-4, atol=1e-4)


def test_a_policy_that_is_sent_gives_the_values_it_gave_before():
    layout = Layout(2, 3, 4, 5)
    learner = JointLearner(layout, params(), np.random.default_rng(1))
    seen = np.random.default_rng(2).random((7, 3, 4)).astype(np.float32)
    with torch.no_grad():
        expected = learner.networks["q"](torch.from_numpy(seen).flatten(1)).numpy()
    np.testing.assert_array_equal(q_values(learner.policy(), seen, 6), expected)


def test_the_mixer_by_its_formula():
    torch.manual_seed(0)
    mixer = MonotonicMixer(clients=3, state=4, hidden=5)
    rng = np.random.default_rng(0)
    values, state = rng.normal(size=(6, 3)), rng.random((6, 4))

    def linear(layer, x):
        return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()

    first = np.abs(linear(mixer.first_weights, state)).reshape(6, 3, 5)
    inner = (values[:, None] @ first)[:, 0] + linear(mixer.first_bias, state)
    inner = np.where(inner > 0, inner, np.expm1(inner))  # ELU
    total = (inner * np.abs(linear(mixer.last_weights, state))).sum(axis=1)
    offset = linear(mixer.last_bias[2], np.maximum(linear(mixer.last_bias[0], state), 0))
    mixed = mixer(torch.tensor(values).float(), torch.tensor(state).float())
    np.testing.assert_allclose(mixed.detach(), total + offset[:, 0], rtol=1e-4)


def test_the_mixer_never_falls_when_a_value_rises():
    torch.manual_seed(3)
    mixer = MonotonicMixer(clients=4, state=2, hidden=8)
    values = torch.randn(50, 4, requires_grad=True)
    [slopes] = torch.autograd.grad(mixer(values, torch.rand(50, 2)).sum(), values)
    assert (slopes >= 0).all()
    assert (slopes > 0).any()


@pytest.mark.parametrize("mixer", ["trained", "sum"])
def test_targets_are_the_best_of_all_joint_actions(mixer):
    """Without Double DQN: enumerate what all clients could do together."""
    layout = Layout(clients=3, arrivals=3, n_classes=4, state=5)
    learner = JointLearner(layout, params(mixer=mixer, double=False), np.random.default_rng(4))
    nn.init.normal_(learner.targets["q"][0].weight)
    missing = [(0, 2), (1, 1), (1, 2)]  # of client 1 only one sample is left
    joint = torch.from_numpy(random_joint(layout, np.random.default_rng(5), missing))[None]
    subpools, state = layout.part(joint)
    with torch.no_grad():
        values = learner.targets["q"](subpools.flatten(2))[0]
        totals = [
            learner.targets["mixer"](values[range(3), list(actions)][None], state).item()
            for actions in itertools.product(range(2), range(1), range(3))
        ]
    wanted = learner.wanted(joint, torch.tensor([0.25]))
    assert wanted.item() == pytest.approx(0.25 + 0.99 * max(totals), rel=1e-5)


def test_double_q_lets_the_trained_network_choose_and_the_target_value():
    layout = Layout(clients=2, arrivals=3, n_classes=2, state=1)
    learner = JointLearner(layout, params(mixer="sum", gamma=0.5), np.random.default_rng(6))
    nn.init.normal_(learner.networks["q"][0].weight)
    joint = torch.from_numpy(random_joint(layout, np.random.default_rng(7)))[None]
    subpools, _ = layout.part(joint)
    with torch.no_grad():
        chosen = learner.networks["q"](subpools.flatten(2))[0].argmax(dim=1)
        valued = learner.targets["q"](subpools.flatten(2))[0]
    expected = 1 + 0.5 * sum(valued[client, chosen[client]].item() for client in range(2))
    assert learner.wanted(joint, torch.tensor([1.0])).item() == pytest.approx(expected, rel=1e-5)


def test_a_client_without_a_sub_pool_adds_nothing():
    layout = Layout(clients=2, arrivals=3, n_classes=2, state=1)
    learner = JointLearner(layout, params(mixer="sum"), np.random.default_rng(8))
    both = random_joint(layout, np.random.default_rng(9))
    alone = both.copy()
    alone[6:12] = 0
    actions = torch.tensor([[1, 0]])
    with torch.no_grad():
        [first] = learner.networks["q"](torch.from_numpy(both[:6])[None])
        total = learner.total(torch.from_numpy(alone)[None], actions)
    assert total.item() == pytest.approx(first[1].item(), rel=1e-5)
    # What it "would do" does not matter either.
    again = learner.total(torch.from_numpy(alone)[None], torch.tensor([[1, 2]]))
    assert again.item() == total.item()


def test_the_target_networks_follow_at_their_interval():
    layout = Layout(2, 3, 2, 1)
    learner = JointLearner(layout, params(updates=3, target_interval=4), np.random.default_rng(0))
    rng = np.random.default_rng(1)
    learner.remember(random_joint(layout, rng), np.array([0, 2]), 5.0, random_joint(layout, rng))

    def follows():
        pairs = zip(learner.networks.parameters(), learner.targets.parameters(), strict=True)
        return all(torch.equal(ours, theirs) for ours, theirs in pairs)

    assert follows()
    learner.train()
    assert not follows()  # 3 steps
    learner.train()
    assert not follows()  # replaced after 4 of 6
    assert learner.updates == 6
    learner._params = learner._params.model_copy(update={"updates": 2})
    learner.train()
    assert follows()  # 8


@pytest.mark.parametrize("mixer", ["trained", "frozen", "sum"])
def test_it_learns_which_sample_pays(mixer):
    """Reward: how many clients chose the sample with the largest first probability."""
    layout = Layout(clients=2, arrivals=3, n_classes=2, state=2)
    settings = params(hidden=32, mixer=mixer, gamma=0.0, updates=200, batch_size=64)
    learner = JointLearner(layout, settings, np.random.default_rng(0))
    rng = np.random.default_rng(1)

    def best(joint):
        subpools, _ = layout.part(torch.from_numpy(joint)[None])
        return subpools[0, :, :, 0].argmax(dim=1).numpy()

    assert not learner.warm
    for _ in range(600):
        joint, actions = random_joint(layout, rng), rng.integers(3, size=2)
        learner.remember(joint, actions, float((actions == best(joint)).sum()), joint)
    assert learner.warm
    learner.train()
    right = 0
    for _ in range(200):
        joint = random_joint(layout, rng)
        seen = joint[:12].reshape(2, 3, 2)
        right += (q_values(learner.policy(), seen, 32).argmax(axis=1) == best(joint)).sum()
    assert right > 0.85 * 400


def test_initial_weights_come_from_the_stream_alone():
    def policy(seed):
        torch.manual_seed(seed)
        return JointLearner(Layout(2, 3, 2, 1), params(), np.random.default_rng(5)).policy()

    np.testing.assert_array_equal(policy(0), policy(1))


def test_the_q_network_has_two_hidden_layers():
    shapes = [tuple(weight.shape) for weight in q_network(10, 7, 64).parameters()]
    assert shapes == [(64, 70), (64,), (64, 64), (64,), (10, 64), (10,)]
