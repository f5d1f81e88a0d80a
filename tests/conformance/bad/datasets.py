"""Data sets that each fail the check that their name begins with, before ``--``, and no other."""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from fal_bench import dataset
from fal_bench.data.base import Dataset

CLASSES = 4


class Open(Dataset):
    """Holds a file, which no other process has."""

    def __reduce__(self):
        raise TypeError("cannot pickle an open file")


def blobs(rng, kind=Dataset, order=lambda labels: labels):
    def part(count):
        labels = order(rng.permutation(np.arange(count) % CLASSES)).copy()
        images = labels[:, None, None, None] + rng.normal(size=(count, 1, 4, 4))
        return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(labels)

    return kind("blobs", *part(400), *part(40), n_classes=CLASSES)


def fixed():
    return np.random.default_rng(0)


@dataset
def params__bad_default(train: Annotated[int, Field(ge=1)] = 0):
    return blobs(fixed())


@dataset
def params__no_default(path: Path):
    return blobs(fixed())


@dataset
def loads__arrays():
    return np.zeros((4, 1, 2, 2)), np.zeros(4)


@dataset
def loads__raising():
    raise FileNotFoundError("photos.zip")


@dataset
def loads__hanging():
    time.sleep(3)


@dataset
def global_random__numpy():
    np.random.rand()  # noqa: NPY002
    return blobs(fixed())


@dataset
def global_random__seeding():
    torch.manual_seed(0)
    return blobs(fixed())


@dataset
def settings__numpy():
    np.seterr(all="ignore")
    return blobs(fixed())


@dataset
def repeatable__fresh_generator():
    return blobs(np.random.default_rng())


@dataset
def worker__open_file():
    return blobs(fixed(), kind=Open)


@dataset
def order__sorted():
    return blobs(fixed(), order=np.sort)


@dataset
def order__in_turn():
    return blobs(fixed(), order=lambda labels: np.arange(len(labels)) % CLASSES)


@dataset
def order__halves():
    """Classes 0 and 1 lie in the first half, mixed."""
    return blobs(fixed(), order=lambda labels: labels[np.argsort(labels // 2, kind="stable")])


@dataset(digest=lambda path: path.name)
def digest__of_the_name(path: Path = Path(__file__)):
    return blobs(fixed())


@dataset(digest=lambda: "")
def digest__empty():
    return blobs(fixed())


@dataset(digest=lambda: str(time.perf_counter_ns()))
def digest__of_the_clock():
    return blobs(fixed())
