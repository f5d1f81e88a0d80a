"""Published results of real runs."""

import os
import shutil
from contextlib import contextmanager

import pytest
from filelock import FileLock

from fal_bench import compare, publish
from fal_bench.results.store import Store


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """The smoke suite with two strategies, computed in this process and published.

    Processes of pytest-xdist share what the first of them has computed.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "smoke"
    with FileLock(f"{root}.lock"):
        if not (root / "published").exists():
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


@pytest.fixture
def recomputed(smoke, monkeypatch):
    """Verification finds the runs computed already, as it would compute them."""

    @contextmanager
    def finished():
        yield Store(smoke.parent / "results")

    monkeypatch.setattr("fal_bench.publication.verification.scratch_store", finished)
    monkeypatch.setattr("fal_bench.publication.verification.run_missing", lambda *_: None)
