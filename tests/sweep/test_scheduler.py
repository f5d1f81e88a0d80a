"""Runs that run together: merged trainings, shared first cycles, and failures apart."""

import pytest
import torch
from untimed import untimed

from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.loop import simulate
from fal_bench.federation.setting import Setting
from fal_bench.plugins.strategy import Strategy
from fal_bench.strategies.fal_margin import FalMargin
from fal_bench.strategies.logo import LoGo
from fal_bench.strategies.random import Random
from fal_bench.sweep import scheduler
from fal_bench.sweep.scheduler import run_together
from fal_bench.trainers.cross_entropy import CROSS_ENTROPY, CrossEntropy


class Picky(CrossEntropy):
    """Fails in the middle of a training, after batches have been drawn, in the presence of some."""

    name = "picky"
    hated = None

    def losses(self, logits, batch):
        if self.hated is not None and (batch.class_counts == self.hated).all(-1).any():
            raise RuntimeError("not this one")
        return super().losses(logits, batch)


class Failing(Strategy):
    name = "failing"

    def select(self, client, budget):
        raise RuntimeError("no idea")


def journals(task, dataset, strategies, seeds, trainer=CROSS_ENTROPY):
    """Compute runs together; return their journals and the failures."""
    failures = {}
    kept = {}
    runs = {}
    for seed in seeds:
        setting = Setting.draw(task, seed, dataset)
        for strategy in strategies:
            key = f"{strategy.name}/{seed}"
            kept[key] = MemoryJournal()
            runs[key] = simulate(setting, strategy, kept[key], trainer)
    run_together(runs, lambda key, reason, details: failures.__setitem__(key, reason))
    return kept, failures


@pytest.mark.parametrize(
    "model", [{"kind": "mlp", "hidden": [8]}, {"kind": "cnn", "channels": [3]}]
)
@pytest.mark.parametrize("reset", ["scratch", "continue"])
def test_a_run_has_the_same_curve_alone_and_in_any_group(tiny, blobs, model, reset):
    task = type(tiny).model_validate({**tiny.model_dump(), "model": model, "reset": reset})
    together, failures = journals(task, blobs, [Random, FalMargin, LoGo], range(3))
    assert not failures
    for strategy in (Random, FalMargin, LoGo):
        for seed in (0, 2):
            alone, _ = journals(task, blobs, [strategy], [seed])
            key = f"{strategy.name}/{seed}"
            assert untimed(alone[key]) == untimed(together[key])


def test_a_run_that_fails_leaves_the_others_alone(tiny, blobs):
    together, failures = journals(tiny, blobs, [Random, Failing, FalMargin], range(2))
    assert set(failures) == {"failing/0", "failing/1"}
    assert all("no idea" in reason for reason in failures.values())
    whole, _ = journals(tiny, blobs, [Random, FalMargin], range(2))
    for key, journal in whole.items():
        assert untimed(together[key]) == untimed(journal)


def test_the_first_cycle_is_trained_once_for_all_strategies(tiny, blobs, monkeypatch):
    keys = []

    def recording(requests):
        keys.append([request.key for request in requests])
        return original(requests)

    original = scheduler.train
    monkeypatch.setattr(scheduler, "train", recording)
    journals(tiny, blobs, [Random, FalMargin], range(2))
    for merged in keys[: tiny.rounds]:
        assert len(merged) == 4
        assert len(set(merged)) == 2
        assert None not in merged
    for merged in keys[tiny.rounds :]:
        assert set(merged) == {None}


def test_the_company_of_one_that_cannot_be_trained_keeps_its_bits(tiny, blobs, monkeypatch):
    whole, _ = journals(tiny, blobs, [Random, FalMargin], range(2), Picky())
    seen = {key: counts_seen(journal, blobs, tiny.clients) for key, journal in whole.items()}
    for key in whole:
        others = set(whole) - {key}
        own = sorted(seen[key].difference(*(seen[other] for other in others)))
        monkeypatch.setattr(Picky, "hated", torch.tensor(own[0]))
        together, failures = journals(tiny, blobs, [Random, FalMargin], range(2), Picky())
        assert set(failures) == {key}
        assert "not this one" in failures[key]
        for other in others:
            assert untimed(together[other]) == untimed(whole[other])


def counts_seen(journal, dataset, clients):
    """Return the class counts that the clients of a run had, in any cycle."""
    cycles = {cycle for *_, cycle in journal.charges}
    seen = set()
    for last in cycles:
        for client in range(clients):
            ids = [id_ for own, id_, _, cycle in journal.charges if own == client and cycle <= last]
            labels = dataset.train_labels[torch.tensor(ids)]
            seen.add(tuple(labels.bincount(minlength=4).tolist()))
    return seen
