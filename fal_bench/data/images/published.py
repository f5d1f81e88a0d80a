"""What published image data sets have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fal_bench.data.folders import download_folder
from fal_bench.data.images.prepared import prepared_names
from fal_bench.data.images.source import Part, Source
from fal_bench.data.images.subset import chosen_rows


def published_source(
    name: str,
    images: Sequence[NDArray[Any]],
    labels: Sequence[NDArray[Any]],
    counts: Sequence[int | None],
) -> Source:
    """Return a published data set whose rows are in no order that tells their class.

    Args:
        name: its name.
        images: training and test images; shape (n, H, W, C).
        labels: their classes, the largest of which occurs in training.
        counts: how many samples of each part are wanted; None for all.

    Raises:
        InvalidSpecError: there are not as many.
    """
    train, test = (
        Part.of(pixels, classes, chosen_rows(name, part, classes, count))
        for part, pixels, classes, count in zip(
            ("train", "test"), images, labels, counts, strict=True
        )
    )
    return Source(train, test, int(labels[0].max()) + 1)


def published_whereabouts(name: str, *places: str) -> str:
    """Say whether a published data set is on this machine.

    Args:
        name: its name.
        places: files or folders of the data folder, any of which would hold it.
    """
    if name in prepared_names():
        return "ready"
    folder = download_folder()
    for place in places:
        if (folder / Path(place)).exists():
            return f"in {folder / place}"
    return f"not here; the first use downloads it to {folder}"
