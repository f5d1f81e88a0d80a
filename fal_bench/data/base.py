"""The data set: training and test samples with their labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from fal_bench.data.clients import GivenClients
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.kinds import Kind, kind_of

if TYPE_CHECKING:  # planning a comparison needs no PyTorch
    import torch

    from fal_bench.arrays import IntArray


@dataclass(frozen=True)
class Normalisation:
    """How pixels in [0, 1] became features: (pixel - mean) / deviation in each channel.

    Attributes:
        mean: subtracted from each channel.
        deviation: what each channel is then divided by.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples in memory, ready to use, with a fixed training and test part.

    Images have shape (C, H, W); a series is (C, 1, T), a vector or a row of a table (d, 1, 1).

    A data set is loaded once a process and shared by all runs in it: treat its tensors as
    read-only and copy before you write. A sample's id is its row in ``train_features``. Pools are
    shown sorted by id, so the order of the training samples should say nothing about their class.

    Attributes:
        name: what the data set is called.
        train_features: training samples, normalised; float32, shape (N, C, H, W).
        train_labels: their classes in [0, n_classes); int64, shape (N,).
        test_features: test samples; float32, shape (M, C, H, W).
        test_labels: their classes; int64, shape (M,).
        n_classes: how many classes there are, at least 2.
        normalisation: how the features came from pixels in [0, 1]; None if they are these pixels,
            or no pixels at all.
        clients: the clients that hold the samples, if the data come with clients.
        target_features: unlabelled inputs of the domain that the test part is of and no client
            holds, shape (n, C, H, W); None without such a domain.
        train_votes: what single raters said of each training sample, one column a vote, in no
            particular order; -1 where there is none. Integers of shape (N, votes); None if only
            ``train_labels`` are known.

    Raises:
        InvalidSpecError: a tensor has the wrong shape, type or values.
    """

    name: str
    train_features: torch.Tensor = field(repr=False)
    train_labels: torch.Tensor = field(repr=False)
    test_features: torch.Tensor = field(repr=False)
    test_labels: torch.Tensor = field(repr=False)
    n_classes: int
    normalisation: Normalisation | None = None
    clients: GivenClients | None = None
    target_features: torch.Tensor | None = field(default=None, repr=False)
    train_votes: IntArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.n_classes < 2:
            self._reject(f"needs at least 2 classes, not {self.n_classes}")
        self._check_part("train", self.train_features, self.train_labels)
        self._check_part("test", self.test_features, self.test_labels)
        if self.train_features.shape[1:] != self.test_features.shape[1:]:
            self._reject(
                f"has training samples of shape {self.input_shape} but test samples of shape "
                f"{tuple(self.test_features.shape[1:])}; give them one shape"
            )
        if self.clients is not None:
            self._check_owners("train", self.clients.train, self.n_train)
            self._check_owners("test", self.clients.test, self.n_test)
        if self.train_votes is not None:
            self._check_votes(self.train_votes)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape (channels, height, width) of one sample."""
        channels, height, width = self.train_features.shape[1:]
        return channels, height, width

    @property
    def kind(self) -> Kind:
        """What the samples are: images, series or vectors."""
        return kind_of(self.input_shape)

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return len(self.train_labels)

    @property
    def n_test(self) -> int:
        """Number of test samples."""
        return len(self.test_labels)

    def _check_part(self, part: str, features: torch.Tensor, labels: torch.Tensor) -> None:
        import torch

        if features.ndim != 4 or features.numel() == 0:
            self._reject(
                f"has {part}_features of shape {tuple(features.shape)}; use (samples, channels, "
                "height, width) for images, (samples, channels, 1, time) for series, or "
                "(samples, features, 1, 1) for vectors, none of them 0"
            )
        if labels.shape != features.shape[:1]:
            self._reject(
                f"has {part}_labels of shape {tuple(labels.shape)} for {len(features)} samples; "
                f"give one label a sample"
            )
        if features.dtype != torch.float32:
            self._reject(f"has {part}_features of type {features.dtype}; use torch.float32")
        if labels.dtype != torch.int64:
            self._reject(f"has {part}_labels of type {labels.dtype}; use torch.int64")
        # NaN shows in the extremes, which take no memory, unlike a mask as large as a mapped file.
        if not all(bool(extreme.isfinite()) for extreme in torch.aminmax(features)):
            self._reject(f"has NaN or infinite values in {part}_features; remove them")
        channels = features.shape[1]
        if self.normalisation and len(self.normalisation.mean) != channels:
            self._reject(f"has a normalisation for another number of channels than {channels}")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.n_classes:
            self._reject(
                f"has {part}_labels from {low} to {high}; "
                f"use 0 to {self.n_classes - 1} for {self.n_classes} classes"
            )

    def _check_owners(self, part: str, owners: IntArray | None, samples: int) -> None:
        if owners is not None and len(owners) != samples:
            self._reject(
                f"has clients of {len(owners)} {part} samples, and {samples} {part} samples; name "
                "one client a sample"
            )

    def _check_votes(self, votes: IntArray) -> None:
        if votes.ndim != 2 or len(votes) != self.n_train or votes.dtype.kind != "i":
            self._reject(
                f"has train_votes of shape {votes.shape} and type {votes.dtype}; use signed "
                f"integers of shape ({self.n_train}, votes)"
            )
        unheard = np.flatnonzero(~(votes >= 0).any(axis=1))
        if len(unheard):
            self._reject(f"has no vote of sample {unheard[0]} in train_votes; give it one")
        low, high = int(votes.min()), int(votes.max())
        if low < -1 or high >= self.n_classes:
            self._reject(
                f"has train_votes from {low} to {high}; use 0 to {self.n_classes - 1} for "
                f"{self.n_classes} classes, and -1 for no vote"
            )

    def _reject(self, complaint: str) -> None:
        raise InvalidSpecError(f"Data set {self.name!r} {complaint}.")


@lru_cache(maxsize=8)
def on_device(dataset: Dataset, device: str) -> Dataset:
    """Return a data set with its images on a device, copied there once; labels stay."""
    if device == dataset.train_features.device.type:
        return dataset
    train, test = dataset.train_features.to(device), dataset.test_features.to(device)
    target = dataset.target_features
    return replace(
        dataset,
        train_features=train,
        test_features=test,
        target_features=None if target is None else target.to(device),
    )
