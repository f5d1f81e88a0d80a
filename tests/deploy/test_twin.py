"""The same seed and task in the simulator and at sites that exchange messages: the same picks."""

import pytest

from fal_bench.data.loading import load_dataset
from fal_bench.deploy.server import Server
from fal_bench.federation.setting import Setting
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.registry import Registry

STRATEGIES = (
    "random fal-margin logo badge typiclust fed-typiclust fed-probcover fairfal fed-mass ifal "
    "margin-random-batch"
).split()
RECIPES = {
    "momenta that are kept": {
        "optimiser": {"kind": "sgd", "lr": 0.05, "momentum": 0.9, "state": "kept"}
    },
    "a server with a memory": {"aggregation": {"kind": "scaffold"}, "reset": "continue"},
    "some sites a round": {"participation": 0.67, "budget": "proportional"},
}


def assert_twins(agreed, run, calls, folder):
    link = calls(agreed, folder)
    cycles = Server(agreed, link, folder / "server", say=lambda line: None).run()
    dataset, made = load_dataset("digits"), Selector.parse(agreed.strategy)
    registry = Registry.discover()
    journal = run(agreed.task, lambda: registry.make(made), dataset, metrics=())
    setting = Setting.draw(agreed.task, agreed.seed, dataset)
    for number, name in enumerate(agreed.sites):
        ids = setting.shares[number].pool
        found = sorted(
            (number, int(ids[sample]), purpose, cycle)
            for sample, _, purpose, cycle in link.site(name).store.charges()
        )
        expected = sorted(one for one in journal.charges if one[0] == number)
        assert found == [one for one in expected if one[3] < cycles[-1].cycle]
    rows = journal.rows[: len(cycles)]
    assert len(cycles) == 3
    for part in ("labels", "bytes_up", "bytes_down"):
        assert [getattr(one, part) for one in cycles] == [getattr(row, part) for row in rows]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sites_pick_what_the_simulator_picks(strategy, federation, run, calls, tmp_path):
    assert_twins(federation(strategy), run, calls, tmp_path)


@pytest.mark.parametrize("recipe", RECIPES)
def test_and_train_as_it_trains(recipe, federation, run, calls, tmp_path):
    assert_twins(federation("fal-margin", task=RECIPES[recipe]), run, calls, tmp_path)
