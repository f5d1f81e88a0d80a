"""Every check can fail: a bad plugin fails the check that its name begins with, and no other."""

from pathlib import Path

import pytest

from fal_bench.conformance.runner import KINDS, run_checks
from fal_bench.plugins.registry import Registry

FOLDER = Path(__file__).parent / "bad"
REGISTRY = Registry.discover([FOLDER])
TABLES = {"strategy": REGISTRY.strategies, "trainer": REGISTRY.trainers}
BAD = [(kind, name) for kind, table in TABLES.items() for name in table.sources_in(FOLDER)]
WAITING = {"returns--sleeping", "returns--looping", "losses--hanging"}


def test_every_check_has_a_bad_plugin():
    assert not REGISTRY.unavailable
    checks = {(kind.subject.noun, check.name) for kind in KINDS for check in kind.checks}
    assert {(kind, name.partition("--")[0]) for kind, name in BAD} == checks


@pytest.mark.parametrize(("kind", "name"), BAD)
def test_a_bad_plugin_fails_the_check_written_for_it_and_no_other(kind, name):
    check = name.partition("--")[0]
    report = run_checks(TABLES[kind].load(name), call_timeout=0.5 if name in WAITING else 30)
    assert report.failed == (check,), report.text
    [failure] = [one for one in report.outcomes if one.status == "FAILED"]
    assert failure.note
    assert failure.advice
    prevented = [one for one in report.outcomes if one.status == "not checked"]
    assert all(check in one.note for one in prevented)
