"""Points, and distances and inner products between many of them, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, Self, TypeVar

import numpy as np

from fal_bench.arrays import IntArray, RealArray

BLOCK = 2**21
"""Entries of one block of distances (16 MB): memory is linear in the number of points."""

ROUNDING = 1e-13
"""Squared distances below this share of the squared norms are rounding errors, and count as 0.

Identical points are then at distance 0 exactly, and ties among them go by position.
"""


class Points(Protocol):
    """A set of points."""

    def __len__(self) -> int:
        """Number of points."""

    @property
    def squared_norms(self) -> RealArray:
        """Squared Euclidean norms, shape (n,)."""

    def take(self, positions: IntArray | slice) -> Self:
        """Return the points at ``positions``."""

    def inner_products(self, others: Self) -> RealArray:
        """Return all inner products with ``others``, shape (n, len(others))."""


class Vectors:
    """Points given by their coordinates.

    Args:
        coordinates: shape (n, d); kept in double precision.
    """

    def __init__(self, coordinates: RealArray) -> None:
        self.coordinates = np.asarray(coordinates, dtype=np.float64)
        self.squared_norms: RealArray = _squared_norms(self.coordinates)

    def __len__(self) -> int:
        return len(self.coordinates)

    def take(self, positions: IntArray | slice) -> Vectors:
        """Return the points at ``positions``."""
        return Vectors(self.coordinates[positions])

    def inner_products(self, others: Vectors) -> RealArray:
        """Return all inner products with ``others``, shape (n, len(others))."""
        products: RealArray = self.coordinates @ others.coordinates.T
        return products


class OuterProducts:
    """Points that are outer products of two vectors, never multiplied out.

    For x = a (x) z of length c * d: <x, x'> = <a, a'> <z, z'>, so that n points take n * (c + d)
    numbers and not n * c * d.

    Args:
        left: a of each point, shape (n, c).
        right: z of each point, shape (n, d).
    """

    def __init__(self, left: RealArray, right: RealArray) -> None:
        self.left, self.right = Vectors(left), Vectors(right)
        self.squared_norms: RealArray = self.left.squared_norms * self.right.squared_norms

    def __len__(self) -> int:
        return len(self.left)

    def take(self, positions: IntArray | slice) -> OuterProducts:
        """Return the points at ``positions``."""
        return OuterProducts(self.left.coordinates[positions], self.right.coordinates[positions])

    def inner_products(self, others: OuterProducts) -> RealArray:
        """Return all inner products with ``others``, shape (n, len(others))."""
        products = self.left.inner_products(others.left)
        products *= self.right.inner_products(others.right)
        return products


class MeanProducts:
    """Points that are means of outer products, never multiplied out.

    Args:
        parts: sets of as many points each, of one shape, at least one set; point i is the mean of
            the i-th point of each.
    """

    def __init__(self, parts: Sequence[OuterProducts]) -> None:
        self._parts = tuple(parts)
        squared = np.zeros(len(self))
        for one in self._parts:
            for other in self._parts:
                left = np.einsum("ij,ij->i", one.left.coordinates, other.left.coordinates)
                right = np.einsum("ij,ij->i", one.right.coordinates, other.right.coordinates)
                squared += left * right
        # Parts that cancel out leave what rounding makes of zero.
        self.squared_norms: RealArray = np.maximum(squared, 0) / len(self._parts) ** 2

    def __len__(self) -> int:
        return len(self._parts[0])

    def take(self, positions: IntArray | slice) -> MeanProducts:
        """Return the points at ``positions``."""
        return MeanProducts([part.take(positions) for part in self._parts])

    def inner_products(self, others: MeanProducts) -> RealArray:
        """Return all inner products with ``others``, shape (n, len(others))."""
        products = np.zeros((len(self), len(others)))
        for one in self._parts:
            for other in others._parts:
                products += one.inner_products(other)
        products /= len(self._parts) * len(others._parts)
        return products


P = TypeVar("P", bound=Points)


def normalised(coordinates: RealArray) -> RealArray:
    """Return the rows scaled to unit length, in double precision; rows of zeros stay zero."""
    rows = np.asarray(coordinates, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: RealArray = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return scaled


def squared_distances(points: P, others: P) -> RealArray:
    """Return all squared Euclidean distances, shape (len(points), len(others)).

    Quadratic in memory if ``others`` is as large as ``points``: see ``blocks``.
    """
    norms = points.squared_norms[:, None] + others.squared_norms[None, :]
    squared = points.inner_products(others)
    squared *= -2
    squared += norms
    squared[squared <= ROUNDING * norms] = 0
    return squared


def blocks(points: P, others: P) -> Iterator[tuple[slice, RealArray]]:
    """Yield (rows, their squared distances to all of ``others``), in blocks of bounded size."""
    rows = max(1, BLOCK // max(1, len(others)))
    for start in range(0, len(points), rows):
        part = slice(start, min(start + rows, len(points)))
        yield part, squared_distances(points.take(part), others)


def nearest_squared(points: P, others: P) -> RealArray:
    """Return each point's squared distance to the nearest of ``others``, shape (n,).

    Infinite if there are no others.
    """
    nearest = np.full(len(points), np.inf)
    for part, squared in blocks(points, others):
        nearest[part] = squared.min(axis=1, initial=np.inf)
    return nearest


def _squared_norms(coordinates: RealArray) -> RealArray:
    norms: RealArray = np.einsum("ij,ij->i", coordinates, coordinates)
    return norms


def mean_neighbour_distance(points: RealArray, neighbours: int, squared: bool = False) -> RealArray:
    """Return the mean Euclidean distance of each point to its nearest other points.

    Small where points are dense: its inverse is the typicality of Hacohen et al., ICML 2022.

    Args:
        points: shape (n, d).
        neighbours: number of other points; all of them if there are fewer.
        squared: average the squared distances.

    Returns:
        Shape (n,); zero if there are no others or ``neighbours`` is 0.
    """
    from sklearn.neighbors import NearestNeighbors

    count = min(neighbours, len(points) - 1)
    if count < 1:
        return np.zeros(len(points))
    coordinates = np.asarray(points, dtype=np.float64)
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(coordinates)
    distances, _ = search.kneighbors()
    means: RealArray = (distances**2 if squared else distances).mean(axis=1)
    return means


def last_layer_gradients(
    embeddings: RealArray, probs: RealArray, labels: IntArray | None = None
) -> OuterProducts:
    """Return the cross-entropy loss's gradients with respect to the head's weights.

    For the label y the gradient is (p - onehot(y)) (x) z, of length n_classes * d (Ash et al.,
    ICLR 2020, where it is called the gradient embedding).

    Args:
        embeddings: inputs z of the head, shape (n, d).
        probs: softmax outputs p, shape (n, n_classes).
        labels: shape (n,); the predicted classes if None ("hallucinated" gradients).
    """
    errors = np.array(probs, dtype=np.float64)
    predicted = errors.argmax(axis=1) if labels is None else labels
    errors[np.arange(len(errors)), predicted] -= 1
    return OuterProducts(errors, embeddings)
