import pytest


@pytest.fixture(autouse=True)
def own_folders(folders):
    """Every test of this room has a data folder of its own."""
