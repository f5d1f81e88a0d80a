"""A small federation of three sites, and a link that calls them in this process."""

import pytest

from fal_bench.data.loading import load_dataset
from fal_bench.deploy.config import Federation, SiteConfig
from fal_bench.deploy.site import Site
from fal_bench.federation.setting import Setting
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.registry import Registry

NAMES = ("north", "south", "east")
TASK = {
    "dataset": "digits",
    "clients": 3,
    "partition": {"kind": "dirichlet", "alpha": 0.5},
    "model": {"kind": "mlp", "hidden": [4]},
    "rounds": 2,
    "local_epochs": 1,
    "initial_labels": 3,
    "query_size": 2,
    "budget_cap": 21,
}


class Calls:
    """A link that calls sites in this process.

    ``messages`` holds everything that was sent, with the verb and the site's name.
    """

    def __init__(self, federation, folder, data=None):
        self.federation, self.folder, self.data = federation, folder, data or {}
        self.messages = []
        self.sites = {}

    def start(self, name):
        """Return a site as a new process would."""
        data = self.data.get(name, {"kind": "share"})
        config = {"name": name, "data": data, "store": self.folder / name}
        return Site(self.federation, SiteConfig.model_validate(config))

    def site(self, name):
        if name not in self.sites:
            self.sites[name] = self.start(name)
        return self.sites[name]

    def ask(self, verb, messages):
        replies = {name: self.site(name).answer(verb, one) for name, one in messages.items()}
        self.messages += [(verb, name, messages[name], replies[name]) for name in messages]
        return replies


@pytest.fixture
def federation():
    """Return a function that makes a federation with other values."""

    def make(strategy="random", **values):
        task = TASK | values.pop("task", {})
        given = {"name": "twin", "sites": NAMES, "classes": list("0123456789")}
        given |= {"input_shape": (1, 8, 8), "patience": 0.01, "strategy": strategy, "task": task}
        return Federation.model_validate(given | values)

    return make


@pytest.fixture
def calls():
    """The link."""
    return Calls


@pytest.fixture
def simulated(run):
    """Return a function that gives the simulator's rows, and what each site would be asked."""

    def simulate(agreed, cycles):
        dataset, made = load_dataset("digits"), Selector.parse(agreed.strategy)
        registry = Registry.discover()
        journal = run(agreed.task, lambda: registry.make(made), dataset, metrics=())
        setting = Setting.draw(agreed.task, agreed.seed, dataset)
        places = [
            {int(sample): place for place, sample in enumerate(own.pool)} for own in setting.shares
        ]
        asked = {name: [] for name in agreed.sites}
        for client, sample, purpose, cycle in journal.charges:
            if cycle < cycles - 1:
                asked[agreed.sites[client]].append((places[client][sample], 0, purpose, cycle))
        return journal.rows[:cycles], {name: sorted(own) for name, own in asked.items()}

    return simulate
