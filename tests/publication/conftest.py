"""Published results of real runs."""

import shutil

import pytest

from fal_bench import compare, publish


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """The smoke suite with two strategies, computed in this process and published."""
    root = tmp_path_factory.mktemp("smoke")
    compare(
        ["random", "feal"],
        suite="smoke",
        out=root / "results",
        backend="sequential",
        progress=False,
    )
    publish(root / "results", root / "published", target_acc=0.6)
    return root / "published"


@pytest.fixture
def published(smoke, tmp_path):
    """A copy of it to play with."""
    return shutil.copytree(smoke, tmp_path / "published")
