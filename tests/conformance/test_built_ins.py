"""Every built-in strategy keeps the contract."""

import pytest

from fal_bench import check_strategy
from fal_bench.registry import Registry

REGISTRY = Registry.discover()


@pytest.mark.parametrize("name", REGISTRY.names())
def test_it_passes_every_check(name):
    report = check_strategy(REGISTRY.load(name))
    assert report.passed
    assert {one.status for one in report.outcomes} <= {"ok", "not applicable"}
