"""Trainings on random samples."""

import numpy as np
import pytest
import torch

from fal_bench.learning.request import Lane


def lane(architecture, count, seed=0, dtype=torch.float32):
    """One training whose every part follows from ``seed``; some have nothing to mix."""
    generator = torch.Generator().manual_seed(seed)
    shape, classes = architecture.input_shape, architecture.n_classes
    start = architecture.fresh(generator).weights
    return Lane(
        {name: t.to(dtype) if t.is_floating_point() else t for name, t in start.items()},
        torch.randn(count, *shape, generator=generator, dtype=dtype),
        torch.randint(classes, (count,), generator=generator),
        np.random.default_rng(seed),
        round=seed % 3,
        unlabelled=torch.randn((seed * 5) % 7, *shape, generator=generator, dtype=dtype),
        teacher_logits=torch.randn(count, classes, generator=generator, dtype=dtype),
    )


@pytest.fixture(scope="session", name="lane")
def lane_fixture():
    """The function ``lane(architecture, count, seed=0, dtype=float32)``."""
    return lane


@pytest.fixture(scope="session")
def lanes():
    """A function that returns a lane for each of ``sizes``, numbered from 0."""

    def lanes_of(architecture, sizes, **options):
        return [lane(architecture, count, seed, **options) for seed, count in enumerate(sizes)]

    return lanes_of


@pytest.fixture(scope="session")
def same_bits():
    """A function that asserts that two sets of weights are equal bit for bit."""

    def assert_same(ours, theirs):
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            assert torch.equal(tensor, theirs[name]), name

    return assert_same
