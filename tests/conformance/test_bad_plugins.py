"""Every check can fail: a bad plugin fails the check that its name begins with, and no other.

Of the bad plugins of a check, the first is held against all checks, and the others against theirs
alone; ``tox -e faults`` holds each against all.
"""

import os
from pathlib import Path

import pytest

from fal_bench.conformance.runner import SUBJECTS, run_checks
from fal_bench.plugins.registry import Registry

FOLDER = Path(__file__).parent / "bad"


def tables(registry):
    return {table.kind.word: table for table in registry.tables()}


REGISTRY = Registry.discover([FOLDER])
BAD = [(word, name) for word, one in tables(REGISTRY).items() for name in one.sources_in(FOLDER)]


def check_of(name):
    return name.replace("_", "-").partition("--")[0]


def test_every_check_has_a_bad_plugin():
    assert not REGISTRY.unavailable
    assert {(word, check_of(name)) for word, name in BAD} == {
        (subject.kind.word, check.name) for subject in SUBJECTS for check in subject.checks
    }


FIRST = {(word, check_of(name)): name for word, name in reversed(BAD)}


def checks_for(word, name):
    """The names of the checks that a bad plugin is held against; none for all."""
    check = check_of(name)
    alone = "FALBENCH_FAULTS" not in os.environ and FIRST[word, check] != name
    return [check] if alone else []


@pytest.mark.parametrize(("word", "name"), BAD)
def test_a_bad_plugin_fails_the_check_written_for_it_and_no_other(word, name):
    check = check_of(name)
    hangs = check == "returns" or name.endswith("hanging")
    # Found again, for other tests edit plugins, after which all are imported again.
    plugin = tables(Registry.discover([FOLDER]))[word].load(name)
    limit = 0.5 if hangs else 30
    report = run_checks(plugin, only=checks_for(word, name), call_timeout=limit)
    assert report.failed == (check,), report.text
    [failure] = [one for one in report.outcomes if one.status == "FAILED"]
    assert failure.note
    assert failure.advice
    prevented = [one for one in report.outcomes if one.status == "not checked"]
    assert all(check in one.note for one in prevented)
