"""A target domain: one client is left out, and the model is for it."""

from dataclasses import replace

import numpy as np
import pytest

import fal_bench
from fal_bench.data.clients import GivenClients
from fal_bench.errors import InvalidSpecError, NeedsError, PluginError
from fal_bench.federation.declared import check_suits
from fal_bench.federation.setting import Setting
from fal_bench.plugins.needs import TargetDomain
from fal_bench.plugins.strategy import Strategy
from fal_bench.strategies.random import Random
from fal_bench.task import Task

NAMES = ("amazon", "films", "tweets")


class Nearest(Strategy):
    """Samples whose embedding is nearest to the target domain's mean."""

    name = "nearest"
    needs = frozenset({TargetDomain()})
    seen = []

    def select_all(self, federation):
        target = federation.target
        model = target.global_model
        Nearest.seen.append((target.inputs(), target.probs(model)))
        mean = federation.broadcast(target.embeddings(model).mean(axis=0))

        def nearest(client, budget):
            away = client.embeddings(client.global_model) - mean
            return np.argsort((away**2).sum(axis=1), kind="stable")[:budget]

        return federation.each(nearest)


class Curious(Strategy):
    """Looks at the target without saying so."""

    name = "curious"

    def select_all(self, federation):
        return federation.target


@pytest.fixture
def sites(blobs):
    rng = np.random.default_rng(0)
    train, test = (rng.integers(3, size=count) for count in (blobs.n_train, blobs.n_test))
    return replace(blobs, clients=GivenClients(NAMES, train, test))


def leaving_out(tiny, target):
    partition = {"kind": "given", "target": target}
    return Task.model_validate({**tiny.model_dump(exclude={"clients"}), "partition": partition})


@pytest.fixture
def task(tiny):
    return leaving_out(tiny, "films")


def test_nobody_holds_the_target_and_the_test_set_is_its_own(task, sites):
    setting = Setting.draw(task, 0, sites)
    data = setting.dataset
    held = np.concatenate([own.pool for own in setting.shares])
    kept, left = (sites.clients.train != 1), (sites.clients.train == 1)
    assert setting.task.clients == 2
    assert data.clients.names == ("amazon", "tweets")
    assert sorted(held) == list(range(kept.sum()))
    assert (data.train_features == sites.train_features[kept]).all()
    assert (data.target_features == sites.train_features[left]).all()
    assert (data.test_features == sites.test_features[sites.clients.test == 1]).all()
    assert (data.test_labels == sites.test_labels[sites.clients.test == 1]).all()
    for client, name in enumerate((0, 2)):
        own = data.train_features[setting.shares[client].pool]
        assert len(own) == (sites.clients.train == name).sum()


def test_the_server_sees_its_inputs_where_the_strategy_asks(run, task, sites):
    Nearest.seen.clear()
    rows = run(task, Nearest, sites).rows
    assert len(rows) > 2
    inputs, probs = Nearest.seen[0]
    assert np.array_equal(inputs, sites.train_features[sites.clients.train == 1].numpy())
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-5)
    assert not inputs.flags.writeable
    with pytest.raises(PluginError, match="TargetDomain"):
        run(task, Curious, sites)
    plain = run(task, Random, sites).rows
    assert [row.labels for row in plain] == [row.labels for row in rows]


def test_without_a_target_it_is_refused_before_anything_runs(tiny, task):
    check_suits(Nearest(), task)
    with pytest.raises(InvalidSpecError, match="'nearest' needs a target domain"):
        check_suits(Nearest(), tiny)


def test_a_class_in_place_of_a_need_is_refused_before_anything_runs(task):
    class Careless(Nearest):
        name = "careless"
        needs = frozenset({fal_bench.TargetDomain})

    with pytest.raises(NeedsError, match=r"'careless'.*TargetDomain\(\)"):
        check_suits(Careless(), task)


def test_targets_that_are_none_are_refused(tiny, task, sites):
    with pytest.raises(InvalidSpecError, match=r"'theatre'.*amazon, films, tweets"):
        Setting.draw(leaving_out(tiny, "theatre"), 0, sites)
    untested = replace(sites, clients=replace(sites.clients, test=None))
    with pytest.raises(InvalidSpecError, match="which test sample"):
        Setting.draw(task, 0, untested)


def test_the_check_knows_such_strategies():
    report = fal_bench.check_strategy(Nearest)
    assert "target" in str(report)
