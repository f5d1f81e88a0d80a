"""Children are new interpreters here, as users have them."""

import pytest


@pytest.fixture
def warm_children():
    """Nothing that looks like an interpreter."""
