"""The pieces of the hand-written steps against PyTorch's own operations; even sizes."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import fold, max_pool2d, relu, unfold

from fal_bench.learning.kernels.cnn import MatrixState
from fal_bench.learning.kernels.even import EvenNetwork, is_odd
from fal_bench.learning.kernels.windows import LayerWindows, SampleWindows
from fal_bench.learning.kernels.workspace import RectifiedPool
from fal_bench.learning.model import Architecture
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec

RECIPE = LocalTraining(3, 10, 0.05, 0.9, 1e-3, None)
SIZES = [(8, 8), (5, 7), (2, 3), (6, 2)]


def whole(count, *shape, seed=0):
    """Random small integers in float: sums are exact, and equal values are frequent."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-3, 4, (count, *shape), generator=generator).float()


def by_pool_order(images):
    """Images (n, C, H, W) as (n, 2, 2 * h, w, C): even columns, then odd ones."""
    height, width = images.shape[2] // 2 * 2, images.shape[3] // 2 * 2
    inner = images[:, :, :height, :width].permute(0, 2, 3, 1)
    return torch.stack([inner[:, :, 0::2], inner[:, :, 1::2]], 1)


def windows(images):
    """Every window that pooling uses, shape (n, windows, 9 * C), by PyTorch's unfold."""
    count, channels, height, width = images.shape
    columns = unfold(images, 3, padding=1).view(count, channels, 9, height, width)
    columns = columns.permute(0, 2, 1, 3, 4).reshape(count, 9 * channels, height, width)
    return by_pool_order(columns).reshape(count, -1, 9 * channels)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_windows_of_samples(size, channels):
    images = whole(6, channels, *size)
    expected = windows(images)[[4, 0, 4]]
    length = 9 * channels
    rows = torch.full((*expected.shape[:2], length + 1 + (length + 1) % 2), torch.nan)
    SampleWindows(images).gather(torch.tensor([4, 0, 4]), rows)
    assert torch.equal(rows[..., :length], expected)
    assert torch.equal(rows[..., length], torch.ones(expected.shape[:2]))
    assert not rows[..., length + 1 :].any()


@pytest.mark.parametrize("size", SIZES)
def test_the_windows_of_a_layer_and_the_way_back(size):
    images = whole(6, 4, *size)
    padded = torch.zeros(6, size[0] + 2, size[1] + 2, 4)
    layer = LayerWindows(padded, 3)
    padded[:, 1:-1, 1:-1] = images.permute(0, 2, 3, 1)
    layer.unfold()
    expected = windows(images)
    assert torch.equal(layer.rows[..., :36], expected.view(3, -1, 36))
    assert torch.equal(layer.rows[..., 36:].unique(), torch.tensor([0.0, 1.0]))

    inner = (size[0] // 2 * 2, size[1] // 2 * 2)
    gradients = whole(6, 36, *inner, seed=1)
    layer.gradients.copy_(by_pool_order(gradients).reshape(layer.gradients.shape))
    layer.fold()
    columns = gradients.view(6, 9, 4, -1).transpose(1, 2).reshape(6, 36, -1)
    # Windows lie on the inner pixels; images reach one pixel further where a size is odd.
    around = fold(columns, (inner[0] + 2, inner[1] + 2), 3)
    reach = tuple(min(have, inside + 1) for have, inside in zip(size, inner, strict=True))
    expected = torch.zeros(6, 4, *size)
    expected[:, :, : reach[0], : reach[1]] = around[:, :, 1 : 1 + reach[0], 1 : 1 + reach[1]]
    assert torch.equal(layer.folded.permute(0, 3, 1, 2), expected)


@pytest.mark.parametrize("size", [(2, 2), (8, 4)])
def test_pooling_is_pytorchs_also_where_pixels_are_equal(size):
    images = whole(5, 3, *size).requires_grad_()
    reference = max_pool2d(relu(images), 2)
    gradient = whole(*reference.shape, seed=1)
    reference.backward(gradient)
    pixels = by_pool_order(images.detach()).contiguous()
    pooled = torch.full((5, size[0] // 2, size[1] // 2, 3), torch.nan)
    pool = RectifiedPool(pixels, pooled)
    pool.forward()
    assert torch.equal(pooled.permute(0, 3, 1, 2), reference.detach())
    pool.backward(gradient.permute(0, 2, 3, 1))
    # ReLU is 0 for the whole run or not in the way, so the order of the two is free.
    assert torch.equal(pixels, by_pool_order(images.grad))


def test_weights_come_back_from_matrices(same_bits):
    architecture = Architecture(ModelSpec(kind="cnn", channels=(3, 4, 6)), (2, 9, 17), 5)
    state = MatrixState(architecture.network, RECIPE, 3)
    weights = architecture.fresh(torch.Generator().manual_seed(0)).weights
    state.load(1, weights)
    back = {name: one[0] for name, one in state.read([1]).items()}
    same_bits(back, weights)
    state.load(1, architecture.fresh(torch.Generator().manual_seed(1)).weights)
    assert torch.equal(back["head.weight"], weights["head.weight"])


sizes = st.integers(1, 9)
mlps = st.builds(ModelSpec, kind=st.just("mlp"), hidden=st.lists(sizes, max_size=3).map(tuple))
cnns = st.builds(
    ModelSpec, kind=st.just("cnn"), channels=st.lists(sizes, min_size=1, max_size=2).map(tuple)
)
architectures = st.builds(
    Architecture,
    st.one_of(mlps, cnns, st.just(ModelSpec(kind="mlp", hidden=(3,), dropout=0.5))),
    st.tuples(sizes, st.just(17), st.just(19)),
    st.integers(2, 7),
)


def fresh(architecture):
    return architecture.fresh(torch.Generator().manual_seed(0)).weights


@settings(max_examples=40)
@given(architecture=architectures)
def test_it_is_the_same_function_with_nothing_odd(architecture):
    given_network = copy.deepcopy(architecture.network).eval()
    even = EvenNetwork(given_network)
    assert not any(is_odd(layer) for layer in even.network.modules())
    weights = fresh(architecture)
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


@settings(max_examples=40)
@given(architecture=architectures)
def test_weights_come_back_from_an_even_network(architecture, same_bits):
    even = EvenNetwork(architecture.network)
    weights = fresh(architecture)
    stacked = {name: one.expand(2, *one.shape) for name, one in even.widen(weights).items()}
    for slot in range(2):
        back = {name: one[slot] for name, one in even.narrow(stacked).items()}
        same_bits(back, weights)


@pytest.mark.parametrize(
    "spec", [ModelSpec(kind="mlp", hidden=(16,)), ModelSpec(kind="cnn", channels=(4, 6))]
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
