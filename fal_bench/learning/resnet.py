"""ResNet-18 (He et al., CVPR 2016), as torchvision builds it."""

from __future__ import annotations

from torch import nn

from fal_bench.errors import InvalidSpecError
from fal_bench.task import Resnet18

EMBEDDING_SIZE = 512

_STRIDE = {"cifar": 8, "imagenet": 32}
"""Pixels of the input to one of the last feature map, on each side."""


def resnet18_body(spec: Resnet18, input_shape: tuple[int, int, int]) -> nn.Module:
    """Return ResNet-18 without its head: images (n, C, H, W) to embeddings (n, 512).

    Args:
        spec: the model.
        input_shape: (C, H, W) of one image.

    Raises:
        InvalidSpecError: images are so small that the last feature map has a single pixel, which a
            batch of one image cannot be normalised by; or pre-trained kernels do not fit them.
    """
    from torchvision.models import resnet18

    channels, height, width = input_shape
    smallest = _STRIDE[spec.stem] + 1
    if min(height, width) < smallest:
        cure = "use stem = 'cifar'" if spec.stem == "imagenet" and height > 8 else "use the cnn"
        raise InvalidSpecError(
            f"The resnet18 with the {spec.stem} stem needs images of at least "
            f"{smallest}x{smallest}, not {height}x{width}; {cure}."
        )
    if spec.weights == "imagenet" and channels not in (1, 3):
        raise InvalidSpecError(
            f"ImageNet's weights are for images of 1 or 3 channels, not {channels}; use "
            "weights = 'none'."
        )
    body: nn.Module = resnet18(weights=None)
    if spec.stem == "cifar":
        body.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
        body.maxpool = nn.Identity()
    elif channels != 3:
        body.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    body.fc = nn.Identity()
    return body
