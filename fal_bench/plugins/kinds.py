"""Kinds of data, which the shape of a sample tells.

Every sample is three axes (channels, height, width) of float32 numbers, so that engines, trainers
and strategies need to know one form only. A series is an image of height 1, and a vector (a row of
a table, an embedding) one of height and width 1.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Kind = Literal["vector", "series", "image"]
"""``vector`` (features, 1, 1), ``series`` (channels, 1, time), ``image`` (channels, H, W)."""

ALL_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

MODELS_FOR: Final[dict[Kind, str]] = {
    "vector": "mlp",
    "series": "cnn1d or mlp",
    "image": "cnn or mlp",
}
"""Models that ship with falbench and take a kind, for messages."""


def kind_of(shape: tuple[int, int, int]) -> Kind:
    """Return what samples of a shape (channels, height, width) are."""
    _, height, width = shape
    if height > 1:
        return "image"
    return "series" if width > 1 else "vector"
