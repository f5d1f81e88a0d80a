"""Frozen features: the embeddings of another data set's images, on which a head is federated.

Training a linear classifier or a small perceptron (``mlp``) on them costs a fraction of training
the whole network, which makes many seeds affordable. Every strategy and engine works on them as on
any other data.
"""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fal_bench.data.base import Dataset
from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.data.prepared import CacheKey, Part, Source, prepare
from fal_bench.data.scaling import standardised
from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.functions import dataset

_NAME = "frozen"

Backbone = Literal["resnet18", "efficientnet-lite0"]
"""A network that is never trained."""

Weights = Literal["imagenet", "none"]
"""Weights trained on ImageNet, or drawn."""

Side = Annotated[int, Field(ge=33, le=1_024)]
Seed = Annotated[int, Field(ge=0)]


def _digest(
    dataset: str,
    backbone: Backbone = "resnet18",  # noqa: ARG001
    weights: Weights = "imagenet",  # noqa: ARG001
    size: int = 224,  # noqa: ARG001
    seed: int = 0,  # noqa: ARG001
) -> str:
    """Return the digest of the images' data set."""
    return dataset_digest(dataset)


@dataset(digest=_digest, whereabouts=lambda: "computed once from another data set")
def load_frozen(
    dataset: str,
    backbone: Backbone = "resnet18",
    weights: Weights = "imagenet",
    size: Side = 224,
    seed: Seed = 0,
) -> Dataset:
    """Load the embeddings of another data set's images under a network that is never trained.

    Samples have shape (512, 1, 1), or (1280, 1, 1) for ``efficientnet-lite0``. Each number has mean
    0 and standard deviation 1 over the training samples. They are computed once, on all cores of
    this machine.

    Args:
        dataset: the images, as a selector: ``frozen[dataset=cifar10]`` or
            ``frozen[dataset=fashion-mnist[train=10000,test=2000]]``.
        backbone: ``"resnet18"``, or ``"efficientnet-lite0"``, whose weights come in a package.
        weights: ``"imagenet"`` for those trained on ImageNet (for the ResNet torchvision's
            IMAGENET1K_V1); ``"none"`` for random weights, whose features are poor but need no
            download.
        size: side of the square that images are stretched to: ImageNet's is 224, smaller ones are
            faster and worse; from 33 to 1024.
        seed: the stream of random weights.

    Raises:
        DataError: the images or the weights are not there.
        InvalidSpecError: the data set is none of grey or colour images, or a value is out of range.
    """
    images = str(Selector.parse(dataset))
    _check_name(images)
    options = {"dataset": images, "backbone": backbone, "weights": weights, "size": size}
    state = [dataset_digest(images), version("torch")]
    key = CacheKey(_NAME, {**options, "seed": seed}, state)
    return prepare(key, partial(_read, images, backbone, weights, size, seed)).dataset(_NAME)


def _check_name(images: str) -> None:
    if Selector.parse(images).name == _NAME:
        raise InvalidSpecError(f"Data set {_NAME!r} is made of images, not of {images!r}.")


def _read(
    images: str,
    backbone: Backbone,
    weights: Weights,
    size: int,
    seed: int,
    scratch: Path,  # noqa: ARG001
) -> Source:
    from fal_bench.datasets._backbones import encoder_of
    from fal_bench.datasets._embedding import embed_images

    dataset = load_dataset(images)
    _check_images(images, dataset)
    encoder = encoder_of(backbone, weights, size, seed)
    embeddings = [
        embed_images(encoder, part, dataset.normalisation, size)
        for part in (dataset.train_features, dataset.test_features)
    ]
    train, test = standardised(*embeddings)
    return Source(
        _part(train, dataset.train_labels.numpy()),
        _part(test, dataset.test_labels.numpy()),
        dataset.n_classes,
        clients=dataset.clients,
        train_votes=dataset.train_votes,
    )


def _check_images(images: str, dataset: Dataset) -> None:
    """Check that samples are images whose pixels can be recovered."""
    import torch

    if dataset.kind != "image" or dataset.input_shape[0] not in (1, 3):
        raise InvalidSpecError(
            f"Data set {images!r} has samples of shape {dataset.input_shape}; frozen features are "
            "made of images with 1 or 3 channels."
        )
    if dataset.normalisation is None:
        parts = (dataset.train_features, dataset.test_features)
        extremes = [value.item() for part in parts for value in torch.aminmax(part)]
        if min(extremes) < 0 or max(extremes) > 1:
            raise InvalidSpecError(
                f"Data set {images!r} does not say how its features came from pixels; frozen "
                "features need a normalisation, or pixels in [0, 1]."
            )


def _part(embeddings: NDArray[np.float32], labels: NDArray[np.int64]) -> Part:
    return Part.of(embeddings[:, :, None, None], labels)
