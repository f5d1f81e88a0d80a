"""ResNet-18 (He et al., CVPR 2016), as torchvision builds it, and its published weights."""

from __future__ import annotations

import hashlib
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.plugins.functions import model

if TYPE_CHECKING:
    from torch import Tensor

    from fal_bench.learning.network import Network

Stem = Literal["cifar", "imagenet"]

EMBEDDING_SIZE = 512

_STRIDE = {"cifar": 8, "imagenet": 32}
"""Pixels of the input to one of the last feature map, on each side."""


@model(kinds=("image",))
def resnet18(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    stem: Stem = "cifar",
    weights: Literal["none", "imagenet"] = "none",
) -> Network:
    """ResNet-18 (He et al., CVPR 2016), as torchvision builds it; its embedding has 512 numbers.

    Args:
        input_shape: (C, H, W) of one image.
        n_classes: number of outputs.
        stem: ``"imagenet"`` is the published one (7x7 convolution of stride 2, max-pooling), for
            images over 32x32; ``"cifar"`` a 3x3 convolution of stride 1, for images over 8x8.
        weights: what training starts from: ``"none"`` draws everything, ``"imagenet"`` takes
            torchvision's IMAGENET1K_V1 and draws the head, and the first convolution of the CIFAR
            stem.

    Raises:
        InvalidSpecError: images are so small that the last feature map has a single pixel, which a
            batch of one image cannot be normalised by; or pre-trained kernels do not fit them.
    """
    import torchvision
    from torch import nn

    from fal_bench.learning.network import Network

    channels, height, width = input_shape
    smallest = _STRIDE[stem] + 1
    if min(height, width) < smallest:
        cure = "use stem = 'cifar'" if stem == "imagenet" and height > 8 else "use the cnn"
        raise InvalidSpecError(
            f"The resnet18 with the {stem} stem needs images of at least "
            f"{smallest}x{smallest}, not {height}x{width}; {cure}."
        )
    if weights == "imagenet" and channels not in (1, 3):
        raise InvalidSpecError(
            f"ImageNet's weights are for images of 1 or 3 channels, not {channels}; use "
            "weights = 'none'."
        )
    body: nn.Module = torchvision.models.resnet18(weights=None)
    if stem == "cifar":
        body.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
        body.maxpool = nn.Identity()
    elif channels != 3:
        body.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    body.fc = nn.Identity()
    start = partial(_imagenet_start, stem, channels) if weights == "imagenet" else None
    return Network(body, EMBEDDING_SIZE, n_classes, start=start)


def _imagenet_start(stem: Stem, channels: int) -> dict[str, Tensor]:
    """Return the published weights that training starts from; the others are drawn.

    The head is always drawn, and so is the first convolution of the CIFAR stem, which ImageNet's
    ResNet has not. Kernels of the first convolution are added up for grey images, which is the
    same as showing it three equal channels.

    Raises:
        DataError: the file is not there and cannot be downloaded, or is damaged.
    """
    start = {
        f"body.{name}": tensor
        for name, tensor in _published().items()
        if not name.startswith("fc.")
    }
    if stem == "cifar":
        del start["body.conv1.weight"]
    elif channels == 1:
        start["body.conv1.weight"] = start["body.conv1.weight"].sum(1, keepdim=True)
    return start


@lru_cache(maxsize=1)
def _published() -> dict[str, Tensor]:
    """Load the file of weights, kept where PyTorch keeps its downloads.

    Its name ends in the first digits of its SHA-256.
    """
    import torch
    from torchvision.models import ResNet18_Weights

    url = ResNet18_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    digits = path.stem.rpartition("-")[2]
    if not path.is_file():
        _download(url, path, digits)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(digits):
        raise DataError(
            f"The file of weights {str(path)!r} is damaged; delete it to have it downloaded again."
        )
    loaded: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


def _download(url: str, path: Path, digits: str) -> None:
    import torch

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside its place and moved there when its digest is right.
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digits)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"ImageNet's weights {path.name!r} are not on this machine and cannot be downloaded "
            f"({getattr(error, 'reason', None) or error}); put the file of {url} into "
            f"{str(path.parent)!r}, or set weights to none."
        ) from None
