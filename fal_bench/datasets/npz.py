"""Arrays in a NumPy ``.npz`` file: the user's own images or embeddings."""

from __future__ import annotations

from pathlib import Path

from fal_bench.data.base import Dataset
from fal_bench.datasets._npz import Channels, prepare_npz
from fal_bench.plugins.functions import dataset

_NAME = "npz"


def _digest(
    path: Path,
    train: int | None = None,
    test: int | None = None,
    channels: Channels | None = None,
) -> str:
    """Return the SHA-256 of the file."""
    return prepare_npz(_NAME, path, train, test, channels).digest


@dataset(digest=_digest, whereabouts=lambda: "your own file")
def load_npz(
    path: Path,
    train: int | None = None,
    test: int | None = None,
    channels: Channels | None = None,
) -> Dataset:
    """Load your own arrays from an ``.npz`` file: images, or embeddings ready to use.

    ``train_images`` and ``test_images`` are bytes of shape (n, H, W) or (n, H, W, C), which are
    standardised, or floating-point numbers of these shapes or (n, d), which become float32;
    ``train_labels`` and ``test_labels`` are integers from 0, of shape (n,) or (n, 1). Samples lie
    in a fixed random order. ``train_clients`` and ``test_clients``, integers or texts of shape
    (n,), name the client of each sample; both or the second may be left out. ``train_votes``,
    integers of shape (n, votes), is what single raters said, -1 where there is no vote.

    Args:
        path: the file; a relative path is one in the data folder.
        train: training samples, in the proportions of the classes; None for all.
        test: test samples, likewise.
        channels: ``"first"`` for images of shape (n, C, H, W), as PyTorch has them; ``"last"`` for
            (n, H, W, C). Needed unless C is at most 4 and H is larger.

    Raises:
        DataError: the file is missing or damaged.
        InvalidSpecError: an array is missing or cannot be used, or there are not as many samples.
    """
    return prepare_npz(_NAME, path, train, test, channels).dataset(_NAME)
