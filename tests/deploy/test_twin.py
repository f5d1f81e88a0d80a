"""The same seed and task in the simulator and at sites that exchange messages: the same picks."""

import pytest

from fal_bench.data.loading import load_dataset
from fal_bench.deploy.config import Federation, SiteConfig
from fal_bench.deploy.server import Server
from fal_bench.deploy.site import Site
from fal_bench.federation.setting import Setting
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.registry import Registry

STRATEGIES = (
    "random fal-margin logo badge typiclust fed-typiclust fed-probcover fairfal fed-mass"
).split()
NAMES = ("north", "south", "east")
TASK = {
    "dataset": "digits",
    "clients": 3,
    "partition": {"kind": "dirichlet", "alpha": 0.5},
    "model": {"kind": "mlp", "hidden": [8]},
    "rounds": 2,
    "local_epochs": 1,
    "initial_labels": 4,
    "query_size": 3,
    "budget_cap": 30,
}


class Calls:
    """A link that calls sites in this process, each message by a site object of its own."""

    def __init__(self, federation, folder):
        self.federation, self.folder = federation, folder

    def site(self, name):
        config = {"name": name, "data": {"kind": "share"}, "store": self.folder / name}
        return Site(self.federation, SiteConfig.model_validate(config))

    def ask(self, verb, messages):
        return {name: self.site(name).answer(verb, one) for name, one in messages.items()}


def federation(strategy, **more):
    return Federation.model_validate(
        {
            "name": "twin",
            "sites": NAMES,
            "classes": list("0123456789"),
            "input_shape": (1, 8, 8),
            "strategy": strategy,
            "task": TASK,
            **more,
        }
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sites_pick_what_the_simulator_picks(strategy, run, tmp_path):
    agreed = federation(strategy)
    link = Calls(agreed, tmp_path)
    cycles = Server(agreed, link, tmp_path / "server", say=lambda line: None).run()

    made = Selector.parse(strategy)
    registry = Registry.discover()
    dataset = load_dataset("digits")
    journal = run(agreed.task, lambda: registry.make(made), dataset, metrics=())
    setting = Setting.draw(agreed.task, agreed.seed, dataset)
    last = cycles[-1].cycle
    for number, name in enumerate(NAMES):
        ids = setting.shares[number].pool
        found = [
            (number, int(ids[sample]), purpose, cycle)
            for sample, _, purpose, cycle in link.site(name).store.charges()
        ]
        expected = [one for one in journal.charges if one[0] == number and one[3] < last]
        assert sorted(found) == sorted(expected)
    rows = journal.rows[: len(cycles)]
    assert [one.labels for one in cycles] == [row.labels for row in rows]
    assert [one.bytes_up for one in cycles] == [row.bytes_up for row in rows]
    assert [one.bytes_down for one in cycles] == [row.bytes_down for row in rows]
