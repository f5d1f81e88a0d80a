"""Folders of their own for every test: nothing is read from or written to the user's cache."""

import pytest

from fal_bench.data import loading
from fal_bench.data.folders import CACHE_VARIABLE, DATA_VARIABLE, current_folders
from fal_bench.data.images import fashion_mnist


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """The data folder and the cache folder, both empty."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "data"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "no-such-package")
    (tmp_path / "data").mkdir()
    yield current_folders()
    loading._load.cache_clear()
