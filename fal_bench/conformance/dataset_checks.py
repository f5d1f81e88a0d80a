"""What every data set must satisfy: one function a check, in the order of the report."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from fal_bench.conformance.side_effects import digest as digest_of
from fal_bench.conformance.subject import (
    Failure,
    FunctionSubject,
    NotApplicable,
    once,
    owned_by,
    params,
)
from fal_bench.data.base import Dataset
from fal_bench.plugins.built_in import DATASET
from fal_bench.plugins.functions import DatasetTraits, traits_of

MOST_EXCESS: Final = 0.05
"""By how much neighbours may be of one class more, or less, often than in a random order."""

DEVIATIONS: Final = 6.0
"""The same in standard deviations."""


class DatasetSubject(FunctionSubject[Dataset]):
    """One data set under check."""

    kind = DATASET

    def make(self) -> Dataset:
        """Load it."""
        dataset = self.code(**self.arguments)
        if not isinstance(dataset, Dataset):
            kind = type(dataset).__name__
            raise Failure(f"It returned a {kind}; its function must return a fal_bench Dataset.")
        return dataset

    @once
    def loaded(self) -> Dataset:
        """The data set."""
        _ = self.params
        with owned_by("loads"):
            return self.call(self.make, "loading")

    def call_all(self) -> None:
        """Load it."""
        _ = self.loaded
        self.call(self.make, "loading")


check = DatasetSubject.check

check(params)


@check
def loads(subject: DatasetSubject) -> str:
    """It returns images with labels, in the form that a Dataset asks for.

    What to do: Return fal_bench.data.base.Dataset with float32 images (n, C, H, W) and int64
    labels from 0; if the data are missing, raise DataError and say where they come from.
    """
    data = subject.loaded
    shape = "x".join(map(str, data.input_shape))
    return f"{data.n_train} + {data.n_test} samples of {shape}, {data.n_classes} classes"


@check
def global_random(subject: DatasetSubject) -> None:
    """Global random streams are neither read nor touched.

    What to do: Draw from np.random.default_rng(0), or another fixed seed: the data set is the same
    in every run.
    """
    subject.check_random()


@check
def settings(subject: DatasetSubject) -> None:
    """Settings of the process are left as they were.

    What to do: Change settings only inside a context that puts them back.
    """
    subject.check_settings()


@check
def repeatable(subject: DatasetSubject) -> None:
    """Loaded twice, it is the same.

    What to do: Draw from a generator with a fixed seed, and sort what a folder lists.
    """
    first = subject.loaded
    subject.require(global_random)
    if digest_of(first) != digest_of(subject.call(subject.make, "loading")):
        raise Failure("Loaded a second time, it has other content.")


@check
def worker(subject: DatasetSubject) -> None:
    """It is the same in another process.

    What to do: Keep nothing in the tensors but numbers: no generators, open files or functions.
    """
    data = subject.loaded

    def travel() -> Any:
        return pickle.loads(pickle.dumps(data))

    if digest_of(subject.call(travel, "sending it to another process")) != digest_of(data):
        raise Failure("It comes out of pickle with other content.")


@check
def order(subject: DatasetSubject) -> None:
    """Training samples lie in an order that says nothing of their class.

    What to do: Shuffle them once, with a fixed seed: pools are shown in this order, and a strategy
    that takes the first samples would profit from it.
    """
    labels = subject.loaded.train_labels.numpy()
    shares = np.bincount(labels) / len(labels)
    expected = float((shares**2).sum())
    found = float((labels[1:] == labels[:-1]).mean())
    deviation = np.sqrt(expected * (1 - expected) / (len(labels) - 1))
    if abs(found - expected) > max(MOST_EXCESS, DEVIATIONS * deviation):
        raise Failure(
            f"Of all neighbours {found:.0%} are of one class; in a random order it is "
            f"{expected:.0%}."
        )


@check
def digest(subject: DatasetSubject) -> str:
    """Its digest is text, the same twice, and changes with the content of its files.

    What to do: Hash the bytes of the files that are loaded, not their names or dates.
    """
    traits = traits_of(subject.code)
    function = traits.digest if isinstance(traits, DatasetTraits) else None
    if function is None:
        raise NotApplicable("it has none: its name and parameters say which data they are")
    given = subject.arguments

    def computed(**others: Any) -> Any:
        return subject.call(lambda: function(**given | others), "its digest")

    first = computed()
    if not isinstance(first, str) or not first:
        raise Failure(f"The digest is {first!r}, not text.")
    if computed() != first:
        raise Failure("Computed a second time, the digest is another one.")
    files = [name for name, value in given.items() if isinstance(value, Path) and value.is_file()]
    for name in files:
        with TemporaryDirectory() as folder:
            copy = Path(shutil.copy(given[name], folder))
            before = computed(**{name: copy})
            with copy.open("ab") as file:
                file.write(b"\n")
            if computed(**{name: copy}) == before:
                raise Failure(f"It stays the same when the file of {name!r} changes.")
    return f"tried by changing {', '.join(files)}" if files else "no parameter is a file to change"
