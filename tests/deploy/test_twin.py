"""The same seed and task in the simulator and at sites that exchange messages: the same picks."""

import pytest

from fal_bench.deploy.server import Server

STRATEGIES = (
    "random fal-margin logo badge typiclust fed-typiclust fed-probcover fairfal fed-mass"
).split()
RECIPES = {
    "momenta that are kept": {
        "optimiser": {"kind": "sgd", "lr": 0.05, "momentum": 0.9, "state": "kept"}
    },
    "a server with a memory": {"aggregation": {"kind": "scaffold"}, "reset": "continue"},
    "some sites a round": {"participation": 0.67, "budget": "proportional"},
}


def assert_twins(agreed, simulated, calls, folder):
    link = calls(agreed, folder)
    cycles = Server(agreed, link, folder / "server", say=lambda line: None).run()
    rows, asked = simulated(agreed, len(cycles))
    assert {name: sorted(link.site(name).store.charges()) for name in agreed.sites} == asked
    assert len(cycles) > 1
    for part in ("labels", "bytes_up", "bytes_down"):
        assert [getattr(one, part) for one in cycles] == [getattr(row, part) for row in rows]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sites_pick_what_the_simulator_picks(strategy, federation, simulated, calls, tmp_path):
    agreed = federation(strategy, task={"budget_cap": 15, "rounds": 1})
    assert_twins(agreed, simulated, calls, tmp_path)


@pytest.mark.parametrize("recipe", RECIPES)
def test_and_train_as_it_trains(recipe, federation, simulated, calls, tmp_path):
    assert_twins(federation("fal-margin", task=RECIPES[recipe]), simulated, calls, tmp_path)
