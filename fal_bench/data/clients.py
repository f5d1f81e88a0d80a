"""The clients that data come with: which of them holds which sample."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fal_bench.arrays import IntArray
from fal_bench.inputs.cells import twins


@dataclass(frozen=True, eq=False)
class GivenClients:
    """Natural clients: hospitals, branches, people.

    Attributes:
        names: what the clients are called, in the order of their numbers.
        train: number of the client of each training sample, from 0; shape (N,).
        test: the same of each test sample; None if test samples belong to no client.

    Raises:
        ValueError: a number is out of range, or a client has no training sample, or no test sample
            where others have one, or two names differ in case or blanks alone; the message goes on
            after the name of the data.
    """

    names: tuple[str, ...]
    train: IntArray
    test: IntArray | None = None

    def __post_init__(self) -> None:
        _check_twins(self.names)
        for part, numbers in (("training", self.train), ("test", self.test)):
            if numbers is None:
                continue
            if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
                raise ValueError(
                    f"has {part} clients of shape {numbers.shape} and type {numbers.dtype}; give "
                    "the number of one client a sample"
                )
            if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(self.names):
                raise ValueError(
                    f"has {part} clients from {numbers.min()} to {numbers.max()}; use 0 to "
                    f"{len(self.names) - 1} for {len(self.names)} clients"
                )
            held = np.bincount(numbers, minlength=len(self.names))
            if not held.all():
                raise ValueError(self._without(part, self.names[int(np.argmin(held))]))

    @classmethod
    def named(cls, train: npt.ArrayLike, test: npt.ArrayLike | None = None) -> GivenClients:
        """Return the clients of samples that say whose they are.

        Clients are numbered in the order of their names: numbers by size, texts by the alphabet.

        Args:
            train: name of the client of each training sample, integers or texts; shape (N,).
            test: the same of each test sample; None if test samples belong to no client.

        Raises:
            ValueError: a name is neither an integer nor a text, or is that of a test sample alone,
                or a client has no test sample; the message goes on after the name of the data.
        """
        owners = _checked("train_clients", train)
        names, numbers = np.unique(owners, return_inverse=True)
        shown = tuple(str(name) for name in names)
        if test is None:
            return cls(shown, numbers.reshape(-1))
        tested = _checked("test_clients", test)
        if (owners.dtype.kind == "U") != (tested.dtype.kind == "U"):
            raise ValueError(
                f"has train_clients of type {owners.dtype} and test_clients of type "
                f"{tested.dtype}; give both integers, or both texts"
            )
        _check_twins(map(str, np.union1d(names, tested)))
        if (unknown := np.setdiff1d(tested, names)).size:
            raise ValueError(
                f"has test samples of client {str(unknown[0])!r}, which has no training sample; "
                "give it some, or remove its test samples"
            )
        return cls(shown, numbers.reshape(-1), np.searchsorted(names, tested))

    def chosen(self, train: IntArray | None, test: IntArray | None) -> GivenClients:
        """Return the clients of chosen rows of both parts; all rows if None.

        Args:
            train: positions of training samples.
            test: positions of test samples.

        Raises:
            ValueError: a client keeps no sample.
        """
        own_test = self.test
        if own_test is not None and test is not None:
            own_test = own_test[test]
        own_train = self.train if train is None else self.train[train]
        return GivenClients(self.names, own_train, own_test)

    def without(self, number: int) -> tuple[GivenClients, IntArray]:
        """Return the other clients, of training samples alone, and the rows that they hold."""
        rows = np.flatnonzero(self.train != number)
        names = self.names[:number] + self.names[number + 1 :]
        own = self.train[rows]
        return GivenClients(names, own - (own > number)), rows

    @staticmethod
    def _without(part: str, name: str) -> str:
        if part == "training":
            return (
                f"has no training sample of client {name!r}; give it one (a larger train, where "
                "only some samples are used), or remove the client"
            )
        return (
            f"has no test sample of client {name!r}; give every client some (a larger test, where "
            "only some samples are used), or give no clients of test samples"
        )


def _check_twins(names: Iterable[str]) -> None:
    if found := twins(names):
        raise ValueError(
            f"has clients {found[0]!r} and {found[1]!r}, whose names differ in case or blanks "
            "alone; write one name for one client, and names that differ more for two"
        )


def _checked(what: str, owners: npt.ArrayLike) -> np.ndarray[Any, Any]:
    """Return names of clients as an array of integers or of texts, one a sample."""
    names = np.asarray(owners)
    if names.ndim == 2 and names.shape[1] == 1:
        names = names[:, 0]
    if names.ndim != 1 or names.dtype.kind not in "iuU":
        raise ValueError(
            f"has {what} of shape {names.shape} and type {names.dtype}; use integers or texts of "
            "shape (samples,)"
        )
    return names
