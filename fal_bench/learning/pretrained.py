"""Pre-trained weights: torchvision's, kept where PyTorch keeps its downloads."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from fal_bench.errors import DataError
from fal_bench.task import Resnet18

Weights = dict[str, Tensor]


def resnet18_start(spec: Resnet18, channels: int) -> Weights:
    """Return the weights that a pre-trained ResNet-18 starts from; the others are drawn.

    The head is always drawn, and so is the first convolution of the CIFAR stem, which ImageNet's
    ResNet has not. Kernels of the first convolution are added up for grey images, which is the
    same as showing it three equal channels.

    Args:
        spec: the model.
        channels: 1 or 3, the channels of its images.

    Raises:
        DataError: the file is not there and cannot be downloaded, or is damaged.
    """
    if spec.weights == "none":
        return {}
    start = {
        f"body.{name}": tensor
        for name, tensor in _imagenet_resnet18().items()
        if not name.startswith("fc.")
    }
    if spec.stem == "cifar":
        del start["body.conv1.weight"]
    elif channels == 1:
        start["body.conv1.weight"] = start["body.conv1.weight"].sum(1, keepdim=True)
    return start


@lru_cache(maxsize=1)
def _imagenet_resnet18() -> Weights:
    from torchvision.models import ResNet18_Weights

    weights: Weights = _load(ResNet18_Weights.IMAGENET1K_V1.url)
    return weights


def _load(url: str) -> Weights:
    """Load a file of weights; its name ends in the first digits of its SHA-256."""
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
    loaded: Weights = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


def _download(url: str, path: Path, digits: str) -> None:
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
