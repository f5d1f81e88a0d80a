"""The samples of a site: features without labels, what they are called, and how people see them."""

from __future__ import annotations

import csv
import hashlib
import io
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.deploy.config import (
    ArrayData,
    Federation,
    ImageData,
    ShareData,
    SiteConfig,
    TableData,
)
from fal_bench.deploy.labels import LabelStore
from fal_bench.deploy.messages import DeploymentError, SharedError
from fal_bench.inputs.files import read_bytes, read_text

DAMAGED: Final = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy raises where a file is no ``.npz`` file, or half of one."""

_IMAGES: Final = (".png", ".jpg", ".jpeg")
_SIDE: Final = 256
"""Pixels of a picture's longer side, where it is drawn from features."""


@dataclass(frozen=True, eq=False)
class Samples:
    """What a site has.

    Attributes:
        features: float32, shape (n, C, H, W).
        names: what each sample is called, for people.
        known: labels that simulated annotators give; None where people do.
        files: the image of each sample, where there is one.
        columns: names of the features, where they have any.
    """

    features: FloatArray
    names: tuple[str, ...]
    known: Callable[[int], IntArray] | None = None
    files: Sequence[Path] = ()
    columns: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the features; it stays at the site."""
        return hashlib.sha256(np.ascontiguousarray(self.features).data).hexdigest()

    def text(self, sample: int) -> str:
        """Return a sample's named features, one a line; nothing if they have no names."""
        values = self.features[sample].ravel().tolist()
        lines = zip(self.columns, values, strict=False)
        return "\n".join(f"{column}: {value:g}" for column, value in lines)

    def picture(self, sample: int) -> bytes | None:
        """Return a sample as a PNG or JPEG file; None if it is no picture."""
        if self.files:
            return read_bytes(self.files[sample], links=True)
        channels, height, width = self.features.shape[1:]
        if min(height, width) < 2 or channels not in (1, 3):
            return None
        from PIL import Image

        values = self.features[sample].transpose(1, 2, 0)
        low, high = float(values.min()), float(values.max())
        pixels = ((values - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
        image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        scale = max(1, _SIDE // max(height, width))
        image = image.resize((width * scale, height * scale), Image.Resampling.NEAREST)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()


def read_samples(federation: Federation, site: SiteConfig, store: LabelStore) -> Samples:
    """Read the samples of a site; its label store knows from then on which ones they are.

    Args:
        federation: what server and sites agree on.
        site: the site.
        store: its label store.

    Raises:
        DeploymentError: they cannot be read, have another shape than the federation says, or are
            not those that the site began with.
    """
    found = _read(federation, site)
    facts = {"digest of the data": found.digest, "number of samples": str(len(found.names))}
    try:
        store.fix(facts)
    except DeploymentError:
        raise SharedError(
            f"Site {site.name!r} has other data than it began with; go on with those, or start "
            "with another label store."
        ) from None
    return found


def _read(federation: Federation, site: SiteConfig) -> Samples:
    match site.data:
        case ShareData():
            found = _share(federation, federation.number(site.name))
        case ArrayData():
            found = _arrays(site.data)
        case ImageData():
            found = _images(site.data, federation.input_shape)
        case TableData():
            found = _table(site.data)
    shape = found.features.shape[1:]
    if shape != federation.input_shape:
        raise DeploymentError(
            f"Site {site.name!r} has samples of shape {shape}, and federation "
            f"{federation.name!r} has input_shape {federation.input_shape}; correct one of them."
        )
    if not np.isfinite(found.features).all():
        raise DeploymentError(
            f"Site {site.name!r} has samples with NaN or infinite values; remove or correct them."
        )
    return found


def _share(federation: Federation, number: int) -> Samples:
    from fal_bench.data.loading import load_dataset
    from fal_bench.federation.setting import Setting

    setting = Setting.draw(federation.task, federation.seed, load_dataset(federation.task.dataset))
    ids = setting.shares[number].pool
    features: FloatArray = setting.dataset.train_features[ids].numpy()
    names = tuple(f"{federation.task.dataset} {sample}" for sample in ids.tolist())
    return Samples(features, names, lambda vote: setting.votes(vote)[ids])


def _arrays(data: ArrayData) -> Samples:
    try:
        with data.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            values = np.asarray(file["samples"])
    except DAMAGED as error:
        raise DeploymentError(
            f"Cannot read an array 'samples' in {str(data.path)!r} ({error}); write it with "
            "numpy.savez."
        ) from None
    if values.dtype.kind not in "fiu" or values.ndim not in (2, 4) or not len(values):
        raise DeploymentError(
            f"{str(data.path)!r} has samples of shape {values.shape} and type {values.dtype}; use "
            "numbers of shape (n, channels, height, width), or (n, features)."
        )
    if values.ndim == 2:
        values = values[:, :, None, None]
    return Samples(values.astype(np.float32), _numbered(len(values)))


def _images(data: ImageData, shape: tuple[int, int, int]) -> Samples:
    from fal_bench.data.images import Colour, decode

    channels, height, width = shape
    if height != width or channels not in (1, 3):
        raise DeploymentError(
            f"Images are square and have 1 or 3 channels; input_shape is {shape}."
        )
    files = sorted(path for path in data.path.rglob("*") if path.suffix.lower() in _IMAGES)
    if not files:
        raise DeploymentError(f"There is no PNG or JPEG image in {str(data.path)!r}; add some.")
    colour: Colour = "rgb" if channels == 3 else "grey"
    features = np.empty((len(files), *shape), dtype=np.float32)
    for place, path in enumerate(files):
        pixels = decode(path, colour, height).pixels.transpose(2, 0, 1)
        features[place] = (pixels / 255 - data.mean) / data.deviation
    return Samples(features, tuple(str(path.relative_to(data.path)) for path in files), files=files)


def _table(data: TableData) -> Samples:
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(data.path, links=True))))
    except csv.Error as error:
        raise DeploymentError(f"Cannot read {str(data.path)!r}: {error}.") from None
    if not rows:
        raise DeploymentError(f"{str(data.path)!r} has no rows; add some.")
    if unknown := set(data.columns) - set(rows[0]):
        known = ", ".join(filter(None, rows[0]))  # None names the cells beyond the header
        raise DeploymentError(f"{str(data.path)!r} has no column {min(unknown)!r}; it has {known}.")
    values = np.empty((len(rows), len(data.columns)), dtype=np.float32)
    for number, row in enumerate(rows):
        for place, column in enumerate(data.columns):
            try:
                values[number, place] = float(row[column])
            except (TypeError, ValueError):
                raise DeploymentError(
                    f"{str(data.path)!r}, line {number + 2}: column {column!r} holds "
                    f"{row[column]!r}, which is no number; correct it."
                ) from None
    mean = np.array(data.mean or 0.0, dtype=np.float32)
    deviation = np.array(data.deviation or 1.0, dtype=np.float32)
    features = ((values - mean) / deviation)[:, :, None, None]
    return Samples(features, _numbered(len(values)), columns=data.columns)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))
