"""Every built-in plugin keeps the contract."""

from importlib.util import find_spec

import pytest

from fal_bench.conformance.runner import check
from fal_bench.plugins.registry import Registry

REGISTRY = Registry.discover()
BUILT_IN = [*REGISTRY.strategies.names(), *REGISTRY.trainers.names()]


@pytest.mark.parametrize("name", BUILT_IN)
def test_it_passes_every_check(name):
    if name == "skactiveml" and find_spec("skactiveml") is None:
        pytest.skip("scikit-activeml is not installed; run tox -e skactiveml")
    report = check(name)
    assert report.plugin == name
    assert {one.status for one in report.outcomes} <= {"ok", "not applicable"}
