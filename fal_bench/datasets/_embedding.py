"""Embeddings of many images by one fixed network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fal_bench.arrays import FloatArray
from fal_bench.data.base import Normalisation
from fal_bench.data.images import with_progress
from fal_bench.datasets._backbones import Encoder

BATCH_SIZE = 64


def embed_images(
    encoder: Encoder, features: Tensor, how: Normalisation | None, size: int
) -> FloatArray:
    """Return the embeddings of images, computed on all cores.

    Every batch is computed on one thread, so that bits do not depend on the number of cores. A
    terminal shows a progress bar.

    Args:
        encoder: the network.
        features: normalised images, grey or colour; shape (n, C, H, W).
        how: how these came from pixels in [0, 1]; None if they are these pixels.
        size: side of the square that images are stretched to, bilinearly.

    Returns:
        Shape (n, d).
    """
    network = encoder.network
    network.eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def embed(batch: Tensor) -> FloatArray:
        images = resized(batch, how, encoder.normalisation, size).contiguous(
            memory_format=torch.channels_last
        )
        embeddings: FloatArray = network.body(images).numpy()
        return embeddings

    batches = torch.split(features, BATCH_SIZE)
    with _single_threads(), ThreadPoolExecutor(os.cpu_count(), initializer=_pin) as pool:
        text = f"Embedding {len(features)} images"
        return np.concatenate(list(with_progress(pool.map(embed, batches), text, len(batches))))


def resized(features: Tensor, how: Normalisation | None, to: Normalisation, size: int) -> Tensor:
    """Return images of three channels in another size and normalisation: (n, 3, size, size)."""
    pixels = features if how is None else features * _shaped(how.deviation) + _shaped(how.mean)
    pixels = pixels.expand(-1, 3, -1, -1)
    if pixels.shape[2:] != (size, size):
        pixels = interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    return (pixels - _shaped(to.mean)) / _shaped(to.deviation)


def _shaped(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1)


def _pin() -> None:
    torch.set_num_threads(1)


@contextmanager
def _single_threads() -> Iterator[None]:
    """Give PyTorch back its threads afterwards."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
