"""Every check can fail: each bad plugin fails the check that its file is named after, only."""

from pathlib import Path

import pytest

from fal_bench.conformance.runner import run_checks
from fal_bench.conformance.strategy_checks import STRATEGY_CHECKS
from fal_bench.plugins.registry import Registry

REGISTRY = Registry.discover([Path(__file__).parent / "bad"])
BAD = {
    name: Path(source).stem.replace("_", "-")
    for name, source in REGISTRY.sources.items()
    if source.endswith(".py")
}


def test_every_check_has_a_bad_plugin():
    assert not REGISTRY.unavailable
    assert set(BAD.values()) == {check.name for check in STRATEGY_CHECKS}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_plugin_fails_the_check_written_for_it_and_no_other(name):
    limit = 0.5 if BAD[name] == "returns" else 30
    report = run_checks(REGISTRY.load(name), call_timeout=limit)
    assert report.failed == (BAD[name],), report.text
    [failure] = [one for one in report.outcomes if one.status == "FAILED"]
    assert failure.note
    assert failure.advice
    prevented = [one for one in report.outcomes if one.status == "not checked"]
    assert all(BAD[name] in one.note for one in prevented)
