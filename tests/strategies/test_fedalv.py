"""FEDALV against an implementation that pools all distances, as the released code does."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from fal_bench.errors import InvalidSpecError
from fal_bench.federation.declared import check_suits
from fal_bench.federation.view import LiveFederationView
from fal_bench.strategies.fedalv import FEDALV, free_energies


class ToyTarget(SimpleNamespace):
    """A target domain whose logits and embeddings are given."""

    global_model = None

    def logits(self, model):
        return self.table

    def embeddings(self, model):
        return self.points


def pooled(clients, target, limits, total, candidates=1000):
    """Sort all distances at one place; take each target sample's nearest that may be bought."""
    energies = [-torch.tensor(row).double().exp().sum().log().item() for row in target.table]
    ranked = np.argsort(energies, kind="stable")[::-1][:candidates]
    points = [client.global_model.embeddings[client.unlabelled] for client in clients]
    owners = np.repeat(np.arange(len(clients)), [len(own) for own in points])
    positions = np.concatenate([np.arange(len(own)) for own in points])
    distances = cdist(target.points[ranked], np.concatenate(points))
    chosen = [[] for _ in clients]
    for number in range(total):
        for column in np.argsort(distances[number % len(ranked)], kind="stable"):
            owner, position = owners[column], int(positions[column])
            if position not in chosen[owner] and len(chosen[owner]) < limits[owner]:
                chosen[owner].append(position)
                break
    return chosen


@pytest.fixture
def federation(toy_pool, toy_model):
    def make(seed, sizes, budgets, limits=None, targets=30):
        rng = np.random.default_rng(seed)
        clients = [
            toy_pool([0], toy_model.drawn(rng, size + 1), index=number)
            for number, size in enumerate(sizes)
        ]
        target = ToyTarget(
            table=rng.normal(size=(targets, 3)).astype(np.float32),
            points=rng.normal(size=(targets, 4)).astype(np.float32),
        )
        view = LiveFederationView(clients, budgets, rng, {}, lambda: None, limits, target)
        return view, clients, target

    return make


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limits", [None, (9, 7, 9)])
def test_it_is_nearest_neighbours_over_all_clients(federation, seed, limits):
    budgets = (3, 2, 4)
    view, clients, target = federation(seed, (9, 7, 12), budgets, limits)
    chosen = [own.tolist() for own in FEDALV().select_all(view)]
    assert chosen == pooled(clients, target, limits or budgets, 9)
    counts = [len(own) for own in chosen]
    assert sum(counts) == 9
    assert (counts == list(budgets)) == (limits is None)


def test_few_candidates_are_gone_through_again(federation):
    view, clients, target = federation(0, (6, 6), (4, 4), (6, 6), targets=8)
    chosen = [own.tolist() for own in FEDALV({"candidates": 3}).select_all(view)]
    assert chosen == pooled(clients, target, (6, 6), 8, candidates=3)


def test_energies_by_hand_and_as_the_released_code_reads_outputs(federation):
    np.testing.assert_allclose(free_energies(np.zeros((1, 4))), -np.log(4))
    view, clients, target = federation(4, (8, 8), (2, 2), (8, 8))
    plain = [own.tolist() for own in FEDALV().select_all(view)]
    released = [own.tolist() for own in FEDALV({"outputs_are_energies": True}).select_all(view)]
    target.table = -target.table
    assert released == pooled(clients, target, (8, 8), 4) != plain


def test_tasks_without_a_target_are_refused_before_anything_runs(tiny):
    with pytest.raises(InvalidSpecError, match="'fedalv' needs a target domain"):
        check_suits(FEDALV(), tiny)
