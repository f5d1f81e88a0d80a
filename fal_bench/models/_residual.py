"""Residual blocks with batch normalisation behind or before each convolution."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution without a bias."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return what lies beside a block: nothing, or a 1x1 convolution where sizes change."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)


class PostActivation(nn.Module):
    """Two convolutions, each normalised, and a shortcut that is not (He et al., CVPR 2016).

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: pixels from one output to the next.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature maps, shape (n, outputs, H / stride, W / stride)."""
        inner = relu(self.bn1(self.conv1(images)))
        return relu(self.bn2(self.conv2(inner)) + self.shortcut(images))


class PreActivation(nn.Module):
    """Normalisation and ReLU before each of two convolutions (He et al., ECCV 2016).

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: pixels from one output to the next.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = convolution(inputs, outputs, stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature maps, shape (n, outputs, H / stride, W / stride)."""
        ready = relu(self.bn1(images))
        beside = images if isinstance(self.shortcut, nn.Identity) else self.shortcut(ready)
        inner: Tensor = self.conv2(relu(self.bn2(self.conv1(ready))))
        return inner + beside
