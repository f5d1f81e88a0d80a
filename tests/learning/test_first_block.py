"""The first block by windows, against PyTorch's layers."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from fal_bench.learning.engine import train
from fal_bench.learning.kernels import first_block
from fal_bench.learning.kernels.first_block import FirstBlock, by_windows
from fal_bench.learning.model import Architecture
from fal_bench.learning.network import Network
from fal_bench.learning.request import TrainRequest
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec

CNN4 = ModelSpec(kind="cnn4")
SMALL = (1, 16, 16)


@pytest.fixture
def always(monkeypatch):
    """Let it be used for small batches, too, a few images at a time."""
    monkeypatch.setattr(first_block, "OUTPUTS", 0)
    monkeypatch.setattr(first_block, "PIXELS", 100)


def block(channels, outputs, generator, dtype=torch.float64):
    """Layers with random weights; some scales are negative."""
    layers = nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs)
    with torch.no_grad():
        for parameter in (*layers[0].parameters(), *layers[1].parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return nn.Sequential(*layers, nn.ReLU(inplace=True), nn.MaxPool2d(2)).to(dtype)


def gradients(layers, images, seed=1):
    """The gradients of all weights by a random function of the outputs, and the outputs."""
    outputs = layers(images)
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(seed))
    parameters = dict(layers.named_parameters())
    found = torch.autograd.grad((outputs * weights.to(outputs)).sum(), list(parameters.values()))
    return dict(zip(parameters, found, strict=True)), outputs


@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 9),
    channels=st.integers(1, 4),
    size=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    offset=st.floats(-100, 100),
)
def test_it_computes_what_the_layers_do(seed, count, channels, size, offset):
    generator = torch.Generator().manual_seed(seed)
    theirs = block(channels, 5, generator)
    ours = FirstBlock(*copy.deepcopy(theirs))
    images = offset + torch.randn(count, channels, *size, generator=generator).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_block, "OUTPUTS", 0)
        patch.setattr(first_block, "PIXELS", 40)
        for _ in range(2):  # moving averages move twice
            (expected, outputs), (found, mine) = (gradients(one, images) for one in (theirs, ours))
    torch.testing.assert_close(mine, outputs)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-7)
    for name, buffer in theirs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), buffer)


def test_numbers_of_a_dark_background_keep_their_digits(always):
    """Sums of a hundred thousand equal numbers, one after the other, lose all but three."""
    generator = torch.Generator().manual_seed(0)
    images = torch.full((128, 1, 28, 28), -0.81)
    images[:, :, 10:18, 10:18] = torch.randn(128, 1, 8, 8, generator=generator)
    exact = block(1, 32, generator)
    ours = FirstBlock(*copy.deepcopy(exact).float())
    expected, found = gradients(exact, images.double())[0], gradients(ours, images)[0]
    variance, precise = ours[1].running_var, exact[1].running_var
    torch.testing.assert_close(variance.double(), precise, rtol=1e-5, atol=0)
    scale = expected["0.weight"].abs().max()
    assert (found["0.weight"] - expected["0.weight"]).abs().max() < 1e-4 * scale


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_a_step_of_the_cnn4_is_that_of_its_layers(shape, lane):
    architecture = Architecture(CNN4, shape, 10)
    job = lane(architecture, 64)
    recipe = LocalTraining(1, 64, 0.1, 0, 0, None)
    [answer] = train([TrainRequest(architecture, recipe, (job,))])
    network = copy.deepcopy(architecture.network).double().train()
    network.load_state_dict(job.start)
    cross_entropy(network(job.features.double()), job.labels).backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    for name, expected in network.state_dict().items():
        found = answer.weights[0][name].to(expected)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_it_is_used_for_large_batches_of_wide_networks(monkeypatch, lane):
    used = []
    apply = first_block._Block.apply
    monkeypatch.setattr(
        first_block._Block, "apply", lambda *args: used.append(args[0].shape) or apply(*args)
    )

    def steps(model, shape, batch):
        used.clear()
        architecture = Architecture(model, shape, 10)
        recipe = LocalTraining(epochs=1, batch_size=batch)
        train([TrainRequest(architecture, recipe, (lane(architecture, 64),))])
        return used

    assert steps(CNN4, (1, 28, 28), 64) == [(64, 1, 28, 28)]
    assert steps(CNN4, (3, 32, 32), 64) == [(64, 3, 32, 32)]
    assert steps(CNN4, (1, 28, 28), 32) == []
    assert steps(ModelSpec(kind="cnn4", width=32), (3, 48, 48), 64) == []


def test_small_batches_and_predictions_are_those_of_the_layers_bit_for_bit(lane):
    network = Architecture(CNN4, SMALL, 10).network
    images = torch.randn(8, *SMALL).contiguous(memory_format=torch.channels_last)
    for training in (True, False):
        network.train(training)
        assert torch.equal(by_windows(network)(images), network(images))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_all_layers_stay(always, dropout):
    network = Architecture(ModelSpec(kind="cnn4", dropout=dropout), SMALL, 10).network
    layers = by_windows(network)
    assert layers is not network
    names = [type(one).__name__ for one in network.modules() if not list(one.children())]
    assert [type(one).__name__ for one in layers.modules() if not list(one.children())] == names
    assert {*map(id, layers.parameters())} == {*map(id, network.parameters())}


@pytest.mark.parametrize(
    ("kind", "params"), [("mlp", {}), ("cnn", {}), ("resnet18", {}), ("cnn4", {"width": 16})]
)
def test_other_networks_are_left_alone(kind, params):
    network = Architecture(ModelSpec(kind=kind, **params), SMALL, 10).network
    assert by_windows(network) is network


@pytest.mark.parametrize(
    ("convolution", "pooling"),
    [
        (nn.Conv2d(1, 64, 3, padding=2, dilation=2), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 64, 3, padding=1, padding_mode="circular"), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 64, 3, padding=1, bias=False), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 64, (1, 5), padding=(0, 2)), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 64, 3, padding=1), nn.MaxPool2d((1, 2))),
    ],
)
def test_unusual_layers_are_left_alone(convolution, pooling):
    body = nn.Sequential(convolution, nn.BatchNorm2d(64), nn.ReLU(), pooling, nn.Flatten())
    for network in (body, Network(body, 64, 10)):
        assert by_windows(network) is network
