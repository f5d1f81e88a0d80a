"""Networks of even sizes: the same function, with room beside it that stays empty."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fal_bench.learning.model import Architecture
from fal_bench.learning.stacked.even_network import EvenNetwork, is_odd
from fal_bench.task import ModelSpec

sizes = st.integers(1, 9)
mlps = st.builds(ModelSpec, kind=st.just("mlp"), hidden=st.lists(sizes, max_size=3).map(tuple))
cnns = st.builds(
    ModelSpec, kind=st.just("cnn"), channels=st.lists(sizes, min_size=1, max_size=2).map(tuple)
)
architectures = st.builds(
    Architecture,
    st.one_of(
        mlps,
        cnns,
        st.just(ModelSpec(kind="cnn4", width=3)),
        st.just(ModelSpec(kind="cnn4", width=4, dropout=0.5)),
    ),
    st.tuples(sizes, st.just(17), st.just(19)),
    st.integers(2, 7),
)


def perturbed(architecture, seed=0):
    """Weights without the zeros and ones that buffers start with."""
    generator = torch.Generator().manual_seed(seed)
    weights = architecture.fresh(generator).weights
    return {
        name: tensor + 0.1 * torch.rand(tensor.shape, generator=generator)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in weights.items()
    }


@settings(max_examples=40, deadline=None)
@given(architecture=architectures)
def test_it_is_the_same_function_with_nothing_odd(architecture):
    given_network = copy.deepcopy(architecture.network).eval()
    even = EvenNetwork(given_network)
    assert not any(is_odd(layer) for layer in even.network.modules())
    weights = perturbed(architecture)
    widened = even.widen(weights)
    given_network.load_state_dict(weights)
    network = copy.deepcopy(even.network).eval()
    network.load_state_dict(widened)
    samples = torch.rand(3, *architecture.input_shape)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
    if isinstance(first, nn.Linear) and first.in_features != samples[0].numel():
        flat = torch.cat([samples.flatten(1), torch.rand(3, 1)], 1)  # whatever stands there
        logits = network(flat)
    else:
        logits = network(samples)
    n_classes = architecture.n_classes
    torch.testing.assert_close(logits[:, :n_classes], given_network(samples))
    assert not logits[:, n_classes:].any()


@settings(max_examples=40, deadline=None)
@given(architecture=architectures)
def test_weights_come_back_as_they_went(architecture):
    even = EvenNetwork(architecture.network)
    weights = perturbed(architecture)
    back = even.narrow(even.widen(weights))
    assert back.keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in back.items())


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(kind="mlp", hidden=(16,)),
        ModelSpec(kind="cnn", channels=(4, 6)),
        ModelSpec(kind="cnn4", width=6),
    ],
)
def test_an_even_network_stays_itself(spec):
    network = Architecture(spec, (1, 16, 16), 10).network
    even = EvenNetwork(network)
    weights = network.state_dict()
    assert even.network is network
    assert even.widen(weights) is weights
    assert even.narrow(weights) is weights


def test_the_global_random_stream_stands_still():
    network = Architecture(ModelSpec(kind="cnn", channels=(3, 5)), (1, 8, 8), 3).network
    before = torch.get_rng_state()
    EvenNetwork(network)
    assert torch.equal(torch.get_rng_state(), before)
