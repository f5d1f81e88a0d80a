"""KAFAL's ResNet-8, against a plain rewriting of its released code and of the paper's blocks."""

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d, batch_norm, conv2d, relu

from fal_bench.errors import InvalidSpecError
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Architecture
from fal_bench.task import ModelSpec


def architecture(**params):
    return Architecture(ModelSpec(kind="preact-resnet8", **params), (3, 12, 9), 5)


def released(weights, images, pre_activation):
    """Every layer written out; normalisation by running figures."""

    def norm(x, name):
        w = {part: weights[f"{name}.{part}"] for part in ("weight", "bias")}
        return batch_norm(
            x, weights[f"{name}.running_mean"], weights[f"{name}.running_var"], **w, training=False
        )

    def conv(x, name, stride=1):
        kernel = weights[f"{name}.weight"]
        return conv2d(x, kernel, stride=stride, padding=kernel.shape[2] // 2)

    x = conv(images, "body.0")
    for number, stride in ((1, 1), (2, 2), (3, 2)):
        block = f"body.{number}"
        if pre_activation:
            ready = relu(norm(x, f"{block}.bn1"))
            beside = x if stride == 1 else conv(ready, f"{block}.shortcut", stride)
            inner = relu(norm(conv(ready, f"{block}.conv1", stride), f"{block}.bn2"))
            x = conv(inner, f"{block}.conv2") + beside
        else:
            beside = x if stride == 1 else conv(x, f"{block}.shortcut", stride)
            inner = relu(norm(conv(x, f"{block}.conv1", stride), f"{block}.bn1"))
            x = relu(norm(conv(inner, f"{block}.conv2"), f"{block}.bn2") + beside)
    x = adaptive_avg_pool2d(relu(norm(x, "body.4")), 1).flatten(1)
    return x @ weights["head.weight"].T + weights["head.bias"]


@pytest.mark.parametrize("pre_activation", [False, True])
def test_predictions_are_those_of_the_layers_written_out(pre_activation):
    generator = torch.Generator().manual_seed(0)
    model = architecture(pre_activation=pre_activation).fresh(generator)
    for name, tensor in model.weights.items():  # running figures that are not the identity
        if name.endswith(("running_mean", "running_var", "bias")):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    images = torch.randn(4, 3, 12, 9, generator=generator)
    expected = released(model.weights, images, pre_activation)
    torch.testing.assert_close(
        torch.tensor(predict(model, images).logits), expected, rtol=1e-4, atol=1e-4
    )


def test_it_has_as_many_parameters_as_the_released_one():
    network = Architecture(ModelSpec(kind="preact-resnet8"), (3, 32, 32), 10).network
    convolutions = 9 * (3 * 16 + 16 * 16 * 2 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64)
    shortcuts, norms, head = 16 * 32 + 32 * 64, 2 * (2 * (16 + 32 + 64) + 64), 64 * 10 + 10
    parameters = sum(one.numel() for one in network.parameters())
    assert parameters == convolutions + shortcuts + norms + head


def test_images_whose_last_map_is_one_pixel_are_refused():
    with pytest.raises(InvalidSpecError, match="4x9"):
        _ = Architecture(ModelSpec(kind="preact-resnet8"), (3, 4, 9), 5).network
