"""Strategies that share a file keep their names, and all keep what identifies their runs."""

import json
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import fal_bench.strategies
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.registry import Registry
from fal_bench.plugins.strategy import Strategy
from fal_bench.sweep.spec import fingerprint_of

PINNED = json.loads((Path(__file__).parent / "identities.json").read_text())
REGISTRY = Registry.discover()


def test_every_strategy_of_every_file_is_found_by_its_name():
    found = {}
    for module in iter_modules(fal_bench.strategies.__path__):
        members = vars(import_module(f"fal_bench.strategies.{module.name}")).values()
        for member in members:
            if isinstance(member, type) and issubclass(member, Strategy) and "name" in vars(member):
                found[member.name] = member
    assert found.keys() == {*PINNED}
    assert {name: REGISTRY.load(name) for name in found} == found


@pytest.mark.parametrize("name", PINNED)
def test_what_identifies_the_runs_of_a_name_stays(name):
    """A new parameter is no part of a key at its default, so that there may be more of them."""
    strategy, pinned = REGISTRY.make(Selector(name)), PINNED[name]
    # A wrapped library's own version follows; it differs from one machine to the next.
    assert fingerprint_of(Selector(name), REGISTRY).partition(",")[0] == pinned["fingerprint"]
    assert strategy.trainer == pinned["trainer"]
    defaults = strategy.params.model_dump(mode="json")
    assert {known: defaults[known] for known in pinned["defaults"]} == pinned["defaults"]
    assert strategy.name == name  # which its random stream is named by
